/**
 * Proves that each row's evidence is what its name says: gold passages, passages drawn at random by seed, and that a row reads only as many hits as it may while its ranking is scored in full.
 * Alone: npx vitest run test/evaluation/baselines.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import type { Question } from "../../src/corpus/question.js";
import { evaluateRow, goldHits, randomHits, ROW_MEANINGS, ROW_NAMES } from "../../src/evaluation/baselines.js";
import type { AnswerItem, Generator } from "../../src/generation/generator.js";
import { writtenStore } from "../corpus/written-store.js";
import { temporaryFolder } from "../storage/bad-input.js";

const store = writtenStore(
  path.join(temporaryFolder(), "store"),
  Array.from({ length: 20 }, (_, i) => ({ document: `d${i}`, title: `Title ${i}`, text: `The answer is number${i}.` })),
);
const QUESTIONS: Question[] = Array.from({ length: 12 }, (_, i) => ({
  id: `q${i}`,
  question: `Which number is ${i}?`,
  answers: [`number${i}`],
  passageIds: [store.get(i).id],
  document: `d${i}`,
}));

/** Answers with the last word of the last passage that it is shown; what it was asked is noted. */
function reader(): { generator: Generator; asked: AnswerItem[] } {
  const asked: AnswerItem[] = [];
  const answers = (items: readonly AnswerItem[]): Promise<string[][]> => {
    asked.push(...items);
    return Promise.resolve(items.map(({ passages }) => [passages.at(-1)?.text.split(" ").at(-1) ?? ""]));
  };
  return { generator: { answers } as unknown as Generator, asked };
}
const OPTIONS = { passages: 2, recallKs: [1, 5], maxNewTokens: 4, batch: 8, samples: 50, confidence: 0.95 };

describe("the rows", () => {
  it("are six, each with its meaning", () => {
    expect(ROW_NAMES).toHaveLength(6);
    expect(Object.keys(ROW_MEANINGS).sort()).toEqual([...ROW_NAMES].sort());
  });

  it("gold-passage shows the passages that answer, in their order, and nothing where there are none", () => {
    const [first, none, two] = goldHits(
      [
        QUESTIONS[3]!,
        { ...QUESTIONS[4]!, passageIds: ["not in the store"] },
        { ...QUESTIONS[5]!, passageIds: [store.get(9).id, store.get(2).id] },
      ],
      store,
    );
    expect(first!.map(({ row, rank }) => [row, rank])).toEqual([[3, 1]]);
    expect(none).toEqual([]);
    expect(two!.map(({ row, rank, passage }) => [row, rank, passage.title])).toEqual([
      [9, 1, "Title 9"],
      [2, 2, "Title 2"],
    ]);
  });

  it("random-passage draws different passages by seed and question, the same ones every time", () => {
    const drawn = (seed: number): number[][] => randomHits(QUESTIONS, store, 4, seed).map((hits) => hits.map(({ row }) => row));
    const rows = drawn(1);
    for (const own of rows) expect(new Set(own).size).toBe(4);
    expect(drawn(1)).toEqual(rows);
    expect(drawn(2)).not.toEqual(rows);
    expect(new Set(rows.map(String)).size).toBeGreaterThan(6);
    // A question's draw doesn't depend on which others are asked.
    expect(randomHits(QUESTIONS.slice(5, 6), store, 4, 1)[0]!.map(({ row }) => row)).toEqual(rows[5]);
    expect(
      randomHits(QUESTIONS.slice(0, 1), store, 99, 1)[0]!
        .map(({ row }) => row)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });
});

describe("evaluateRow", () => {
  it("reads the first hits only, scores the whole ranking", async () => {
    const { generator, asked } = reader();
    // Gold stands third: it is in the ranking, not in what is read.
    const hits = QUESTIONS.map((_, i) =>
      [15, 16, i].map((row, rank) => ({ row, rank: rank + 1, score: 1 - rank, passage: store.get(row) })),
    );
    const { row, answered } = await evaluateRow(QUESTIONS, { name: "bm25", meaning: "m", generator, hits, isSearch: true }, OPTIONS);
    expect(asked.map(({ passages }) => passages.length)).toEqual(Array(12).fill(2));
    expect(row).toMatchObject({ name: "bm25", meaning: "m", questions: 12, em: 0, recall: { "1": 0, "5": 1 }, answer_in_context: 0 });
    expect(row.mrr).toBeCloseTo(1 / 3, 12);
    expect(answered[0]!.passages.map(({ score }) => score)).toEqual([1, 0]);
  });

  it("with gold passages answers right, and doesn't score a ranking that is no search", async () => {
    const { generator } = reader();
    const evidence = { name: "gold-passage", meaning: "m", generator, hits: goldHits(QUESTIONS, store), isSearch: false };
    const { row, answered } = await evaluateRow(QUESTIONS, evidence, OPTIONS);
    expect(row).toMatchObject({ em: 1, f1: 1, answer_in_context: 1, mrr: null, with_gold: 0 });
    expect(answered.map(({ prediction }) => prediction)).toEqual(QUESTIONS.map((_, i) => `number${i}.`));
  });

  it("without any hits asks closed book", async () => {
    const { generator, asked } = reader();
    const { row } = await evaluateRow(QUESTIONS, { name: "closed-book", meaning: "m", generator, hits: [], isSearch: false }, OPTIONS);
    expect(asked.every(({ passages }) => passages.length === 0)).toBe(true);
    expect(row).toMatchObject({ em: 0, answer_in_context: 0, recall: { "1": null, "5": null } });
  });
});
