/**
 * Proves that a row's difference from the base pair is the difference of their means over the questions both have the metric for, with the interval and the test of exactly those differences.
 * Alone: npx vitest run test/evaluation/compare-rows.test.ts
 */
import { describe, expect, it } from "vitest";
import type { Question } from "../../src/corpus/question.js";
import { scoreAnswer, type Answered } from "../../src/evaluation/answered.js";
import { clusteredInterval } from "../../src/evaluation/bootstrap.js";
import { compareRows } from "../../src/evaluation/compare-rows.js";
import { pairedPermutation } from "../../src/evaluation/paired-permutation.js";

const OPTIONS = { recallKs: [1, 2], samples: 100, confidence: 0.9, permutations: 300 };
const QUESTIONS: Question[] = Array.from({ length: 30 }, (_, i) => ({
  id: `q${i}`,
  question: "Who?",
  answers: ["Ida Renhan"],
  passageIds: i % 5 === 0 ? [] : ["gold"],
  document: `d${i % 6}`,
}));
/** Right for every third question, half right for the next; the gold passage first for even ones. */
const base = QUESTIONS.map((question, i) =>
  scoreAnswer(question, ["Ida Renhan", "Ida", "x"][i % 3] ?? "", [], i % 2 === 0 ? ["gold", "p"] : ["p", "gold"], [1, 2]),
);
const better = QUESTIONS.map((question, i) => scoreAnswer(question, i % 2 === 0 ? "Ida Renhan" : "Ida", [], ["gold", "p"], [1, 2]));

const differences = (value: (entry: Answered) => number): number[] => better.map((entry, i) => value(entry) - value(base[i]!));
const documents = QUESTIONS.map(({ document }) => document ?? "");

describe("compareRows", () => {
  const compared = compareRows(better, base, OPTIONS);

  it("holds every metric that both rows have", () => {
    expect(Object.keys(compared)).toEqual(["em", "f1", "rouge_l", "answer_in_context", "mrr", "recall@1", "recall@2", "ndcg@1", "ndcg@2"]);
  });

  it("is the difference with the interval and the test of the paired differences", () => {
    for (const [name, value] of [
      ["em", (entry: Answered) => entry.em],
      ["f1", (entry: Answered) => entry.f1],
      ["rouge_l", (entry: Answered) => entry.rougeL],
    ] as const) {
      const own = differences(value);
      const { mean, low, high } = clusteredInterval(own, documents, { resamples: 100, level: 0.9 });
      const test = pairedPermutation(own, documents, { permutations: 300 });
      expect(compared[name]).toEqual({ difference: mean, interval: [low, high], questions: 30, ...test });
    }
    expect(compared["em"]!.difference).toBeCloseTo(15 / 30 - 10 / 30, 12);
  });

  it("compares retrieval over the questions with a gold passage, and says how many they are", () => {
    expect(compared["recall@1"]).toMatchObject({ questions: 24, documents: 6 });
    const odd = QUESTIONS.filter((question, i) => question.passageIds.length > 0 && i % 2 === 1).length;
    expect(compared["recall@1"]!.difference).toBeCloseTo(odd / 24, 12);
    expect(compared["recall@2"]).toMatchObject({ difference: 0, p: 1 });
  });

  it("leaves out retrieval where one row didn't search", () => {
    const closed = QUESTIONS.map((question) => scoreAnswer(question, "x", [], undefined, [1, 2]));
    expect(Object.keys(compareRows(closed, base, OPTIONS))).toEqual(["em", "f1", "rouge_l", "answer_in_context"]);
  });

  it("refuses rows of other questions or another order", () => {
    expect(() => compareRows(better.slice(1), base, OPTIONS)).toThrow("different questions");
    expect(() => compareRows([...better].reverse(), base, OPTIONS)).toThrow("different questions");
  });
});
