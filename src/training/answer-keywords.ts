/**
 * The keywords of a batch's answers: which text of a context they are taken from, and which words are none because the question or the answer has them already. How a text becomes keywords is keywords.ts's. The trap: a prompt may ask
 * fewer questions than its context has, so lists are made for the answers that are there.
 */
import type { TrainingPrompt } from "../generation/prompt.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { AskedContext } from "./generator-examples.js";
import { keywordsOf, type KeywordList, type KeywordSource, type WordWeight } from "./keywords.js";

/** Where the keyword penalty takes its keywords from. */
export type KeywordOrigin = "answer" | "evidence" | "question";

export interface KeywordSearch {
  readonly origin: KeywordOrigin;
  /** coverage: keywords are wanted. An answer which says that nothing is known owes neither its context nor its question a word, so its keywords are its own. */
  readonly direction: "coverage" | "overlap";
  readonly wordWeight: WordWeight;
}

/** Keywords of every answer of every prompt. */
export function answerKeywords(
  tokenizer: Tokenizer,
  asked: readonly AskedContext[],
  prompts: readonly Pick<TrainingPrompt, "answers">[],
  { origin: given, direction, wordWeight }: KeywordSearch,
): KeywordList[][] {
  const sources = asked.map((context, index): KeywordSource[] =>
    context.questions.slice(0, prompts[index]?.answers.length ?? 0).map(({ question, answer }, place) => {
      const isUnknown = context.isUnknown === true && place === 0;
      const origin = isUnknown && direction === "coverage" ? "answer" : given;
      if (origin === "question") return { text: question, without: [answer] };
      const text = origin === "answer" ? answer : context.passages.map((passage) => passage.text).join(" ");
      return { text, without: [question] };
    }),
  );
  const flat = keywordsOf(tokenizer, sources.flat(), wordWeight);
  let next = 0;
  return sources.map((own) => flat.slice(next, (next += own.length)));
}
