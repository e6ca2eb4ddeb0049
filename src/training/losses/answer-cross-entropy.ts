/**
 * Cross-entropy on the answer only: the answer's tokens and its one end-of-text token, nothing else. Padding and prompt never come here: logits are
 * computed at those positions only, so there is nothing to mask. Not a mean: sum and count, to be added over micro-batches and workers.
 * The trap it avoids: with padding equal to end-of-text and labels on both, 96 % of the loss is "EOS after EOS".
 *
 * Shape letters: N answer positions of the batch, V vocabulary.
 */
import { ops, type Tensor } from "../../engine/tensor.js";
import { atLeastF32 } from "./precision.js";

export interface SumAndCount {
  /** () fp32 or better, with the graph. */
  readonly sum: Tensor;
  readonly count: number;
}

/** libtorch's code for a reduction by summing. */
const REDUCE_BY_SUM = 2;

/**
 * −Σ_n log softmax(logits_NV)[n, targets_N[n]], in fp32 or better; count = N. With label smoothing ε the target is (1−ε)·one-hot + ε/V
 * (Szegedy et al. 2016, arXiv 1512.00567; as torch.nn.functional.cross_entropy). Nats, ≥ 0.
 *
 * @param targets_N i64 token ids, each in 0 … V−1
 * @param labelSmoothing ε, 0 ≤ ε < 1
 * @throws OperatorError for shapes that don't match and targets outside the vocabulary
 */
export function answerCrossEntropy(logits_NV: Tensor, targets_N: Tensor, labelSmoothing = 0): SumAndCount {
  const sum = ops.crossEntropyLoss(atLeastF32(logits_NV), targets_N, null, REDUCE_BY_SUM, -100, labelSmoothing);
  return { sum, count: targets_N.size(0) };
}
