/**
 * What every index must do, as one suite: an index passes it for each metric it has, or it is no index. Results are held against the plain formula, computed here in float64. Approximate indexes may find
 * other rows than the best; what they find must be rows, in order, with nothing twice. A skip needs a reason.
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

/** Makes an index over vectors, searched by so many threads; for cosine the vectors are of length one. */
export type MakeIndex = (vectors: Float32Array, dimension: number, metric: Metric, threads?: number) => Index | Promise<Index>;

/** What may be asked of a kind of index beyond what all must do. */
export interface Kind {
  /** `exact`: the best rows, equal scores by row. `exhaustive`: the best rows, within ties. `approximate`: some rows. */
  readonly finds: "exact" | "exhaustive" | "approximate";
  /** Scores are those of compressed vectors. */
  readonly lossy?: boolean;
  /** Training needs vectors: there is no empty index of this kind, nor one of four rows. */
  readonly trained?: boolean;
  /** Least share of the ten best rows that an approximate index finds in the suite's own data. */
  readonly recall?: number;
  readonly runs?: number;
}

const EXACT: Kind = { finds: "exact" };
const SIZE = 320;
const WIDTH = 12;
/** Largest difference of a score in f32 from the plain formula on the suite's data. */
const TOLERANCE = 3e-5;

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

async function withIndex(made: Index | Promise<Index>, body: (index: Index) => Promise<void>): Promise<void> {
  const index = await made;
  try {
    await body(index);
  } finally {
    index.dispose();
  }
}

/** Rows that exist, each once, best first, equal scores by row; -1 with the worst score behind them and nowhere else. */
function requireSoundResult({ k, ids_QK, scores_QK }: SearchResult, size: number, metric: Metric): void {
  const worst = metric === "l2" ? Infinity : -Infinity;
  for (let start = 0; start < ids_QK.length; start += k) {
    const [rows, scores] = [[...ids_QK.subarray(start, start + k)], [...scores_QK.subarray(start, start + k)]];
    const found = rows.indexOf(-1) < 0 ? k : rows.indexOf(-1);
    expect(rows.slice(found).every((row) => row === -1)).toBe(true);
    expect(scores.slice(found).every((score) => score === worst)).toBe(true);
    expect(rows.slice(0, found).every((row) => Number.isInteger(row) && row >= 0 && row < size)).toBe(true);
    expect(scores.slice(0, found).every(Number.isFinite)).toBe(true);
    expect(new Set(rows.slice(0, found)).size).toBe(found);
    for (let rank = 1; rank < found; rank++) {
      const fall = (scores[rank - 1]! - scores[rank]!) * (metric === "l2" ? -1 : 1);
      expect(fall).toBeGreaterThanOrEqual(0);
      if (fall === 0) expect(rows[rank]).toBeGreaterThan(rows[rank - 1]!);
    }
  }
}

