/**
 * Proves that an index is named by what it was made from, and that each single difference between an index and what is asked for is refused with the command that mends it.
 * Alone: npx vitest run test/retrieval/provenance.test.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import {
  INDEX_FORMAT,
  indexName,
  readProvenance,
  requireProvenance,
  writeProvenance,
  type Provenance,
} from "../../src/retrieval/provenance.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";

const folder = temporaryFolder();
const made: Provenance = {
  format: INDEX_FORMAT,
  encoder: "e".repeat(64),
  corpus: "c".repeat(64),
  template: "{title}. {text}",
  metric: "cosine",
  dimension: 384,
  size: 12,
};
/** Each field with another value. */
const OTHERS: readonly [keyof Provenance, Provenance[keyof Provenance], RegExp][] = [
  ["format", INDEX_FORMAT + 1, /has another format/],
  ["encoder", "f".repeat(64), /built with another retriever: it is stale/],
  ["corpus", "d".repeat(64), /built from another corpus/],
  ["template", "{text}", /another title template/],
  ["metric", "l2", /another metric/],
  ["dimension", 385, /another dimension/],
  ["size", 13, /another number of passages/],
];

describe("an index's name", () => {
  it("is the same for the same content in any order of the fields, and another for every field", () => {
    const name = indexName(made);
    expect(name).toMatch(/^[0-9a-f]{16}$/);
    expect(indexName(Object.fromEntries(Object.entries(made).reverse()) as unknown as Provenance)).toBe(name);
    const names = OTHERS.map(([field, value]) => indexName({ ...made, [field]: value }));
    expect(new Set([name, ...names]).size).toBe(OTHERS.length + 1);
  });
});

describe("provenance", () => {
  it("is read back as it was written, and accepted by what it was made from", () => {
    writeProvenance(folder, made);
    expect(readProvenance(folder)).toEqual(made);
    expect(requireProvenance(folder, made, "tandem index")).toEqual(made);
    expect(requireProvenance(folder, { encoder: made.encoder }, "tandem index")).toEqual(made);
  });

  it.each(OTHERS)("cozyrag 10: refuses an index of another %s, naming both and the command", (field, value, message) => {
    writeProvenance(folder, made);
    const line = faultOf(() => requireProvenance(folder, { ...made, [field]: value }, "tandem index --run here"));
    expect(line).toMatch(message);
    expect(line).toContain(`expected ${field} ${value as string}, got ${made[field] as string}`);
    expect(line).toContain("rebuild it: tandem index --run here");
  });

  it("refuses an index that is searched in another way: exact or by FAISS, or another factory, sample or seed", () => {
    const faiss = { factory: "IVF4,Flat", build: "", trainSample: null, sampleSeed: 0, reproducible: true };
    const refused = (there: Provenance["faiss"], wanted: Provenance["faiss"]): string => {
      writeProvenance(folder, { ...made, faiss: there });
      return faultOf(() => requireProvenance(folder, { ...made, faiss: wanted }, "tandem index --run here"));
    };
    expect(refused(undefined, faiss)).toMatch(/searched in another way; expected faiss \{.*IVF4,Flat.*got none: exact search; rebuild it/);
    expect(refused(faiss, undefined)).toMatch(/expected faiss none: exact search, got \{.*IVF4,Flat/);
    for (const change of [
      { factory: "Flat" },
      { build: "efConstruction=8" },
      { trainSample: 5 },
      { sampleSeed: 1 },
      { reproducible: false },
    ])
      expect(refused(faiss, { ...faiss, ...change })).toMatch(/searched in another way/);
    writeProvenance(folder, { ...made, faiss });
    expect(requireProvenance(folder, { ...made, faiss: { ...faiss } }, "").faiss).toEqual(faiss);
    expect(indexName({ ...made, faiss: undefined })).toBe(indexName(made));
    expect(indexName({ ...made, faiss })).not.toBe(indexName(made));
  });

  it.each<[string, string | undefined]>([
    ["missing", undefined],
    ["empty", ""],
    ["cut short", '{"format": 1, "encoder": "e'],
    ["a list", "[]"],
    ["null", "null"],
    ["without its encoder", JSON.stringify({ ...made, encoder: undefined })],
    ["with a size that is a text", JSON.stringify({ ...made, size: "12" })],
    ["with a fraction for its dimension", JSON.stringify({ ...made, dimension: 1.5 })],
    ["with a FAISS factory that is a number", JSON.stringify({ ...made, faiss: { factory: 3 } })],
    ["with an unknown metric", JSON.stringify({ ...made, metric: "hamming" })],
  ])("that is %s is refused, naming the file", (name, text) => {
    const place = path.join(folder, name.replaceAll(" ", "-"));
    mkdirSync(place, { recursive: true });
    if (text !== undefined) writeFileSync(path.join(place, "provenance.json"), text);
    expect(faultOf(() => readProvenance(place))).toContain(path.join(place, "provenance.json"));
  });
});
