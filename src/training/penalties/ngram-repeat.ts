/**
 * N-gram repetition: how often an answer repeats its own n-grams, as a penalty with a gradient, as its soft count and as the hard count on ids. It
 * looks at the answer's positions only, never at prompt or padding. What the gold answer itself repeats is not subtracted: report it beside.
 * The trap: the count itself, 1 − Π(1 − m), has no gradient left where repetition is certain (1.4e-4 at a logit gap of 12); the penalty is therefore
 * −Σ log(1 − m), whose gradient doesn't die.
 *
 * Shape letters: B answers, T positions, S = T − n + 1 starts of an n-gram, V vocabulary.
 */
import { ops, type Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "../losses/answer-cross-entropy.js";
import { complements, LEAST_COMPLEMENT, type AnswerDistribution } from "./answer-distribution.js";

/**
 * Σ_b (1/len_b) · −Σ_t Σ_{s<t} log(1 − m_st), with m_st = Π_{j<n} ⟨P_{s+j}, P_{t+j}⟩ the chance that the n-grams at s and t coincide;
 * count = B. Overlapping n-grams count. ≥ 0, and 0 for answers of fewer than n + 1 tokens.
 *
 * @param n length of the n-grams, ≥ 1
 */
export function ngramRepeat(distribution: AnswerDistribution, n: number): SumAndCount {
  const answers = distribution.p_BTV.size(0);
  const logDiffer_BSS = logDifferences(distribution, n);
  if (logDiffer_BSS === undefined) return { sum: distribution.p_BTV.sum().mul(0), count: answers };
  const lengths_B = distribution.lengths_B.toDtype(logDiffer_BSS.dtype);
  return { sum: logDiffer_BSS.sum([1, 2]).div(lengths_B).sum().neg(), count: answers };
}

/** Expected repeats R = Σ_t [1 − Π_{s<t}(1 − m_st)] of each answer, (B): equals {@link countRepeats} when every distribution is one-hot. */
export function softRepeats(distribution: AnswerDistribution, n: number): Tensor {
  const logDiffer_BSS = logDifferences(distribution, n);
  if (logDiffer_BSS === undefined) return distribution.p_BTV.sum([1, 2]).mul(0);
  return logDiffer_BSS.sum(1).expm1().sum(-1).neg();
}

/** Σ_g (count_g − 1) over the n-grams g of the ids: what a generated answer repeats. */
export function countRepeats(ids: readonly number[] | Int32Array, n: number): number {
  const starts = Math.max(0, ids.length - n + 1);
  const distinct = new Set<string>();
  for (let start = 0; start < starts; start += 1) distinct.add(ids.slice(start, start + n).join(" "));
  return starts - distinct.size;
}

/** Answers that can repeat an n-gram at all have this many tokens, EOS included. */
export function leastLengthForRepeat(n: number): number {
  return n + 1;
}

/**
 * log(1 − m_st) for s < t and real n-grams, 0 elsewhere; (B,S,S), undefined if no answer is long enough.
 *
 * With D_st = 1 − ⟨P_s, P_t⟩ = ⟨P_s, 1 − P_t⟩ the complement of the product telescopes: 1 − Π_j (1 − D_j) = Σ_j D_j Π_{i<j} (1 − D_i). All its
 * terms are positive, so nothing cancels, however sure the model is.
 */
function logDifferences(distribution: AnswerDistribution, n: number): Tensor | undefined {
  if (!Number.isInteger(n) || n < 1) throw new RangeError(`n-grams of ${n} tokens`);
  const { p_BTV, real_BT } = distribution;
  const starts = p_BTV.size(1) - n + 1;
  if (starts < 2) return undefined;
  const differ_BTT = p_BTV.bmm(complements(distribution).transpose(1, 2));
  let alike_BSS: Tensor | undefined;
  let differ_BSS: Tensor | undefined;
  for (let j = 0; j < n; j += 1) {
    const step_BSS = differ_BTT.narrow(1, j, starts).narrow(2, j, starts);
    const part_BSS = alike_BSS === undefined ? step_BSS : alike_BSS.mul(step_BSS);
    differ_BSS = differ_BSS === undefined ? part_BSS : differ_BSS.add(part_BSS);
    alike_BSS = alike_BSS === undefined ? step_BSS.rsub(1) : alike_BSS.mul(step_BSS.rsub(1));
  }
  // An n-gram is real if its last token is; of a pair s < t the later one decides.
  const real_B1S = real_BT.narrow(1, n - 1, starts).unsqueeze(1);
  const earlier_SS = ops.ones([starts, starts], "f32", p_BTV.device).triu(1).ne(0);
  const counted_BSS = real_B1S.logicalAnd(earlier_SS);
  return differ_BSS?.clamp(LEAST_COMPLEMENT, 1).log().maskedFill(counted_BSS.logicalNot(), 0);
}
