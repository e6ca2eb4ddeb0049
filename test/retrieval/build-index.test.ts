/**
 * Proves that an index folder holds the encoder's vectors in the store's order, is named by content, appears whole or not at all, is never built twice, and that an encoder whose vectors are no
 * numbers is refused.
 * Alone: npx vitest run test/retrieval/build-index.test.ts
 */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { liveTensors } from "../../src/engine/scope.js";
import { UserError } from "../../src/errors.js";
import { buildIndex, provenanceOf, type BuildIndexOptions } from "../../src/retrieval/build-index.js";
import { readFlatFile } from "../../src/retrieval/flat-file.js";
import { openIndex } from "../../src/retrieval/open-index.js";
import { indexName, readProvenance, writeProvenance } from "../../src/retrieval/provenance.js";
import { NpyWriter, readNpy } from "../../src/storage/npy.js";
import { writtenStore } from "../corpus/written-store.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";
import { LETTER_PASSAGES, letterEncoder } from "./letter-encoder.js";

const store = writtenStore(path.join(temporaryFolder(), "store"), LETTER_PASSAGES);
const optionsIn = (parent: string, change: Partial<BuildIndexOptions> = {}): BuildIndexOptions => ({
  parent,
  encoder: letterEncoder(),
  store,
  template: "{text}",
  metric: "cosine",
  faiss: false,
  ...change,
});
const vectorsOf = (folder: string): Float32Array => {
  const { data } = readNpy(path.join(folder, "vectors.npy"));
  return new Float32Array(Uint8Array.from(data).buffer);
};

