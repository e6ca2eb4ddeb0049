/**
 * What the trainer knows of a phase: a name, its parameters, its batches, and a step that runs forward and backward itself. GradCache,
 * accumulation and losses in chunks need that freedom. A phase neither updates parameters nor logs; it doesn't zero gradients either: they add up
 * until the optimiser clears them, as in PyTorch. The trap: what a phase does together with the other workers, it must do at every step, whatever it was dealt.
 */
import type { Tensor } from "../engine/tensor.js";
import type { EpochSize } from "./batches.js";
import type { LossTerms } from "./loss-terms.js";
import type { Share } from "./share.js";

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
