/**
 * The `train.alarms` section: signs that a model is collapsing, each with a bound and an action. Only keys stand here; what is measured is in src/evaluation/retrieval-health.ts, embedding-health.ts and
 * src/training/loss-spike.ts. The trap: bounds hold for one set of validation questions; a corpus of few passages shares its passages among more questions.
 */
import { choice, integer, number, section } from "./leaf.js";

const action = choice(["warn", "stop", "roll_back"], {
  doc: "warn: a line; stop: the run ends with exit code 2 and can be resumed with other bounds; roll_back: back to the best checkpoint, and on with lower rates.",
  default: "warn",
});

function bound(side: "below" | "above", doc: string, level: number) {
  return section(doc, side === "below" ? { below: limit(side, level), action } : { above: limit(side, level), action });
}

function limit(side: "below" | "above", level: number) {
  return number({ doc: `The alarm rings ${side} it. null: off.`, default: level, nullable: true });
}

export const alarms = section("Alarms of collapse, looked at after each validation, and for the loss in each step.", {
  unique_documents: bound(
    "below",
    "Distinct passages among all that the validation questions find, as a share of how many there could be.",
    0.02,
  ),
  hubness: bound("above", "Share of the validation questions that have the most frequent passage among their results.", 0.8),
  entropy: section(
    "Entropy of the retriever's belief over what it found, at the temperature it is trained at. 1: no passage is preferred; 0: it is sure of one.",
    {
      above: limit("above", 0.9999),
      below: limit("below", 0.01),
      action,
    },
  ),
  rank: bound(
    "below",
    "Effective rank of a sample of passage embeddings (RankMe); with train.reader.fixed_index of training questions' embeddings, since passages stay.",
    1.5,
  ),
  uniformity: bound("above", "Uniformity of the same sample; 0: all are one point.", -0.01),
  repetition: bound("above", "rep-4 of the validation answers beyond the gold answers' own.", 0.5),
  loss_spike: section("A step's loss far above those before it in its phase.", {
    above: number({
      doc: "Distance from the median of the steps before, in their robust standard deviations (1.4826 times the median distance). null: off.",
      default: 20,
      nullable: true,
      minimum: 0,
      exclusiveMinimum: true,
    }),
    window: integer({
      doc: "Steps before that are looked at; the first that many of a phase raise no alarm.",
      default: 30,
      minimum: 5,
      unit: "steps",
    }),
    action,
  }),
  not_a_number: section("A loss or gradient that is no number. The weights stay as they were before the step.", {
    action: choice(["stop", "roll_back"], {
      doc: "stop: the run ends with exit code 2; roll_back: back to the best checkpoint, and on with lower rates.",
      default: "stop",
    }),
  }),
  roll_back: section("What roll_back does.", {
    factor: number({ doc: "Multiplies all learning rates, each time.", default: 0.5, minimum: 0, exclusiveMinimum: true, maximum: 1 }),
    at_most: integer({ doc: "Times in a run; the next alarm stops it.", default: 2, minimum: 1 }),
  }),
});
