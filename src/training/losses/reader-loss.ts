/**
 * The four losses by which a reader teaches a retriever, by their config names, over the likelihoods of an answer's tokens. The formulas are in the losses' own files.
 *
 * Shape letters: Q questions, K passages of each, A tokens of the longest answer.
 */
import { fromBytes, type Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { emdr2 } from "./emdr2.js";
import { pdist } from "./pdist.js";
import { ragSequence } from "./rag-sequence.js";
import { ragToken } from "./rag-token.js";

export type ReaderLoss = "pdist" | "emdr2" | "rag_sequence" | "rag_token";

export interface ReaderLossOptions {
  readonly loss: ReaderLoss;
  /** τ of the retriever's scores, > 0. */
  readonly temperature: number;
  /** τ_g of pdist's target, > 0. Default 1. */
  readonly readerTemperature?: number;
  /** pdist and emdr2: an answer's mean log-likelihood in place of its sum. The RAG losses are likelihoods and have no such choice. Default false. */
  readonly normaliseLength?: boolean;
  /** Tokens of each question's answer, its end of text included. */
  readonly lengths: ArrayLike<number>;
}

/**
 * The loss over a batch; count = Q.
 *
 * @param likelihoods_QKA log p of each token of the answer after each passage, 0 behind its end
 * @throws UserError for one passage
 */
export function readerLoss(scores_QK: Tensor, likelihoods_QKA: Tensor, options: ReaderLossOptions): SumAndCount {
  const { loss, temperature } = options;
  const real_QA = realPlaces(options.lengths, likelihoods_QKA);
  if (loss === "rag_token") return ragToken(scores_QK, likelihoods_QKA, temperature, real_QA);
  const sum_QK = likelihoods_QKA.sum(2);
  if (loss === "rag_sequence") return ragSequence(scores_QK, sum_QK, temperature);
  const l_QK = options.normaliseLength === true ? sum_QK.div(real_QA.toDtype(sum_QK.dtype).sum(1, true)) : sum_QK;
  if (loss === "emdr2") return emdr2(scores_QK, l_QK, temperature);
  return pdist(scores_QK, l_QK, {
    temperature,
    ...(options.readerTemperature === undefined ? {} : { readerTemperature: options.readerTemperature }),
  });
}

/** bool (Q,A): true at the answer's tokens. */
function realPlaces(lengths: ArrayLike<number>, likelihoods_QKA: Tensor): Tensor {
  const [questions, longest] = [likelihoods_QKA.size(0), likelihoods_QKA.size(2)];
  const real = new Uint8Array(questions * longest);
  for (let q = 0; q < questions; q += 1) real.fill(1, q * longest, q * longest + (lengths[q] ?? 0));
  return fromBytes(real, "u8", [questions, longest]).toDevice(likelihoods_QKA.device, "bool");
}
