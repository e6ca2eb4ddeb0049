/**
 * What every index must do, as one suite: an index passes it for each metric it has, or it is no index. A skip needs a reason. Results are held against the plain formula, computed here in float64.
 *
 * Q queries, N vectors, D dimension, K results.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromBytes, tensor, type Tensor } from "../../src/engine/tensor.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { UserError } from "../../src/errors.js";
import type { Index, Metric, SearchResult } from "../../src/retrieval/index-contract.js";
import { normals } from "../training/central-differences.js";

/** Makes an index over vectors; for cosine they are of length one. */
export type MakeIndex = (vectors: Float32Array, dimension: number, metric: Metric) => Index;

/** A row's score for a query: larger is better but for l2. */
function plainScore(metric: Metric, query: ArrayLike<number>, row: ArrayLike<number>): number {
  let [product, squares, distance] = [0, 0, 0];
  for (let i = 0; i < query.length; i++) {
    product += query[i]! * row[i]!;
    squares += query[i]! ** 2;
    distance += (query[i]! - row[i]!) ** 2;
  }
  if (metric === "l2") return distance;
  return metric === "cosine" ? product / Math.max(Math.sqrt(squares), 1e-12) : product;
}

/** All rows of one query, best first, equal scores by row. */
function plainRanking(metric: Metric, query: ArrayLike<number>, vectors: Float32Array): { row: number; score: number }[] {
  const dimension = query.length;
  const sign = metric === "l2" ? 1 : -1;
  return Array.from({ length: vectors.length / dimension }, (_, row) => ({
    row,
    score: plainScore(metric, query, vectors.subarray(row * dimension, (row + 1) * dimension)),
  })).sort((a, b) => sign * (a.score - b.score) || a.row - b.row);
}

export function unitLength(vectors: Float32Array, dimension: number): Float32Array {
  return vectors.map((value, i) => {
    const row = vectors.subarray(i - (i % dimension), i - (i % dimension) + dimension);
    return value / Math.hypot(...row);
  });
}

/** Searches and frees the queries. */
export async function searchIn(index: Index, queries: Float32Array, k: number): Promise<SearchResult> {
  const queries_QD = fromBytes(queries, "f32", [queries.length / index.dimension, index.dimension]);
  try {
    return await index.search(queries_QD, k);
  } finally {
    queries_QD.dispose();
  }
}

async function withIndex(index: Index, body: (index: Index) => Promise<void>): Promise<void> {
  try {
    await body(index);
  } finally {
    index.dispose();
  }
}

