/**
 * The precision of losses: sums of log-probabilities run in fp32 or better, whatever autocast made of the logits. Not a conversion to one dtype:
 * f64 stays f64, so that the tests can compare with finite differences.
 */
import type { Tensor } from "../../engine/tensor.js";

/** The tensor itself if it is f32 or f64, else converted to f32 (with the graph). */
export function atLeastF32(x: Tensor): Tensor {
  return x.dtype === "f32" || x.dtype === "f64" ? x : x.toDtype("f32");
}
