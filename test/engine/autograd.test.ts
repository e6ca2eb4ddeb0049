/**
 * Proves that gradients are right (central differences in float64), arrive where they should (leaves, sums over uses, undefined where an input isn't reached), and that grad modes, retained graphs and
 * gradients given by hand behave as PyTorch's.
 * Alone: npx vitest run test/engine/autograd.test.ts
 */
import { describe, expect, it } from "vitest";
import { enableGrad, noGrad } from "../../src/engine/grad-mode.js";
import { OperatorError } from "../../src/engine/native.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { gradients, indices, ops, tensor, toFloat32Array, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { expectGradient, normals } from "../training/central-differences.js";

const leaf = (data: number[]): Tensor => tensor(data).setRequiresGrad();
const gradOf = (parameter: Tensor): number[] | undefined =>
  parameter.grad === undefined ? undefined : [...toFloat32Array(parameter.grad)];

describe("gradients against central differences in float64", () => {
  const x = { values: normals(1, 12), shape: [3, 4] };
  const y = { values: normals(2, 12), shape: [3, 4] };
  const w = { values: normals(3, 20), shape: [4, 5] };
  const weight = normals(4, 60);
  /** A scalar that weighs every element differently, so that no two errors cancel. */
  const weighed = (z: Tensor): Tensor =>
    z
      .reshape([-1])
      .mul(tensor(weight.slice(0, z.numel)))
      .sum();

  const cases: [string, { values: Float64Array; shape: number[] }[], (...tensors: Tensor[]) => Tensor][] = [
    ["mm", [x, w], (a, b) => weighed(a.mm(b))],
    [
      "mul, sub and div with broadcasting",
      [x, { values: normals(5, 4), shape: [4] }],
      (a, b) => weighed(a.mul(b).sub(b).div(b.square().add(1))),
    ],
    ["logSoftmax", [x], (a) => weighed(a.logSoftmax(1))],
    [
      "layerNorm",
      [x, { values: normals(6, 4), shape: [4] }, { values: normals(7, 4), shape: [4] }],
      (a, g, b) => weighed(a.layerNorm([4], g, b)),
    ],
    ["gelu, both kinds", [x], (a) => weighed(a.gelu("tanh")).add(weighed(a.gelu("none")))],
    ["cat, transpose and narrow", [x, y], (a, b) => weighed(ops.cat([a, b], 0).t().narrow(1, 1, 4))],
    ["index select, also of a row twice", [x], (a) => weighed(a.indexSelect(0, indices([2, 0, 2])))],
    ["exp, log and logsumexp", [x], (a) => weighed(a.exp().add(1).log()).add(weighed(a.logsumexp([1])))],
    ["a chain that uses its input twice", [x, y], (a, b) => weighed(a.tanh().mul(b).add(a.square()))],
  ];
  it.each(cases)("%s", (_, inputs, loss) => {
    expectGradient(inputs, loss, 1e-7);
  });
});

describe("backward", () => {
  it("adds to what is there; zeroGrads drops it", () => {
    scope(() => {
      const x = leaf([1, 2]);
      expect(x.grad).toBeUndefined();
      x.square().sum().backward();
      expect(gradOf(x)).toEqual([2, 4]);
      x.mul(10).sum().backward();
      expect(gradOf(x)).toEqual([12, 14]);
      zeroGrads([x]);
      expect(x.grad).toBeUndefined();
    });
  });

  it("needs a gradient of its shape unless it is a scalar", () => {
    scope(() => {
      const x = leaf([1, 2]);
      expect(() => x.mul(3).backward()).toThrow(/grad can be implicitly created only for scalar outputs/);
      expect(() => x.mul(3).backward(tensor([1, 2, 3]))).toThrow(OperatorError);
      x.mul(3).backward(tensor([1, 10]));
      expect(gradOf(x)).toEqual([3, 30]);
      expect(() => tensor([1]).sum().backward()).toThrow(/does not require grad/);
    });
  });

  it("uses the graph up unless it is asked to retain it", () => {
    scope(() => {
      const x = leaf([3]);
      const once = x.square().sum();
      once.backward();
      expect(() => once.backward()).toThrow(/backward through the graph a second time/i);
      const twice = x.square().sum();
      twice.backward(undefined, true);
      twice.backward();
      expect(gradOf(x)).toEqual([18]);
    });
  });

  it("works inside a scope although the graph's own tensors have no handle any more", () => {
    const x = leaf([2]);
    const loss = scope(() => x.square().mul(x).sum());
    loss.backward();
    expect(gradOf(x)).toEqual([12]);
    loss.dispose();
    zeroGrads([x]);
    x.dispose();
  });
});

