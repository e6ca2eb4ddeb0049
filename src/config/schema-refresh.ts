/**
 * The sections `train.drift` and `train.refresh`: how old an index may grow while its retriever is trained. Only keys stand here. The trap: thresholds are of what `train.drift` measures, so without its `every` none is ever
 * looked at.
 */
import { flag, integer, number, section } from "./leaf.js";

export const drift = section("How far the retriever has moved from the index that training reads, measured on a fixed probe.", {
  every: integer({ doc: "Steps between two measurements. null: none.", default: null, minimum: 1, unit: "steps" }),
  questions: integer({ doc: "Training questions of the probe.", default: 32, minimum: 1, unit: "questions" }),
  passages: integer({
    doc: "Passages that both searches are restricted to: half of them found for the probe's questions, half drawn from the corpus.",
    default: 512,
    minimum: 2,
    unit: "passages",
  }),
  depth: integer({ doc: "Results whose overlap is measured.", default: 5, minimum: 1, unit: "passages" }),
  regret: flag({
    doc: "Also measure the generator's loss on what training reads, minus that on what a new index would give.",
    default: false,
  }),
});

export const refresh = section("When the index is made anew beside the schedule's refreshes, and how.", {
  on_drift: section("Drift beyond which the index is made anew, in phases that read it.", {
    cosine_below: number({
      doc: "Mean cosine of the probe's passages. null: not looked at.",
      default: null,
      minimum: -1,
      maximum: 1,
    }),
    overlap_below: number({ doc: "Overlap of the first drift.depth results. null: not looked at.", default: null, minimum: 0, maximum: 1 }),
    regret_above: number({ doc: "Regret, nats a token. null: not looked at.", default: null }),
  }),
  at_least_every: integer({
    doc: "Steps after which the index is made anew whatever its drift, in phases that read it. null: never.",
    default: null,
    minimum: 1,
    unit: "steps",
  }),
  at_most_every: integer({ doc: "Steps that an index is read at least, whatever its drift.", default: null, minimum: 1, unit: "steps" }),
  asynchronous: flag({
    doc: "A second process makes the index while training goes on with the old one. The first index, and one with fewer steps before the schedule's end than swap_after, are made at once.",
    default: false,
  }),
  swap_after: integer({
    doc: "asynchronous: steps after which the new index takes the old one's place, whether it was ready long before or has to be waited for.",
    default: null,
    minimum: 1,
    unit: "steps",
  }),
  threads: integer({
    doc: "asynchronous: threads of the second process. null: as many as the run's.",
    default: null,
    minimum: 1,
    maximum: 4096,
  }),
});
