/**
 * One worker's share of a step. All workers plan the same batch; each computes the members that are dealt to it, and what is added up over all of them is what one worker would have computed. This file says what a phase may ask; one worker
 * is the whole ({@link WHOLE}), several are a process group (group-share.ts).
 * The trap: everything here but {@link Share.own} is something that all workers do together. A phase that asks in one worker and not in another waits for ever, so no question may depend on what was dealt.
 *
 * Shape letters: N rows of all workers, n of this one.
 */
import type { Tensor } from "../engine/tensor.js";
import type { LossCounts, LossTerms } from "./loss-terms.js";

/** The parameters of a model, as the model itself holds them: workers sum the gradients of one such map together. */
export type Parameters = ReadonlyMap<string, Tensor>;

export interface Share {
  readonly rank: number;
  readonly size: number;
  /** The members that are this worker's: dealt in turn, so that like follows like into different hands. */
  own<Member>(members: readonly Member[]): Member[];
  /** Counts added over all workers; all of them name the same ones. */
  counts(own: LossCounts): LossCounts;
  /** Terms added over all workers, as numbers. A worker may lack terms that it has nothing for. */
  terms(own: LossTerms): LossTerms;
  /** Terms that every worker has computed of all members: the first's, so that none decides by its own last bit. */
  same(whole: LossTerms): LossTerms;
  /** All N rows, in the order of what {@link own} dealt; this worker's with their graph, the others' without. */
  rows(own_nD: Tensor, count: number): Tensor;
  /**
   * The last backward pass of a step over some models: their gradients become the sums over all workers. Passes before it only add up.
   *
   * @param loss undefined: this worker has nothing to add
   * @param gradient of `loss`, where it is no scalar
   */
  backward(models: readonly Parameters[], loss: Tensor | undefined, gradient?: Tensor): void;
  /** The sum of the workers' numbers. */
  total(own: number): number;
  /** The first worker's value: plain data. */
  ofFirst<Value>(own: Value): Value;
}

/** The share of the only worker: everything. */
export const WHOLE: Share = {
  rank: 0,
  size: 1,
  own: (members) => [...members],
  counts: (own) => own,
  terms: (own) => own,
  same: (whole) => whole,
  rows: (own_nD) => own_nD,
  backward: (_, loss, gradient) => loss?.backward(gradient),
  total: (own) => own,
  ofFirst: (own) => own,
};
