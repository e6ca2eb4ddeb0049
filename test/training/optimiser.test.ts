/**
 * Proves the learning rate's course as a pure function, and which parameters decay. Run alone: npx vitest run test/training/optimiser.test.ts
 */
import { describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { scope } from "../../src/engine/scope.js";
import { ops, toFloat32Array } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import { parameterGroups, rateAt, validateRateCourse, type RateCourse } from "../../src/training/optimiser.js";

const course: RateCourse = { peak: 2, warmup: 4, flat: 0.5, decay: "linear", floor: 0.1 };
const rates = (of: RateCourse, total: number): number[] => Array.from({ length: total }, (_, step) => rateAt(of, step, total));

describe("cozyrag 41: the learning rate warms up, stays, and falls", () => {
  it("linear", () => {
    const [a, b, c, d, ...rest] = rates(course, 20);
    expect([a, b, c, d]).toEqual([0.5, 1, 1.5, 2]);
    expect(rest.slice(0, 6)).toEqual([2, 2, 2, 2, 2, 2]);
    // Ten steps are left to fall by 1.8.
    for (const [index, rate] of rest.slice(6).entries()) expect(rate).toBeCloseTo(2 - 0.18 * index, 12);
  });

  it("cosine starts and ends flat, and is half-way in the middle", () => {
    const cosine = { ...course, decay: "cosine", warmup: 0, flat: 0 } as const;
    expect(rateAt(cosine, 0, 100)).toBe(2);
    expect(rateAt(cosine, 50, 100)).toBeCloseTo(1.1, 12);
    expect(rateAt(cosine, 99, 100)).toBeGreaterThan(0.2);
    expect(rateAt(cosine, 99, 100)).toBeLessThan(0.202);
  });

  it("constant stays", () => {
    expect(new Set(rates({ ...course, decay: "constant" }, 30).slice(4))).toEqual(new Set([2]));
  });

  it("never leaves (0, peak], whatever the shape", () => {
    for (const decay of ["linear", "cosine", "constant"] as const) {
      for (const flat of [0, 0.3, 1]) {
        for (const rate of rates({ ...course, decay, flat }, 17)) {
          expect(rate).toBeGreaterThan(0);
          expect(rate).toBeLessThanOrEqual(2);
        }
      }
    }
  });

  it("refuses impossible courses in one line", () => {
    const wrong: Partial<RateCourse>[] = [
      { peak: 0 },
      { peak: NaN },
      { warmup: -1 },
      { warmup: 1.5 },
      { warmup: 100 },
      { flat: 2 },
      { floor: -0.1 },
    ];
    for (const change of wrong) {
      expect(() => validateRateCourse({ ...course, ...change }, 20, "train.generator")).toThrow(UserError);
      expect(() => validateRateCourse({ ...course, ...change }, 20, "train.generator")).toThrow(/^train\.generator\./);
    }
    expect(() => validateRateCourse(course, 20, "train.generator")).not.toThrow();
  });
});

describe("parameter groups", () => {
  it("decay matrices, not biases and norms", () => {
    scope(() => {
      const parameters = new Map([
        ["w", ops.ones([2, 2], "f32").setRequiresGrad()],
        ["b", ops.ones([2], "f32").setRequiresGrad()],
      ]);
      const groups = parameterGroups(parameters, 0.5);
      expect(groups.map((group) => [group.name, [...group.parameters.keys()], group.weightDecay])).toEqual([
        ["decay", ["w"], 0.5],
        ["no-decay", ["b"], 0],
      ]);
      const optimiser = new AdamW(groups);
      for (const parameter of parameters.values()) parameter.setGrad(ops.zerosLike(parameter));
      optimiser.step(0.1);
      expect([...toFloat32Array(parameters.get("w")!)]).toEqual(new Array(4).fill(Math.fround(0.95)));
      expect([...toFloat32Array(parameters.get("b")!)]).toEqual([1, 1]);
      optimiser.dispose();
    });
  });

  it("keep biases and norms from a step's own weight decay, and matrices that hadn't any don't escape it", () => {
    scope(() => {
      const parameters = new Map([
        ["w", ops.ones([2, 2], "f64").setRequiresGrad()],
        ["b", ops.ones([2], "f64").setRequiresGrad()],
      ]);
      const optimiser = new AdamW(parameterGroups(parameters, 0));
      for (const parameter of parameters.values()) parameter.setGrad(ops.zerosLike(parameter));
      optimiser.step(0.1, { weightDecay: 0.5 });
      expect(parameters.get("w")!.sum().item()).toBeCloseTo(4 * 0.95, 12);
      expect(parameters.get("b")!.sum().item()).toBe(2);
      optimiser.dispose();
    });
  });

  it("leave an empty group out", () => {
    scope(() => {
      expect(parameterGroups(new Map([["b", ops.ones([2], "f32")]]), 0.1).map((group) => group.name)).toEqual(["no-decay"]);
    });
  });
});
