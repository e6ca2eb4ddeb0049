/**
 * RAG-token: as RAG-sequence, but each token of the answer may come from another passage (Lewis et al. 2020, arXiv 2005.11401, §2.1). Retriever and reader both learn from it.
 * The trap: answers differ in length. What stands behind an answer's end must be 0 in all K columns; a place counts when it is real, not when its likelihood isn't 0.
 *
 * Shape letters: Q questions, K passages of each, T tokens of the longest answer, its EOS included.
 */
import type { Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { logPrior } from "./passage-prior.js";
import { atLeastF32 } from "./precision.js";

/**
 * Σ_q −Σ_t logsumexp_k(log r_k + log p(y_t | x, z_k, y_<t)), with r = softmax_k(s_k/τ); count = Q. In fp32 or better; nats.
 *
 * @param tokenLogLikelihood_QKT log p of each token of the answer after each passage
 * @param real_QT bool, true at the answer's tokens; left out: all are
 * @param temperature τ > 0
 * @throws UserError for one passage
 */
export function ragToken(scores_QK: Tensor, tokenLogLikelihood_QKT: Tensor, temperature: number, real_QT?: Tensor): SumAndCount {
  const logR_QK1 = logPrior(scores_QK, temperature).unsqueeze(2);
  const logToken_QT = logR_QK1.add(atLeastF32(tokenLogLikelihood_QKT)).logsumexp([1]);
  const counted_QT = real_QT === undefined ? logToken_QT : logToken_QT.maskedFill(real_QT.logicalNot(), 0);
  return { sum: counted_QT.sum().neg(), count: scores_QK.size(0) };
}
