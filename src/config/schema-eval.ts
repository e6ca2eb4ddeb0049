/**
 * The `eval` section: what is scored and how it is reported. Only keys stand here; metrics are `src/evaluation`.
 * The trap: `eval.passages` is a file of other passages, the number of passages a prompt holds is `prompt.passages`.
 */
import { choice, integer, list, number, path, section } from "./leaf.js";

const rowNames = ["closed-book", "random-passage", "bm25", "base-pair", "trained-pair", "gold-passage"] as const;

export const evaluation = section("Evaluation and the report.", {
  questions: path({
    doc: "Questions to score instead of the run's own, in any form that training reads. null: the split below.",
    default: null,
  }),
  passages: path({
    doc: "Passages to search instead of the run's own, JSONL; an index is built for them. null: the run's.",
    default: null,
  }),
  split: choice(["valid", "test"], { doc: "Which of the run's questions are scored.", default: "test" }),
  limit: integer({ doc: "At most so many questions. null: all.", default: null, minimum: 1, unit: "questions" }),
  rows: list(choice(rowNames, { doc: "", default: "trained-pair" }), {
    doc: "The report's rows.",
    default: rowNames,
    minimum: 1,
  }),
  recall_at: list(integer({ doc: "", default: 1, minimum: 1 }), { doc: "The k of recall@k.", default: [1, 5, 10], minimum: 1 }),
  batch: integer({ doc: "Prompts decoded at once.", default: 64, minimum: 1, unit: "prompts" }),
  max_new_tokens: integer({ doc: "Longest answer.", default: 32, minimum: 1, unit: "tokens" }),
  bootstrap: section("Confidence intervals, clustered by document.", {
    samples: integer({ doc: "Resamples.", default: 1000, minimum: 1 }),
    confidence: number({
      doc: "Share of the resamples inside the interval.",
      default: 0.95,
      minimum: 0,
      maximum: 1,
      exclusiveMinimum: true,
      exclusiveMaximum: true,
    }),
  }),
  permutation: section("Paired permutation tests against the base pair, clustered by document.", {
    samples: integer({
      doc: "Sign changes drawn where more than 16 documents differ; up to 16 all are tried.",
      default: 10_000,
      minimum: 1,
    }),
  }),
  closed_book: section("The generator that is trained without contexts for the closed-book row.", {
    steps: integer({
      doc: "Its training steps. 0: only the trained generator with no passage is scored.",
      default: 200,
      minimum: 0,
      unit: "steps",
    }),
  }),
});
