/**
 * Proves that an index whose rows lie in several processes is an index (index-conformance.ts, led by one of three real processes), and that 2, 3 and 4 processes find what one finds: row for row and score for score to the last bit, with
 * many ties, with fewer rows than processes, for every metric, and with -1 behind what shards lack; and that none of them holds more than its own rows.
 * Alone: npx vitest run test/retrieval/sharded-index.test.ts
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { fromBytes } from "../../src/engine/tensor.js";
import { ExactIndex } from "../../src/retrieval/exact-index.js";
import { METRICS, type Index, type Metric, type SearchResult } from "../../src/retrieval/index-contract.js";
import { INDEX_FORMAT, writeProvenance } from "../../src/retrieval/provenance.js";
import { ownRows } from "../../src/retrieval/shard-rows.js";
import { NpyWriter } from "../../src/storage/npy.js";
import { startFellows } from "../distributed/fellows.js";
import { runRanks } from "../distributed/ranks.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { normals } from "../training/central-differences.js";
import { describeIndex, searchIn, unitLength } from "./index-conformance.js";
import { learnSearch, type LedSearch } from "./led-search-member.js";
import type { Asked, FoundByRank } from "./sharded-program.js";

setThreads(1);
const member = path.join(import.meta.dirname, "led-search-member.ts");
const ranks = path.join(import.meta.dirname, "sharded-program.ts");

describe("led by one of three processes", () => {
  let leader: LedSearch;
  let made = 0;
  beforeAll(async () => {
    const fellows = await startFellows(member, 3);
    leader = learnSearch(fellows.group);
    leader.led.begin();
    return async () => {
      leader.led.end(null);
      await fellows.dismiss();
    };
  });
  const make = async (vectors: Float32Array, dimension: number, metric: Metric, threads = 1): Promise<Index> => {
    setThreads(threads);
    const name = `index ${++made}`;
    await leader.give(name, { vectors: [...vectors], dimension, metric, block: 7 });
    return leader.open(name);
  };
  for (const metric of METRICS) describeIndex("an index in blocks of 7", metric, make, { finds: "exact", runs: 10 });
});

async function inOneProcess(
  { vectors, dimension, metric, block }: Extract<Asked, { type: "vectors" }>["made"],
  queries: readonly number[],
  k: number,
): Promise<SearchResult> {
  const rows = fromBytes(Float32Array.from(vectors), "f32", [vectors.length / dimension, dimension]);
  const index = ExactIndex.over(rows, { metric, block });
  try {
    return await searchIn(index, Float32Array.from(queries), k);
  } finally {
    index.dispose();
  }
}

/** Vectors of few values, so that scores tie within shards and across them; or of many, so that last digits differ. */
function asked(seed: number, metric: Metric): Extract<Asked, { type: "vectors" }> {
  const size = [0, 1, 2, 3, 5, 40, 333, 700][seed % 8]!;
  const dimension = 5 + (seed % 3);
  const isTied = seed % 2 === 0;
  const values = (from: number, count: number): Float32Array =>
    Float32Array.from(normals(from, count), (x) => (isTied ? Math.round(x) : x));
  const plain = values(seed, size * dimension);
  // A cosine index has no zero rows; with few values most rows stand several times all the same.
  const vectors =
    metric === "cosine"
      ? unitLength(
          plain.map((x, i) => (i % dimension === 0 ? x + 7 : x)),
          dimension,
        )
      : plain;
  const k = [1, 3, 10, 120, 1000][seed % 5]!;
  return {
    type: "vectors",
    made: { vectors: [...vectors], dimension, metric, block: [5, 16, 64][seed % 3]! },
    queries: [...values(seed + 1, (seed % 6 === 0 ? 300 : 30) * dimension)],
    k,
  };
}

describe("several processes", () => {
  it.each([2, 3, 4])("%i find what one finds, to the last bit, and all the same", async (size) => {
    const cases = Array.from({ length: 16 }, (_, seed) => asked(seed + 16 * size, METRICS[seed % 3]!));
    const found = await runRanks<FoundByRank[]>(ranks, size, cases);
    let ties = 0;
    for (const [i, { made: index, queries, k }] of cases.entries()) {
      const expected = await inOneProcess(index, queries, k);
      for (const each of found) {
        expect(each[i]!.k).toBe(expected.k);
        expect(each[i]!.ids_QK).toEqual(expected.ids_QK);
        expect(each[i]!.scores_QK).toEqual(expected.scores_QK);
      }
      expected.scores_QK.forEach((score, at) => (ties += at % expected.k > 0 && score === expected.scores_QK[at - 1] ? 1 : 0));
      // Vectors, and their lengths for l2: of a share of the rows, in whole blocks.
      const rows = index.vectors.length / index.dimension;
      const most = Math.ceil(Math.ceil(rows / index.block) / size) * index.block;
      for (const each of found) expect(each[i]!.held).toBeLessThanOrEqual(4 * most * (index.dimension + (index.metric === "l2" ? 1 : 0)));
    }
    expect(ties).toBeGreaterThan(1000);
  });

  it("fill up with -1 what their shards lack, behind everything that was found", async () => {
    const cases: Asked[] = [{ type: "scarce", rows: [4, 0, 5], found: 2, k: 6 }];
    for (const each of await runRanks<FoundByRank[]>(ranks, 3, cases)) {
      expect([...each[0]!.ids_QK]).toEqual([0, 1, 4, 5, -1, -1]);
      expect([...each[0]!.scores_QK]).toEqual([1000, 999, 996, 995, -Infinity, -Infinity]);
    }
  });

  it("each open their rows of a folder, and hold no others", async () => {
    const [rows, dimension, block] = [1000, 12, 64];
    const folder = path.join(temporaryFolder(), "0123456789abcdef");
    mkdirSync(folder);
    const vectors = Float32Array.from(normals(3, rows * dimension));
    const writer = new NpyWriter(path.join(folder, "vectors.npy"), { columns: dimension, dtype: "float32" });
    writer.append(new Uint8Array(vectors.buffer));
    writer.commit();
    writeProvenance(folder, { format: INDEX_FORMAT, encoder: "e", corpus: "c", template: "{text}", metric: "l2", dimension, size: rows });
    const queries = [...normals(4, 20 * dimension)];
    const expected = await inOneProcess({ vectors: [...vectors], dimension, metric: "l2", block }, queries, 9);
    for (const [rank, each] of (await runRanks<FoundByRank[]>(ranks, 4, [{ type: "folder", folder, block, queries, k: 9 }])).entries()) {
      expect(each[0]!.ids_QK).toEqual(expected.ids_QK);
      expect(each[0]!.held).toBe(4 * ownRows(rows, block, { rank, size: 4 }).count * (dimension + 1));
    }
  });
});

describe("the rows of a rank", () => {
  it("are whole units, next to each other, all of them, and nobody has two units more than another", () => {
    const world = fc.record({ rows: fc.nat(5000), unit: fc.integer({ min: 1, max: 700 }), size: fc.integer({ min: 1, max: 70 }) });
    fc.assert(
      fc.property(world, ({ rows, unit, size }) => {
        const all = Array.from({ length: size }, (_, rank) => ownRows(rows, unit, { rank, size }));
        let next = 0;
        for (const { start, count } of all) {
          expect(start).toBe(next);
          expect(start % unit === 0 || start === rows).toBe(true);
          next += count;
        }
        expect(next).toBe(rows);
        const units = all.map(({ count }) => Math.ceil(count / unit));
        expect(Math.max(...units) - Math.min(...units)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
