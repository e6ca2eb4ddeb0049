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
  if (row.length !== base.length || row.some(({ id }, i) => id !== base[i]?.id)) throw new Error("two rows of different questions");
  const compared = Object.entries(metrics(options.recallKs)).flatMap(([name, value]) => {
    const pairs = row.flatMap((entry, i) => {
      const other = base[i];
      const [own, its] = [value(entry), other === undefined ? undefined : value(other)];
      return own === undefined || its === undefined ? [] : [{ difference: own - its, document: entry.document }];
    });
    return pairs.length === 0 ? [] : [[name, differenceOf(pairs, options)] as const];
  });
  return Object.fromEntries(compared);
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
