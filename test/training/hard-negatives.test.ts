/**
 * Proves that no right passage becomes a negative: neither mined nor in a batch. Run alone: npx vitest run test/training/hard-negatives.test.ts
 */
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { falseNegatives } from "../../src/training/false-negatives.js";
import { choosePositives, mineHardNegatives } from "../../src/training/hard-negatives.js";

const TEXTS = [
  "Alder. The mayor is Ida Renhan.",
  "Birch. It was climbed by Erik Vivfum.",
  "Alder. The MAYOR is Ida  Renhan.",
  "Cedar. Ida Renhan sailed on it.",
  "Dogwood. A lake full of fish; the party of 1733.",
];
const textOf = (row: number): string => TEXTS[row]!;
const question = { goldRows: [0], answers: ["Ida Renhan"] };

const NOTHING = {
  kept: 0,
  droppedGold: 0,
  droppedSameText: 0,
  droppedAnswer: 0,
  droppedNear: 0,
  droppedAbsoluteMargin: 0,
  droppedRelativeMargin: 0,
  droppedMaxScore: 0,
  droppedMinScore: 0,
  questionsWithout: 0,
};

describe("mined hard negatives", () => {
  it("cozyrag 24: drop gold passages, the same text again, and what holds the answer; the rest keep their rank", () => {
    const { rows, report } = mineHardNegatives([question], () => ({ rows: [4, 0, 2, 3, 1] }), textOf, { from: 1, to: 10 });
    expect(rows.map((list) => [...list])).toEqual([[4, 1]]);
    expect(report).toEqual({ ...NOTHING, kept: 2, droppedGold: 1, droppedSameText: 1, droppedAnswer: 1 });
  });

  it("come from the window of ranks only, and places that an index couldn't fill are left out", () => {
    const mined = mineHardNegatives([question, question], (index) => ({ rows: index === 0 ? [4, 1, 0] : [0, -1, -1] }), textOf, {
      from: 2,
      to: 3,
    });
    expect(mined.rows.map((list) => [...list])).toEqual([[1], []]);
    expect(mined.report).toMatchObject({ kept: 1, questionsWithout: 1 });
  });

  it("an answer inside a longer word is no answer", () => {
    const { rows } = mineHardNegatives([{ goldRows: [0], answers: ["art"] }], () => ({ rows: [4] }), textOf, { from: 1, to: 1 });
    expect([...rows[0]!]).toEqual([4]);
  });

  it("lose near copies of a positive, whoever wrote them, and only of this question's", () => {
    const texts = [
      "The old bridge of Alder was built by the town in 1733 of grey stone.",
      "The old bridge of Alder was built by the town in 1734 of grey stone.",
      "The old bridge of Birch stands still.",
    ];
    const found = (): { rows: number[] } => ({ rows: [0, 1, 2] });
    const asked = [
      { goldRows: [0], answers: [] },
      { goldRows: [2], answers: [] },
    ];
    const all = { from: 1, to: 3 };
    const near = mineHardNegatives(asked, found, (row) => texts[row]!, { ...all, nearPositive: 0.6 });
    expect(near.rows.map((list) => [...list])).toEqual([[2], [0, 1]]);
    expect(near.report).toEqual({ ...NOTHING, kept: 3, droppedGold: 2, droppedNear: 1 });
    const plain = mineHardNegatives(asked, found, (row) => texts[row]!, all);
    expect(plain.rows.map((list) => [...list])).toEqual([
      [1, 2],
      [0, 1],
    ]);
  });

  it("stay below the lowest positive by each margin and inside the bounds, each drop counted by its first rule", () => {
    const found = (positive: number | undefined) => () => ({ rows: [10, 11, 12, 13, 14], scores: [0.9, 0.7, 0.5, 0.3, 0.1], positive });
    const rules = { from: 1, to: 5, absoluteMargin: 0.15, relativeMargin: 0.5, maxScore: 0.35, minScore: 0.2 };
    const free = [{ goldRows: [], answers: [] }];
    const text = (row: number): string => `passage ${row}`;
    const mined = mineHardNegatives(free, found(0.8), text, rules);
    expect([...mined.rows[0]!]).toEqual([13]);
    expect(mined.scores[0]![0]).toBeCloseTo(0.3, 6);
    expect(mined.report).toEqual({ ...NOTHING, kept: 1, droppedAbsoluteMargin: 2, droppedRelativeMargin: 1, droppedMinScore: 1 });
    // What isn't known breaks no rule: without a positive only the bounds count.
    expect([...mineHardNegatives(free, found(undefined), text, rules).rows[0]!]).toEqual([13]);
    expect(mineHardNegatives(free, found(undefined), text, rules).report.droppedMaxScore).toBe(3);
    // A share of a negative score is still below it.
    const below = mineHardNegatives(free, () => ({ rows: [1, 2], scores: [-1.02, -1.2], positive: -1 }), text, {
      from: 1,
      to: 2,
      relativeMargin: 0.05,
    });
    expect([...below.rows[0]!]).toEqual([2]);
  });

  it("refuse a window without ranks in one line", () => {
    for (const window of [
      { from: 0, to: 5 },
      { from: 5, to: 4 },
      { from: 1.5, to: 4 },
    ]) {
      expect(() => mineHardNegatives([], () => ({ rows: [] }), textOf, window)).toThrow(UserError);
    }
  });
});

describe("positives", () => {
  it("cozyrag 24: are gold passages, else the best found passage that holds the answer, never just what was found", () => {
    expect(choosePositives(question, [3], textOf, true)).toEqual([0]);
    const unmarked = { ...question, goldRows: [] };
    expect(choosePositives(unmarked, [4, 1, 3, 0], textOf, true)).toEqual([3]);
    expect(choosePositives(unmarked, [4, 1, -1], textOf, true)).toEqual([]);
    expect(choosePositives(unmarked, [3], textOf, false)).toEqual([]);
  });
});

describe("false negatives of a batch", () => {
  const passages = TEXTS.map((text, row) => ({ row: row + 100, text }));

  it("cozyrag 24: another gold passage, the same text, and a holder of the answer are masked; the trained positive never is", () => {
    const masked = falseNegatives(
      [
        { goldRows: [100, 101], answers: ["Ida Renhan"], positive: 0 },
        { goldRows: [104], answers: ["1733"], positive: 4 },
        { goldRows: [103], answers: [""], positive: 3 },
      ],
      passages,
    );
    expect([...masked.slice(0, 5)]).toEqual([0, 1, 1, 1, 0]);
    expect([...masked.slice(5, 10)]).toEqual([0, 0, 0, 0, 0]);
    expect([...masked.slice(10)]).toEqual([0, 0, 0, 0, 0]);
  });
});
