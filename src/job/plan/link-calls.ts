/** The sums that two processes make to measure their link: the same ones in the same order in both. The trap: the best of several is taken for the large one, since whatever else the machine does only makes it slower; of the small one the middle. */
import { BUCKET_BYTES, type ProcessGroup } from "../../distributed/process-group.js";
import { scope } from "../../engine/scope.js";
import { ops } from "../../engine/tensor.js";

const SMALL_SUMS = 101;
const LARGE_SUMS = 9;

/** Seconds of a sum of one number and of one of `bytes`. */
export function linkCalls(group: Pick<ProcessGroup, "sum" | "barrier">): { small: number; large: number; bytes: number } {
  return scope(() => {
    const [one, many] = [ops.zeros([1]), ops.zeros([BUCKET_BYTES / 4])];
    const timed = (count: number, tensor: typeof one): number[] => {
      group.barrier();
      return Array.from({ length: count }, () => {
        const began = performance.now();
        group.sum([tensor]);
        return (performance.now() - began) / 1000;
      }).sort((a, b) => a - b);
    };
    const small = timed(SMALL_SUMS, one);
    const large = timed(LARGE_SUMS, many);
    return { small: small[Math.floor(SMALL_SUMS / 2)] ?? 0, large: large[0] ?? 0, bytes: BUCKET_BYTES };
  });
}
