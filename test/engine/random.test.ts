/**
 * Proves that libtorch's generator is a function of its seed, and that a saved state continues the same stream.
 * Alone: npx vitest run test/engine/random.test.ts
 */
import { describe, expect, it } from "vitest";
import { OperatorError } from "../../src/engine/native.js";
import { generatorState, manualSeed, setGeneratorState } from "../../src/engine/random.js";
import { scope } from "../../src/engine/scope.js";
import { ops, tensor, toFloat32Array } from "../../src/engine/tensor.js";

const draw = (): number[] => scope(() => [...toFloat32Array(ops.randn([20]))]);

describe("the generator", () => {
  it("gives the same numbers for the same seed and others for another", () => {
    manualSeed(5);
    const first = draw();
    const second = draw();
    manualSeed(5);
    expect([draw(), draw()]).toEqual([first, second]);
    expect(second).not.toEqual(first);
    manualSeed(6);
    expect(draw()).not.toEqual(first);
    manualSeed(2 ** 53 - 1);
    expect(draw()).not.toEqual(first);
  });

  it("goes on from a saved state", () => {
    scope(() => {
      manualSeed(1);
      draw();
      const state = generatorState();
      expect(state.dtype).toBe("u8");
      const next = draw();
      draw();
      setGeneratorState(state);
      expect(draw()).toEqual(next);
    });
  });

  it("refuses seeds that are no whole numbers in range and states that are none", () => {
    for (const seed of [-1, 1.5, 2 ** 53, NaN]) expect(() => manualSeed(seed), String(seed)).toThrow(/whole number from 0 to 2\^53-1/);
    scope(() => {
      expect(() => setGeneratorState(tensor([1, 2, 3]))).toThrow(OperatorError);
      expect(() => setGeneratorState(ops.zeros([3], "u8"))).toThrow(OperatorError);
    });
  });
});
