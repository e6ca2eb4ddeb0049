/**
 * Which passages of a contrastive batch mustn't count as a question's negatives: another gold passage of it, the same text again, or one that holds its
 * answer. Hard negatives are filtered by the same rule when they are mined; here the other questions' passages are.
 * The trap: short answers ("1733", "salt") stand in many passages that don't answer the question. They are masked all the same: a lost negative costs
 * little, a pushed-away right answer costs much.
 *
 * Shape letters: Q questions, P passages of the batch.
 */
import { formHasAnswer, matchForm } from "../text/token-match.js";

export interface MaskedQuestion {
  /** Rows of all its gold passages. */
  readonly goldRows: readonly number[];
  readonly answers: readonly string[];
  /** Column of the passage it is trained on; never masked. */
  readonly positive: number;
}

export interface MaskedPassage {
  readonly row: number;
  /** Title and text as embedded. */
  readonly text: string;
}

/** (Q,P) row-major, 1 where the passage is masked for the question. */
export function falseNegatives(questions: readonly MaskedQuestion[], passages: readonly MaskedPassage[]): Uint8Array {
  const forms = passages.map((passage) => matchForm(passage.text));
  const masked_QP = new Uint8Array(questions.length * passages.length);
  for (const [q, question] of questions.entries()) {
    const gold = new Set(question.goldRows);
    const answers = question.answers.map(matchForm);
    const own = forms[question.positive];
    for (const [p, passage] of passages.entries()) {
      const form = forms[p] ?? "";
      if (p !== question.positive && (gold.has(passage.row) || form === own || formHasAnswer(form, answers))) {
        masked_QP[q * passages.length + p] = 1;
      }
    }
  }
  return masked_QP;
}
