/**
 * Passages that a search ranks high for a question and that don't answer it: what contrastive training learns most from. Chosen from results that are there already: neither searching nor scoring is here.
 * The traps: the best-ranked wrong passages are often right ones nobody marked, so gold passages, copies of them and whatever holds the answer are dropped, the window may start below the very first ranks,
 * and scores may have to stay below the positive's; and a rule that reads scores drops nothing of a question whose scores or positive aren't known.
 */
import { nearDuplicates } from "../corpus/near-duplicates.js";
import { UserError } from "../errors.js";
import { formHasAnswer, matchForm } from "../text/token-match.js";

export interface MinedQuestion {
  /** Rows of its gold passages. */
  readonly goldRows: readonly number[];
  readonly answers: readonly string[];
}

/** Ranks that are looked at, from 1, both included. */
interface RankWindow {
  readonly from: number;
  readonly to: number;
}

/** What a negative must be. Higher scores mean more alike. */
export interface MiningRules extends RankWindow {
  /** found (default): ranks of the search as it is; kept: ranks among those that pass every other rule, as sentence-transformers counts them. */
  readonly ranks?: "found" | "kept";
  /** score ≤ positive − this. */
  readonly absoluteMargin?: number | undefined;
  /** score ≤ positive − |positive| · this: TopK-PercPos of NV-Retriever (arXiv 2407.15831) for 1 − this. */
  readonly relativeMargin?: number | undefined;
  readonly maxScore?: number | undefined;
  readonly minScore?: number | undefined;
  /** Jaccard similarity of word pairs, in (0, 1], from which a passage is a copy of a positive. */
  readonly nearPositive?: number | undefined;
}

/** What was found for a question, best first. */
export interface Candidates {
  /** −1 where an index found no more. */
  readonly rows: ArrayLike<number>;
  /** The scores that decide, one a row. Unknown ones are NaN. */
  readonly scores?: ArrayLike<number> | undefined;
  /** The lowest score of the question's positives. */
  readonly positive?: number | undefined;
}

export interface MinedNegatives {
  /** For each question the rows of its hard negatives, best rank first; may be empty. */
  readonly rows: readonly Int32Array[];
  /** Their scores; NaN where they aren't known. */
  readonly scores: readonly Float32Array[];
  readonly report: MiningReport;
}

/** How many candidates each rule dropped; one that several forbid counts for the first. */
interface MiningReport {
  kept: number;
  droppedGold: number;
  droppedSameText: number;
  droppedAnswer: number;
  droppedNear: number;
  droppedAbsoluteMargin: number;
  droppedRelativeMargin: number;
  droppedMaxScore: number;
  droppedMinScore: number;
  /** Questions left without any hard negative: they train on in-batch negatives alone. */
  questionsWithout: number;
}

type Counts = Omit<MiningReport, "kept" | "questionsWithout">;

interface Scored {
  readonly row: number;
  readonly score: number;
}

/**
 * The negatives of each question. Rules that read scores count as sentence-transformers' `mine_hard_negatives` does: with several positives the lowest score decides.
 *
 * @param found what a search found for each question
 * @param textOf a passage's title and text as embedded
 * @throws UserError for a window that holds no rank
 */
export function mineHardNegatives(
  questions: readonly MinedQuestion[],
  found: (question: number) => Candidates,
  textOf: (row: number) => string,
  rules: MiningRules,
): MinedNegatives {
  if (!(Number.isInteger(rules.from) && Number.isInteger(rules.to) && rules.from >= 1 && rules.to >= rules.from)) {
    throw new UserError({
      where: "train.contrastive.mining",
      what: "the window holds no rank",
      expected: "1 ≤ from ≤ to",
      got: `from ${rules.from} to ${rules.to}`,
    });
  }
  const counts = noCounts();
  const formOf = memo((row: number) => matchForm(textOf(row)));
  const kept = questions.map((question, index): Scored[] => {
    const { rows, scores, positive } = found(index);
    const all = Array.from(rows, (row, rank) => ({ row, score: scores?.[rank] ?? NaN }));
    const looked = rules.ranks === "kept" ? all : all.slice(rules.from - 1, rules.to);
    const wrong = keepWrong(question, looked, formOf, rules, counts);
    const below = wrong.filter(({ score }) => isBelow(score, positive ?? NaN, rules, counts));
    return rules.ranks === "kept" ? below.slice(rules.from - 1, rules.to) : below;
  });
  return {
    rows: kept.map((list) => Int32Array.from(list, ({ row }) => row)),
    scores: kept.map((list) => Float32Array.from(list, ({ score }) => score)),
    report: {
      ...counts,
      kept: kept.reduce((sum, { length }) => sum + length, 0),
      questionsWithout: kept.filter(({ length }) => length === 0).length,
    },
  };
}

