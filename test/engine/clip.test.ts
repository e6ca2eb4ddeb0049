/**
 * Proves that clipping takes the norm over all gradients together, scales as torch.nn.utils.clip_grad_norm_, leaves short and broken gradients as they are, and leaves no tensor behind.
 * Alone: npx vitest run test/engine/clip.test.ts
 */
import { describe, expect, it } from "vitest";
import { clipGradientNorm, gradientNorm } from "../../src/engine/clip.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { ops, tensor, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";

function parametersWith(...grads: (number[] | undefined)[]): Tensor[] {
  return grads.map((grad) => {
    const parameter = ops.zeros([grad?.length ?? 1], "f64").setRequiresGrad();
    if (grad !== undefined) parameter.setGrad(tensor(grad, { dtype: "f64" }));
    return parameter;
  });
}
const gradsOf = (parameters: readonly Tensor[]): (number[] | undefined)[] =>
  parameters.map(({ grad }) => (grad === undefined ? undefined : [...toFloat64Array(grad)]));

describe("clipGradientNorm", () => {
  it("returns the norm over all gradients and scales them by maxNorm / (norm + 1e-6)", () => {
    scope(() => {
      const parameters = parametersWith([3, 0], undefined, [0, 4]);
      expect(gradientNorm(parameters)).toBe(5);
      expect(clipGradientNorm(parameters, 1)).toBe(5);
      const factor = 1 / (5 + 1e-6);
      expect(gradsOf(parameters)).toEqual([[3 * factor, 0], undefined, [0, 4 * factor]]);
    });
  });

  it("leaves gradients that are short enough as they are", () => {
    scope(() => {
      const parameters = parametersWith([3], [4]);
      expect(clipGradientNorm(parameters, 5.1)).toBe(5);
      expect(gradsOf(parameters)).toEqual([[3], [4]]);
    });
  });

  it.each([NaN, Infinity])("returns a norm of %s and scales nothing", (broken) => {
    scope(() => {
      const parameters = parametersWith([broken], [4]);
      expect(clipGradientNorm(parameters, 1)).toBe(broken);
      expect(gradientNorm(parameters)).toBe(broken);
      expect(gradsOf(parameters)).toEqual([[broken], [4]]);
    });
  });

  it("is 0 without any gradient, and leaves no tensor behind", () => {
    scope(() => {
      const parameters = parametersWith(undefined, undefined);
      const before = liveTensors().tensors;
      expect([clipGradientNorm(parameters, 1), gradientNorm(parameters), clipGradientNorm([], 1)]).toEqual([0, 0, 0]);
      clipGradientNorm(parametersWith([3]).concat(parameters), 1);
      expect(liveTensors().tensors).toBe(before + 2);
    });
  });
});
