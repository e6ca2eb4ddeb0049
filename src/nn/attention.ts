/**
 * softmax(scale·q·kᵀ + bias)·v, as both models need it: libtorch's fused kernel, or spelt out where the weights are dropped, because the fused kernel draws masks of its own. The
 * projections around it are the models'. The trap: spelt out it keeps (B,H,T,S) weights for backward, so attention dropout is the dearest of the dropouts.
 *
 * Letters: B batch, H heads, D head width, T queries, S keys.
 */
import { ops, type Tensor } from "../engine/tensor.js";
import { HIDDEN } from "./kv-cache.js";

export interface AttentionOptions {
  /** Added to the scores: (B or 1,1,T or 1,S). */
  readonly bias: Tensor | undefined;
  /** Hides from each query the keys after it. Counts from the first key, so T = S; not together with `bias`. */
  readonly causal: boolean;
  readonly scale: number;
  /** Drops out of the weights (B,H,T,S). */
  readonly drop: ((weights_BHTS: Tensor) => Tensor) | undefined;
}

/** (B,H,T,D), (B,H,S,D), (B,H,S,D) → (B,H,T,D). Vaswani et al. 2017, §3.2.1. */
export function attention(query_BHTD: Tensor, key_BHSD: Tensor, value_BHSD: Tensor, options: AttentionOptions): Tensor {
  const { bias, causal, scale, drop } = options;
  if (drop === undefined) {
    const fitting = bias?.toDtype(query_BHTD.dtype) ?? null;
    return ops.scaledDotProductAttention(query_BHTD, key_BHSD, value_BHSD, fitting, 0, causal, scale);
  }
  const [batch, heads, queries, width] = query_BHTD.shape as [number, number, number, number];
  const keys = key_BHSD.size(2);
  const hidden = bias ?? (causal ? causalBias(queries, keys, query_BHTD.device) : undefined);
  const query_GTD = query_BHTD.reshape([batch * heads, queries, width]);
  const key_GDS = key_BHSD.reshape([batch * heads, keys, width]).transpose(1, 2);
  // One product that starts from the bias: a pass over (B,H,T,S) less for the scale and one less for the sum.
  const scores_GTS =
    hidden === undefined
      ? query_GTD.mul(scale).bmm(key_GDS)
      : hidden
          .toDtype(query_BHTD.dtype)
          .expand([batch, heads, queries, keys])
          .reshape([batch * heads, queries, keys])
          .baddbmm(query_GTD, key_GDS, 1, scale);
  const weights_BHTS = drop(scores_GTS.softmax(-1).view([batch, heads, queries, keys]));
  return weights_BHTS.matmul(value_BHSD);
}

/** (1,1,T,S): {@link HIDDEN} where a key comes after the query; the T queries are the last of the S tokens. */
export function causalBias(queries: number, keys: number, device: string): Tensor {
  return ops.full([1, 1, queries, keys], HIDDEN, "f32", device).triu(keys - queries + 1);
}
