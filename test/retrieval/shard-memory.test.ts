/**
 * Proves with the arithmetic of 21 million passages of 384 numbers, a hundred times smaller, that several processes search an index which none of them could hold: each runs under a limit of the system's own on its memory that its rows
 * keep and all rows break, and what they find is, row for row and to the last bit, what one process without a limit finds. Rows, blocks and limits are scaled alike; nothing else of a process is.
 * Alone: npx vitest run test/retrieval/shard-memory.test.ts
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { manualSeed } from "../../src/engine/random.js";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { ops } from "../../src/engine/tensor.js";
import { INDEX_FORMAT, writeProvenance } from "../../src/retrieval/provenance.js";
import { ownRows } from "../../src/retrieval/shard-rows.js";
import { NpyWriter } from "../../src/storage/npy.js";
import { runRanks } from "../distributed/ranks.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { normals } from "../training/central-differences.js";
import type { FoundWithin, MemoryOrder } from "./shard-memory-program.js";

const SCALE = 100;
const [ROWS, DIMENSION] = [21_000_000 / SCALE, 384];
/** As many blocks as 21 million rows have by 65,536. */
const BLOCK = Math.floor(65_536 / SCALE);
const [QUERIES, K] = [40, 50];
/** What a search leaves behind in a process beside the index: V8's and the allocator's own. */
const SLACK = 32 * 2 ** 20;

const BYTES = { f32: 4, f16: 2 } as const;
const program = path.join(import.meta.dirname, "shard-memory-program.ts");

function bytesOfRows(rows: number, dtype: "f32" | "f16"): number {
  return rows * DIMENSION * BYTES[dtype];
}

/** Of the rank that has the most. */
function mostRows(size: number): number {
  return Math.max(...Array.from({ length: size }, (_, rank) => ownRows(ROWS, BLOCK, { rank, size }).count));
}

describe("an index as of 21 million passages, a hundredth of it", () => {
  const folders = temporaryFolder();
  const queries = [...normals(9, QUERIES * DIMENSION)];
  const order = (dtype: "f32" | "f16", allowed?: number): MemoryOrder => ({
    warm: path.join(folders, "0000000000000001"),
    folder: path.join(folders, "0000000000000002"),
    block: BLOCK,
    dtype,
    queries,
    k: K,
    allowed,
  });
  const find = (size: number, given: MemoryOrder): Promise<FoundWithin[]> => runRanks<FoundWithin>(program, size, given);
  const whole: Partial<Record<"f32" | "f16", FoundWithin>> = {};

  beforeAll(async () => {
    writeIndex(order("f32").warm, 4 * BLOCK);
    writeIndex(order("f32").folder, ROWS);
    for (const dtype of ["f32", "f16"] as const) whole[dtype] = (await find(1, order(dtype)))[0]!;
  }, 300_000);

  it.each([2, 4])(
    "%i processes hold a share each in f16, under a limit that the whole breaks",
    async (size) => {
      const allowed = bytesOfRows(mostRows(size), "f16") + SLACK;
      expect(allowed, "the limit tells the two apart").toBeLessThan(0.75 * bytesOfRows(ROWS, "f16"));
      // Whoever asks first for what isn't there ends the process: the allocator by an error, or V8, for a moment's heap of its own, by a signal.
      await expect(find(1, order("f16", allowed))).rejects.toThrow(/can't allocate memory|ended without a result: SIG(TRAP|ILL|ABRT)/);
      for (const { ids_QK, scores_QK, own } of await find(size, order("f16", allowed))) {
        expect(ids_QK).toEqual(whole.f16!.ids_QK);
        expect(scores_QK).toEqual(whole.f16!.scores_QK);
        expect(own).toBeLessThan(allowed);
      }
      // Some was there from before, and is taken again.
      expect(whole.f16!.own).toBeGreaterThan(0.9 * bytesOfRows(ROWS, "f16"));
    },
    300_000,
  );

  it.each([2, 4])(
    "%i processes read a share each of the file in f32",
    async (size) => {
      const most = bytesOfRows(mostRows(size), "f32") + SLACK;
      for (const { ids_QK, scores_QK, own, mapped } of await find(size, order("f32", SLACK))) {
        expect(ids_QK).toEqual(whole.f32!.ids_QK);
        expect(scores_QK).toEqual(whole.f32!.scores_QK);
        expect(own).toBeLessThan(SLACK);
        expect(mapped).toBeLessThan(most);
      }
      expect(whole.f32!.mapped).toBeGreaterThan(0.9 * bytesOfRows(ROWS, "f32"));
    },
    300_000,
  );
});

/** Vectors drawn a block at a time: never all of them in memory. */
function writeIndex(folder: string, rows: number): void {
  setThreads(1);
  manualSeed(rows);
  mkdirSync(folder);
  const writer = new NpyWriter(path.join(folder, "vectors.npy"), { columns: DIMENSION, dtype: "float32" });
  for (let row = 0; row < rows; row += 10_000)
    scope(() => writer.append(ops.randn([Math.min(10_000, rows - row), DIMENSION], "f32").toBytes()));
  writer.commit();
  const provenance = { format: INDEX_FORMAT, encoder: "e", corpus: "c", template: "{text}", dimension: DIMENSION, size: rows };
  writeProvenance(folder, { ...provenance, metric: "inner-product" });
}
