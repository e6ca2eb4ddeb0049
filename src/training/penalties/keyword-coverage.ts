/**
 * Keyword coverage: how many of the wanted keywords an answer is likely to hold. Which tokens are keywords is keywords.ts' business; copying is punished
 * by keyword-overlap.ts, the same quantity with the other sign.
 * The trap: a sign. This term falls when keywords are written. CoZyRAG's README says one thing and its code the other; here the config names the direction.
 *
 * Shape letters: B answers, T positions, K keywords of an answer (padded), V vocabulary.
 */
import type { Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "../losses/answer-cross-entropy.js";
import { chosenTokens, LEAST_COMPLEMENT, type AnswerDistribution } from "./answer-distribution.js";

export interface KeywordTensors {
  /** i64 (B,K) token ids; anything valid where the weight is 0. */
  readonly tokens_BK: Tensor;
  /** (B,K) w_k ≥ 0 in the dtype of the loss; 0 is padding. */
  readonly weights_BK: Tensor;
}

/** Σ_b −Σ_k w_k log c_k, c_k = 1 − Π_t (1 − P_t(k)) the chance that keyword k is written; count = B. ≥ 0. */
export function keywordCoverage(distribution: AnswerDistribution, keywords: KeywordTensors): SumAndCount {
  const logCovered_BK = softCoverage(distribution, keywords.tokens_BK).clampMin(LEAST_COMPLEMENT).log();
  return { sum: logCovered_BK.mul(keywords.weights_BK).sum().neg(), count: keywords.tokens_BK.size(0) };
}

/** c_k = −expm1(Σ_t log(1 − P_t(k))), (B,K) in 0 … 1: equals {@link containsKeywords} when every distribution is one-hot. */
export function softCoverage(distribution: AnswerDistribution, tokens_BK: Tensor): Tensor {
  return chosenTokens(distribution, tokens_BK).logAbsent_BTK.sum(1).expm1().neg();
}

/** For each keyword 1 if the generated ids hold it, else 0. */
export function containsKeywords(ids: readonly number[] | Int32Array, keywords: readonly number[] | Int32Array): number[] {
  const written = new Set(ids);
  return Array.from(keywords, (keyword) => (written.has(keyword) ? 1 : 0));
}

/** Σ_k w_k · [keyword k is written] / Σ_k w_k, in 0 … 1: the share of the keywords' weight that a generated answer holds; 1 if there are no keywords. */
export function countCoverage(
  ids: readonly number[] | Int32Array,
  keywords: readonly number[] | Int32Array,
  weights: readonly number[] | Float64Array,
): number {
  const held = containsKeywords(ids, keywords);
  const total = held.reduce((sum, _, index) => sum + (weights[index] ?? 0), 0);
  return total === 0 ? 1 : held.reduce((sum, is, index) => sum + is * (weights[index] ?? 0), 0) / total;
}
