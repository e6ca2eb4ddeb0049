/**
 * How good an answer is: exact match and F1 of SQuAD, and how much an answer repeats itself. One question at a time; means over questions and their intervals are in bootstrap.ts.
 * All scores are in [0, 1], not in per cent. The traps: EM compares normalised answers, so "The" equals "a" (both are empty) with F1 0, as in
 * SQuAD v1.1; and a mean goes over all questions, a missing prediction counting as "".
 */
import { answerTokens, normaliseAnswer } from "../text/answer-normalise.js";

/**
 * 1 if the normalised prediction equals a normalised gold answer, else 0 (Rajpurkar et al. 2016, evaluate-v1.1.py).
 * @throws Error without a gold answer: such a question can't be scored and is rejected when questions are read.
 */
export function exactMatch(prediction: string, answers: readonly string[]): number {
  requireAnswers(answers);
  const normalised = normaliseAnswer(prediction);
  return answers.some((answer) => normaliseAnswer(answer) === normalised) ? 1 : 0;
}

/**
 * The best over gold answers of 2PR / (P + R), with precision P and recall R over the multisets of normalised words; 0 where no word is
 * shared (Rajpurkar et al. 2016, evaluate-v1.1.py).
 * @throws Error without a gold answer.
 */
export function f1(prediction: string, answers: readonly string[]): number {
  requireAnswers(answers);
  const predicted = answerTokens(prediction);
  return Math.max(...answers.map((answer) => overlapF1(predicted, answerTokens(answer))));
}

/**
 * EM that counts only where the evidence was found too: EM if the R-precision is 1, else 0 (Petroni et al. 2021, KILT-EM).
 * @param rPrecision of the retrieved passages, see ir-metrics.ts
 */
export function kiltExactMatch(prediction: string, answers: readonly string[], rPrecision: number): number {
  return rPrecision === 1 ? exactMatch(prediction, answers) : 0;
}

/**
 * Share of repeated n-grams: 1 − distinct / all, over the words of the text as they stand (Welleck et al. 2019, seq-rep-n, on words).
 * 0 for a text shorter than n words.
 */
export function repetition(text: string, n: number): number {
  if (!Number.isSafeInteger(n) || n < 1) throw new Error(`an n-gram of ${n} words`);
  const words = text.split(/\s+/).filter((word) => word !== "");
  const total = words.length - n + 1;
  if (total < 1) return 0;
  const distinct = new Set(Array.from({ length: total }, (_, i) => words.slice(i, i + n).join(" ")));
  return 1 - distinct.size / total;
}

function overlapF1(predicted: readonly string[], gold: readonly string[]): number {
  const left = new Map<string, number>();
  for (const word of gold) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of predicted) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    shared++;
  }
  if (shared === 0) return 0;
  const precision = shared / predicted.length;
  const recall = shared / gold.length;
  return (2 * precision * recall) / (precision + recall);
}

function requireAnswers(answers: readonly string[]): void {
  if (answers.length === 0) throw new Error("a question without a gold answer can't be scored");
}
