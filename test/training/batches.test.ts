/**
 * Proves that batches are a pure function of seed, step and sizes: every epoch each example once, budgets kept.
 * Run alone: npx vitest run test/training/batches.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { lengthBucketBatches } from "../../src/training/batches.js";
import { hash32, integerBelow, permutation, shuffled, uniform } from "../../src/training/counter-random.js";
import { epochOf, range, sorted } from "./epochs.js";

describe("counter-based choices", () => {
  it("a permutation holds every element once, for any size and key", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700 }), fc.integer(), fc.integer(), (size, seed, epoch) => {
        const order = permutation(size, [seed, epoch]);
        expect(sorted(range(size).map(order))).toEqual(range(size));
      }),
      { numRuns: 100 },
    );
  });

  it("numbers are spread evenly and keys don't mix", () => {
    const bins = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i += 1) bins[integerBelow(16, 7, i)]! += 1;
    for (const bin of bins) expect(Math.abs(bin - 1000)).toBeLessThan(150);
    expect(new Set(range(10_000).map((i) => hash32(1, i))).size).toBeGreaterThan(9_990);
    expect(hash32(1, 2)).not.toBe(hash32(2, 1));
    expect(hash32(0)).not.toBe(hash32(0, 0));
    expect(uniform(3, 4)).toBe(uniform(3, 4));
  });

  it("orders are as good as random: a place keeps no neighbour", () => {
    const order = permutation(1000, [5]);
    const kept = range(999).filter((i) => Math.abs(order(i + 1) - order(i)) === 1).length;
    expect(kept).toBeLessThan(15);
  });

  it("has fixed values, so that a run made yesterday resumes today", () => {
    expect(range(6).map((i) => permutation(6, [1, 2])(i))).toMatchInlineSnapshot(`
      [
        1,
        3,
        4,
        2,
        5,
        0,
      ]
    `);
    expect(shuffled(["a", "b", "c", "d"], [9])).toMatchInlineSnapshot(`
      [
        "a",
        "d",
        "c",
        "b",
      ]
    `);
    expect(hash32(1, 2, 3)).toMatchInlineSnapshot(`322125251`);
  });

  it("refuses what it can't permute", () => {
    expect(() => permutation(0, [1])).toThrow(RangeError);
    expect(() => permutation(5, [1])(5)).toThrow(RangeError);
    expect(shuffled([], [1])).toEqual([]);
  });
});

describe("length-bucketed batches under a token budget", () => {
  const lengths = range(300).map((i) => 5 + (hash32(1, i) % 60));
  const size = lengths.length;
  const length = (example: number): number => lengths[example]!;

  it("hold every example once an epoch and keep the budget, padding included", () => {
    const source = lengthBucketBatches({ seed: 3, size, length, budget: 256, window: 64 });
    for (const epoch of [0, 1]) {
      const batches = epochOf(source, epoch);
      expect(sorted(batches.flat())).toEqual(range(300));
      for (const batch of batches) {
        expect(batch.length * Math.max(...batch.map((example) => lengths[example]!))).toBeLessThanOrEqual(256);
      }
    }
  });

  it("are a pure function of seed and step: asked in any order, by another object", () => {
    const options = { seed: 3, size, length, budget: 256, window: 64 };
    const forward = lengthBucketBatches(options);
    const steps = range(200);
    const inOrder = steps.map((step) => [...forward.at(step)]);
    const other = lengthBucketBatches(options);
    const backwards = steps.toReversed().map((step) => [...other.at(step)]);
    expect(backwards.toReversed()).toEqual(inOrder);
    expect([...lengthBucketBatches(options).at(150)]).toEqual(inOrder[150]);
  });

  it("cozyrag 25: every epoch is another shuffle with other groupings, and another seed another run", () => {
    const source = lengthBucketBatches({ seed: 3, size, length, budget: 256 });
    const groups = (batches: number[][]): Set<string> => new Set(batches.map((batch) => sorted(batch).join(",")));
    const first = groups(epochOf(source, 0));
    const second = [...groups(epochOf(source, 1))];
    expect(second.filter((group) => first.has(group)).length).toBeLessThan(second.length / 10);
    expect(lengthBucketBatches({ seed: 4, size, length, budget: 256 }).at(0)).not.toEqual(source.at(0));
  });

  it("pad less than unsorted batches do", () => {
    const source = lengthBucketBatches({ seed: 3, size, length, budget: 256, window: 300 });
    const padded = epochOf(source, 0).reduce((sum, batch) => sum + batch.length * Math.max(...batch.map((i) => lengths[i]!)), 0);
    const real = lengths.reduce((sum, length) => sum + length, 0);
    expect(padded / real).toBeLessThan(1.15);
  });

  it("count examples when asked to, and give an over-long example a batch of its own", () => {
    const source = lengthBucketBatches({ seed: 1, size: 5, length: (i) => (i === 3 ? 999 : 10), budget: 100, most: 2 });
    const batches = epochOf(source, 0);
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(2);
    expect(batches.filter((batch) => batch.includes(3))).toEqual([[3]]);
  });

  it("follow examples that grow while training goes on", () => {
    const source = lengthBucketBatches({ seed: 1, size: 64, length: (_, step) => Math.min(50, 10 + step), budget: 200, window: 16 });
    const sizes = Array.from({ length: 60 }, (_, step) => source.at(step).length);
    expect(Math.max(...sizes.slice(0, 3))).toBeGreaterThan(10);
    expect(Math.max(...sizes.slice(-8))).toBe(4);
    expect(sorted(epochOf(source, 2).flat())).toEqual(range(64));
  });

  it("refuse an empty data set and impossible budgets in one line", () => {
    expect(() => lengthBucketBatches({ seed: 1, size: 0, length, budget: 10 })).toThrow(UserError);
    expect(() => lengthBucketBatches({ seed: 1, size: 1, length, budget: 0 })).toThrow(/budget/);
    expect(() => lengthBucketBatches({ seed: 1, size: 1, length, budget: 10, window: 0.5 })).toThrow(/window/);
  });
});
