/**
 * Perplexity distillation: the retriever learns to find passages as likely as they help the reader (Atlas's PDist, Izacard et al. 2022, arXiv 2208.03299, §2.2; REPLUG LSR, Shi et al. 2023, arXiv 2301.12652,
 * §4). The reader is the teacher and gets no gradient.
 * The trap: Atlas's code divides by Q·K, which ties the loss's weight to the number of passages. This is the mean over questions alone.
 *
 * Shape letters: Q questions, K passages of each.
 */
import type { Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { logPrior } from "./passage-prior.js";
import { atLeastF32 } from "./precision.js";

export interface PdistOptions {
  /** τ of the retriever's scores, > 0. */
  readonly temperature: number;
  /** τ_g of the reader's log-likelihoods, > 0. Default 1. */
  readonly readerTemperature?: number;
}

/**
 * Σ_q KL(p‖r) = Σ_q Σ_k p_k (log p_k − log r_k), with p = softmax_k(l_k/τ_g) and r = softmax_k(s_k/τ); count = Q. ∂/∂s_k = (r_k − p_k)/τ, by count; nothing goes through p. In fp32 or better; nats, ≥ 0.
 *
 * @param logLikelihood_QK l_k = log p(answer | question, passage k), summed over the answer's tokens or their mean
 * @throws UserError for one passage
 */
export function pdist(scores_QK: Tensor, logLikelihood_QK: Tensor, options: PdistOptions): SumAndCount {
  const logR_QK = logPrior(scores_QK, options.temperature);
  const logP_QK = atLeastF32(logLikelihood_QK.detach())
    .div(options.readerTemperature ?? 1)
    .logSoftmax(1);
  return { sum: logP_QK.exp().mul(logP_QK.sub(logR_QK)).sum(), count: scores_QK.size(0) };
}
