/**
 * How alike questions and passages are, pair by pair, by one encoder: what a search gives only for the passages it finds. It ranks nothing. The trap: each text is embedded once, however many pairs it is in,
 * so all embeddings of a call are in memory together.
 *
 * N pairs, D dimension.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { indices, toFloat32Array, type Tensor } from "../engine/tensor.js";
import { unitVectors } from "../nn/pooling.js";
import type { Encoder } from "./encoder.js";

/** A question and a passage by their places in two lists. */
export interface Pair {
  readonly question: number;
  readonly passage: number;
}

export interface PairScorer {
  /**
   * The scores of pairs, higher for what is more alike; one a pair, in their order.
   *
   * @param done told now and then how many pairs have their score
   */
  score(questions: readonly string[], passages: readonly string[], pairs: readonly Pair[], done?: (pairs: number) => void): Float32Array;
}

/** Pairs whose vectors are multiplied together: some tens of megabytes. */
const AT_ONCE = 16_384;

/** Scores by an encoder: q·p, of vectors of length one with `cosine`. */
export function encoderScorer(encoder: Pick<Encoder, "embedQueries" | "embedPassages">, metric: "inner-product" | "cosine"): PairScorer {
  return {
    score(questions, passages, pairs, done) {
      const scores = new Float32Array(pairs.length);
      if (pairs.length === 0) return scores;
      noGrad(() =>
        scope(() => {
          const normalised = (x_ND: Tensor): Tensor => (metric === "cosine" ? unitVectors(x_ND) : x_ND);
          const queries_ND = normalised(encoder.embedQueries(questions));
          const passages_ND = normalised(encoder.embedPassages(passages));
          for (let start = 0; start < pairs.length; start += AT_ONCE) {
            const part = pairs.slice(start, start + AT_ONCE);
            const chosen = (of_ND: Tensor, places: number[]): Tensor =>
              of_ND.indexSelect(0, indices(Int32Array.from(places), undefined, of_ND.device));
            scope(() => {
              const left_ND = chosen(
                queries_ND,
                part.map(({ question }) => question),
              );
              const right_ND = chosen(
                passages_ND,
                part.map(({ passage }) => passage),
              );
              scores.set(toFloat32Array(left_ND.mul(right_ND).sum(1)), start);
            });
            done?.(start + part.length);
          }
        }),
      );
      return scores;
    },
  };
}
