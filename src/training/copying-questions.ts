/**
 * Questions that teach a generator to copy, made from the passages themselves: three words that stand once in a passage are the question, the words that follow them there are the answer.
 * It isn't question answering: such a question says where its answer stands in the passage's own words. Real questions come afterwards, to a generator that needs to learn the finding only.
 * The traps: passages of validation and test documents must not be given here, or their words are learned; and the answer's length is a rule (three words, fewer before a
 * mark that closes a clause), since a length by chance could not be learned and would look like bad copying.
 * After the recurring spans of Ram et al. 2021, "Few-Shot Question Answering by Pretraining Span Selection", arXiv 2101.00438, with the words before a span in place of its other mentions.
 */
import { UserError } from "../errors.js";
import { splitSentences } from "../text/sentence-split.js";
import { shuffled } from "./counter-random.js";
import type { GeneratorQuestion } from "./generator-examples.js";

export interface CopyingOptions {
  readonly seed: number;
  /** Rows of the passages that may be read. */
  readonly rows: readonly number[];
  readonly text: (row: number) => string;
  /** Most questions about one passage. Default 64. */
  readonly perPassage?: number;
  /** Most questions in all; passages are then chosen by the seed. Default 100,000. */
  readonly most?: number;
}

/** Words of a question, and most words of an answer. */
const ASKED = 3;
const ANSWERED = 3;
const [PER_PASSAGE, MOST] = [64, 100_000];
/** Ends an answer that would run past it. */
const CLOSES = /[.,;:!?)\]]["'”’]?$/u;

/** Copying questions in the order of the passages as the seed shuffles them; the same for the same options. @throws UserError when no passage gives one */
export function copyingQuestions(options: CopyingOptions): GeneratorQuestion[] {
  const { rows, seed, perPassage = PER_PASSAGE, most = MOST } = options;
  const made: GeneratorQuestion[] = [];
  for (const row of shuffled(rows, [seed, 0x637079])) {
    if (made.length >= most) break;
    const possible = possibleQuestions(options.text(row));
    for (const { question, answer } of shuffled(possible, [seed, row, 0x637071]).slice(0, Math.min(perPassage, most - made.length))) {
      made.push({ question, answer, goldRows: [row], evidence: `${question} ${answer}` });
    }
  }
  if (made.length > 0) return made;
  throw new UserError({
    where: "train.schedule",
    what: "a phase with contexts: copying finds nothing to copy",
    expected: "passages of training documents with sentences of four words or more",
    got: `${rows.length} passages without`,
    remedy: "leave that phase out, or check data.corpus",
  });
}

/** All questions a text can give. */
function possibleQuestions(raw: string): { question: string; answer: string }[] {
  const text = raw.replace(/[^\S\n]+/gu, " ");
  // A line's end is white space to a reader: words that come again across it come again.
  const flat = raw.replace(/\s+/gu, " ");
  return splitSentences(text).flatMap(({ start, end }) => {
    const words = text.slice(start, end).split(/\s+/u);
    return words.flatMap((_, from) => {
      const asked = words.slice(from, from + ASKED);
      const question = asked.join(" ");
      const answer = answerAfter(words, from + ASKED);
      if (asked.length < ASKED || answer === "" || flat.split(question).length !== 2) return [];
      return [{ question, answer }];
    });
  });
}

/** The words from `from`, up to {@link ANSWERED} or to the first mark that closes a clause, without that mark. */
function answerAfter(words: readonly string[], from: number): string {
  const following = words.slice(from, from + ANSWERED);
  const closing = following.findIndex((word) => CLOSES.test(word));
  const taken = closing < 0 ? following : following.slice(0, closing + 1);
  const answer = taken.join(" ").replace(/[.,;:!?)\]"'”’]+$/u, "");
  // A lone mark or an opening bracket is nothing to be asked for.
  return /^[\p{L}\p{N}]/u.test(answer) ? answer : "";
}
