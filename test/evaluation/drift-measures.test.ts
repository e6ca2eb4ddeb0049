/**
 * Proves the three measures of drift against values computed by hand, and what must hold of them always: nothing has moved, nothing is lost; a smaller angle is a larger cosine; an agreement more is a larger overlap.
 * Alone: npx vitest run test/evaluation/drift-measures.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scope } from "../../src/engine/scope.js";
import { tensor } from "../../src/engine/tensor.js";
import { passageRegret } from "../../src/evaluation/passage-regret.js";
import { meanCosine } from "../../src/evaluation/probe-cosine.js";
import { meanOverlap } from "../../src/evaluation/top-overlap.js";

const matrix = (rows: readonly (readonly number[])[]) =>
  tensor(Float32Array.from(rows.flat()), { shape: [rows.length, rows[0]?.length ?? 0] });
const cosineOf = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number => {
  let value = 0;
  scope(() => {
    value = meanCosine(matrix(a), matrix(b));
  });
  return value;
};
const vectors = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 5 }))
  .chain(([p, d]) =>
    fc.array(fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: d, maxLength: d }), { minLength: p, maxLength: p }),
  );

describe("mean cosine", () => {
  it("is what the formula says", () => {
    // (3·4 + 4·3)/25 = 0.96; opposite: −1; at right angles: 0.
    const stale = [[3, 4], [1, 0], [0, 2]]; // prettier-ignore
    const fresh = [[4, 3], [-2, 0], [5, 0]]; // prettier-ignore
    expect(cosineOf(stale, fresh)).toBeCloseTo((0.96 - 1 + 0) / 3, 12);
    expect(cosineOf([[0, 0]], [[1, 0]])).toBe(0);
  });

  it("is 1 where nothing has turned, whatever the lengths; never outside [-1, 1]; the same both ways", () => {
    fc.assert(
      fc.property(vectors, fc.double({ min: 0.1, max: 10, noNaN: true }), (rows, length) => {
        const long = rows.filter((row) => Math.hypot(...row) > 1e-3);
        fc.pre(long.length > 0);
        const scaled = long.map((row) => row.map((value) => value * length));
        expect(cosineOf(long, scaled)).toBeCloseTo(1, 6);
        const turned = long.map((row) => [...row].reverse());
        const value = cosineOf(long, turned);
        expect(Math.abs(value)).toBeLessThanOrEqual(1 + 1e-12);
        expect(cosineOf(turned, long)).toBeCloseTo(value, 12);
      }),
      { numRuns: 60 },
    );
  });

  it("falls with the angle", () => {
    const at = (angle: number): number => cosineOf([[1, 0]], [[Math.cos(angle), Math.sin(angle)]]);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 3, noNaN: true }), fc.double({ min: 0.01, max: 0.14, noNaN: true }), (angle, more) => {
        expect(at(angle + more)).toBeLessThan(at(angle));
      }),
    );
  });

  it("refuses shapes that don't fit", () => {
    expect(() => cosineOf([[1, 2]], [[1], [2]])).toThrow(/mean cosine of \(1, 2\) and \(2, 1\)/);
  });
});

describe("overlap", () => {
  it("is what the formula says: order inside the k doesn't count, -1 is no row", () => {
    // 2 of 3, 3 of 3, 0 of 1 (the other found more), nothing on both sides.
    const stale = [[1, 2, 3], [4, 5, 6], [7, -1, -1], [-1, -1, -1]]; // prettier-ignore
    const fresh = [[3, 1, 9], [6, 5, 4], [8, 9, 7], [-1, -1, -1]]; // prettier-ignore
    expect(meanOverlap(stale, fresh)).toBeCloseTo((2 / 3 + 1 + 1 / 3 + 1) / 4, 12);
  });

  it("is 1 for the same results, in [0, 1], the same both ways, and grows with every agreement", () => {
    const rows = fc.uniqueArray(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        expect(meanOverlap([a], [[...a].reverse()])).toBe(1);
        const value = meanOverlap([a], [b]);
        expect(value >= 0 && value <= 1).toBe(true);
        expect(meanOverlap([b], [a])).toBe(value);
        const foreign = a.findIndex((row) => !b.includes(row));
        const missing = b.find((row) => !a.includes(row));
        if (foreign >= 0 && missing !== undefined) expect(meanOverlap([a.with(foreign, missing)], [b])).toBeGreaterThan(value);
      }),
    );
  });

  it("refuses no questions and unequal numbers", () => {
    expect(() => meanOverlap([], [])).toThrow(/0 and 0/);
    expect(() => meanOverlap([[1]], [])).toThrow(/1 and 0/);
  });
});

describe("regret", () => {
  it("is what the formula says, in nats a token", () => {
    expect(passageRegret({ sum: 12, tokens: 4 }, { sum: 5, tokens: 2 })).toBe(0.5);
    expect(passageRegret({ sum: 2, tokens: 4 }, { sum: 3, tokens: 4 })).toBe(-0.25);
  });

  it("is 0 for the same passages and grows with the old ones' loss", () => {
    const loss = fc.record({ sum: fc.double({ min: 0, max: 1e4, noNaN: true }), tokens: fc.integer({ min: 1, max: 1000 }) });
    fc.assert(
      fc.property(loss, loss, fc.double({ min: 1, max: 100, noNaN: true }), (stale, fresh, more) => {
        expect(passageRegret(stale, stale)).toBe(0);
        expect(passageRegret({ ...stale, sum: stale.sum + more }, fresh)).toBeGreaterThan(passageRegret(stale, fresh));
      }),
    );
  });

  it("refuses a loss without tokens", () => {
    expect(() => passageRegret({ sum: 0, tokens: 0 }, { sum: 1, tokens: 1 })).toThrow(/0 and 1 tokens/);
  });
});
