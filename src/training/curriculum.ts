/**
 * Short contexts first: how many sentences of a passage are shown at a moment of training, and which. A reader learns to copy from one sentence in a few
 * hundred steps and then keeps it while contexts grow; shown whole passages from the start it takes ten times as long.
 * The trap: the sentence with the answer must be among them, or the model is taught to answer without evidence.
 */
import { splitSentences } from "../text/sentence-split.js";
import { hasAnswer } from "../text/token-match.js";
import { permutation, shuffled, type RandomKey } from "./counter-random.js";

export interface Curriculum {
  /** Share of the steps over which contexts grow to their full length; 0: whole passages from the start. */
  readonly share: number;
  /** Sentences shown at the start. */
  readonly start: number;
  /** Show the sentences in another order each time. */
  readonly shuffle: boolean;
}

/** How far contexts have grown at step `step` of `total`: 0 … 1, in a line over the first `share` of the steps. */
export function growthAt(curriculum: Curriculum, step: number, total: number): number {
  const over = curriculum.share * total;
  return over <= 0 ? 1 : Math.min(1, step / over);
}

/** Sentences shown of `count` at a growth: at least `start`, at least one, all at growth 1. */
export function sentencesShown(curriculum: Curriculum, count: number, growth: number): number {
  // The subtraction keeps a product like 0.2 · 5 = 1.0000000000000002 from counting one more.
  return Math.min(count, Math.max(1, curriculum.start, Math.ceil(growth * count - 1e-9)));
}

/**
 * The text of a passage as it is shown at a growth: the first sentence that holds the answer (with its evidence, where the question names some) and others chosen by the key, in an order given by
 * the key, or as they stand if nothing is shuffled. Sentences are joined by a space. If no single sentence holds the answer, the whole text is shown.
 *
 * @param question undefined: no sentence is needed more than another
 */
export function shownText(curriculum: Curriculum, text: string, question: Answerable | undefined, growth: number, key: RandomKey): string {
  const sentences = splitSentences(text).map(({ start, end }) => text.slice(start, end));
  const needed = question === undefined ? -1 : sentences.findIndex((sentence) => showsEvidence(sentence, question));
  const count = needed < 0 && question !== undefined ? sentences.length : sentencesShown(curriculum, sentences.length, growth);
  if (count === sentences.length && !curriculum.shuffle) return text;
  const chosen = new Set(needed < 0 ? [] : [needed]);
  if (sentences.length > 0) {
    const order = permutation(sentences.length, [...key, 0x73656e]);
    for (let i = 0; i < sentences.length && chosen.size < count; i += 1) chosen.add(order(i));
  }
  const shown = [...chosen].sort((a, b) => a - b);
  return (curriculum.shuffle ? shuffled(shown, [...key, 0x73687566]) : shown).map((index) => sentences[index] ?? "").join(" ");
}

/** What of a question must be shown. */
export interface Answerable {
  readonly answer: string;
  readonly evidence?: string;
}

/** Whether the text holds the answer, and the words around it that make it one. */
export function showsEvidence(text: string, { answer, evidence }: Answerable): boolean {
  return holds(text, answer) && (evidence === undefined || hasAnswer(text, [evidence]));
}

/** {@link hasAnswer} behind a cheap look for the very characters, which nearly every miss fails. */
export function holds(text: string, answer: string): boolean {
  return text.toLowerCase().includes(answer.toLowerCase()) && hasAnswer(text, [answer]);
}
