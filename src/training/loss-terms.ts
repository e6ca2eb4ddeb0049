/**
 * A loss as a sum with its count, never a mean, and the loss's parts by name. Sums and counts are added over micro-batches and workers and divided once.
 * The trap: a mean of means would depend on how the batch was cut.
 */
import type { Tensor } from "../engine/tensor.js";

/** One named part of the loss over a batch. Its value is sum / count. */
export interface LossTerm {
  /** The total over the batch; a tensor with a graph inside a phase, detached or a number in a report. */
  readonly sum: Tensor | number;
  /** What the sum is divided by: answer tokens, answers or questions. 0 if the batch has nothing for this term. */
  readonly count: number;
  /** The term's weight in the total loss. */
  readonly weight: number;
  /** Of a penalty that is computed in one of several ways: which. Printed by the gradient audit. */
  readonly mode?: string;
  /** Why the term can't have a gradient in this batch, e.g. answers too short for an n-gram. Read by the gradient audit. */
  readonly inactive?: string;
}

/** The parts of a loss by name; the total is Σ weight · sum / count. */
export type LossTerms = Readonly<Record<string, LossTerm>>;

/** The counts of a step's terms by name, known before the first forward pass. */
export type LossCounts = Readonly<Record<string, number>>;

/** The total loss of terms that carry no graph: Σ weight · sum / count. Terms with a count of 0 add nothing. */
export function totalLoss(terms: LossTerms): number {
  let total = 0;
  for (const term of Object.values(terms)) {
    if (term.count > 0) total += (term.weight * sumOf(term)) / term.count;
  }
  return total;
}

/** The sum of a term as a number. */
export function sumOf(term: LossTerm): number {
  return typeof term.sum === "number" ? term.sum : term.sum.item();
}
