/** Proves: the interval is numpy's percentile bootstrap over documents, the same digits for a seed; clusters widen it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/corpus/seeded-random.js";
import { clusteredInterval } from "../../src/evaluation/bootstrap.js";

describe("clusteredInterval", () => {
  const values = Array.from({ length: 60 }, (_, i) => ((i * 7) % 10 < 4 ? 1 : 0));
  const documents = values.map((_, i) => `d${i % 12}`);

  it("cozyrag 36: gives the same digits for a seed and others for another", () => {
    const first = clusteredInterval(values, documents, { seed: 3, resamples: 500 });
    expect(clusteredInterval(values, documents, { seed: 3, resamples: 500 })).toEqual(first);
    const others = [4, 5, 6, 7].map(
      (seed) =>
        clusteredInterval(
          values.map((value, i) => value + i / 97),
          documents,
          { seed, resamples: 500 },
        ).low,
    );
    expect(new Set(others).size).toBeGreaterThan(1);
  });

  it("agrees with the exact distribution: three documents, all 27 draws", () => {
    // Document sums 0, 1, 4 over 1, 2, 1 values: means of the 27 ordered draws, sorted, give the quantiles.
    const sums = [0, 1, 4];
    const counts = [1, 2, 1];
    const means: number[] = [];
    for (let a = 0; a < 3; a++)
      for (let b = 0; b < 3; b++)
        for (let c = 0; c < 3; c++) means.push((sums[a]! + sums[b]! + sums[c]!) / (counts[a]! + counts[b]! + counts[c]!));
    means.sort((x, y) => x - y);
    // At level 0.8 the tails of a tenth fall inside steps of the distribution, so that 20,000 draws must land on the very values.
    const { mean, low, high } = clusteredInterval([0, 0.5, 0.5, 4], ["a", "b", "b", "c"], { resamples: 20_000, level: 0.8 });
    expect(mean).toBe(1.25);
    expect(low).toBeCloseTo(means[Math.floor(27 * 0.1)]!, 12);
    expect(high).toBeCloseTo(means[Math.floor(27 * 0.9)]!, 12);
  });

  it("is about ±1.96 standard errors of the cluster means for many equal clusters", () => {
    const random = seededRandom("test");
    const many = Array.from({ length: 400 }, () => (random() < 0.3 ? 1 : 0));
    const { mean, low, high } = clusteredInterval(
      many,
      many.map((_, i) => i),
    );
    const error = Math.sqrt((mean * (1 - mean)) / 400);
    expect(Math.abs(low - (mean - 1.96 * error))).toBeLessThan(0.2 * error);
    expect(Math.abs(high - (mean + 1.96 * error))).toBeLessThan(0.2 * error);
    expect(Math.abs((high - low) / (2 * 1.96 * error) - 1)).toBeLessThan(0.08);
  });

  it("is wider where questions of a document agree, and a point where there is one document", () => {
    const agreeing = Array.from({ length: 100 }, (_, i) => (i < 40 ? 1 : 0));
    const byDocument = clusteredInterval(
      agreeing,
      agreeing.map((_, i) => Math.floor(i / 10)),
    );
    const byQuestion = clusteredInterval(
      agreeing,
      agreeing.map((_, i) => i),
    );
    expect(byDocument.high - byDocument.low).toBeGreaterThan(2 * (byQuestion.high - byQuestion.low));
    expect(
      clusteredInterval(
        agreeing,
        agreeing.map(() => "one"),
      ),
    ).toEqual({ mean: 0.4, low: 0.4, high: 0.4 });
  });

  it("holds the mean of any values in [0, 1] within the values' range", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(4)), { minLength: 1, maxLength: 30 }), (pairs) => {
        const { low, high } = clusteredInterval(
          pairs.map(([value]) => value),
          pairs.map(([, document]) => document),
          { resamples: 100 },
        );
        return low <= high && low >= 0 && high <= 1 + 1e-12;
      }),
    );
  });

  it("refuses no values, NaN, lists of different lengths and senseless options", () => {
    expect(() => clusteredInterval([], [])).toThrow("no values");
    expect(() => clusteredInterval([Number.NaN], ["a"])).toThrow("NaN");
    expect(() => clusteredInterval([1, 0], ["a"])).toThrow("2 values of 1");
    expect(() => clusteredInterval([1], ["a"], { level: 1 })).toThrow("level 1");
    expect(() => clusteredInterval([1], ["a"], { resamples: 0 })).toThrow("0 resamples");
  });
});
