/**
 * The `generation` section: how answers are chosen in validation, evaluation and asking. Only keys stand here; decoding is `src/generation`. How long an answer may be and how many prompts are decoded
 * at once stand in `eval`. The trap: keys of one strategy are null until they are set, so that a temperature without sampling can be refused instead of ignored.
 */
import { choice, integer, list, number, section, text } from "./leaf.js";

export const generation = section("How answers are chosen, in validation, evaluation and asking alike.", {
  strategy: choice(["greedy", "sample", "beam"], {
    doc: "The likeliest token each time; tokens drawn by their probability; or the likeliest answer among several kept at once.",
    default: "greedy",
  }),
  temperature: number({
    doc: "For sample: divides the logits; below 1 the likely tokens come more often. null: 1.",
    default: null,
    minimum: 0,
    maximum: 100,
    exclusiveMinimum: true,
  }),
  top_k: integer({ doc: "For sample: only the k likeliest tokens. null: all.", default: null, minimum: 1, unit: "tokens" }),
  top_p: number({
    doc: "For sample: only the likeliest tokens whose probabilities add up to p. null: all.",
    default: null,
    minimum: 0,
    maximum: 1,
    exclusiveMinimum: true,
  }),
  seed: integer({ doc: "For sample: what the draws depend on. null: the run's seed.", default: null, minimum: 0, maximum: 2 ** 32 - 1 }),
  beams: integer({ doc: "For beam: answers kept at once. null: 4.", default: null, minimum: 2, maximum: 1000, unit: "beams" }),
  length_penalty: number({
    doc: "For beam: scores are divided by length to this power; above 0 favours long answers. null: 1.",
    default: null,
    minimum: -10,
    maximum: 10,
  }),
  early_stopping: choice(["heuristic", "full", "never"], {
    doc: "For beam: done when no running answer scores better at its length, when beams answers are finished, or when none can ever be better (transformers' False, True and 'never'). null: heuristic.",
    default: null,
  }),
  repetition_penalty: number({
    doc: "Tokens of the prompt and the answer become less likely by this factor; below 1 likelier. 1: off.",
    default: 1,
    minimum: 0,
    maximum: 100,
    exclusiveMinimum: true,
  }),
  no_repeat_ngram_size: integer({
    doc: "No sequence of this many tokens stands twice in prompt and answer together. 0: off.",
    default: 0,
    minimum: 0,
    maximum: 1000,
    unit: "tokens",
  }),
  answers: integer({
    doc: "Answers to each question, for sample and beam; the first one is scored.",
    default: 1,
    minimum: 1,
    maximum: 1000,
    unit: "answers",
  }),
  stop: list(text({ doc: "", default: "", pattern: /./s, wanted: "text that isn't empty" }), {
    doc: "Texts that end an answer and aren't part of it.",
    default: [],
  }),
});
