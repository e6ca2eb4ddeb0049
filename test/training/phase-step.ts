/** One step of a phase, as tests look at it: its gradient and terms, and the slope of a loss along one element. */
import { scope } from "../../src/engine/scope.js";
import { zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { sumOf, totalLoss } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { gradientOf } from "./tiny-world.js";

/** Gradient and terms of step `step`. */
export function run<Batch>(
  phase: Phase<Batch>,
  step = 0,
): { gradient: Float64Array; terms: Record<string, readonly number[]>; loss: number } {
  return scope(() => {
    zeroGrads(phase.parameters.values());
    const terms = phase.step(phase.batch(step));
    const gradient = gradientOf(phase.parameters);
    zeroGrads(phase.parameters.values());
    const plain = Object.entries(terms).map(([name, term]) => [name, [sumOf(term), term.count, term.weight]] as const);
    return { gradient, terms: Object.fromEntries(plain), loss: totalLoss(terms) };
  });
}

/** The loss's slope along one element, by central differences. */
export function slopeAt(parameter: Tensor, index: number, f: () => number): number {
  const step = 1e-6;
  const shift = (by: number): void => {
    scope(() => {
      const element = parameter.detach().reshape([-1]).narrow(0, index, 1);
      element.add_(by);
    });
  };
  shift(step);
  const above = f();
  shift(-2 * step);
  const below = f();
  shift(step);
  return (above - below) / (2 * step);
}
