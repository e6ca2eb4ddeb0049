/**
 * Unlikelihood on sequences: what the model repeats of its own when it writes is made unlikely (Welleck et al. 2019, arXiv 1908.04319, §5). It looks at the model's text, never at gold answers: unlikelihood.ts does.
 * Earlier n-grams count also where they overlap the later one, as in ngram-repeat.ts: "salt salt salt" repeats a pair.
 * The trap: log(1 − p) of a p near 1. It is taken as log-sum-exp over the other tokens minus that over all, which keeps its digits at any gap of the logits, and with it the gradient where the model repeats for certain.
 *
 * Shape letters: R rows of logits, C candidates, V vocabulary.
 */
import { indices, ops, type Tensor } from "../../engine/tensor.js";
import { atLeastF32 } from "../losses/precision.js";

/** An answer and where it begins in the logits. */
export interface PlacedAnswer {
  /** The row that predicts its first token; the others follow. */
  readonly row: number;
  readonly ids: Int32Array;
}

/**
 * Σ_t Σ_{c∈C_t} −log(1 − P_t(c)) over all answers, C_t = {x_t} if x_t is part of an n-gram that stood before in the answer, else none; P_t = softmax(z_t/τ_p). ≥ 0; nats; fp32 or better.
 *
 * @returns undefined where nothing is repeated
 */
export function sequenceUnlikelihood(logits_RV: Tensor, answers: readonly PlacedAnswer[], n: number, temperature = 1): Tensor | undefined {
  const candidates = answers.flatMap(({ row, ids }) => repeatedPositions(ids, n).map((t) => ({ row: row + t, token: ids[t] ?? 0 })));
  if (candidates.length === 0) return undefined;
  const { device } = logits_RV;
  const rows_C = indices(
    candidates.map(({ row }) => row),
    undefined,
    device,
  );
  const tokens_C1 = indices(
    candidates.map(({ token }) => token),
    [candidates.length, 1],
    device,
  );
  const chosen_CV = atLeastF32(logits_RV.indexSelect(0, rows_C));
  const z_CV = temperature === 1 ? chosen_CV : chosen_CV.div(temperature);
  const own_CV = ops.arange(0, z_CV.size(1), 1, "i64", device).unsqueeze(0).eq(tokens_C1);
  const others_C = z_CV.maskedFill(own_CV, -Infinity).logsumexp(1);
  return z_CV.logsumexp(1).sub(others_C).sum();
}

/** The positions, from 0, of tokens that are part of an n-gram which stood before. */
export function repeatedPositions(ids: Int32Array, n: number): number[] {
  if (!Number.isInteger(n) || n < 1) throw new RangeError(`n-grams of ${n} tokens`);
  const seen = new Set<string>();
  const repeated = new Set<number>();
  for (let start = 0; start + n <= ids.length; start += 1) {
    const ngram = ids.slice(start, start + n).join(" ");
    if (seen.has(ngram)) for (let t = start; t < start + n; t += 1) repeated.add(t);
    seen.add(ngram);
  }
  return [...repeated].sort((a, b) => a - b);
}
