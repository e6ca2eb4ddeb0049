/**
 * In-batch contrastive loss, InfoNCE, with hard negatives and a mask for false negatives (van den Oord et al. 2018, arXiv 1807.03748; DPR, arXiv 2004.04906). No key chooses it: it is the loss of every contrastive phase (`phase: contrastive`
 * in `train.schedule`, term `contrastive`), and `train.contrastive` sets it: `temperature`, `symmetric`, `hard_negatives`; `matryoshka` sums it over prefixes. It scores what it is given: embeddings are expected at unit length, and who is
 * a false negative is decided elsewhere.
 * The trap: a column that is another right answer of the row must be masked, or the loss pushes right passages away.
 *
 * Shape letters: Q questions, P passages of the batch (positives and hard negatives, each once), D dimension.
 */
import { ops, type Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { atLeastF32 } from "./precision.js";

export interface InfoNceOptions {
  /** τ > 0: similarities are divided by it. */
  readonly temperature: number;
  /** i64 (Q): the column of each question's positive. Default: question i's is passage i. */
  readonly positives_Q?: Tensor | undefined;
  /** bool (Q,P): true where a passage mustn't count as the question's negative. A positive is never masked, whatever stands there. */
  readonly masked_QP?: Tensor | undefined;
  /** Also rank the batch's questions for each question's positive, and take the mean of both directions. Default false. */
  readonly symmetric?: boolean;
}

const REDUCE_BY_SUM = 2;

/**
 * Σ_i −log softmax_j(⟨q_i, p_j⟩/τ)[positive of i], over unmasked columns j; count = Q. ∂/∂s_ij = (softmax_ij − 1[j = positive of i]) / τ, by count.
 * Symmetric: ½ of it plus ½ of the same with questions as columns, Σ_i −log softmax_j(⟨q_j, p_pos(i)⟩/τ)[i]; there question j is left out of row i
 * if i's positive is masked for it or is its positive too. In fp32 or better; nats, ≥ 0.
 *
 * @throws OperatorError for shapes that don't match
 */
export function infoNce(queries_QD: Tensor, passages_PD: Tensor, options: InfoNceOptions): SumAndCount {
  const questions = queries_QD.size(0);
  const scores_QP = atLeastF32(queries_QD).matmul(atLeastF32(passages_PD).transpose(0, 1)).div(options.temperature);
  const positives_Q = options.positives_Q ?? ops.arange(0, questions, 1, "i64", queries_QD.device);
  const forward = directed(scores_QP, positives_Q, options.masked_QP);
  if (options.symmetric !== true) return { sum: forward, count: questions };
  const own_Q = ops.arange(0, questions, 1, "i64", queries_QD.device);
  const mirrored_QQ = scores_QP.indexSelect(1, positives_Q).transpose(0, 1);
  const sharing_QQ = positives_Q.unsqueeze(1).eq(positives_Q.unsqueeze(0));
  const masked_QQ = options.masked_QP?.indexSelect(1, positives_Q).transpose(0, 1).logicalOr(sharing_QQ) ?? sharing_QQ;
  const backward = directed(mirrored_QQ, own_Q, masked_QQ);
  return { sum: forward.add(backward).mul(0.5), count: questions };
}

/** Σ over rows of the cross-entropy of `targets` among the columns that aren't masked. */
function directed(scores_QP: Tensor, targets_Q: Tensor, masked_QP: Tensor | undefined): Tensor {
  if (masked_QP === undefined) return ops.crossEntropyLoss(scores_QP, targets_Q, null, REDUCE_BY_SUM);
  const columns_P = ops.arange(0, scores_QP.size(1), 1, "i64", scores_QP.device);
  const negatives_QP = columns_P.unsqueeze(0).ne(targets_Q.unsqueeze(1));
  const dropped_QP = masked_QP.logicalAnd(negatives_QP);
  return ops.crossEntropyLoss(scores_QP.maskedFill(dropped_QP, -Infinity), targets_Q, null, REDUCE_BY_SUM);
}
