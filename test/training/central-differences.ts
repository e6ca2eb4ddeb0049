/**
 * Compares a loss's gradient with central differences in float64: (f(x+h) − f(x−h)) / 2h for every element. For tests only: it evaluates the loss
 * twice an element.
 */
import { expect } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, gradients, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";

export interface Array64 {
  readonly values: Float64Array;
  readonly shape: readonly number[];
}

/** A float64 tensor that records a gradient. */
function leaf(array: Array64): Tensor {
  return fromBytes(array.values, "f64", array.shape).setRequiresGrad(true);
}

/** Value and gradients of a scalar loss of several arrays. */
export function valueAndGradients(
  inputs: readonly Array64[],
  loss: (...tensors: Tensor[]) => Tensor,
): { value: number; gradients: Float64Array[] } {
  return scope(() => {
    const leaves = inputs.map(leaf);
    const value = loss(...leaves);
    const found = gradients([value], leaves);
    return { value: value.item(), gradients: leaves.map((input, i) => toFloat64Array(found[i] ?? input.mul(0))) };
  });
}

/** The gradient by central differences, one array for each input. */
function centralDifferences(inputs: readonly Array64[], loss: (...tensors: Tensor[]) => Tensor, step = 1e-6): Float64Array[] {
  const at = (): number => scope(() => noGrad(() => loss(...inputs.map((input) => fromBytes(input.values, "f64", input.shape))).item()));
  return inputs.map((input) =>
    input.values.map((value, index) => {
      input.values[index] = value + step;
      const above = at();
      input.values[index] = value - step;
      const below = at();
      input.values[index] = value;
      return (above - below) / (2 * step);
    }),
  );
}

/** Largest |a − b| relative to the largest |b|. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < b.length; i += 1) {
    difference = Math.max(difference, Math.abs(a[i]! - b[i]!));
    size = Math.max(size, Math.abs(b[i]!));
    if (Number.isNaN(a[i])) return Infinity;
  }
  expect(a.length).toBe(b.length);
  return size === 0 ? difference : difference / size;
}

/** Expects autograd and central differences to agree within `tolerance` (relative to the largest gradient), and the gradient not to be all zero. */
export function expectGradient(inputs: readonly Array64[], loss: (...tensors: Tensor[]) => Tensor, tolerance = 1e-6): void {
  const exact = valueAndGradients(inputs, loss).gradients;
  const numeric = centralDifferences(inputs, loss);
  for (const [index, gradient] of exact.entries()) {
    expect(gradient.some((value) => value !== 0)).toBe(true);
    expect(relativeError(gradient, numeric[index]!)).toBeLessThan(tolerance);
  }
}

/** A repeatable stream of normal numbers for test inputs. */
export function normals(seed: number, count: number): Float64Array {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 4294967296;
  };
  for (let i = 0; i < 8; i += 1) next();
  return Float64Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()));
}
