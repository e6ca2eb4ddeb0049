/**
 * The `train.penalties` section: which penalties there are, how they get their gradient, and how answers are drawn where they look at those. Only keys stand here. The trap: one mode holds for all of them, so that the
 * answers of a step are drawn once and their counts can be compared; unlikelihood on sequences looks at written text in every mode.
 */
import { choice, integer, number, section } from "./leaf.js";

const weight = number({ doc: "Weight beside the cross-entropy.", default: 0, minimum: 0 });
const temperature = number({
  doc: "Divides the logits that the gradient runs through; mode sequence has none.",
  default: 1,
  minimum: 0,
  exclusiveMinimum: true,
});

export const penalties = section("Penalties on answers; weight 0 switches one off.", {
  mode: choice(["teacher_forced", "straight_through", "sequence"], {
    doc: "How the penalties get a gradient. teacher_forced: soft counts at the gold answer's prefixes; straight_through: hard counts on answers that the model draws, with the gradient of the drawn distributions, biased; sequence: hard counts on drawn answers as a cost with a leave-one-out baseline, unbiased and noisy. For all penalties but sequence_unlikelihood.",
    default: "teacher_forced",
  }),
  sampling: section(
    "Answers that are drawn to each context's first question, in the modes straight_through and sequence and for sequence_unlikelihood.",
    {
      answers: integer({ doc: "Answers to a question; mode sequence needs two.", default: 4, minimum: 1, unit: "answers" }),
      temperature: number({ doc: "Divides the logits that are drawn from.", default: 1, minimum: 0, exclusiveMinimum: true }),
      max_new_tokens: integer({
        doc: "Longest drawn answer, its end included. null: eval.max_new_tokens.",
        default: null,
        minimum: 1,
        unit: "tokens",
      }),
    },
  ),
  ngram_repeat: section("Repeated n-grams.", {
    n: integer({ doc: "Length of the n-grams.", default: 3, minimum: 1, unit: "tokens" }),
    weight,
    temperature,
  }),
  keyword: section("Keywords in the answer.", {
    direction: choice(["coverage", "overlap"], {
      doc: "coverage: punish missing keywords; overlap: punish copied ones. No default: to be said when weight is above 0.",
      default: null,
    }),
    weight,
    source: choice(["answer", "evidence", "question"], { doc: "Where keywords are taken from.", default: "answer" }),
    temperature,
  }),
  unlikelihood: section("Tokens of the answer that were written already and aren't wanted again.", { weight, temperature }),
  sequence_unlikelihood: section("What the model repeats of its own when it writes: the tokens of repeated n-grams in its own answers.", {
    n: integer({ doc: "Length of the n-grams.", default: 3, minimum: 1, unit: "tokens" }),
    weight,
    temperature: number({ doc: "Divides the logits.", default: 1, minimum: 0, exclusiveMinimum: true }),
    decoding: choice(["greedy", "sampled"], {
      doc: "Which answers are looked at. greedy: the likeliest tokens, one answer to a question; sampled: those of train.penalties.sampling.",
      default: "greedy",
    }),
  }),
  short_answer: section("Answers that stop too soon.", {
    min_tokens: integer({
      doc: "Expected length below which the penalty grows; capped by the gold answer's length.",
      default: 1,
      minimum: 1,
      unit: "tokens",
    }),
    weight,
    temperature,
  }),
});