/**
 * Positives of a question: its gold passages; without any, and if `fromAnswer`, the best-ranked found passage that holds an answer. Empty if there is none.
 */
export function choosePositives(
  question: MinedQuestion,
  found: ArrayLike<number>,
  textOf: (row: number) => string,
  fromAnswer: boolean,
): number[] {
  if (question.goldRows.length > 0 || !fromAnswer) return [...question.goldRows];
  const answers = question.answers.map(matchForm);
  const best = Array.from(found).find((row) => row >= 0 && formHasAnswer(matchForm(textOf(row)), answers));
  return best === undefined ? [] : [best];
}

function noCounts(): Counts {
  return {
    droppedGold: 0,
    droppedSameText: 0,
    droppedAnswer: 0,
    droppedNear: 0,
    droppedAbsoluteMargin: 0,
    droppedRelativeMargin: 0,
    droppedMaxScore: 0,
    droppedMinScore: 0,
  };
}

/** Those that aren't right passages, as far as ids and texts tell. */
function keepWrong(
  question: MinedQuestion,
  candidates: readonly Scored[],
  formOf: (row: number) => string,
  { nearPositive }: MiningRules,
  counts: Counts,
): Scored[] {
  const gold = new Set(question.goldRows);
  const goldForms = new Set(question.goldRows.map(formOf));
  const answers = question.answers.map(matchForm);
  const kept: Scored[] = [];
  for (const candidate of candidates) {
    const { row } = candidate;
    // An index with fewer passages than were asked for fills up with −1.
    if (row < 0) continue;
    if (gold.has(row)) counts.droppedGold += 1;
    else if (goldForms.has(formOf(row))) counts.droppedSameText += 1;
    else if (formHasAnswer(formOf(row), answers)) counts.droppedAnswer += 1;
    else kept.push(candidate);
  }
  if (nearPositive === undefined || goldForms.size === 0 || kept.length === 0) return kept;
  const wordsOf = (form: string): string[] => form.split(" ").filter((word) => word !== "");
  const near = nearDuplicates(
    kept.map(({ row }) => wordsOf(formOf(row))),
    [...goldForms].map(wordsOf),
    nearPositive,
  );
  const copies = new Set(near.map(({ left }) => left));
  counts.droppedNear += copies.size;
  return kept.filter((_, place) => !copies.has(place));
}

/** Whether a score is where the rules want it. What isn't known breaks no rule. */
function isBelow(score: number, positive: number, rules: MiningRules, counts: Counts): boolean {
  const { absoluteMargin = NaN, relativeMargin = NaN, maxScore = NaN, minScore = NaN } = rules;
  if (score + absoluteMargin > positive) counts.droppedAbsoluteMargin += 1;
  else if (score > positive - Math.abs(positive) * relativeMargin) counts.droppedRelativeMargin += 1;
  else if (score > maxScore) counts.droppedMaxScore += 1;
  else if (score < minScore) counts.droppedMinScore += 1;
  else return true;
  return false;
}

/** Remembers as many values as are asked for again soon: passages near each other come up for one question after the other. */
function memo(make: (row: number) => string): (row: number) => string {
  const known = new Map<number, string>();
  return (row) => {
    let value = known.get(row);
    if (value === undefined) {
      if (known.size >= 50_000) known.clear();
      value = make(row);
      known.set(row, value);
    }
    return value;
  };
}