describe("gradients()", () => {
  it("returns them, leaves .grad alone, and says undefined where an input isn't reached", () => {
    scope(() => {
      const [x, y, z] = [leaf([1, 2]), leaf([3, 4]), leaf([5])];
      const [dx, dy, dz] = gradients([x.mul(y).sum()], [x, y, z]);
      expect([...toFloat32Array(dx!)]).toEqual([3, 4]);
      expect([...toFloat32Array(dy!)]).toEqual([1, 2]);
      expect(dz).toBeUndefined();
      expect([x.grad, y.grad]).toEqual([undefined, undefined]);
    });
  });

  it("sums over several outputs and reaches tensors inside the graph", () => {
    scope(() => {
      const x = leaf([2]);
      const middle = x.mul(3);
      const [dx, dMiddle] = gradients([middle.square().sum(), middle.sum()], [x, middle]);
      // d(9x² + 3x)/dx at 2, and d(m² + m)/dm at 6.
      expect([dx!.item(), dMiddle!.item()]).toEqual([39, 13]);
    });
  });

  it("gives second derivatives when the graph of the gradient is asked for", () => {
    scope(() => {
      const x = leaf([2]);
      const [first] = gradients([x.pow(3).sum()], [x], { createGraph: true });
      const [second] = gradients([first!.sum()], [x]);
      expect([first!.item(), second!.item()]).toEqual([12, 12]);
      const [plain] = gradients([x.pow(3).sum()], [x]);
      expect(plain!.requiresGrad).toBe(false);
    });
  });
});

describe("grad mode", () => {
  it("noGrad records nothing, enableGrad inside it does, and both end with their body", () => {
    scope(() => {
      const x = leaf([1]);
      expect(noGrad(() => x.mul(2).requiresGrad)).toBe(false);
      expect(noGrad(() => enableGrad(() => x.mul(2).requiresGrad))).toBe(true);
      expect(noGrad(() => [enableGrad(() => 0), x.mul(2).requiresGrad][1])).toBe(false);
      expect(x.mul(2).requiresGrad).toBe(true);
    });
  });

  it("ends when the body throws or returns a Promise, which is refused", () => {
    scope(() => {
      const x = leaf([1]);
      const failing = (): never => {
        throw new Error("of the body");
      };
      expect(() => noGrad(failing)).toThrow("of the body");
      expect(x.mul(2).requiresGrad).toBe(true);
      expect(() => noGrad(() => Promise.resolve(1))).toThrow(/returned a Promise/);
      expect(x.mul(2).requiresGrad).toBe(true);
      expect(() => noGrad(() => enableGrad(failing))).toThrow("of the body");
      expect(x.mul(2).requiresGrad).toBe(true);
    });
  });

  it("detach shares the values and records nothing", () => {
    scope(() => {
      const x = leaf([1, 2]);
      const free = x.detach();
      expect(free.requiresGrad).toBe(false);
      noGrad(() => x.add_(1));
      expect([...toFloat32Array(free)]).toEqual([2, 3]);
    });
  });

  it("a leaf that records can't be changed in place outside noGrad", () => {
    scope(() => {
      const x = leaf([1]);
      expect(() => x.add_(1)).toThrow(/leaf Variable that requires grad is being used in an in-place operation/);
      expect(x.item()).toBe(1);
    });
  });
});

describe("setGrad", () => {
  it("replaces and drops the gradient, and refuses one of another shape or dtype", () => {
    scope(() => {
      const x = leaf([1, 2]);
      x.setGrad(tensor([5, 6]));
      expect(gradOf(x)).toEqual([5, 6]);
      expect(() => x.setGrad(tensor([1, 2, 3]))).toThrow(/expected f32\[2\], got f32\[3\]/);
      expect(() => x.setGrad(tensor([1, 2], { dtype: "f64" }))).toThrow(/expected f32\[2\], got f64\[2\]/);
      expect(gradOf(x)).toEqual([5, 6]);
      x.setGrad(undefined);
      expect(x.grad).toBeUndefined();
    });
  });

  it("a gradient outlives the scope that made it", () => {
    const x = leaf([1, 2]);
    scope(() => {
      x.square().sum().backward();
    });
    const before = liveTensors().tensors;
    scope(() => expect(gradOf(x)).toEqual([2, 4]));
    expect(liveTensors().tensors).toBe(before);
    zeroGrads([x]);
    x.dispose();
  });
});