/** The suite for one metric. */
export function describeIndex(name: string, metric: Metric, make: MakeIndex): void {
  const vectorsOf = (seed: number, size: number, dimension: number): Float32Array => {
    const vectors = Float32Array.from(normals(seed, size * dimension));
    return metric === "cosine" ? unitLength(vectors, dimension) : vectors;
  };

  describe(`${name}, ${metric}`, () => {
    it("finds what the plain formula in float64 finds, with its scores", async () => {
      const [vectors, queries] = [vectorsOf(1, 203, 12), Float32Array.from(normals(2, 7 * 12))];
      await withIndex(make(vectors, 12, metric), async (index) => {
        expect([index.size, index.dimension, index.metric]).toEqual([203, 12, metric]);
        const found = await searchIn(index, queries, 20);
        expect([found.k, found.scores_QK.length, found.ids_QK.length]).toEqual([20, 140, 140]);
        for (let q = 0; q < 7; q++) {
          const expected = plainRanking(metric, queries.subarray(q * 12, (q + 1) * 12), vectors).slice(0, 20);
          expect([...found.ids_QK.subarray(q * 20, (q + 1) * 20)]).toEqual(expected.map(({ row }) => row));
          expected.forEach(({ score }, rank) => expect(Math.abs(found.scores_QK[q * 20 + rank]! - score)).toBeLessThan(2e-5));
        }
      });
    });

    it("puts equal scores in the order of their rows, wherever they stand", async () => {
      const whole = fc.integer({ min: -1, max: 1 });
      const world = fc.record({
        rows: fc.array(fc.tuple(whole, whole), { minLength: 1, maxLength: 40 }),
        query: fc.tuple(whole, whole),
        k: fc.integer({ min: 1, max: 45 }),
      });
      await fc.assert(
        fc.asyncProperty(world, async ({ rows, query, k }) => {
          // Axes and corners: scores are exact in f32, so equal ones are equal. A cosine index holds no zero row and no rounded corner.
          const kept = metric === "cosine" ? rows.map(([a, b]) => (a === 0 || b !== 0 ? [0, b || 1] : [a, 0])) : rows;
          const vectors = Float32Array.from(kept.flat());
          await withIndex(make(vectors, 2, metric), async (index) => {
            const found = await searchIn(index, Float32Array.from(query), k);
            const expected = plainRanking(metric, query, vectors).slice(0, k);
            expect([...found.ids_QK]).toEqual(expected.map(({ row }) => row));
          });
        }),
        { numRuns: 60 },
      );
    });

    it("gives every row when k is above the size, and says so", async () => {
      await withIndex(make(vectorsOf(3, 4, 3), 3, metric), async (index) => {
        const found = await searchIn(index, Float32Array.from([1, 0, 0, 0, 1, 0]), 99);
        expect(found.k).toBe(4);
        expect([...found.ids_QK.subarray(0, 4)].sort()).toEqual([0, 1, 2, 3]);
        expect([...found.ids_QK.subarray(4)].sort()).toEqual([0, 1, 2, 3]);
      });
    });

    it("answers no query with nothing", async () => {
      await withIndex(make(vectorsOf(4, 5, 3), 3, metric), async (index) => {
        const found = await searchIn(index, new Float32Array(), 2);
        expect([found.scores_QK.length, found.ids_QK.length]).toEqual([0, 0]);
      });
    });

    it("answers an empty index with nothing", async () => {
      await withIndex(make(new Float32Array(), 3, metric), async (index) => {
        const found = await searchIn(index, Float32Array.from([1, 2, 3]), 5);
        expect([index.size, found.k, found.ids_QK.length]).toEqual([0, 0, 0]);
      });
    });

    it("finds for many queries at once what it finds for each alone", async () => {
      const [vectors, queries] = [vectorsOf(5, 50, 4), Float32Array.from(normals(6, 600 * 4))];
      await withIndex(make(vectors, 4, metric), async (index) => {
        const together = await searchIn(index, queries, 3);
        for (const q of [0, 255, 256, 511, 599]) {
          const alone = await searchIn(index, queries.subarray(q * 4, q * 4 + 4), 3);
          expect([...together.ids_QK.subarray(q * 3, q * 3 + 3)]).toEqual([...alone.ids_QK]);
        }
      });
    });

    it("refuses queries of another dimension and a k that is no positive whole number", async () => {
      await withIndex(make(vectorsOf(7, 5, 3), 3, metric), async (index) => {
        const wrong: Tensor = tensor([[1, 2]]);
        await expect(index.search(wrong, 1)).rejects.toThrow(UserError);
        await expect(index.search(wrong, 1)).rejects.toThrow(/another dimension than the index; expected 3, got 2/);
        wrong.dispose();
        for (const k of [0, -1, 1.5, NaN, Infinity])
          await expect(searchIn(index, Float32Array.from([1, 2, 3]), k), String(k)).rejects.toThrow(/k is no positive whole number/);
      });
    });

    it("leaves no tensor behind", async () => {
      const before = liveTensors();
      await withIndex(make(vectorsOf(8, 30, 3), 3, metric), async (index) => {
        const during = liveTensors().tensors;
        await searchIn(index, Float32Array.from(normals(9, 30)), 4);
        expect(liveTensors().tensors).toBe(during);
      });
      expect(liveTensors()).toEqual(before);
      scope(() => expect(liveTensors().depth).toBe(before.depth + 1));
    });
  });
}
