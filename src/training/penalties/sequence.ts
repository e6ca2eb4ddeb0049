/**
 * Penalties on whole drawn answers: the hard count is a cost, the gradient of its expectation is REINFORCE's, and each answer's baseline is what the others to the same question cost (leave-one-out; Kool, van Hoof & Welling 2019, "Buy 4
 * REINFORCE samples, get a baseline for free!"; RLOO, Ahmadian et al. 2024, arXiv 2402.14740). Unbiased for any count, whatever its shape: the reference for the two other modes. Its price is variance.
 * The traps: one answer has no others, so n = 1 is refused; answers that all cost the same teach nothing, which near certainty is all of them; and what is exact is the gradient of the distribution that was drawn from, temperature included.
 *
 * Shape letters: R rows of logits, N drawn tokens, V vocabulary.
 */
import { fromBytes, indices, type Tensor } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import { atLeastF32 } from "../losses/precision.js";

/** @throws UserError for fewer than two answers: there would be no baseline */
export function requireSeveralAnswers(answers: number): void {
  if (Number.isSafeInteger(answers) && answers >= 2) return;
  throw new UserError({
    where: "train.penalties.sampling.answers",
    what: "mode sequence compares an answer's cost with that of the others to the same question",
    expected: "at least 2 answers",
    got: String(answers),
    remedy: "raise it, or choose train.penalties.mode=straight_through",
  });
}

/**
 * (c_i − mean_{j≠i} c_j) / n for the answers to one question: what each log-likelihood counts in the surrogate. Adds up to 0.
 *
 * @param costs n ≥ 2 of them
 * @throws UserError for fewer
 */
export function leaveOneOut(costs: readonly number[]): number[] {
  requireSeveralAnswers(costs.length);
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  return costs.map((cost) => (cost - (total - cost) / (costs.length - 1)) / costs.length);
}

/** An answer, where it begins in the logits, and what its log-likelihood counts. */
export interface CountedAnswer {
  /** The row that predicts its first token; the others follow. */
  readonly row: number;
  /** The tokens as drawn, with the EOS if one was drawn. */
  readonly ids: Int32Array;
  readonly weight: number;
}

/**
 * Σ_i w_i (log p(y_i) − sg log p(y_i)), log p(y) = Σ_t log softmax(z_t/τ)(y_t): of value 0, with the gradient of Σ_i w_i log p(y_i). To be added to the mean costs. fp32 or better; nats.
 *
 * @param temperature τ of drawing
 * @returns undefined where no answer counts
 */
export function sequenceSurrogate(logits_RV: Tensor, answers: readonly CountedAnswer[], temperature = 1): Tensor | undefined {
  const counted = answers.filter(({ weight }) => weight !== 0);
  if (counted.length === 0) return undefined;
  const { device } = logits_RV;
  const rows_N = indices(
    counted.flatMap(({ row, ids }) => Array.from(ids, (_, t) => row + t)),
    undefined,
    device,
  );
  const tokens = counted.flatMap(({ ids }) => [...ids]);
  const weights = counted.flatMap(({ ids, weight }) => Array.from(ids, () => weight));
  const z_NV = atLeastF32(logits_RV.indexSelect(0, rows_N));
  const log_NV = (temperature === 1 ? z_NV : z_NV.div(temperature)).logSoftmax(-1);
  const log_N = log_NV.gather(1, indices(tokens, [tokens.length, 1], device)).squeeze(1);
  const weights_N = fromBytes(Float64Array.from(weights), "f64", [weights.length]).toDevice(device, log_N.dtype);
  return log_N.sub(log_N.detach()).mul(weights_N).sum();
}
