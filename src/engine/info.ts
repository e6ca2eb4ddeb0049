/**
 * What this machine's libtorch is and how fast it multiplies. The rate is measured, not looked up: a share of it is what a run logs as its efficiency.
 */
import { readFileSync } from "node:fs";
import { noGrad } from "./grad-mode.js";
import { native, type EngineFacts } from "./native.js";
import { ops } from "./operators.generated.js";
import { scope } from "./scope.js";

/** libtorch's version, threads, instruction set and devices. */
export function engineFacts(): EngineFacts {
  return native().facts();
}

/** Threads of libtorch's kernels in this process. */
export function setThreads(threads: number): void {
  native().setThreads(threads);
}

/** The graphics card that is meant where none is named: memory is pinned for it. Nothing changes for `cpu`. */
export function setDevice(device: string): void {
  native().setDevice(device);
}

/** Which bf16 units the processor has; without them bf16 is emulated and slower than fp32. */
export function bf16Units(): "amx" | "avx512" | undefined {
  let flags: string;
  try {
    flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  } catch {
    return undefined;
  }
  if (/\bamx_bf16\b/.test(flags)) return "amx";
  return /\bavx512_bf16\b/.test(flags) ? "avx512" : undefined;
}

/**
 * GFLOP/s of an fp32 (or `dtype`) product of two size×size matrices: the best of `repeats`, after one unmeasured.
 */
export function gemmRate(options: { size?: number; repeats?: number; dtype?: "f32" | "bf16"; device?: string } = {}): number {
  const { size = 1536, repeats = 5, dtype = "f32", device = "cpu" } = options;
  return scope(() =>
    noGrad(() => {
      const a = ops.randn([size, size], "f32", device).toDtype(dtype);
      const b = ops.randn([size, size], "f32", device).toDtype(dtype);
      let best = Infinity;
      for (let i = 0; i <= repeats; i++) {
        const start = performance.now();
        // Reading one element waits for the device.
        scope(() => a.mm(b).select(0, 0).select(0, 0).item());
        if (i > 0) best = Math.min(best, performance.now() - start);
      }
      return (2 * size ** 3) / best / 1e6;
    }),
  );
}
