/**
 * Proves that batches are a pure function of seed, step and sizes: every epoch each example once, budgets kept, no singleton contrastive batch.
 * Run alone: npx vitest run test/training/batches.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { contrastiveBatches, lengthBucketBatches, type BatchSource } from "../../src/training/batches.js";
import { hash32, integerBelow, permutation, shuffled, uniform } from "../../src/training/counter-random.js";

/** All batches of an epoch. */
function epochOf(source: BatchSource, epoch: number): number[][] {
  const batches: number[][] = [];
  for (let step = 0; ; step += 1) {
    const place = source.place(step);
    if (place.epoch > epoch) return batches;
    if (place.epoch === epoch) batches.push([...source.at(step)]);
  }
}

const range = (size: number): number[] => Array.from({ length: size }, (_, index) => index);
const sorted = (values: number[]): number[] => values.toSorted((a, b) => a - b);

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

describe("contrastive batches", () => {
  it("cozyrag 25: never hold a single question, whatever the sizes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 80 }), fc.integer({ min: 2, max: 16 }), fc.integer(), (size, batch, seed) => {
        const batches = epochOf(contrastiveBatches({ seed, size, batch }), 0);
        expect(sorted(batches.flat())).toEqual(range(size));
        for (const members of batches) {
          expect(members.length).toBeGreaterThanOrEqual(2);
          expect(members.length).toBeLessThanOrEqual(batch + 1);
        }
      }),
    );
  });

  it("cozyrag 24: two questions with one gold passage share a batch only when nothing else is left", () => {
    // Ten passages with five questions each.
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const source = contrastiveBatches({ seed: 2, size: 50, batch: 8, positiveOf });
    for (const epoch of [0, 1, 2]) {
      const batches = epochOf(source, epoch);
      expect(sorted(batches.flat())).toEqual(range(50));
      const clean = batches.filter((batch) => new Set(batch.map(positiveOf)).size === batch.length);
      expect(clean.length).toBeGreaterThanOrEqual(5);
      for (const batch of batches) expect(new Set(batch.map(positiveOf)).size).toBeGreaterThanOrEqual(2);
    }
  });

  it("hold all questions of a passage, or half a batch of them, every question once an epoch", () => {
    const option = {
      size: fc.integer({ min: 2, max: 150 }),
      batch: fc.integer({ min: 2, max: 24 }),
      passages: fc.integer({ min: 2, max: 40 }),
    };
    fc.assert(
      fc.property(fc.record(option), fc.integer(), ({ size, batch, passages }, seed) => {
        const positiveOf = (example: number): number => example % passages;
        fc.pre(size >= passages);
        const batches = epochOf(contrastiveBatches({ seed, size, batch, positiveOf, together: true }), 0);
        expect(sorted(batches.flat())).toEqual(range(size));
        for (const members of batches) expect(new Set(members.map(positiveOf)).size).toBeGreaterThanOrEqual(2);
        const ofPassage = Math.ceil(size / passages);
        if (2 * ofPassage > batch) return;
        // The last batch may join the one before.
        expect(batches.filter((members) => members.length > batch).length).toBeLessThanOrEqual(1);
        for (const members of batches)
          for (const positive of new Set(members.map(positiveOf)))
            expect(members.filter((member) => positiveOf(member) === positive).length).toBe(
              range(size).filter((example) => positiveOf(example) === positive).length,
            );
      }),
    );
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const source = contrastiveBatches({ seed: 2, size: 100, batch: 20, positiveOf, together: true });
    // Four passages to twenty questions.
    for (const members of epochOf(source, 0)) expect(new Set(members.map(positiveOf)).size).toBe(4);
    expect(epochOf(source, 1)).not.toEqual(epochOf(source, 0));
  });

  it("of passages with all their questions take neighbours from one document where that is asked, in another order each epoch", () => {
    // Four documents of six passages, which have five questions each.
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const topicOf = (example: number): string => String(Math.floor(example / 30));
    const source = contrastiveBatches({ seed: 3, size: 120, batch: 15, positiveOf, topicOf, together: true });
    const epoch = epochOf(source, 0);
    expect(sorted(epoch.flat())).toEqual(range(120));
    for (const members of epoch) {
      expect(new Set(members.map(topicOf)).size).toBe(1);
      expect(new Set(members.map(positiveOf)).size).toBe(3);
      expect(members).toHaveLength(15);
    }
    const order = epoch.map(([first = 0]) => topicOf(first));
    // Seven passages of five questions don't divide into batches of 32: at most the rests of documents are mixed.
    const uneven = { size: 50 * 35, positiveOf, topicOf: (example: number): string => String(Math.floor(example / 35)) };
    const mixed = epochOf(contrastiveBatches({ seed: 4, batch: 32, together: true, ...uneven }), 0);
    expect(sorted(mixed.flat())).toEqual(range(uneven.size));
    const several = mixed.filter((members) => new Set(members.map(uneven.topicOf)).size > 1);
    expect(mixed.length - several.length).toBe(50);
    for (const members of several) expect(new Set(members.map(positiveOf)).size).toBe(new Set(members.map(uneven.topicOf)).size);
    expect(order.filter((topic, i) => topic === order[i - 1]).length).toBeLessThan(4);
    expect(epochOf(source, 1)).not.toEqual(epoch);
  });

  it("hold one topic each as far as topics fill them, every question once an epoch", () => {
    const option = {
      size: fc.integer({ min: 2, max: 120 }),
      batch: fc.integer({ min: 2, max: 12 }),
      topics: fc.integer({ min: 1, max: 6 }),
    };
    fc.assert(
      fc.property(fc.record(option), fc.integer(), ({ size, batch, topics }, seed) => {
        const topicOf = (example: number): string => String(example % topics);
        const positiveOf = (example: number): number => (example % topics) * 1000 + Math.floor(example / topics / 2);
        const source = contrastiveBatches({ seed, size, batch, topicOf, positiveOf });
        const batches = epochOf(source, 0);
        expect(sorted(batches.flat())).toEqual(range(size));
        const mixed = batches.filter((members) => new Set(members.map(topicOf)).size > 1);
        // What one topic couldn't fill: fewer than a batch of different positives, each at most twice.
        expect(mixed.flat().length).toBeLessThanOrEqual(2 * batch * topics);
        for (const members of batches.filter((full) => !mixed.includes(full) && full.length === batch && size > 2 * batch * topics)) {
          expect(new Set(members.map(positiveOf)).size).toBeGreaterThanOrEqual(2);
        }
      }),
    );
    const topicOf = (example: number): string => (example < 64 ? "a" : "b");
    const source = contrastiveBatches({ seed: 3, size: 128, batch: 16, topicOf });
    const first = epochOf(source, 0);
    for (const members of first) expect(new Set(members.map(topicOf)).size).toBe(1);
    // Topics alternate by chance, not one after the other.
    expect(new Set(first.slice(0, 6).map((members) => topicOf(members[0] ?? 0))).size).toBe(2);
    expect(epochOf(source, 1)).not.toEqual(first);
  });

  it("teach even when nearly all questions have one passage", () => {
    const source = contrastiveBatches({ seed: 2, size: 9, batch: 4, positiveOf: (example) => (example === 8 ? 1 : 0) });
    for (const batch of epochOf(source, 0)) expect(new Set(batch.map((example) => (example === 8 ? 1 : 0))).size).toBe(2);
  });

  it("refuse fewer than two examples and batches of one", () => {
    expect(() => contrastiveBatches({ seed: 1, size: 1, batch: 4 })).toThrow(UserError);
    expect(() => contrastiveBatches({ seed: 1, size: 10, batch: 1 })).toThrow(/at least 2/);
  });
});
