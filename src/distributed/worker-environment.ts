/**
 * The environment of a worker process: the driver's, and that the C library keeps memory which was freed for the next step. Else glibc maps every block above 32 MB anew, and the system clears its pages at every step: 130,000 faults a
 * step of distilGPT-2's size, and a fifth of the time where two workers do so at once (docs/LOG.md). It changes no number.
 * The traps: what a worker once had it keeps until its end, 5 to 15 % more at its peak than without; another allocator (jemalloc by LD_PRELOAD, musl) reads none of this; and glibc reads it when a process starts, so no
 * process can say it to itself.
 * Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
 */

/** Bytes of a block that is still mapped by itself, and given back when it is freed: what a step needs again is smaller. */
const MAPPED_FROM = 2 ** 30;
/** Bytes at the heap's end that are given back at once: more than any machine has. */
const GIVEN_BACK_FROM = 2 ** 50;
/** Bytes by which the heap grows at least. */
const GROWS_BY = 64 * 2 ** 20;

/** The environment to start a worker with. Whoever has set one of glibc's variables has decided for all of them. */
export function workerEnvironment(own: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const isDecided = Object.keys(own).some((name) => /^MALLOC_\w+_$/.test(name)) || /glibc\.malloc\./.test(own["GLIBC_TUNABLES"] ?? "");
  if (isDecided) return own;
  return {
    ...own,
    MALLOC_MMAP_THRESHOLD_: String(MAPPED_FROM),
    MALLOC_TRIM_THRESHOLD_: String(GIVEN_BACK_FROM),
    MALLOC_TOP_PAD_: String(GROWS_BY),
  };
}
