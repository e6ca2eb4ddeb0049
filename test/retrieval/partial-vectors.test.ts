/**
 * Proves that a build of an index that is killed while it embeds goes on from the vectors it had, to the same bytes; that only rows which were synced and counted are believed, whatever else lies there; that two
 * builds at once don't share a half-made file; and that nothing of it is left in the end. The killed ones are real processes; needs the compiled program. Alone: npx vitest run test/retrieval/partial-vectors.test.ts
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { buildIndex, provenanceOf, type BuildIndexOptions } from "../../src/retrieval/build-index.js";
import { PartialVectors } from "../../src/retrieval/partial-vectors.js";
import { indexName } from "../../src/retrieval/provenance.js";
import { readNpy } from "../../src/storage/npy.js";
import { writtenStore } from "../corpus/written-store.js";
import { namesIn, temporaryFolder } from "../storage/bad-input.js";
import { LETTER_PASSAGES, letterEncoder } from "./letter-encoder.js";

const store = writtenStore(path.join(temporaryFolder(), "store"), LETTER_PASSAGES);
const optionsIn = (parent: string, encoder = letterEncoder()): BuildIndexOptions => ({
  parent,
  encoder,
  store,
  template: "{text}",
  metric: "inner-product",
  faiss: false,
});
const SHAPE = { rows: 6, columns: 8 };
const name = indexName(provenanceOf(optionsIn("")));
const compiled = pathToFileURL(path.resolve(import.meta.dirname, "../../dist/src/retrieval/partial-vectors.js")).href;

/** Rows as a whole build writes them. */
const whole = await buildIndex(optionsIn(temporaryFolder()));
const wholeBytes = readFileSync(path.join(whole, "vectors.npy"));
const rowsOf = (count: number): Uint8Array => Uint8Array.from(readNpy(path.join(whole, "vectors.npy")).data.subarray(0, 32 * count));

/** A process that writes `rows` rows, syncs after each append or never, and is killed. */
function killedAfter(parent: string, rows: number, syncEvery: number): void {
  const code = `
    const { PartialVectors } = await import(${JSON.stringify(compiled)});
    const partial = PartialVectors.open(process.argv[1], ${JSON.stringify(name)}, ${JSON.stringify(SHAPE)}, { syncEvery: ${syncEvery} });
    partial.append(Buffer.from(process.argv[2], "hex"));
    process.kill(process.pid, "SIGKILL");
  `;
  const bytes = Buffer.from(rowsOf(rows)).toString("hex");
  const { signal, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code, parent, bytes], { encoding: "utf8" });
  expect(signal, stderr).toBe("SIGKILL");
}

describe("a build that was killed", () => {
  it("goes on behind the rows that were synced, and ends with the same bytes and nothing else", async () => {
    const parent = temporaryFolder();
    killedAfter(parent, 4, 0);
    expect(namesIn(parent)).toEqual([`${name}.partial`]);
    const encoder = letterEncoder();
    const folder = await buildIndex(optionsIn(parent, encoder));
    expect(encoder.embedded).toBe(2);
    expect(readFileSync(path.join(folder, "vectors.npy")).equals(wholeBytes)).toBe(true);
    expect(namesIn(parent)).toEqual([name]);
  });

  it("whose vectors were whole embeds nothing", async () => {
    const parent = temporaryFolder();
    killedAfter(parent, 6, 0);
    const encoder = letterEncoder();
    await buildIndex(optionsIn(parent, encoder));
    expect(encoder.embedded).toBe(0);
  });

  it.each<[string, (folder: string) => void]>([
    ["were never synced", () => undefined],
    ["no file counts", (folder) => writeFileSync(path.join(folder, "progress.json"), "")],
    ["more are counted than there are", (folder) => writeFileSync(path.join(folder, "progress.json"), '{"rows": 6}')],
    ["more are counted than there can be", (folder) => writeFileSync(path.join(folder, "progress.json"), '{"rows": 600}')],
    ["a part of a row is counted", (folder) => writeFileSync(path.join(folder, "progress.json"), '{"rows": 1.5}')],
    ["less than none are counted", (folder) => writeFileSync(path.join(folder, "progress.json"), '{"rows": -1}')],
    ["the file is of another shape", (folder) => counted(folder, "x".repeat(500))],
    ["the file is empty", (folder) => counted(folder, "")],
  ])("embeds all where rows %s", async (_, damage) => {
    const parent = temporaryFolder();
    killedAfter(parent, 4, 1e9);
    damage(path.join(parent, `${name}.partial`));
    const encoder = letterEncoder();
    const folder = await buildIndex(optionsIn(parent, encoder));
    expect(encoder.embedded).toBe(6);
    expect(readFileSync(path.join(folder, "vectors.npy")).equals(wholeBytes)).toBe(true);
  });
});

/** Four rows are said to be in a file of this content. */
function counted(folder: string, content: string): void {
  writeFileSync(path.join(folder, "vectors.npy"), content);
  writeFileSync(path.join(folder, "progress.json"), '{"rows": 4}');
}

describe("a build that failed while it embedded", () => {
  it("leaves what it had to the next one", async () => {
    const many = writtenStore(
      path.join(temporaryFolder(), "store"),
      Array.from({ length: 1100 }, (_, i) => ({
        ...LETTER_PASSAGES[i % 6]!,
        document: `document ${i}`,
        text: `${LETTER_PASSAGES[i % 6]!.text} ${i}`,
      })),
    );
    const parent = temporaryFolder();
    const encoder = letterEncoder();
    const failing = {
      ...encoder,
      embedPassages: (texts: readonly string[]) => (texts.length < 512 ? outOfMemory() : encoder.embedPassages(texts)),
    };
    await expect(buildIndex({ ...optionsIn(parent), store: many, encoder: failing })).rejects.toThrow("out of memory");
    const again = letterEncoder();
    await buildIndex({ ...optionsIn(parent), store: many, encoder: again });
    expect(again.embedded).toBe(1100 - 1024);
  });
});

function outOfMemory(): never {
  throw new Error("out of memory");
}

describe("two builds at once", () => {
  it("don't share the file: the second one embeds for itself", async () => {
    const parent = temporaryFolder();
    const first = PartialVectors.open(parent, name, SHAPE);
    first?.append(rowsOf(3));
    expect(PartialVectors.open(parent, name, SHAPE)).toBeUndefined();
    const encoder = letterEncoder();
    await buildIndex(optionsIn(parent, encoder));
    expect(encoder.embedded).toBe(6);
    expect(namesIn(parent)).toEqual([name, `${name}.partial`]);
    // While it is at it nobody takes its file away; once it has left, the finished index makes the file useless.
    await buildIndex(optionsIn(parent));
    expect(namesIn(parent)).toEqual([name, `${name}.partial`]);
    first?.leave();
    await buildIndex(optionsIn(parent));
    expect(namesIn(parent)).toEqual([name]);
  });
});

describe("a place where nothing can be written", () => {
  it("is named", () => {
    const parent = temporaryFolder();
    mkdirSync(path.join(parent, "sub"));
    writeFileSync(path.join(parent, "sub", `${name}.partial`), "");
    expect(() => PartialVectors.open(path.join(parent, "sub"), name, SHAPE)).toThrow(UserError);
  });
});
