/**
 * The lowest score of each question's positives by the retriever that searched: what margins compare with. Positives that were found have their score already; the others are embedded. The trap: it must be done
 * while the encoder is the one that the index was built with.
 */
import { passageText } from "../../corpus/passage.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { Encoder } from "../../retrieval/encoder.js";
import type { Metric } from "../../retrieval/index-contract.js";
import { encoderScorer, type Pair } from "../../retrieval/pair-scores.js";
import type { FoundRows, TrainingSearch } from "../index/artefacts.js";

export interface PositiveParts {
  readonly encoder: Pick<Encoder, "embedQueries" | "embedPassages">;
  readonly metric: "inner-product" | "cosine";
  readonly questions: readonly string[];
  /** Rows of each question's positives. */
  readonly goldRows: readonly (readonly number[])[];
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
}

/**
 * Scores positives for a search of an index that `encoder` built, as a training search wants it.
 *
 * @returns undefined with squared distances, which no margin reads
 */
export function positivesOf(
  encoder: PositiveParts["encoder"],
  about: {
    readonly questions: readonly { readonly question: string }[];
    readonly goldRows: PositiveParts["goldRows"];
    readonly metric: Metric;
    readonly store: Pick<PassageStore, "get">;
    readonly template: string;
  },
): TrainingSearch["positives"] {
  const { goldRows, metric, store, template } = about;
  if (metric === "l2") return undefined;
  const questions = about.questions.map(({ question }) => question);
  const textOf = (row: number): string => passageText(store.get(row), template);
  return (found) => lowestPositives({ encoder, metric, questions, goldRows, textOf }, found);
}

/** One score a question, NaN for a question without positives. */
export function lowestPositives(parts: PositiveParts, { k, rows_QK, scores_QK }: Omit<FoundRows, "positives">): Float32Array {
  const { encoder, metric, questions, goldRows, textOf } = parts;
  const lowest = new Float32Array(questions.length).fill(NaN);
  const note = (question: number, score: number): void => {
    const before = lowest[question] ?? NaN;
    if (!(before <= score)) lowest[question] = score;
  };
  const missing: Pair[] = [];
  goldRows.forEach((rows, question) => {
    for (const row of rows) {
      const rank = rows_QK.subarray(question * k, (question + 1) * k).indexOf(row);
      if (rank >= 0) note(question, scores_QK[question * k + rank] ?? NaN);
      else missing.push({ question, passage: row });
    }
  });
  const asked = numbered(missing.map(({ question }) => question));
  const shown = numbered(missing.map(({ passage }) => passage));
  const scores = encoderScorer(encoder, metric).score(
    [...asked.keys()].map((question) => questions[question] ?? ""),
    [...shown.keys()].map(textOf),
    missing.map(({ question, passage }) => ({ question: asked.get(question) ?? 0, passage: shown.get(passage) ?? 0 })),
  );
  missing.forEach(({ question }, i) => {
    note(question, scores[i] ?? NaN);
  });
  return lowest;
}

/** Each value once, with its place among those. */
export function numbered(values: readonly number[]): Map<number, number> {
  const places = new Map<number, number>();
  for (const value of values) if (!places.has(value)) places.set(value, places.size);
  return places;
}
