/**
 * What the penalties look at: the model's distributions over the tokens of an answer, padded to one length. Made once from the logits and shared by
 * all penalties of one temperature. Not the decoded answer: whoever wants the hard counts runs them over generated ids.
 * The trap: 1 − p, for p near 1, is lost in rounding (in fp32 from p = 1 − 1e-7 on), and with it the gradient just where a penalty is at its worst.
 * So the complement of the likeliest token is summed over the others, which keeps all its digits forward and backward. No clamp is needed for it.
 *
 * Shape letters: B answers, T positions (the answer's tokens and its EOS), V vocabulary.
 */
import { ops, type Tensor } from "../../engine/tensor.js";
import { atLeastF32 } from "../losses/precision.js";

export interface AnswerDistribution {
  /** P_t = softmax(z_t/τ_p), fp32 or better. Uniform at padding. */
  readonly p_BTV: Tensor;
  /** i64: the likeliest token. */
  readonly top_BT1: Tensor;
  /** 1 − P_t(top), summed over the other tokens. */
  readonly rest_BT1: Tensor;
  /** bool: true at the answer's positions. */
  readonly real_BT: Tensor;
  /** i64: answer positions, EOS included, each in 1 … T. */
  readonly lengths_B: Tensor;
}

/** Smallest complement that a logarithm is taken of: a logit gap of 69. Above it every gradient is alive; fp32 ends at 1e-38. */
export const LEAST_COMPLEMENT = 1e-30;

/**
 * @param logits_BTV logits at the positions that predict the answer's tokens; what stands at padding doesn't matter, NaN included
 * @param lengths_B i64
 * @param temperature τ_p > 0
 */
export function answerDistribution(logits_BTV: Tensor, lengths_B: Tensor, temperature = 1): AnswerDistribution {
  const positions_T = ops.arange(0, logits_BTV.size(1), 1, "i64", logits_BTV.device);
  const real_BT = positions_T.unsqueeze(0).lt(lengths_B.unsqueeze(1));
  const z_BTV = atLeastF32(logits_BTV).maskedFill(real_BT.logicalNot().unsqueeze(2), 0);
  const p_BTV = (temperature === 1 ? z_BTV : z_BTV.div(temperature)).softmax(-1);
  const top_BT1 = z_BTV.detach().argmax(-1, true);
  const rest_BT1 = withTop(p_BTV, top_BT1, ops.zerosLike(top_BT1).toDtype(p_BTV.dtype)).sum(-1, true);
  return { p_BTV, top_BT1, rest_BT1, real_BT, lengths_B };
}

/** 1 − P_t(v) for every token, with all digits where it is small. (B,T,V) */
export function complements(distribution: AnswerDistribution): Tensor {
  const { p_BTV, top_BT1, rest_BT1 } = distribution;
  return withTop(p_BTV.rsub(1), top_BT1, rest_BT1);
}

/**
 * P_t(k) and log(1 − P_t(k)) for chosen tokens; at padding P is 0 and the logarithm 0.
 * @param tokens_BK i64 token ids, K of them for each answer
 * @returns both (B,T,K)
 */
export function chosenTokens(distribution: AnswerDistribution, tokens_BK: Tensor): { p_BTK: Tensor; logAbsent_BTK: Tensor } {
  const { p_BTV, top_BT1, rest_BT1, real_BT } = distribution;
  const [answers, positions] = [p_BTV.size(0), p_BTV.size(1)];
  const index_BTK = tokens_BK.unsqueeze(1).expand([answers, positions, tokens_BK.size(1)]);
  const padding_BT1 = real_BT.logicalNot().unsqueeze(2);
  const p_BTK = p_BTV.gather(2, index_BTK);
  // Tokens that aren't the likeliest have p ≤ ½; the clamp only keeps the branch that isn't taken finite, for its gradient's sake.
  const logAbsent_BTK = ops.where(index_BTK.eq(top_BT1), rest_BT1.clampMin(LEAST_COMPLEMENT).log(), p_BTK.clampMax(0.5).neg().log1p());
  return {
    p_BTK: p_BTK.maskedFill(padding_BT1, 0),
    logAbsent_BTK: logAbsent_BTK.maskedFill(padding_BT1, 0),
  };
}

/** `x_BTV` with `value_BT1` in the place of the likeliest token. */
function withTop(x_BTV: Tensor, top_BT1: Tensor, value_BT1: Tensor): Tensor {
  return x_BTV.scatter(-1, top_BT1, value_BT1);
}
