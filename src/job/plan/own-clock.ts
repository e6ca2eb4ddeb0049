/**
 * A clock for measuring beside other work: it stands still while this process's main thread is ready to run and another program has the processor (Linux's /proc/self/schedstat), so that what is measured on a busy machine is near what a quiet
 * one would show. Not a clock for deadlines. The traps: waits of libtorch's other threads aren't seen, and two programs on the two halves of one core slow each other down without waiting; a quiet machine measures better.
 */
import { readFileSync } from "node:fs";

/** Seconds since some moment, without those spent waiting for a processor. */
export function ownSeconds(): number {
  return performance.now() / 1000 - waitedSeconds();
}

/** Seconds that the main thread has waited for a processor so far; 0 where the system doesn't say. */
export function waitedSeconds(): number {
  try {
    const [, waited] = readFileSync("/proc/self/schedstat", "utf8").split(" ");
    return Number(waited ?? 0) / 1e9;
  } catch {
    return 0;
  }
}
