/**
 * EMDR²: the retriever raises the passages that explain the answer, by the reader's likelihood times its own belief (Sachan et al. 2021, arXiv 2106.05346, §2.4). Only the retriever learns; the reader's part of
 * that paper's objective is a generator phase of its own.
 * The trap: without the stop-gradient it is RAG-sequence.
 *
 * Shape letters: Q questions, K passages of each.
 */
import type { Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { ragSequence } from "./rag-sequence.js";

/**
 * Σ_q −logsumexp_k(sg[l_k] + log r_k), with r = softmax_k(s_k/τ) and sg the stop-gradient; count = Q. ∂/∂s_k = (r_k − post_k)/τ, by count, with post = softmax_k(l_k + log r_k). In fp32 or better; nats.
 *
 * @param logLikelihood_QK l_k = log p(answer | question, passage k)
 * @param temperature τ > 0
 * @throws UserError for one passage
 */
export function emdr2(scores_QK: Tensor, logLikelihood_QK: Tensor, temperature: number): SumAndCount {
  return ragSequence(scores_QK, logLikelihood_QK.detach(), temperature);
}
