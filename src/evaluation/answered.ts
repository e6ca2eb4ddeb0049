/**
 * Questions that were answered, with everything a reader wants to see of each: gold, prediction, scores, and the passages with theirs. Scores come from qa-metrics.ts, rouge-l.ts and ir-metrics.ts;
 * this file joins them and averages. The trap: retrieval is scored only over questions that have a gold passage; the number of those stands beside the figure.
 */
import type { Question } from "../corpus/question.js";
import type { Hit } from "../retrieval/retriever.js";
import { clusteredInterval } from "./bootstrap.js";
import { hasAnswerIn, ndcgAt, recallAt, reciprocalRank } from "./ir-metrics.js";
import { exactMatch, f1, repetition } from "./qa-metrics.js";
import { rougeL } from "./rouge-l.js";

/** The n of rep-n. */
const REPETITION_NS = [1, 2, 3, 4] as const;

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
  readonly rougeL: number;
  /** rep-n of the prediction by n. */
  readonly repetition: Readonly<Record<string, number>>;
  readonly document: string;
  readonly gold: readonly string[];
  /** What the generator was shown, best first. */
  readonly passages: readonly ShownHit[];
  /** 1 if one of the shown passages holds an answer (DPR's token match). */
  readonly answerInContext: number;
  /** recall@k and nDCG@k by k, and the reciprocal rank; undefined where nothing was retrieved or there is no gold passage. */
  readonly retrieval: RetrievalScores | undefined;
}

interface RetrievalScores {
  readonly recall: Readonly<Record<string, number>>;
  readonly ndcg: Readonly<Record<string, number>>;
  readonly reciprocalRank: number;
}

export interface ShownHit {
  readonly id: string;
  readonly title: string;
  readonly score: number | null;
  readonly text: string;
}

/** From the bootstrap, clustered by document; null where the mean is. */
export type Bounds = readonly [number, number];

/** Averages over a set of questions. Shares are 0 to 1. */
export interface Scores {
  readonly questions: number;
  readonly em: number;
  readonly f1: number;
  readonly rouge_l: number;
  readonly em_interval: Bounds;
  readonly f1_interval: Bounds;
  readonly rouge_l_interval: Bounds;
  /** rep-n of the answers by n. */
  readonly rep: Readonly<Record<string, number>>;
  /** recall@k; null where nothing is retrieved. */
  readonly recall: Readonly<Record<string, number | null>>;
  readonly recall_interval: Readonly<Record<string, Bounds | null>>;
  /** nDCG@k, where recall@k is. */
  readonly ndcg: Readonly<Record<string, number | null>>;
  readonly ndcg_interval: Readonly<Record<string, Bounds | null>>;
  /** Mean reciprocal rank, 0 where no gold passage is among those searched: as many as the report's deepest recall@k, or as the generator reads. */
  readonly mrr: number | null;
  readonly mrr_interval: Bounds | null;
  /** Questions with a gold passage, over which recall, nDCG and MRR are means. */
  readonly with_gold: number;
  readonly answer_in_context: number;
  readonly answer_in_context_interval: Bounds;
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
    rougeL: rougeL(prediction, answers),
    repetition: repetitions(prediction),
    document: question.document ?? passageIds[0] ?? id,
    gold: passageIds,
    passages: shown,
    answerInContext: hasAnswerIn(
      shown.map(({ text }) => text),
      answers,
    ),
    retrieval: isScored
      ? {
          recall: byKey(recallKs, (k) => recallAt(ranking, passageIds, k)),
          ndcg: byKey(recallKs, (k) => ndcgAt(ranking, passageIds, k)),
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
  const { recallKs } = options;
  const mean = (values: readonly (number | undefined)[]): Mean => meanOf(values, answered, options);
  const certain = (value: (entry: Answered) => number): { mean: number; bounds: Bounds } => required(mean(answered.map(value)));
  const em = certain((entry) => entry.em);
  const words = certain((entry) => entry.f1);
  const rouge = certain((entry) => entry.rougeL);
  const inContext = certain((entry) => entry.answerInContext);
  const recall = byKey(recallKs, (k) => mean(answered.map(({ retrieval }) => retrieval?.recall[String(k)])));
  const ndcg = byKey(recallKs, (k) => mean(answered.map(({ retrieval }) => retrieval?.ndcg[String(k)])));
  const rank = mean(answered.map(({ retrieval }) => retrieval?.reciprocalRank));
  return {
    questions: answered.length,
    em: em.mean,
    f1: words.mean,
    rouge_l: rouge.mean,
    em_interval: em.bounds,
    f1_interval: words.bounds,
    rouge_l_interval: rouge.bounds,
    rep: averageRepetition(answered.map((entry) => entry.repetition)),
    recall: byKey(recallKs, (k) => recall[String(k)]?.mean ?? null),
    recall_interval: byKey(recallKs, (k) => recall[String(k)]?.bounds ?? null),
    ndcg: byKey(recallKs, (k) => ndcg[String(k)]?.mean ?? null),
    ndcg_interval: byKey(recallKs, (k) => ndcg[String(k)]?.bounds ?? null),
    mrr: rank.mean,
    mrr_interval: rank.bounds,
    with_gold: answered.filter(({ retrieval }) => retrieval !== undefined).length,
    answer_in_context: inContext.mean,
    answer_in_context_interval: inContext.bounds,
  };
}

/** rep-n of the gold answers themselves, the mean over a question's answers, then over questions: what a generator that answers right repeats. */
export function goldRepetition(questions: readonly Pick<Question, "answers">[]): Record<string, number> {
  return averageRepetition(questions.map(({ answers }) => averageRepetition(answers.map(repetitions))));
}

/** What a hit shows of itself. */
export function shownHit({ passage, score }: Pick<Hit, "passage" | "score">): ShownHit {
  return { id: passage.id, title: passage.title, score, text: passage.text };
}

interface Mean {
  readonly mean: number | null;
  readonly bounds: Bounds | null;
}

/** Over the values that are there, each in its question's document. */
function meanOf(
  values: readonly (number | undefined)[],
  answered: readonly Answered[],
  options: { samples: number; confidence: number },
): Mean {
  const there = values.flatMap((value, i) => (value === undefined ? [] : [{ value, document: answered[i]?.document ?? "" }]));
  if (there.length === 0) return { mean: null, bounds: null };
  const { mean, low, high } = clusteredInterval(
    there.map(({ value }) => value),
    there.map(({ document }) => document),
    { resamples: options.samples, level: options.confidence },
  );
  return { mean, bounds: [low, high] };
}

function required({ mean, bounds }: Mean): { mean: number; bounds: Bounds } {
  if (mean === null || bounds === null) throw new Error("no question to average over");
  return { mean, bounds };
}

function repetitions(text: string): Record<string, number> {
  return byKey(REPETITION_NS, (n) => repetition(text, n));
}

function averageRepetition(each: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  return byKey(REPETITION_NS, (n) => each.reduce((sum, own) => sum + (own[String(n)] ?? 0), 0) / Math.max(1, each.length));
}

function byKey<T>(keys: readonly number[], value: (key: number) => T): Record<string, T> {
  return Object.fromEntries(keys.map((key) => [String(key), value(key)]));
}
