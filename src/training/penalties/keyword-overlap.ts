/**
 * Keyword overlap: punishes an answer for copying keywords, of the question or the prompt. The same quantity as keyword-coverage.ts with the other
 * sign; the hard count is the same too ({@link import("./keyword-coverage.js").countCoverage}).
 * The trap: answers that must repeat a word of the question ("Which river …?" – "the river X") are punished for it; keep the weight small.
 *
 * Shape letters: B answers, T positions, K keywords of an answer (padded).
 */
import type { SumAndCount } from "../losses/answer-cross-entropy.js";
import { chosenTokens, type AnswerDistribution } from "./answer-distribution.js";
import type { KeywordTensors } from "./keyword-coverage.js";

/** Σ_b −Σ_k w_k log(1 − c_k) = Σ_b −Σ_k w_k Σ_t log(1 − P_t(k)); count = B. ≥ 0. */
export function keywordOverlap(distribution: AnswerDistribution, keywords: KeywordTensors): SumAndCount {
  const logAbsent_BK = chosenTokens(distribution, keywords.tokens_BK).logAbsent_BTK.sum(1);
  return { sum: logAbsent_BK.mul(keywords.weights_BK).sum().neg(), count: keywords.tokens_BK.size(0) };
}
