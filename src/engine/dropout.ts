/**
 * Dropout by counter (native/kernels/philox-dropout.cc): the mask is a function of seed, step, example, site and element, never stored. Not libtorch's dropout, whose mask depends on
 * the order of draws, so on the number of workers and micro-batches. The trap: two dropouts of one model need two site numbers.
 */
import { ops, type Tensor } from "./operators.generated.js";

/** Which mask: everything it is a function of, except site and element. */
export interface DropoutContext {
  /** 0 to 2^32-1. */
  readonly seed: number;
  /** The global step, 0 to 2^32-1. */
  readonly step: number;
  /** i64 (B): the example's number in the data set, one for each row of the batch. */
  readonly examples_B: Tensor;
}

/**
 * x · mask / (1 − p), mask ~ Bernoulli(1 − p). Shapes: (B, …) in, the same out, 2 to 4 dimensions. Philox4x32-10, Salmon et al. 2011.
 *
 * @param p probability of dropping, 0 ≤ p < 1; 0 returns `x` itself.
 * @param site the dropout's own number in its model.
 */
export function dropout(x: Tensor, p: number, context: DropoutContext | undefined, site: number): Tensor {
  if (context === undefined || p === 0) return x;
  return ops.philoxDropout(x, context.examples_B, p, context.seed, context.step, site);
}
