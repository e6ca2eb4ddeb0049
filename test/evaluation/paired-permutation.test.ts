/**
 * Proves: the permutation test's p equals scipy.stats.permutation_test's where all sign changes are tried and comes near it where they are drawn; documents change sides whole; p is never below what it says
 * it can reach; under chance alone it is below 0.05 about as often as that. Alone: npx vitest run test/evaluation/paired-permutation.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/corpus/seeded-random.js";
import { pairedPermutation } from "../../src/evaluation/paired-permutation.js";
import { metricCases } from "./metric-cases.js";

const { exact, drawn } = metricCases().permutation;
const each = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe("against SciPy", () => {
  it.each(exact.map((own, i) => [i, new Set(own.documents).size, own] as const))("exact case %i, %i documents", (_, count, own) => {
    const test = pairedPermutation(own.differences, own.documents);
    expect(test.exact).toBe(true);
    expect(test.documents).toBe(count);
    expect(test.p).toBeCloseTo(own.p, 12);
    expect(test.permutations).toBe(2 ** test.differing_documents);
  });

  it.each(drawn.map((own) => [own.documents.length, own.p, own] as const))("drawn, %i documents, p %f", (_, p, own) => {
    const test = pairedPermutation(own.differences, own.documents, { permutations: 100_000 });
    expect(test.exact).toBe(false);
    // Four standard errors of both draws.
    expect(Math.abs(test.p - p)).toBeLessThan(4 * Math.sqrt(p * (1 - p) * (1 / 100_000 + 1 / 200_000)) + 1e-5);
  });
});

describe("pairedPermutation", () => {
  it("is 1 where nothing differs, and says that no p below 1 could be reached", () => {
    const none = pairedPermutation([0, 0, 0], ["a", "b", "b"]);
    expect(none).toEqual({ p: 1, exact: true, permutations: 1, smallest_p: 1, documents: 2, differing_documents: 0 });
    // Gains and losses of a document that cancel, rounding aside.
    expect(pairedPermutation([0.1, 0.2, -0.3], ["a", "a", "a"])).toMatchObject({ p: 1, differing_documents: 0 });
  });

  it("a document's questions change sign together: two documents can't give less than a half", () => {
    const test = pairedPermutation(
      each(40).map(() => 1),
      each(40).map((i) => i % 2),
    );
    expect(test).toMatchObject({ p: 0.5, smallest_p: 0.5, permutations: 4, documents: 2 });
  });

  it("tries all of 16 documents and draws among 17", () => {
    const all = pairedPermutation(
      each(16).map(() => 0.1),
      each(16),
    );
    expect(all).toMatchObject({ exact: true, permutations: 65_536, p: 2 / 65_536, smallest_p: 2 / 65_536 });
    const some = pairedPermutation(
      each(17).map(() => 0.1),
      each(17),
      { permutations: 500 },
    );
    expect(some).toMatchObject({ exact: false, permutations: 500, smallest_p: 1 / 501 });
    expect(some.p).toBeGreaterThanOrEqual(1 / 501);
  });

  it("cozyrag 36: gives the same digits for a seed and others for another", () => {
    const differences = each(40).map((i) => ((i * 7) % 11) / 11 - 0.4);
    const p = (seed: number): number => pairedPermutation(differences, each(40), { seed, permutations: 2000 }).p;
    expect(p(3)).toBe(p(3));
    expect(new Set([3, 4, 5, 6].map(p)).size).toBeGreaterThan(1);
  });

  it("doesn't depend on which system is which, nor on the unit, and never falls below what it says it can reach", () => {
    const differences = fc.array(fc.tuple(fc.integer({ min: -4, max: 4 }), fc.nat(25)), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(differences, (pairs) => {
        const documents = pairs.map(([, document]) => document);
        const of = (factor: number): ReturnType<typeof pairedPermutation> =>
          pairedPermutation(
            pairs.map(([value]) => value * factor),
            documents,
            { permutations: 200 },
          );
        const test = of(1);
        expect(of(-1).p).toBe(test.p);
        expect(of(0.1)).toEqual(test);
        expect(test.p).toBeGreaterThanOrEqual(test.smallest_p);
        expect(test.p).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("under chance alone is at most 0.05 about one time in twenty, exact or drawn", () => {
    for (const count of [12, 24]) {
      const random = seededRandom(`null/${count}`);
      const trials = 600;
      const low = each(trials).filter((trial) => {
        const differences = each(count).map(() => random() - random());
        return pairedPermutation(differences, each(count), { permutations: 400, seed: trial }).p <= 0.05;
      }).length;
      // The expected 30 of 600, give or take four standard errors.
      expect(low).toBeGreaterThan(30 - 22);
      expect(low).toBeLessThan(30 + 22);
    }
  });

  it("refuses no values, NaN, lists of different lengths and no permutations", () => {
    expect(() => pairedPermutation([], [])).toThrow("no values");
    expect(() => pairedPermutation([Number.NaN], ["a"])).toThrow("NaN");
    expect(() => pairedPermutation([1, 0], ["a"])).toThrow("2 values of 1");
    expect(() => pairedPermutation([1], ["a"], { permutations: 0 })).toThrow("0 permutations");
  });
});
