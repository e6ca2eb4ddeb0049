/** Proves: unique-document ratio, hubness and entropy on worked examples; a collapsed retriever and a healthy one at their ends; bounds for any results. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { retrievalHealth, type Ranked } from "../../src/evaluation/retrieval-health.js";

function ranked(rows: readonly (readonly number[])[], scores?: readonly (readonly number[])[]): Ranked {
  const k = rows[0]?.length ?? 0;
  return {
    k,
    ids_QK: Int32Array.from(rows.flat()),
    scores_QK: Float32Array.from(scores?.flat() ?? rows.flatMap((row) => row.map((_, rank) => 1 - rank / 10))),
  };
}

describe("retrieval health", () => {
  it("counts distinct passages among those that could be found", () => {
    const found = ranked([
      [0, 1],
      [0, 2],
      [0, 3],
    ]);
    expect(retrievalHealth(found, 100, 1).uniqueDocuments).toBeCloseTo(4 / 6, 12);
    expect(retrievalHealth(found, 4, 1).uniqueDocuments).toBe(1);
    expect(retrievalHealth(found, 100, 1).hubness).toBe(1);
  });

  it("sees a retriever that finds the same for every question", () => {
    const collapsed = retrievalHealth(ranked(Array.from({ length: 50 }, () => [7, 8])), 1000, 1);
    expect(collapsed.uniqueDocuments).toBeCloseTo(2 / 100, 12);
    expect(collapsed.hubness).toBe(1);
    const healthy = retrievalHealth(ranked(Array.from({ length: 50 }, (_, q) => [2 * q, 2 * q + 1])), 1000, 1);
    expect(healthy.uniqueDocuments).toBe(1);
    expect(healthy.hubness).toBeCloseTo(1 / 50, 12);
  });

  it("has the entropy of the belief at the training's temperature", () => {
    const scores = [[Math.log(3), 0]];
    // softmax of (ln 3, 0) is (3/4, 1/4).
    const expected = -(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25)) / Math.log(2);
    expect(retrievalHealth(ranked([[0, 1]], scores), 9, 1).entropy).toBeCloseTo(expected, 6);
    expect(retrievalHealth(ranked([[0, 1]], [[0.5, 0.5]]), 9, 0.05).entropy).toBeCloseTo(1, 12);
    expect(retrievalHealth(ranked([[0, 1]], [[1, 0]]), 9, 0.001).entropy).toBeCloseTo(0, 12);
  });

  it("leaves out the places that an approximate index couldn't fill", () => {
    const found = ranked(
      [
        [3, -1],
        [3, 4],
      ],
      [
        [1, -Infinity],
        [0, 0],
      ],
    );
    expect(retrievalHealth(found, 10, 1)).toEqual({ uniqueDocuments: 2 / 4, hubness: 1, entropy: 0.5 });
  });

  it("stays within its bounds", () => {
    const rows = Array.from({ length: 31 }, (_, row) => row);
    const results = fc
      .integer({ min: 1, max: 6 })
      .chain((k) =>
        fc.array(
          fc.tuple(
            fc.shuffledSubarray(rows, { minLength: k, maxLength: k }),
            fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: k, maxLength: k }),
          ),
          { minLength: 1, maxLength: 12 },
        ),
      );
    fc.assert(
      fc.property(results, fc.constantFrom(0.01, 0.05, 1), (questions, temperature) => {
        const found = ranked(
          questions.map(([ids]) => ids),
          questions.map(([, scores]) => scores),
        );
        const health = retrievalHealth(found, 31, temperature);
        for (const value of Object.values(health)) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(1 + 1e-12);
        }
      }),
    );
  });

  it("needs questions and results", () => {
    expect(() => retrievalHealth(ranked([]), 3, 1)).toThrow(RangeError);
    expect(() => retrievalHealth(ranked([[-1]]), 3, 1)).toThrow("no results");
  });
});
