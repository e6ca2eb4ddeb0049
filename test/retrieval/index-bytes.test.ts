/**
 * Proves that the arithmetic of index sizes is what libfaiss writes, kind by kind and as vectors are added; that a name that it doesn't know is not guessed; and that the rows of the fullest worker are those that are dealt out.
 * Alone: npx vitest run test/retrieval/index-bytes.test.ts
 */
import { statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { NpyWriter } from "../../src/storage/npy.js";
import { buildFaissFile } from "../../src/retrieval/faiss-build.js";
import { exactBytes, faissBytes, largestShard } from "../../src/retrieval/index-bytes.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { normals } from "../training/central-differences.js";
import { faissMissing, settingsOf } from "./faiss-here.js";

const folder = temporaryFolder();
const DIMENSION = 32;

/** Bytes of the file that libfaiss writes for so many vectors. */
async function written(factory: string, count: number): Promise<number> {
  const name = `${factory.replaceAll(/\W/g, "-")}-${count}`;
  const vectors = path.join(folder, `${name}.npy`);
  const writer = new NpyWriter(vectors, { columns: DIMENSION, dtype: "float32" });
  const values = Float32Array.from(normals(7, count * DIMENSION));
  writer.append(new Uint8Array(values.buffer));
  writer.commit();
  const file = path.join(folder, name);
  await buildFaissFile({ file, vectors, metric: "inner-product", settings: settingsOf(factory, "", {}) });
  return statSync(file).size;
}

const KINDS = [
  "Flat",
  "SQ8",
  "SQ4",
  "SQfp16",
  "PQ8np",
  "PQ8x4np",
  "HNSW32",
  "HNSW16_SQ8",
  "IVF16,Flat",
  "IVF16,SQ8",
  "IVF16,PQ4np",
  "IVF16_HNSW8,Flat",
  "PCAR16,IVF16,PQ4np",
  "PCA16,Flat",
];

describe("faissBytes", () => {
  it.skipIf(faissMissing !== undefined).each(KINDS)(
    "%s has the bytes of its file",
    async (factory) => {
      const known = faissBytes(factory, DIMENSION);
      const [few, many] = [await written(factory, 1000), await written(factory, 4000)];
      // A graph's levels are drawn: within 1 % of their mean. The rest is exact.
      const tolerance = factory.includes("HNSW") ? 0.01 : 0.001;
      expect(((many - few) / 3000 / (known?.each ?? NaN) - 1) ** 2).toBeLessThan(tolerance ** 2);
      // Headers, names and list lengths aren't counted: a kilobyte or two.
      const expected = (known?.fixed ?? NaN) + 4000 * (known?.each ?? NaN);
      expect(Math.abs(many - expected)).toBeLessThan(2048 + 0.01 * expected);
    },
    60_000,
  );

  it("knows nothing of names that it doesn't know", () => {
    for (const factory of ["LSH", "NSG32", "IVF16,RaBitQ", "Z,Flat", "HNSW32_LSH", ""]) expect(faissBytes(factory, 32)).toBeUndefined();
  });

  it("counts the sample that centroids are trained on, at most", () => {
    expect(faissBytes("Flat", 384)?.trained).toBe(0);
    expect(faissBytes("IVF64,Flat", 384)?.trained).toBe(65_536);
    expect(faissBytes("IVF65536,Flat", 384)?.trained).toBe(256 * 65_536);
  });
});

describe("exact search", () => {
  it("takes 4 bytes a number in f32 and 2 in halves", () => {
    expect([exactBytes(384, "f32").each, exactBytes(384, "f16").each, exactBytes(384, "bf16").each]).toEqual([1536, 768, 768]);
  });

  it("gives the fullest worker whole blocks", () => {
    // 21 million rows are 321 blocks; of 8 workers the last has 41, the last one of which is short.
    expect(largestShard(exactBytes(384, "f32"), 21e6, 8)).toBe((21e6 - 280 * 65_536) * 1536);
    // 400,000 rows are 7 blocks; of 2 workers the second has 4, of 3 as well the last, with 3.
    expect(largestShard(exactBytes(384, "f32"), 400_000, 2)).toBe((400_000 - 3 * 65_536) * 1536);
    expect(largestShard(exactBytes(384, "f32"), 21e6, 1)).toBe(21e6 * 1536);
    expect(largestShard(exactBytes(2, "f16"), 1000, 4)).toBe(4000);
  });
});