/** The suite for one metric. */
export function describeIndex(name: string, metric: Metric, make: MakeIndex, kind: Kind = EXACT): void {
  const vectorsOf = (seed: number, size: number, dimension: number): Float32Array => {
    const vectors = Float32Array.from(normals(seed, size * dimension));
    return metric === "cosine" ? unitLength(vectors, dimension) : vectors;
  };
  const trained = kind.trained === true;

  describe(`${name}, ${metric}`, () => {
    it("finds what its kind must find of the plain formula's ranking in float64", async () => {
      const [vectors, queries] = [vectorsOf(1, SIZE, WIDTH), Float32Array.from(normals(2, 7 * WIDTH))];
      await withIndex(make(vectors, WIDTH, metric), async (index) => {
        expect([index.size, index.dimension, index.metric]).toEqual([SIZE, WIDTH, metric]);
        const found = await searchIn(index, queries, 10);
        expect([found.k, found.scores_QK.length, found.ids_QK.length]).toEqual([10, 70, 70]);
        let hits = 0;
        for (let q = 0; q < 7; q++) {
          const ranking = plainRanking(metric, queries.subarray(q * WIDTH, (q + 1) * WIDTH), vectors);
          const scoreOf = new Map(ranking.map(({ row, score }) => [row, score]));
          const best = ranking.slice(0, 10);
          const rows = [...found.ids_QK.subarray(q * 10, (q + 1) * 10)];
          const scores = [...found.scores_QK.subarray(q * 10, (q + 1) * 10)];
          hits += rows.filter((row) => best.some((other) => other.row === row)).length;
          if (kind.lossy !== true)
            rows.forEach((row, rank) => {
              if (row >= 0) expect(Math.abs(scores[rank]! - scoreOf.get(row)!)).toBeLessThan(TOLERANCE);
            });
          if (kind.finds === "exact") expect(rows).toEqual(best.map(({ row }) => row));
          if (kind.finds === "exhaustive")
            best.forEach(({ score }, rank) => expect(Math.abs(scoreOf.get(rows[rank]!)! - score)).toBeLessThan(TOLERANCE));
        }
        expect(hits / 70).toBeGreaterThanOrEqual(kind.finds === "approximate" ? kind.recall! : 1);
      });
    });

    it("gives rows that exist, each once, best first, and -1 only behind them, for any size, k and seed", async () => {
      const world = fc.record({
        seed: fc.integer({ min: 0, max: 1e6 }),
        size: trained ? fc.integer({ min: 270, max: 330 }) : fc.integer({ min: 1, max: 60 }),
        k: fc.integer({ min: 1, max: 340 }),
        asked: fc.integer({ min: 1, max: 30 }),
      });
      await fc.assert(
        fc.asyncProperty(world, async ({ seed, size, k, asked }) => {
          await withIndex(make(vectorsOf(seed, size, WIDTH), WIDTH, metric), async (index) => {
            const found = await searchIn(index, Float32Array.from(normals(seed + 1, asked * WIDTH)), k);
            expect(found.k).toBe(Math.min(k, size));
            expect([found.ids_QK.length, found.scores_QK.length]).toEqual([asked * found.k, asked * found.k]);
            requireSoundResult(found, size, metric);
            if (kind.finds !== "approximate") expect(found.ids_QK.includes(-1)).toBe(false);
          });
        }),
        { numRuns: kind.runs ?? (trained ? 6 : 20) },
      );
    });

    it("finds the same with any number of threads", async () => {
      const [vectors, queries] = [vectorsOf(11, SIZE, WIDTH), Float32Array.from(normals(12, 40 * WIDTH))];
      const results: SearchResult[] = [];
      for (const threads of [1, 2, 5])
        await withIndex(make(vectors, WIDTH, metric, threads), async (index) => {
          results.push(await searchIn(index, queries, 7));
        });
      for (const other of results.slice(1)) {
        expect([...other.ids_QK]).toEqual([...results[0]!.ids_QK]);
        other.scores_QK.forEach((score, i) => expect(Math.abs(score - results[0]!.scores_QK[i]!)).toBeLessThan(1e-5));
      }
    });

    if (kind.finds === "exact")
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

    if (!trained)
      it("gives every row that it comes across when k is above the size, and says so", async () => {
        await withIndex(make(vectorsOf(3, 4, WIDTH), WIDTH, metric), async (index) => {
          const found = await searchIn(index, Float32Array.from(normals(13, 2 * WIDTH)), 99);
          expect(found.k).toBe(4);
          expect([...found.ids_QK.subarray(0, 4)].sort()).toEqual([0, 1, 2, 3]);
          expect([...found.ids_QK.subarray(4)].sort()).toEqual([0, 1, 2, 3]);
        });
      });

    it("answers no query with nothing", async () => {
      await withIndex(make(vectorsOf(4, SIZE, WIDTH), WIDTH, metric), async (index) => {
        const found = await searchIn(index, new Float32Array(), 2);
        expect([found.scores_QK.length, found.ids_QK.length]).toEqual([0, 0]);
      });
    });

    if (!trained)
      it("answers an empty index with nothing", async () => {
        await withIndex(make(new Float32Array(), 3, metric), async (index) => {
          const found = await searchIn(index, Float32Array.from([1, 2, 3]), 5);
          expect([index.size, found.k, found.ids_QK.length]).toEqual([0, 0, 0]);
        });
      });

    it("finds for many queries at once what it finds for each alone", async () => {
      const [vectors, queries] = [vectorsOf(5, SIZE, WIDTH), Float32Array.from(normals(6, 600 * WIDTH))];
      await withIndex(make(vectors, WIDTH, metric), async (index) => {
        const together = await searchIn(index, queries, 3);
        for (const q of [0, 255, 256, 511, 599]) {
          const alone = await searchIn(index, queries.subarray(q * WIDTH, (q + 1) * WIDTH), 3);
          expect([...together.ids_QK.subarray(q * 3, q * 3 + 3)]).toEqual([...alone.ids_QK]);
        }
      });
    });

    it("refuses queries of another dimension and a k that is no positive whole number", async () => {
      await withIndex(make(vectorsOf(7, SIZE, WIDTH), WIDTH, metric), async (index) => {
        const wrong: Tensor = tensor([[1, 2]]);
        await expect(index.search(wrong, 1)).rejects.toThrow(UserError);
        await expect(index.search(wrong, 1)).rejects.toThrow(/another dimension than the index; expected 12, got 2/);
        wrong.dispose();
        for (const k of [0, -1, 1.5, NaN, Infinity])
          await expect(searchIn(index, Float32Array.from(normals(1, WIDTH)), k), String(k)).rejects.toThrow(
            /k is no positive whole number/,
          );
      });
    });

    it("leaves no tensor behind", async () => {
      const before = liveTensors();
      await withIndex(make(vectorsOf(8, SIZE, WIDTH), WIDTH, metric), async (index) => {
        const during = liveTensors().tensors;
        await searchIn(index, Float32Array.from(normals(9, 30 * WIDTH)), 4);
        expect(liveTensors().tensors).toBe(during);
      });
      expect(liveTensors()).toEqual(before);
      scope(() => expect(liveTensors().depth).toBe(before.depth + 1));
    });
  });
}
