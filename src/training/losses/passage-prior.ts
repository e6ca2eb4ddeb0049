/**
 * How likely the retriever holds each of a question's K passages to be, r_k = softmax_k(s_k/τ): what PDist, EMDR² and RAG share. It retrieves nothing; the scores come with their graph from the embeddings.
 * The trap: with one passage r is 1 whatever the score, so nothing would ever be learnt. One passage is refused, not trained on in vain.
 *
 * Shape letters: Q questions, K passages of each.
 */
import type { Tensor } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import { atLeastF32 } from "./precision.js";

/**
 * log r_k = s_k/τ − logsumexp_j(s_j/τ), (Q,K), in fp32 or better; nats, ≤ 0.
 *
 * @param scores_QK ⟨q, d_k⟩ of the passages of each question
 * @param temperature τ > 0
 * @throws UserError for fewer than two passages
 */
export function logPrior(scores_QK: Tensor, temperature: number): Tensor {
  requirePassages(scores_QK.size(1));
  return atLeastF32(scores_QK).div(temperature).logSoftmax(1);
}

/** @throws UserError for fewer than two passages */
export function requirePassages(passages: number, where = "reader to retriever"): void {
  if (passages >= 2) return;
  throw new UserError({
    where,
    what: "with one passage a question the retriever gets no gradient",
    expected: "at least 2 passages",
    got: String(passages),
  });
}
