/**
 * The environment of a worker process: the driver's, and that the C library keeps memory which was freed for the next step. Else glibc maps every block above 32 MB anew, and the system clears its pages at every step: 130,000 faults a
 * step of distilGPT-2's size, and a fifth of the time where two workers do so at once (docs/LOG.md). It changes no number.
 * The traps: what a worker once had it keeps until its end, 5 to 15 % more at its peak than without; another allocator (jemalloc by LD_PRELOAD, musl) reads none of this; and glibc reads it when a process starts, so no
 * process can say it to itself.
 * Source: mallopt(3), M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD.
 */

/** Bytes at the heap's end that are given back at once: more than any machine has. */
const GIVEN_BACK_FROM = 2 ** 50;
/** Bytes by which the heap grows at least. */
const GROWS_BY = 64 * 2 ** 20;

/** glibc's variables; all but two end in a line. */
const ALLOCATOR = /^MALLOC_(ARENA_(MAX|TEST)|\w+_)$/;

/** The environment to start a worker with. Whoever has set one of glibc's variables has decided for all of them. */
export function workerEnvironment(own: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const isDecided = Object.keys(own).some((name) => ALLOCATOR.test(name)) || /glibc\.malloc\./.test(own["GLIBC_TUNABLES"] ?? "");
  if (isDecided) return own;
  return {
    ...own,
    // No block by itself. A threshold would do, but mallopt(3) gives it an upper limit of 32 MB; glibc 2.36 takes more, older ones may not.
    MALLOC_MMAP_MAX_: "0",
    MALLOC_TRIM_THRESHOLD_: String(GIVEN_BACK_FROM),
    MALLOC_TOP_PAD_: String(GROWS_BY),
  };
}
