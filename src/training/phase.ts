/**
 * What the trainer knows of a phase: a name, its parameters, its batches, and a step that runs forward and backward itself. GradCache,
 * accumulation and losses in chunks need that freedom. A phase neither updates parameters nor logs; it doesn't zero gradients either: they add up
 * until the optimiser clears them, as in PyTorch.
 * The trap: every loss is a sum with its count, never a mean. Sums and counts are added over micro-batches and workers and divided once; a mean of
 * means would depend on how the batch was cut.
 */
import type { Tensor } from "../engine/tensor.js";
import type { EpochSize } from "./batches.js";
import type { Share } from "./share.js";

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

/** Pairs of terms and parameters that needn't have a gradient. */
export interface Exemption {
  /** Names of terms; left out: all. */
  readonly term?: RegExp;
  /** Names of parameters. */
  readonly parameter: RegExp;
  /** Printed in the audit's table. */
  readonly reason: string;
}

/** A kind of training step over batches of type `Batch`. */
export interface Phase<Batch = unknown> {
  readonly name: string;
  /** What this phase trains, by the model's own names. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** Pairs that the phase declares frozen. */
  readonly frozen?: readonly Exemption[];
  /** What a share computes of the batch of step `step` of this phase: a pure function of the seed, the step, the share and the artefacts the phase was made with. Default: the whole batch. */
  batch(step: number, share?: Share): Batch;
  /**
   * Forward and backward over the batch; adds to the parameters' gradients, which are then sums over all workers, as the returned terms are. The returned sums carry no graph.
   *
   * @param share the one that the batch was made for
   */
  step(batch: Batch, share?: Share): LossTerms;
  /** Forward only, on the whole batch at once, with the graph: for the audit and for tests. */
  losses(batch: Batch): LossTerms;
  /** What an epoch of its batches is; left out by phases that have none. */
  readonly epoch?: () => EpochSize;
  /** Tokens that went through the model for this batch in this worker, padding included: for rates. */
  tokens(batch: Batch, share?: Share): number;
}

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
