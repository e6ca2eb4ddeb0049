/**
 * Mixed precision: inside `autocast`, libtorch runs matrix products in bf16 or f16. Not a guarantee of speed: on a processor without bf16 units it is slower than fp32
 * (`tandem doctor` says which it is). The trap: on GPUs softmax, norms and losses are lifted to fp32, on CPUs they stay in the dtype that they are given; so losses are
 * computed outside (training/losses/precision.ts).
 */
import { native } from "./native.js";

/** Runs `body` under autocast to `dtype` on `device` (`cpu` or `cuda`); `undefined` runs it as it is. */
export function autocast<T>(dtype: "bf16" | "f16" | undefined, body: () => T, device = "cpu"): T {
  if (dtype === undefined) return body();
  const engine = native();
  const before = engine.enterAutocast(device, dtype);
  try {
    const result = body();
    if (result instanceof Promise) throw new Error("autocast: the body returned a Promise; autocast ends before it settles; await outside");
    return result;
  } finally {
    engine.leaveAutocast(device, before);
  }
}