describe("buildIndex", () => {
  it("writes the vectors in the store's order with their provenance, under a name made of it", async () => {
    const parent = temporaryFolder();
    const options = optionsIn(parent, { faiss: true });
    const done: [number, number, string][] = [];
    const folder = await buildIndex({ ...options, progress: (...figures) => done.push(figures) });
    expect(path.basename(folder)).toBe(indexName(provenanceOf(options)));
    expect(namesIn(parent)).toEqual([path.basename(folder)]);
    expect(namesIn(folder)).toEqual(["flat.faiss", "provenance.json", "vectors.npy"]);
    expect(readProvenance(folder)).toMatchObject({ encoder: "letters", corpus: store.hash, metric: "cosine", dimension: 8, size: 6 });
    const vectors = vectorsOf(folder);
    const share = (row: number, letter: number): number => vectors[row * 8 + letter]!;
    const rows = Array.from({ length: 6 }, (_, row) => store.get(row).text.codePointAt(0)! - 97);
    rows.forEach((letter, row) => {
      expect(share(row, letter)).toBeCloseTo(2 / Math.sqrt(5), 6);
      expect(share(row, letter + 1)).toBeCloseTo(1 / Math.sqrt(5), 6);
    });
    expect(Buffer.compare(readFlatFile(path.join(folder, "flat.faiss")).vectors_ND, new Uint8Array(vectors.buffer))).toBe(0);
    expect(done.at(-1)).toEqual([6, 6, "passages embedded"]);
  });

  it("makes rows of length one for cosine and leaves them as they are for the others", async () => {
    const longer = letterEncoder("long", (vector) => vector.map((value) => value * 3));
    const parent = temporaryFolder();
    const lengthOf = async (metric: "cosine" | "l2"): Promise<number> =>
      Math.hypot(...vectorsOf(await buildIndex(optionsIn(parent, { encoder: longer, metric }))).subarray(0, 8));
    expect(await lengthOf("cosine")).toBeCloseTo(1, 6);
    expect(await lengthOf("l2")).toBeCloseTo(3 * Math.sqrt(5), 5);
    expect(namesIn(parent).length).toBe(2);
  });

  it("does nothing the second time, and cozyrag 27: builds another folder once the encoder has changed", async () => {
    const parent = temporaryFolder();
    const encoder = letterEncoder();
    const first = await buildIndex(optionsIn(parent, { encoder }));
    expect(encoder.embedded).toBe(6);
    expect(await buildIndex(optionsIn(parent, { encoder }))).toBe(first);
    expect(encoder.embedded).toBe(6);
    expect(await buildIndex(optionsIn(parent, { encoder: letterEncoder("other") }))).not.toBe(first);
    expect(namesIn(parent).length).toBe(2);
  });

  it("cozyrag 11: leaves nothing when it fails half-way, no tensor either, and works afterwards", async () => {
    const parent = temporaryFolder();
    const failing = letterEncoder("letters", (vector, place) => {
      if (place === 4) throw new Error("the power went");
      return vector;
    });
    const before = liveTensors().tensors;
    await expect(buildIndex(optionsIn(parent, { encoder: failing, faiss: true }))).rejects.toThrow("the power went");
    expect(namesIn(parent)).toEqual([]);
    expect(liveTensors().tensors).toBe(before);
    await buildIndex(optionsIn(parent));
    expect(namesIn(parent).length).toBe(1);
  });

  it.each([NaN, Infinity])("refuses an encoder that gives %s, naming the passages, and leaves nothing", async (broken) => {
    const parent = temporaryFolder();
    const encoder = letterEncoder("broken", (vector, place) => (place === 3 ? vector.with(2, broken) : vector));
    const build = buildIndex(optionsIn(parent, { encoder }));
    await expect(build).rejects.toThrow(UserError);
    await expect(build).rejects.toThrow(/passages 0 to 5: the encoder gave vectors that are no numbers/);
    expect(namesIn(parent)).toEqual([]);
  });

  it("builds beside a damaged neighbour as if it weren't there", async () => {
    const parent = temporaryFolder();
    const [damaged, empty] = ["0123456789abcdef", "fedcba9876543210"].map((name) => path.join(parent, name));
    for (const folder of [damaged, empty]) mkdirSync(folder!);
    for (const name of ["provenance.json", "vectors.npy"]) writeFileSync(path.join(damaged!, name), "{");
    const folder = await buildIndex(optionsIn(parent));
    expect(namesIn(folder)).toContain("vectors.npy");
    openIndex(folder).dispose();
  });

  it.each([
    [
      "another number of rows",
      [5, 8],
      "float32",
      /vectors\.npy: the vectors don't fit their provenance; expected float32 \(6, 8\), got float32 \(5, 8\); the passages are embedded anew$/,
    ],
    ["another dimension", [6, 7], "float32", /expected float32 \(6, 8\), got float32 \(6, 7\)/],
    ["another type", [6, 8], "int32", /expected float32 \(6, 8\), got int32 \(6, 8\)/],
    ["cut off", [6, 8], "cut", /vectors\.npy: is cut short.*; the passages are embedded anew$/],
    ["the right shape", [6, 8], "float32", undefined],
  ] as const)("takes a neighbour's vectors only when they fit, and says so: %s", async (_, [rows, columns], kind, warning) => {
    const parent = temporaryFolder();
    const neighbour = path.join(parent, "0123456789abcdef");
    mkdirSync(neighbour);
    const file = path.join(neighbour, "vectors.npy");
    const writer = new NpyWriter(file, { columns, dtype: kind === "int32" ? "int32" : "float32" });
    writer.append(new Uint8Array(rows * columns * 4));
    writer.commit();
    if (kind === "cut") truncateSync(file, 200);
    const faiss = { factory: "Flat", build: "", trainSample: null, sampleSeed: 0, reproducible: true };
    writeProvenance(neighbour, provenanceOf({ ...optionsIn(parent), approximate: faiss }));
    const warnings: string[] = [];
    const folder = await buildIndex(optionsIn(parent, { warn: (text) => warnings.push(text) }));
    expect(warnings).toEqual(warning === undefined ? [] : [expect.stringMatching(warning)]);
    // The neighbour's are zeros: whether they were taken shows.
    expect(vectorsOf(folder).every((value) => value === 0)).toBe(warning === undefined);
    expect(vectorsOf(folder)).toHaveLength(48);
  });

  it("refuses a folder whose provenance was changed under its name", async () => {
    const parent = temporaryFolder();
    const folder = await buildIndex(optionsIn(parent));
    const file = path.join(folder, "provenance.json");
    writeFileSync(file, readFileSync(file, "utf8").replace('"letters"', '"another"'));
    await expect(buildIndex(optionsIn(parent))).rejects.toThrow(/another retriever.*remove .* and run the command again/);
  });
});

describe("openIndex", () => {
  it("cozyrag 14: refuses vectors whose number or dimension is not their provenance's", async () => {
    const folder = await buildIndex(optionsIn(temporaryFolder()));
    const file = path.join(folder, "provenance.json");
    const before = liveTensors().tensors;
    writeFileSync(file, readFileSync(file, "utf8").replace('"size": 6', '"size": 7'));
    expect(faultOf(() => openIndex(folder))).toMatch(/vectors do not fit its provenance; expected 7 × 8, got 6 × 8; rebuild it/);
    writeFileSync(path.join(folder, "vectors.npy"), readFileSync(path.join(folder, "vectors.npy")).subarray(0, 140));
    expect(faultOf(() => openIndex(folder))).toContain("vectors.npy");
    expect(liveTensors().tensors).toBe(before);
  });
});
