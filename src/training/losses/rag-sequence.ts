/**
 * RAG-sequence: the answer's likelihood with the passages summed out, one passage for the whole answer (Lewis et al. 2020, arXiv 2005.11401, §2.1). Retriever and reader both learn from it.
 * The trap: it is minimal where one passage holds all of the belief, so without fresh passages the retriever grows sure of what it found first.
 *
 * Shape letters: Q questions, K passages of each.
 */
import type { Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { logPrior } from "./passage-prior.js";
import { atLeastF32 } from "./precision.js";

/**
 * Σ_q −logsumexp_k(log r_k + l_k), with r = softmax_k(s_k/τ); count = Q. With post = softmax_k(l_k + log r_k), by count: ∂/∂s_k = (r_k − post_k)/τ and ∂/∂l_k = −post_k. In fp32 or better; nats.
 *
 * @param logLikelihood_QK l_k = log p(answer | question, passage k)
 * @param temperature τ > 0
 * @throws UserError for one passage
 */
export function ragSequence(scores_QK: Tensor, logLikelihood_QK: Tensor, temperature: number): SumAndCount {
  const logJoint_QK = logPrior(scores_QK, temperature).add(atLeastF32(logLikelihood_QK));
  return { sum: logJoint_QK.logsumexp([1]).sum().neg(), count: scores_QK.size(0) };
}
