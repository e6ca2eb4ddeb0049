/**
 * Questions that were answered, with everything a reader wants to see of each: gold, prediction, scores, and the passages with theirs. Scores come from qa-metrics.ts and ir-metrics.ts;
 * this file joins them and averages. The trap: retrieval is scored only over questions that have a gold passage; the number of those stands beside the figure.
 */
import type { Question } from "../corpus/question.js";
import type { Hit } from "../retrieval/retriever.js";
import { clusteredInterval, type Interval } from "./bootstrap.js";
import { hasAnswerIn, recallAt, reciprocalRank } from "./ir-metrics.js";
import { exactMatch, f1 } from "./qa-metrics.js";

/** One question with its answer. */
export interface Answered {
  readonly id: string;
  readonly question: string;
  readonly answers: readonly string[];
  /** What is scored: the first answer. */
  readonly prediction: string;
  /** All answers, where several were asked for. */
  readonly predictions?: readonly string[];
  readonly em: number;
  readonly f1: number;
  readonly document: string;
  readonly gold: readonly string[];
  /** What the generator was shown, best first. */
  readonly passages: readonly ShownHit[];
  /** 1 if one of the shown passages holds an answer (DPR's token match). */
  readonly answerInContext: number;
  /** recall@k by k and the reciprocal rank; undefined where nothing was retrieved or there is no gold passage. */
  readonly retrieval: { readonly recall: Readonly<Record<string, number>>; readonly reciprocalRank: number } | undefined;
}

export interface ShownHit {
  readonly id: string;
  readonly title: string;
  readonly score: number | null;
  readonly text: string;
}

/** Averages over a set of questions. Shares are 0 to 1. */
export interface Scores {
  readonly questions: number;
  readonly em: number;
  readonly f1: number;
  readonly em_interval: readonly [number, number];
  readonly f1_interval: readonly [number, number];
  /** recall@k; null where nothing is retrieved. */
  readonly recall: Readonly<Record<string, number | null>>;
  /** Mean reciprocal rank, 0 where no gold passage is among those searched: as many as the report's deepest recall@k, or as the generator reads. */
  readonly mrr: number | null;
  /** Questions with a gold passage, over which recall and MRR are means. */
  readonly with_gold: number;
  readonly answer_in_context: number;
}

/**
 * @param ranking everything that was retrieved, best first; undefined: retrieval isn't scored
 * @param shown what the generator read
 */
export function scoreAnswer(
  question: Question,
  prediction: string,
  shown: readonly ShownHit[],
  ranking: readonly string[] | undefined,
  recallKs: readonly number[],
): Answered {
  const { id, answers, passageIds } = question;
  const isScored = ranking !== undefined && passageIds.length > 0;
  return {
    id,
    question: question.question,
    answers,
    prediction,
    em: exactMatch(prediction, answers),
    f1: f1(prediction, answers),
    document: question.document ?? passageIds[0] ?? id,
    gold: passageIds,
    passages: shown,
    answerInContext: hasAnswerIn(
      shown.map(({ text }) => text),
      answers,
    ),
    retrieval: isScored
      ? {
          recall: Object.fromEntries(recallKs.map((k) => [String(k), recallAt(ranking, passageIds, k)])),
          reciprocalRank: reciprocalRank(ranking, passageIds),
        }
      : undefined,
  };
}

/** Means, with bootstrap intervals clustered by document. @throws Error when there is no question */
export function averageScores(
  answered: readonly Answered[],
  options: { recallKs: readonly number[]; samples: number; confidence: number },
): Scores {
  const documents = answered.map(({ document }) => document);
  const interval = (values: readonly number[]): Interval =>
    clusteredInterval(values, documents, { resamples: options.samples, level: options.confidence });
  const em = interval(answered.map((entry) => entry.em));
  const words = interval(answered.map((entry) => entry.f1));
  const retrieved = answered.map(({ retrieval }) => retrieval).filter((retrieval) => retrieval !== undefined);
  const recall = options.recallKs.map((k) => [String(k), meanOf(retrieved.map((entry) => entry.recall[String(k)] ?? 0))] as const);
  return {
    questions: answered.length,
    em: em.mean,
    f1: words.mean,
    em_interval: [em.low, em.high],
    f1_interval: [words.low, words.high],
    recall: Object.fromEntries(recall),
    mrr: meanOf(retrieved.map((entry) => entry.reciprocalRank)),
    with_gold: retrieved.length,
    answer_in_context: meanOf(answered.map((entry) => entry.answerInContext)) ?? 0,
  };
}

/** What a hit shows of itself. */
export function shownHit({ passage, score }: Pick<Hit, "passage" | "score">): ShownHit {
  return { id: passage.id, title: passage.title, score, text: passage.text };
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
