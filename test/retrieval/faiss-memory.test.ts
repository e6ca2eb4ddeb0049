/**
 * Proves in a process of its own that building a FAISS index holds the index, the training sample and a few blocks, and never all vectors: the peak of the process's memory against arithmetic, for compressed
 * indexes of vectors that would be many times as large.
 * Alone: npx vitest run test/retrieval/faiss-memory.test.ts
 */
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { NpyWriter } from "../../src/storage/npy.js";
import { runWithCollector } from "../engine/child-process.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { normals } from "../training/central-differences.js";
import { faissMissing, settingsOf } from "./faiss-here.js";

const MEGABYTE = 2 ** 20;
const [SIZE, DIMENSION, SAMPLE, LISTS] = [600_000, 128, 4096, 32];
const VECTORS = SIZE * DIMENSION * 4;
/** faiss-build.ts adds 16 MiB at a time, all of them through one memory; the rest is what any work takes. */
const [BLOCK, SLACK] = [16 * MEGABYTE, 16 * MEGABYTE];

describe.skipIf(faissMissing !== undefined)(`the memory of a build${faissMissing === undefined ? "" : `: ${faissMissing}`}`, () => {
  const folder = temporaryFolder();
  const vectors = path.join(folder, "vectors.npy");

  beforeAll(() => {
    const writer = new NpyWriter(vectors, { columns: DIMENSION, dtype: "float32" });
    const block = new Float32Array(normals(1, 10_000 * DIMENSION));
    for (let row = 0; row < SIZE; row += 10_000) writer.append(new Uint8Array(block.buffer));
    writer.commit();
  });

  it.each([
    // Codes, and ids where there are lists.
    { factory: `IVF${LISTS},SQ8`, index: SIZE * (DIMENSION + 8) },
    { factory: "SQ4", index: SIZE * (DIMENSION / 2) },
  ])(
    "of $factory is the index, the sample and a few blocks",
    ({ factory, index }) => {
      const settings = settingsOf(factory, "", { trainSample: SAMPLE });
      const { status, out, error } = runWithCollector(`
        import { readFileSync, writeFileSync } from "node:fs";
        const { buildFaissFile } = await engine("../retrieval/faiss-build");
        const { nativeFaiss } = await engine("../retrieval/faiss-native");
        nativeFaiss();
        const bytes = (name) => Number(new RegExp(name + ":\\\\s+(\\\\d+)").exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
        gc();
        const before = bytes("VmRSS");
        // The peak from here on.
        writeFileSync("/proc/self/clear_refs", "5");
        await buildFaissFile({ file: ${JSON.stringify(path.join(folder, `${factory}.faiss`))}, vectors: ${JSON.stringify(vectors)}, metric: "inner-product", settings: ${JSON.stringify(settings)} });
        console.log(bytes("VmHWM") - before);
      `);
      expect(status, error).toBe(0);
      const grown = Number(out);
      // Codes grow as std::vector does: for a moment the old ones stand beside their copy.
      const most = 2 * index + SAMPLE * DIMENSION * 4 + BLOCK + SLACK;
      expect(most, "the bound tells the two apart").toBeLessThan(0.75 * VECTORS);
      expect(grown, `${Math.round(grown / MEGABYTE)} MiB`).toBeLessThan(most);
      expect(grown).toBeGreaterThan(index);
    },
    120_000,
  );
});
