/**
 * Temperature, top-k and top-p: what makes of the logits the distribution that is sampled from. In this order, and equal to transformers' warpers. They mean something for sampling only. The trap:
 * ties at the border of top-k all stay, so more than k tokens may; top-p keeps the token that crosses the border.
 *
 * B rows, V vocabulary.
 */
import { ops, type Tensor } from "../engine/tensor.js";

export interface WarperOptions {
  /** Divides the logits; above 0, 1: as they are. Default 1. */
  readonly temperature?: number;
  /** Only the k most likely tokens (Fan et al. 2018). undefined: all. */
  readonly topK?: number | undefined;
  /** Only the fewest most likely tokens whose probabilities add up to p (Holtzman et al. 2019), in (0, 1]. Default 1: all. */
  readonly topP?: number;
}

/**
 * Logits (B,V) with −∞ where a token is cut; their softmax is sampled from.
 *
 * temperature: l / t. top-k: −∞ where l is below the k-th largest. top-p: ascending by l, −∞ where the cumulative probability is at most 1 − p; the most likely token always stays.
 *
 * @throws RangeError when an option isn't in its range
 */
export function warpLogits(logits_BV: Tensor, options: WarperOptions): Tensor {
  const { temperature = 1, topK, topP = 1 } = options;
  if (!(temperature > 0) || !Number.isFinite(temperature)) throw new RangeError(`temperature must be above 0, got ${temperature}`);
  if (topK !== undefined && (!Number.isSafeInteger(topK) || topK < 1))
    throw new RangeError(`top-k must be a whole number from 1, got ${topK}`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`top-p must be above 0 and at most 1, got ${topP}`);
  let warped_BV = temperature === 1 ? logits_BV : logits_BV.div(temperature);
  if (topK !== undefined) warped_BV = onlyTopK(warped_BV, topK);
  if (topP < 1) warped_BV = onlyTopP(warped_BV, topP);
  return warped_BV;
}

function onlyTopK(logits_BV: Tensor, k: number): Tensor {
  const [best_BK] = logits_BV.topk(Math.min(k, logits_BV.size(1)));
  const last_B1 = best_BK.narrow(1, best_BK.size(1) - 1, 1);
  return logits_BV.maskedFill(logits_BV.lt(last_B1), -Infinity);
}

function onlyTopP(logits_BV: Tensor, p: number): Tensor {
  const [rows, vocabulary] = logits_BV.shape as [number, number];
  const [sorted_BV, order_BV] = logits_BV.sort(false, 1, false);
  const cut_BV = sorted_BV
    .softmax(1)
    .cumsum(1)
    .le(1 - p);
  const kept_B1 = ops.zeros([rows, 1], "bool", logits_BV.device);
  const cutButBest_BV = ops.cat([cut_BV.narrow(1, 0, vocabulary - 1), kept_B1], 1);
  return logits_BV.maskedFill(cutButBest_BV.scatter(1, order_BV, cutButBest_BV), -Infinity);
}
