/**
 * Proves that a build whose passages are embedded in parts gives the bytes of a build without, waits for a process that is about to give its lock back, and says so when it goes on without the others because it keeps it; and that of a
 * build in parts nothing is left. The processes themselves are test/job/index-sharing.test.ts's.
 * Alone: npx vitest run test/retrieval/vector-parts.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { buildIndex, provenanceOf, type BuildIndexOptions, type PartsOrder } from "../../src/retrieval/build-index.js";
import { PartialVectors } from "../../src/retrieval/partial-vectors.js";
import { indexName } from "../../src/retrieval/provenance.js";
import { embedParts } from "../../src/retrieval/vector-parts.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { writtenStore } from "../corpus/written-store.js";
import { namesIn, temporaryFolder } from "../storage/bad-input.js";
import { LETTER_PASSAGES, letterEncoder } from "./letter-encoder.js";

const SIZE = 1100;
const store = writtenStore(
  path.join(temporaryFolder(), "store"),
  Array.from({ length: SIZE }, (_, i) => ({
    ...LETTER_PASSAGES[i % 6]!,
    document: `document ${i}`,
    text: `${LETTER_PASSAGES[i % 6]!.text} ${i}`,
  })),
);
const optionsIn = (parent: string, change: Partial<BuildIndexOptions> = {}): BuildIndexOptions => ({
  parent,
  encoder: letterEncoder(),
  store,
  template: "{text}",
  metric: "cosine",
  faiss: false,
  ...change,
});
const name = indexName(provenanceOf(optionsIn("")));
const whole = hashFile(path.join(await buildIndex(optionsIn(temporaryFolder())), "vectors.npy"));

/** Stands for several processes: embeds the parts from the last to the first. */
function together(orders: PartsOrder[], parent: string): BuildIndexOptions["together"] {
  return async (order) => {
    orders.push(order);
    for (const part of [...order.missing].reverse()) await embedParts(order, [part], optionsIn(parent));
  };
}

describe("a build in parts", () => {
  it("gives the same bytes and leaves nothing else", async () => {
    const parent = temporaryFolder();
    const orders: PartsOrder[] = [];
    const folder = await buildIndex(optionsIn(parent, { together: together(orders, parent) }));
    expect(orders.map(({ missing }) => missing)).toEqual([
      [
        { start: 0, count: 512 },
        { start: 512, count: 512 },
        { start: 1024, count: 76 },
      ],
    ]);
    expect(hashFile(path.join(folder, "vectors.npy"))).toBe(whole);
    expect(namesIn(parent)).toEqual([name]);
  });

  it("begins behind what one process had embedded, in the part where that ended", async () => {
    const parent = temporaryFolder();
    const encoder = letterEncoder();
    const failing = {
      ...encoder,
      embedPassages: (texts: readonly string[]) => {
        if (texts.length < 512) throw new Error("out of memory");
        return encoder.embedPassages(texts);
      },
    };
    await expect(buildIndex(optionsIn(parent, { encoder: failing }))).rejects.toThrow("out of memory");
    const orders: PartsOrder[] = [];
    const folder = await buildIndex(optionsIn(parent, { together: together(orders, parent) }));
    expect(orders[0]!.missing).toEqual([{ start: 1024, count: 76 }]);
    expect(hashFile(path.join(folder, "vectors.npy"))).toBe(whole);
  });

  it("waits for a process that is about to give its lock back", async () => {
    const parent = temporaryFolder();
    const other = PartialVectors.open(parent, name, { rows: SIZE, columns: 8 });
    setTimeout(() => other?.leave(), 700);
    const orders: PartsOrder[] = [];
    const folder = await buildIndex(optionsIn(parent, { together: together(orders, parent) }));
    expect(orders).toHaveLength(1);
    expect(hashFile(path.join(folder, "vectors.npy"))).toBe(whole);
    expect(namesIn(parent)).toEqual([name]);
  });

  it("says that one process embeds them all where another keeps its lock", async () => {
    const parent = temporaryFolder();
    const other = PartialVectors.open(parent, name, { rows: SIZE, columns: 8 });
    const [orders, warnings]: [PartsOrder[], string[]] = [[], []];
    const folder = await buildIndex(optionsIn(parent, { together: together(orders, parent), warn: (text) => warnings.push(text) }));
    other?.leave();
    expect(orders).toEqual([]);
    expect(warnings).toEqual([expect.stringMatching(/another process is embedding the same passages, or the disk has no file locks/)]);
    expect(hashFile(path.join(folder, "vectors.npy"))).toBe(whole);
  });
});
