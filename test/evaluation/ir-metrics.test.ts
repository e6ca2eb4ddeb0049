/** Proves: recall@k, reciprocal rank and R-precision on worked examples, with duplicates, several gold passages and none; nDCG equals trec_eval's and scikit-learn's. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasAnswerIn, ndcgAt, rPrecision, recallAt, reciprocalRank } from "../../src/evaluation/ir-metrics.js";
import { metricCases } from "./metric-cases.js";

describe("nDCG@k", () => {
  const { ndcg } = metricCases();

  it.each(ndcg)("of $ranking against $gold at $k is trec_eval's $trec_eval", ({ ranking, gold, k, trec_eval: expected, sklearn }) => {
    expect(ndcgAt(ranking, gold, k)).toBeCloseTo(expected, 12);
    // scikit-learn ranks everything, so only rankings at least k long can be compared.
    if (sklearn !== null) expect(ndcgAt(ranking, gold, k)).toBeCloseTo(sklearn, 12);
  });

  it("has cases of both references", () => {
    expect(ndcg.filter(({ sklearn }) => sklearn !== null).length).toBeGreaterThan(20);
    expect(new Set(ndcg.map(({ trec_eval: value }) => value.toFixed(3))).size).toBeGreaterThan(8);
  });

  it("with one gold passage is 1 / log2(rank + 1), whatever stands below it; a duplicate counts once", () => {
    expect(ndcgAt(["p", "q", "gold", "r"], ["gold"], 10)).toBeCloseTo(1 / 2, 12);
    expect(ndcgAt(["p", "p", "p", "gold"], ["gold"], 2)).toBeCloseTo(1 / Math.log2(3), 12);
    expect(ndcgAt(["p", "gold"], ["gold"], 1)).toBe(0);
  });

  it("is 1 exactly where the gold passages come first, and stays in [0, 1]", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(20), { maxLength: 12 }),
        fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 12 }),
        (others, gold, k) => {
          const value = ndcgAt(others, gold, k);
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(1 + 1e-12);
          expect(ndcgAt([...gold, ...others], gold, k)).toBeCloseTo(1, 12);
        },
      ),
    );
  });

  it("needs a gold passage and a k", () => {
    expect(() => ndcgAt(["p"], [], 1)).toThrow("gold passage");
    expect(() => ndcgAt(["p"], ["p"], 0.5)).toThrow("nDCG at 0.5");
  });
});

describe("cozyrag 37: rankings are measured", () => {
  it("recall@k asks whether a gold passage is among the k best", () => {
    expect([1, 2, 3, 9].map((k) => recallAt(["p", "q", "gold"], ["gold"], k))).toEqual([0, 0, 1, 1]);
    expect(recallAt([4, 5, 6], [9, 5], 2)).toBe(1);
    expect(recallAt([], ["gold"], 5)).toBe(0);
  });

  it("a duplicate counts once, at its first place", () => {
    expect(recallAt(["p", "p", "gold"], ["gold"], 2)).toBe(1);
    expect(reciprocalRank(["p", "p", "p", "gold"], ["gold"])).toBe(1 / 2);
    expect(rPrecision(["a", "a", "b"], ["a", "b"])).toBe(1);
  });

  it("reciprocal rank takes the first gold passage, 0 if there is none", () => {
    expect(reciprocalRank([7, 8, 9], [9, 8])).toBe(1 / 2);
    expect(reciprocalRank([7, 8, 9], [1])).toBe(0);
  });

  it("R-precision looks at as many passages as are gold", () => {
    expect(rPrecision(["a", "x", "b"], ["a", "b"])).toBe(1 / 2);
    expect(rPrecision(["x"], ["a", "b"])).toBe(0);
  });

  it("recall grows with k, and equals 1 exactly from the reciprocal rank's place on", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 30 }), fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }), (ranking, gold) => {
        const rank = reciprocalRank(ranking, gold);
        for (let k = 1; k <= 31; k++) expect(recallAt(ranking, gold, k)).toBe(rank > 0 && Math.round(1 / rank) <= k ? 1 : 0);
      }),
    );
  });

  it("questions without gold passages and k = 0 are bugs of the caller", () => {
    expect(() => recallAt(["p"], [], 1)).toThrow("gold passage");
    expect(() => reciprocalRank(["p"], [])).toThrow("gold passage");
    expect(() => recallAt(["p"], ["p"], 0)).toThrow("recall at 0");
  });

  it("has_answer looks for whole tokens", () => {
    expect(hasAnswerIn(["A party.", "Modern art!"], ["ART"])).toBe(1);
    expect(hasAnswerIn(["A party."], ["art"])).toBe(0);
    expect(hasAnswerIn([], ["art"])).toBe(0);
  });
});
