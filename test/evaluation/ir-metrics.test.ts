/** Proves: recall@k, reciprocal rank and R-precision on worked examples, with duplicates, several gold passages and none. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasAnswerIn, rPrecision, recallAt, reciprocalRank } from "../../src/evaluation/ir-metrics.js";

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
