/**
 * Passages that a retriever ranks high for a question and that don't answer it: what contrastive training learns most from. Mined from search results of
 * one index version, so they are an artefact of it; the searching itself isn't here.
 * The trap: the best-ranked wrong passages are often right ones nobody marked. Gold passages, copies of them and whatever holds the answer are dropped, and
 * the window may start below the very first ranks.
 */
import { UserError } from "../errors.js";
import { formHasAnswer, matchForm } from "../text/token-match.js";

export interface MinedQuestion {
  /** Rows of its gold passages. */
  readonly goldRows: readonly number[];
  readonly answers: readonly string[];
}

/** Ranks that are looked at, from 1, both included. */
export interface RankWindow {
  readonly from: number;
  readonly to: number;
}

export interface MinedNegatives {
  /** For each question the rows of its hard negatives, best rank first; may be empty. */
  readonly rows: readonly Int32Array[];
  readonly report: MiningReport;
}

interface MiningReport {
  readonly kept: number;
  readonly droppedGold: number;
  readonly droppedSameText: number;
  readonly droppedAnswer: number;
  /** Questions left without any hard negative: they train on in-batch negatives alone. */
  readonly questionsWithout: number;
}

/**
 * @param found rows found for each question, best first
 * @param textOf a passage's title and text as embedded
 * @throws UserError for a window that holds no rank
 */
export function mineHardNegatives(
  questions: readonly MinedQuestion[],
  found: (question: number) => ArrayLike<number>,
  textOf: (row: number) => string,
  window: RankWindow,
): MinedNegatives {
  if (!(Number.isInteger(window.from) && Number.isInteger(window.to) && window.from >= 1 && window.to >= window.from)) {
    throw new UserError({
      where: "train.contrastive.mining",
      what: "the window holds no rank",
      expected: "1 ≤ from ≤ to",
      got: `from ${window.from} to ${window.to}`,
    });
  }
  const report = { kept: 0, droppedGold: 0, droppedSameText: 0, droppedAnswer: 0, questionsWithout: 0 };
  const formOf = memo((row: number) => matchForm(textOf(row)));
  const rows = questions.map((question, index) => {
    const kept = keepWrong(question, Array.from(found(index)).slice(window.from - 1, window.to), formOf, report);
    if (kept.length === 0) report.questionsWithout += 1;
    report.kept += kept.length;
    return Int32Array.from(kept);
  });
  return { rows, report };
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

function keepWrong(
  question: MinedQuestion,
  candidates: readonly number[],
  formOf: (row: number) => string,
  report: { droppedGold: number; droppedSameText: number; droppedAnswer: number },
): number[] {
  const gold = new Set(question.goldRows);
  const goldForms = new Set(question.goldRows.map(formOf));
  const answers = question.answers.map(matchForm);
  const kept: number[] = [];
  for (const row of candidates) {
    // An index with fewer passages than were asked for fills up with −1.
    if (row < 0) continue;
    if (gold.has(row)) report.droppedGold += 1;
    else if (goldForms.has(formOf(row))) report.droppedSameText += 1;
    else if (formHasAnswer(formOf(row), answers)) report.droppedAnswer += 1;
    else kept.push(row);
  }
  return kept;
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
