/**
 * Straight-through penalties on drawn answers: forward the hard count of what the model wrote, backward the gradient of the distributions that it was drawn from, P_st = onehot(y) + P − sg(P) in the count's polynomial
 * (Bengio, Léonard & Courville 2013, arXiv 1308.3432). Not a gold prefix anywhere, and not the exact gradient of the expected count.
 *
 * Its bias, exactly. Unbiased it would be for a count that is linear in each position's one-hot row, if no token changed what comes after it and the gradient ran through the distribution that was drawn from. So it errs
 * (1) by every token's effect on the distributions behind it: the drawn prefix is a constant;
 * (2) where the count isn't linear in a row: repeats have a row in two factors, and m − length is cut at 0;
 * (3) by τ_p, where a penalty's temperature isn't that of drawing.
 * The trap: like every gradient through P(1 − P) it dies where the model is certain; sequence-unlikelihood.ts, in logarithms, doesn't.
 *
 * Shape letters: R rows of logits, V vocabulary, S slopes.
 */
import { fromBytes, indices, type Tensor } from "../../engine/tensor.js";
import { atLeastF32 } from "../losses/precision.js";
import type { Slope } from "./answer-costs.js";

/** An answer's slopes and where it begins in the logits. */
export interface LeaningAnswer {
  /** The row that predicts its first token; the others follow. */
  readonly row: number;
  readonly slopes: readonly Slope[];
}

/**
 * Σ over answers of Σ_{t,v} F_tv · (P_t(v) − sg P_t(v)) with F_tv = ∂F/∂e_t(v) and P_t = softmax(z_t/τ_p): of value 0, with the gradient of F(onehot + P − sg(P)). To be added to the counts. fp32 or better.
 *
 * @returns undefined where no answer leans anywhere
 */
export function straightThrough(logits_RV: Tensor, answers: readonly LeaningAnswer[], temperature = 1): Tensor | undefined {
  const vocabulary = logits_RV.size(1);
  const places: number[] = [];
  const slopes: number[] = [];
  for (const { row, slopes: own } of answers) {
    for (const { position, token, slope } of own) {
      places.push((row + position) * vocabulary + token);
      slopes.push(slope);
    }
  }
  if (places.length === 0) return undefined;
  const z_RV = atLeastF32(logits_RV);
  const p_RV = (temperature === 1 ? z_RV : z_RV.div(temperature)).softmax(-1);
  const p_S = p_RV.reshape([-1]).indexSelect(0, indices(places, undefined, logits_RV.device));
  const slopes_S = fromBytes(Float64Array.from(slopes), "f64", [slopes.length]).toDevice(p_S.device, p_S.dtype);
  return p_S.sub(p_S.detach()).mul(slopes_S).sum();
}
