/**
 * Token unlikelihood: what stood earlier in the answer and isn't wanted now is made unlikely (Welleck et al. 2019, arXiv 1908.04319, §5). It looks at gold answers under teacher forcing; what the model itself
 * repeats when it writes is another matter.
 * The trap: log(1 − p) of a p that was rounded to 1 is −∞ and its gradient nothing, just where repetition is worst. chosenTokens sums the complement of the likeliest token over the others.
 *
 * Shape letters: B answers, T positions (the answer's tokens and its EOS), K distinct tokens of the answer with the most.
 */
import { fromBytes, indices, type Tensor } from "../../engine/tensor.js";
import { chosenTokens, type AnswerDistribution } from "./answer-distribution.js";
import type { SumAndCount } from "../losses/answer-cross-entropy.js";

/**
 * Σ_t Σ_{c∈C_t} −log(1 − P_t(c)), C_t = {y_1 … y_{t−1}} \ {y_t}, over all answers; count = the answers' positions. ≥ 0; nats.
 *
 * @param answers ids of each answer, EOS included, as many as the distribution has positions
 */
export function unlikelihood(distribution: AnswerDistribution, answers: readonly ArrayLike<number>[]): SumAndCount {
  const { tokens_BK, candidates_BTK } = candidatesOf(answers, distribution);
  const { logAbsent_BTK } = chosenTokens(distribution, tokens_BK);
  const sum = logAbsent_BTK.maskedFill(candidates_BTK.logicalNot(), 0).sum().neg();
  return { sum, count: answers.reduce((positions, { length }) => positions + length, 0) };
}

/** The distinct tokens of each answer, padded with 0, and where each of them is a candidate: bool (B,T,K). */
function candidatesOf(answers: readonly ArrayLike<number>[], { p_BTV }: AnswerDistribution): { tokens_BK: Tensor; candidates_BTK: Tensor } {
  const distinct = answers.map((answer) => [...new Set(Array.from(answer))]);
  const most = Math.max(1, ...distinct.map(({ length }) => length));
  const positions = p_BTV.size(1);
  const tokens = new Int32Array(answers.length * most);
  const mask = new Uint8Array(answers.length * positions * most);
  for (const [b, answer] of answers.entries()) {
    tokens.set(distinct[b] ?? [], b * most);
    // Distinct tokens stand in the order of their first place, so those that came before position t are the first `seen` of them.
    const seen = new Set<number>();
    for (let t = 0; t < answer.length; t += 1) {
      for (let k = 0; k < seen.size; k += 1) if (distinct[b]?.[k] !== answer[t]) mask[(b * positions + t) * most + k] = 1;
      seen.add(answer[t] ?? 0);
    }
  }
  return {
    tokens_BK: indices(tokens, [answers.length, most], p_BTV.device),
    candidates_BTK: fromBytes(mask, "u8", [answers.length, positions, most]).toDevice(p_BTV.device, "bool"),
  };
}
