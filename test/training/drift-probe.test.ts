/**
 * Proves that the probe of drift is a function of its arguments, holds the first ranks of every question before the later ones of any, half of it found at most, never a row that training may not see among those drawn, none
 * twice, and as many as asked for where there are so many.
 * Alone: npx vitest run test/training/drift-probe.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawDriftProbe, type DriftProbeOptions } from "../../src/training/drift-probe.js";

const found = (question: number): number[] => [10 * question, 10 * question + 1, 10 * question + 2];
const OPTIONS: DriftProbeOptions = {
  seed: 1,
  questions: 8,
  wanted: 3,
  rowsOf: found,
  passages: 12,
  size: 100,
  isAllowed: () => true,
};

describe("the probe of drift", () => {
  it("has the first two ranks of each of three questions in a pool of twelve", () => {
    const { questions, pool } = drawDriftProbe(OPTIONS);
    expect(questions.length).toBe(3);
    expect(pool.length).toBe(12);
    for (const question of questions) for (const row of found(question).slice(0, 2)) expect(pool).toContain(row);
  });

  it("takes first ranks before second ones", () => {
    const { questions, pool } = drawDriftProbe({ ...OPTIONS, passages: 7, isAllowed: () => false });
    // Half of seven, rounded up, is four: three first ranks and one second.
    expect(pool.length).toBe(4);
    for (const question of questions) expect(pool).toContain(10 * question);
  });

  it("is the same however often it is drawn, and another for another seed", () => {
    expect(drawDriftProbe(OPTIONS)).toEqual(drawDriftProbe(OPTIONS));
    const probes = Array.from({ length: 8 }, (_, seed) => JSON.stringify(drawDriftProbe({ ...OPTIONS, seed })));
    expect(new Set(probes).size).toBeGreaterThan(1);
  });

  it("holds no row twice, none below 0, in their order, and none that training may not see but what was found", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 80, max: 120 }),
        (seed, wanted, passages, size) => {
          const rowsOf = (question: number): number[] => [...found(question), -1];
          const isAllowed = (row: number): boolean => row % 2 === 0;
          const { questions, pool } = drawDriftProbe({ ...OPTIONS, seed, wanted, passages, size, rowsOf, isAllowed });
          expect(questions).toEqual([...new Set(questions)].sort((a, b) => a - b));
          expect(questions.length).toBe(Math.min(8, wanted));
          expect(pool).toEqual([...new Set(pool)].sort((a, b) => a - b));
          expect(pool.length).toBeLessThanOrEqual(passages);
          const foundRows = new Set(questions.flatMap(found));
          expect(pool.every((row) => foundRows.has(row) || (isAllowed(row) && row < size))).toBe(true);
          if (passages > size) for (let row = 0; row < size; row += 2) expect(pool).toContain(row);
        },
      ),
      { numRuns: 80 },
    );
  });
});
