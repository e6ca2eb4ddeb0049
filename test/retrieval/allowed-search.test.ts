/**
 * Proves that a search among allowed passages equals the full ranking with the others left out, however deep it must look, and that it refuses a corpus without an allowed passage.
 * Alone: npx vitest run test/retrieval/allowed-search.test.ts
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { searchAllowed, type RowSearcher } from "../../src/retrieval/allowed-search.js";

/** A searcher whose ranking of each question is known. */
function searcherOf(rankings: readonly (readonly number[])[], size: number): RowSearcher {
  return {
    store: { size },
    searchRows: (questions, depth) => {
      const k = Math.min(depth, size);
      const ids_QK = Int32Array.from(questions.flatMap((question) => rankings[Number(question)]!.slice(0, k)));
      return Promise.resolve({ k, ids_QK, scores_QK: new Float32Array(ids_QK.length) });
    },
  };
}

const world = fc.integer({ min: 1, max: 40 }).chain((size) => {
  const rows = Array.from({ length: size }, (_, row) => row);
  const ranking = fc.shuffledSubarray(rows, { minLength: size });
  return fc.record({
    size: fc.constant(size),
    rankings: fc.array(ranking, { maxLength: 4 }),
    allowed: fc.shuffledSubarray(rows, { minLength: 1 }).map((list) => new Set(list)),
    k: fc.integer({ min: 1, max: 12 }),
  });
});

it("finds what is left of the full ranking", async () => {
  await fc.assert(
    fc.asyncProperty(world, async ({ size, rankings, allowed, k }) => {
      const asked = rankings.map((_, i) => String(i));
      const found = await searchAllowed(searcherOf(rankings, size), asked, k, (row) => allowed.has(row));
      expect(found.k).toBe(rankings.length === 0 ? k : Math.min(k, allowed.size));
      const expected = rankings.flatMap((ranking) => ranking.filter((row) => allowed.has(row)).slice(0, k));
      expect([...found.rows_QK]).toEqual(expected);
    }),
  );
});

it("refuses a corpus of held-out documents alone", async () => {
  await expect(searchAllowed(searcherOf([[0, 1, 2]], 3), ["0"], 2, () => false)).rejects.toThrow(
    "every passage of the corpus belongs to a validation or test document; expected passages of other documents",
  );
});
