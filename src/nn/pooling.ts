/**
 * From token states to one vector a text, as sentence-transformers' Pooling and Normalize modules do it. The trap: the mean is over real tokens, special ones included, padding not.
 *
 * Letters: B batch, T tokens, W width.
 */
import type { Tensor } from "../engine/tensor.js";

/** `mean` of the tokens' states, or the first token's state (`cls`). */
export const POOLINGS = ["mean", "cls"] as const;

export type Pooling = (typeof POOLINGS)[number];

/**
 * mean: Σ(state·mask) / max(Σmask, 1e-9); cls: state₀. (B,T,W) → (B,W).
 *
 * @param mask_BT 1 for a token, 0 for padding; undefined: no padding.
 */
export function pool(hidden_BTW: Tensor, mask_BT: Tensor | undefined, pooling: Pooling): Tensor {
  if (pooling === "cls") return hidden_BTW.select(1, 0);
  if (mask_BT === undefined) return hidden_BTW.mean(1);
  const mask_BT1 = mask_BT.toDtype(hidden_BTW.dtype).unsqueeze(2);
  return hidden_BTW.mul(mask_BT1).sum(1).div(mask_BT1.sum(1).clampMin(1e-9));
}

/** x / max(‖x‖₂, 1e-12) for each row: (B,W) → (B,W). */
export function unitVectors(x_BW: Tensor): Tensor {
  return x_BW.div(x_BW.linalgVectorNorm(2, 1, true).clampMin(1e-12));
}
