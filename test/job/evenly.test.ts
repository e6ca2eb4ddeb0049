/** Proves that a validation of fewer questions takes them at even distances from the whole set, in its order. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { evenly } from "../../src/job/report/validate-run.js";

it("takes as many as are wanted, each once, in order, with gaps that differ by one at most", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), (size, count) => {
      const taken = evenly(
        Array.from({ length: size }, (_, i) => i),
        count,
      );
      expect(taken).toHaveLength(Math.min(size, count));
      expect(taken[0]).toBe(0);
      const gaps = taken.slice(1).map((place, i) => place - (taken[i] ?? 0));
      for (const gap of gaps) expect([Math.floor(size / count), Math.ceil(size / count), 1]).toContain(gap);
      if (count <= size) for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(Math.floor(size / count));
    }),
  );
  expect(evenly([], 5)).toEqual([]);
});
