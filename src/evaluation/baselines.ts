/**
 * The rows of the report: one generator, six ways to its evidence, so that what retrieval brings, and what training it brings, can be read off. All rows answer the same questions with the
 * same decoding, and of several answers the first is scored. The trap: `base-pair` is the retriever as the run started with it beside the trained generator; a from-scratch generator that was never trained answers nothing, and
 * would make every retriever look good.
 */
import type { Question } from "../corpus/question.js";
import type { PassageStore } from "../corpus/passage-store.js";
import { seededRandom } from "../corpus/seeded-random.js";
import type { Decoding } from "../generation/decoding.js";
import type { Generator } from "../generation/generator.js";
import type { Hit } from "../retrieval/retriever.js";
import { abstentionOf, type Abstention } from "./abstention.js";
import { averageScores, scoreAnswer, shownHit, type Answered, type Scores } from "./answered.js";
import type { RowComparison } from "./compare-rows.js";

export const ROW_NAMES = ["closed-book", "random-passage", "bm25", "base-pair", "trained-pair", "gold-passage"] as const;

export type RowName = (typeof ROW_NAMES)[number];

export const ROW_MEANINGS: Readonly<Record<RowName, string>> = {
  "closed-book": "a generator trained without contexts, asked without any",
  "random-passage": "trained generator, passages drawn at random",
  bm25: "trained generator, passages by BM25",
  "base-pair": "trained generator, retriever as the run started with it",
  "trained-pair": "trained generator, trained retriever",
  "gold-passage": "trained generator, the passages that answer",
};

/** A row of the report, in `report.json` as it is. */
export interface ReportRow extends Scores {
  readonly name: string;
  readonly meaning: string;
  /** This row minus the base pair, by metric; null for the base pair itself and where there is none. */
  readonly against_base: RowComparison | null;
  /** Where an unknown answer is configured: how often it is given. */
  readonly abstention?: Abstention;
}

/** Where a row's evidence comes from: a ranking for each question, best first; empty: closed book. */
export interface Evidence {
  readonly name: string;
  readonly meaning: string;
  readonly generator: Generator;
  /** Hits for each question. */
  readonly hits: readonly (readonly Hit[])[];
  /** What the generator reads of them, where that isn't the first `passages` as they are. */
  readonly shown?: readonly (readonly Hit[])[];
  /** Whether the ranking is a search's, so that recall and MRR mean something. */
  readonly isSearch: boolean;
}

export interface RowOptions {
  /** How many hits the generator reads. */
  readonly passages: number;
  readonly recallKs: readonly number[];
  readonly maxNewTokens: number;
  /** Default: greedy. */
  readonly decoding?: Decoding;
  readonly batch: number;
  readonly samples: number;
  readonly confidence: number;
  /** What the pair was taught to say where no passage answers. */
  readonly unknownAnswer?: string | undefined;
  readonly progress?: (done: number, total: number) => void;
}

/** Answers and scores one row; what it is against the base pair is compare-rows.ts's. */
export async function evaluateRow(
  questions: readonly Question[],
  evidence: Evidence,
  options: RowOptions,
): Promise<{ row: ReportRow; answered: Answered[] }> {
  const shown = evidence.shown ?? questions.map((_, i) => (evidence.hits[i] ?? []).slice(0, options.passages));
  const predictions = await evidence.generator.answers(
    questions.map(({ question, history = [] }, i) => ({ question, history, passages: (shown[i] ?? []).map(({ passage }) => passage) })),
    {
      maxNewTokens: options.maxNewTokens,
      batch: options.batch,
      ...(options.decoding === undefined ? {} : { decoding: options.decoding }),
      ...(options.progress === undefined ? {} : { progress: options.progress }),
    },
  );
  const answered = questions.map((question, i) => {
    const ranking = evidence.isSearch ? (evidence.hits[i] ?? []).map(({ passage }) => passage.id) : undefined;
    const own = predictions[i] ?? [];
    const scored = scoreAnswer(question, own[0] ?? "", (shown[i] ?? []).map(shownHit), ranking, options.recallKs);
    return own.length > 1 ? { ...scored, predictions: own } : scored;
  });
  const { name, meaning } = evidence;
  const { unknownAnswer } = options;
  const abstention = unknownAnswer === undefined ? {} : { abstention: abstentionOf(answered, unknownAnswer, options) };
  return { row: { name, meaning, ...averageScores(answered, options), against_base: null, ...abstention }, answered };
}

/** Gold passages as hits; a question without any reads nothing. */
export function goldHits(questions: readonly Question[], store: PassageStore): Hit[][] {
  return questions.map(({ passageIds }) =>
    passageIds
      .map((id) => store.rowOf(id))
      .filter((row) => row !== undefined)
      .map((row, i) => ({ row, rank: i + 1, score: NaN, passage: store.get(row) })),
  );
}

/** `k` different passages for each question, drawn by seed; the gold ones aren't spared. */
export function randomHits(questions: readonly Question[], store: PassageStore, k: number, seed: number): Hit[][] {
  return questions.map(({ id }) => {
    const random = seededRandom(`random-passage/${seed}/${id}`);
    const rows = new Set<number>();
    while (rows.size < Math.min(k, store.size)) rows.add(Math.floor(random() * store.size));
    return [...rows].map((row, i) => ({ row, rank: i + 1, score: NaN, passage: store.get(row) }));
  });
}
