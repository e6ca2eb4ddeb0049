/**
 * Whether a context answers its question, and contexts that are made not to: gold passages dropped, others in their place. A passage answers if it is gold or holds an answer by token match; so one that holds it is no
 * distractor, wherever it came from. Nothing here knows tokens or tensors.
 * The trap: an answer in words of its own is in no passage by token match; for such a question only the gold passage counts, and without one it looks unanswerable.
 */
import type { Passage } from "../corpus/passage.js";
import { holds } from "./curriculum.js";

/** What makes a passage an answer to a question. */
export interface Sought {
  /** All gold answers. */
  readonly answers: readonly string[];
  readonly goldRows: readonly number[];
}

type PassageText = Pick<Passage, "title" | "text">;

/** Whether one of the answers stands in title or text. */
function holdsAnswer({ title, text }: PassageText, answers: readonly string[]): boolean {
  return answers.some((answer) => holds(`${title} ${text}`, answer));
}

/**
 * As many rows as before, none of which answers: those of the context that don't, then distractors in their order while there are some.
 *
 * @param distractors rows to choose from, best first; may answer, may repeat
 */
export function withoutEvidence(
  rows: readonly number[],
  distractors: Iterable<number>,
  sought: Sought,
  passage: (row: number) => PassageText,
): number[] {
  const isDistractor = (row: number): boolean => row >= 0 && !sought.goldRows.includes(row) && !holdsAnswer(passage(row), sought.answers);
  const kept = new Set(rows.filter(isDistractor));
  if (kept.size >= rows.length) return [...kept];
  for (const row of distractors) {
    if (kept.has(row) || !isDistractor(row)) continue;
    kept.add(row);
    if (kept.size >= rows.length) break;
  }
  return [...kept];
}

/**
 * Whether a shown context answers: a passage holds an answer as it is shown, or is gold and answers in words of its own. A gold passage whose answer was cut out of what is shown doesn't.
 *
 * @param shown as they stand in the prompt, shortened or renamed
 * @param answers as they are taught now; renamed ones beside the data's own
 * @param passage whole, as it stands in the store
 */
export function isAnswerable(
  shown: readonly (PassageText & { readonly row: number })[],
  answers: readonly string[],
  sought: Sought,
  passage: (row: number) => PassageText,
): boolean {
  return shown.some(
    (own) => holdsAnswer(own, answers) || (sought.goldRows.includes(own.row) && !holdsAnswer(passage(own.row), sought.answers)),
  );
}
