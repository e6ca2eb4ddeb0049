/**
 * Proves where hard negatives come from: the index's results, BM25's words, or both, never a gold passage, one that holds the answer or a held-out document.
 * Alone: npx vitest run test/job/phases/negatives.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { hardNegatives, type NegativeParts } from "../../../src/job/phases/negatives.js";
import { writtenStore } from "../../corpus/written-store.js";
import { temporaryFolder } from "../../storage/bad-input.js";

const TEXTS = [
  "The mayor of Alder is Ida Renhan.",
  "The mayor of Birch climbs mountains.",
  "Alder and Birch are towns.",
  "Cedar is a ship.",
  "The former mayor of Alder lives there still.",
];
const store = writtenStore(
  path.join(temporaryFolder(), "store"),
  TEXTS.map((text, i) => ({ title: "", text, document: `d${i}` })),
);
const parts = (change: Partial<NegativeParts> = {}): NegativeParts => ({
  source: "dense",
  window: { from: 1, to: 5 },
  questions: ["Who is the mayor of Alder?"],
  mined: [{ goldRows: [0], answers: ["Ida Renhan"] }],
  store,
  textOf: (row) => TEXTS[row]!,
  heldOut: new Set(),
  retrieved: () => [3, 0, 1],
  ...change,
});
const rowsOf = (change: Partial<NegativeParts>): number[] => [...(hardNegatives(parts(change))?.[0] ?? [])];

describe("hard negatives", () => {
  it("of the index keep its order, and there are none before there is an index", () => {
    expect(rowsOf({})).toEqual([3, 1]);
    expect(hardNegatives(parts({ retrieved: undefined }))).toBeUndefined();
  });

  it("of BM25 are those that share words with the question, the best first, and need no index", () => {
    expect(rowsOf({ source: "bm25", retrieved: undefined })).toEqual([4, 2, 1]);
    // A passage without a word in common isn't hard, however many are asked for.
    expect(rowsOf({ source: "bm25" })).not.toContain(3);
  });

  it("of both are each other's complement, none twice", () => {
    expect(rowsOf({ source: "both" })).toEqual([3, 1, 4, 2]);
    expect(rowsOf({ source: "both", retrieved: undefined })).toEqual([4, 2, 1]);
  });

  it("hold no passage that training may not see, and none outside the window", () => {
    expect(rowsOf({ source: "bm25", heldOut: new Set(["d4"]) })).toEqual([2, 1]);
    expect(rowsOf({ source: "bm25", window: { from: 3, to: 3 } })).toEqual([2]);
  });

  it("of BM25 are refused for a corpus that it can't hold, in one line", () => {
    const large = { size: 3_000_000, field: () => "" };
    expect(() => hardNegatives(parts({ source: "bm25", store: large }))).toThrow(
      /train\.contrastive\.mining\.source: asks BM25.*at most 2000000 passages, got 3000000; train\.contrastive\.mining\.source=dense/,
    );
  });
});
