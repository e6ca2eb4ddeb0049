/**
 * One row of the report against another on the same questions: the difference of each metric with its bootstrap interval and its permutation test, both clustered by document. It answers nothing anew; it
 * pairs what two rows scored. The trap: retrieval metrics exist only for questions with a gold passage in rows that search; a pair counts where both sides have the metric, and the number of those stands beside it.
 */
import type { Answered, Bounds } from "./answered.js";
import { clusteredInterval } from "./bootstrap.js";
import { pairedPermutation, type PermutationTest } from "./paired-permutation.js";

/** A difference of means over paired questions, with how sure it is. In `report.json` as it is. */
export interface Difference extends PermutationTest {
  /** This row's mean minus the other's. */
  readonly difference: number;
  readonly interval: Bounds;
  /** Paired questions. */
  readonly questions: number;
}

/** Differences by metric: `em`, `f1`, `rouge_l`, `answer_in_context`, `mrr`, `recall@k`, `ndcg@k`. */
export type RowComparison = Readonly<Record<string, Difference>>;

export interface CompareOptions {
  readonly recallKs: readonly number[];
  /** Bootstrap resamples. */
  readonly samples: number;
  readonly confidence: number;
  /** Sign changes drawn where they can't all be tried. */
  readonly permutations: number;
}

/**
 * Compares two rows that answered the same questions in the same order.
 * @throws Error when the questions differ: a bug
 */
export function compareRows(row: readonly Answered[], base: readonly Answered[], options: CompareOptions): RowComparison {
  return compareSystems([row], [base], options);
}

/**
 * Compares two systems, each by the runs of several seeds, that answered the same questions in the same order: a question's value is its mean over a system's runs. What the seeds vary by is thus averaged, not tested; report the seeds one
 * by one beside it.
 * @throws Error when the questions differ or a system has no run
 */
export function compareSystems(
  system: readonly (readonly Answered[])[],
  other: readonly (readonly Answered[])[],
  options: CompareOptions,
): RowComparison {
  const [first] = system;
  if (first === undefined || other.length === 0) throw new Error("a system without runs");
  for (const run of [...system, ...other])
    if (run.length !== first.length || run.some(({ id }, i) => id !== first[i]?.id)) throw new Error("two rows of different questions");
  const compared = Object.entries(metrics(options.recallKs)).flatMap(([name, value]) => {
    const pairs = first.flatMap(({ document }, i) => {
      const [own, its] = [meanOver(system, i, value), meanOver(other, i, value)];
      return own === undefined || its === undefined ? [] : [{ difference: own - its, document }];
    });
    return pairs.length === 0 ? [] : [[name, differenceOf(pairs, options)] as const];
  });
  return Object.fromEntries(compared);
}

/** A question's mean over runs; undefined where a run lacks the metric. */
function meanOver(runs: readonly (readonly Answered[])[], question: number, value: Value): number | undefined {
  let sum = 0;
  for (const run of runs) {
    const entry = run[question];
    const own = entry === undefined ? undefined : value(entry);
    if (own === undefined) return undefined;
    sum += own;
  }
  return sum / runs.length;
}

type Value = (entry: Answered) => number | undefined;

function metrics(recallKs: readonly number[]): Record<string, Value> {
  const atKs = (name: "recall" | "ndcg"): [string, Value][] =>
    recallKs.map((k) => [`${name}@${k}`, ({ retrieval }) => retrieval?.[name][String(k)]]);
  return {
    em: ({ em }) => em,
    f1: ({ f1 }) => f1,
    rouge_l: ({ rougeL }) => rougeL,
    answer_in_context: ({ answerInContext }) => answerInContext,
    mrr: ({ retrieval }) => retrieval?.reciprocalRank,
    ...Object.fromEntries([...atKs("recall"), ...atKs("ndcg")]),
  };
}

function differenceOf(pairs: readonly { difference: number; document: string }[], options: CompareOptions): Difference {
  const differences = pairs.map(({ difference }) => difference);
  const documents = pairs.map(({ document }) => document);
  const { mean, low, high } = clusteredInterval(differences, documents, { resamples: options.samples, level: options.confidence });
  const test = pairedPermutation(differences, documents, { permutations: options.permutations });
  return { difference: mean, interval: [low, high], questions: pairs.length, ...test };
}
