/**
 * Short answer: punishes answers that are expected to stop before m tokens. Length in tokens, EOS not counted. It says nothing about long answers.
 * The trap: m above the gold answer's length fights the cross-entropy, so m is capped per answer, and a config where the cap bites is warned about
 * ({@link shareCapped}).
 *
 * Shape letters: B answers, T positions.
 */
import { indices, type Tensor } from "../../engine/tensor.js";
import type { SumAndCount } from "../losses/answer-cross-entropy.js";
import { chosenTokens, type AnswerDistribution } from "./answer-distribution.js";

/** softplus is linear above this; e⁻⁴⁰ is below f64's resolution. */
const LINEAR_ABOVE = 40;

/**
 * Σ_b softplus(m_b − E[len]_b); count = B. ≥ 0.
 *
 * @param eosId the token that ends an answer
 * @param least_B m in tokens for each answer, in the dtype of the loss; ≤ the gold answer's length
 */
export function shortAnswer(distribution: AnswerDistribution, eosId: number, least_B: Tensor): SumAndCount {
  const missing_B = least_B.sub(expectedLength(distribution, eosId));
  return { sum: missing_B.softplus(1, LINEAR_ABOVE).sum(), count: least_B.size(0) };
}

/**
 * E[len] = Σ_t S_t with hazard h_t = P_t(EOS) and survival S_t = Π_{u≤t} (1 − h_u), over the answer's positions; (B), 0 … T. Equals
 * {@link countLength} when every distribution is one-hot.
 */
export function expectedLength(distribution: AnswerDistribution, eosId: number): Tensor {
  const { p_BTV, real_BT } = distribution;
  const eos_B1 = indices(new Int32Array(p_BTV.size(0)).fill(eosId), [p_BTV.size(0), 1], p_BTV.device);
  const { logAbsent_BTK } = chosenTokens(distribution, eos_B1);
  const survival_BT = logAbsent_BTK.squeeze(2).cumsum(1).exp();
  return survival_BT.maskedFill(real_BT.logicalNot(), 0).sum(1);
}

/** Tokens before the first EOS of the generated ids, or all of them. */
export function countLength(ids: readonly number[] | Int32Array, eosId: number): number {
  const end = ids.indexOf(eosId);
  return end < 0 ? ids.length : end;
}

/** m for an answer of `length` tokens (EOS not counted): the wanted minimum, but never more than the gold answer has. */
export function leastTokens(wanted: number, length: number): number {
  return Math.min(wanted, length);
}

/** The share of gold answers shorter than the wanted minimum, 0 … 1: where the config's m would have fought the cross-entropy. */
export function shareCapped(wanted: number, lengths: ArrayLike<number>): number {
  let capped = 0;
  for (let index = 0; index < lengths.length; index += 1) if ((lengths[index] ?? 0) < wanted) capped += 1;
  return lengths.length === 0 ? 0 : capped / lengths.length;
}
