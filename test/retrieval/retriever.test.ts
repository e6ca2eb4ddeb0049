/**
 * Proves that a retriever finds the right passages for many questions at once, best first with rank and score, and refuses an index of another encoder, corpus or template.
 * Alone: npx vitest run test/retrieval/retriever.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { liveTensors } from "../../src/engine/scope.js";
import { buildIndex } from "../../src/retrieval/build-index.js";
import { openRetriever } from "../../src/retrieval/retriever.js";
import { writtenStore } from "../corpus/written-store.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";
import { LETTER_PASSAGES, letterEncoder } from "./letter-encoder.js";

const folder = temporaryFolder();
const store = writtenStore(path.join(folder, "store"), LETTER_PASSAGES);
const parts = { encoder: letterEncoder(), store, template: "{text}", metric: "cosine" } as const;
const index = await buildIndex({ ...parts, parent: path.join(folder, "index"), faiss: false });

describe("a retriever", () => {
  it("gives each question its passages, best first, with rank, score and row", async () => {
    const retriever = openRetriever(index, parts);
    const [first, second] = await retriever.search(["c c d", "a a b"], 3);
    expect(first!.map(({ passage }) => passage.text)).toEqual(["ccd", "bbc", "dde"]);
    expect(second!.map(({ passage }) => passage.text).slice(0, 2)).toEqual(["aab", "bbc"]);
    for (const hits of [first!, second!]) {
      expect(hits.map(({ rank }) => rank)).toEqual([1, 2, 3]);
      hits.forEach(({ row, passage }) => expect(store.get(row)).toEqual(passage));
      expect(hits.map(({ score }) => score)).toEqual(hits.map(({ score }) => score).sort((a, b) => b - a));
    }
    expect(first![0]!.score).toBeCloseTo(1, 6);
    retriever.index.dispose();
  });

  it("gives all passages when k is above their number, and nothing for no question", async () => {
    const retriever = openRetriever(index, parts);
    const [hits] = await retriever.search(["abcdefgh"], 50);
    expect(new Set(hits!.map(({ row }) => row)).size).toBe(6);
    expect(await retriever.search([], 5)).toEqual([]);
    retriever.index.dispose();
  });

  it("leaves no tensor behind, also when the search refuses", async () => {
    const retriever = openRetriever(index, parts);
    const before = liveTensors().tensors;
    await retriever.search(["a", "b"], 2);
    await expect(retriever.search(["a"], 0)).rejects.toThrow(/k is no positive whole number/);
    expect(liveTensors().tensors).toBe(before);
    retriever.index.dispose();
  });

  it("cozyrag 10: refuses an index of another encoder, corpus, template or metric, with the command that rebuilds it", () => {
    const other = writtenStore(path.join(folder, "other"), LETTER_PASSAGES.slice(1));
    const refuse = (change: object): string => faultOf(() => openRetriever(index, { ...parts, ...change }, "tandem index --run r"));
    expect(refuse({ encoder: letterEncoder("trained") })).toMatch(/another retriever: it is stale.*rebuild it: tandem index --run r/);
    expect(refuse({ store: other })).toMatch(/another corpus.*rebuild it/);
    expect(refuse({ template: "{title}. {text}" })).toMatch(/another title template.*rebuild it/);
    expect(refuse({ metric: "l2" })).toMatch(/another metric.*rebuild it/);
  });
});
