/** Proves: ROUGE-L equals Google's rouge-score, with its words and its best of several gold answers; order counts. Alone: npx vitest run test/evaluation/rouge-l.test.ts */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rougeL } from "../../src/evaluation/rouge-l.js";
import { metricCases } from "./metric-cases.js";

const { rouge } = metricCases();

describe("ROUGE-L", () => {
  it.each(rouge)("of $prediction against $answers is $rouge_l", ({ prediction, answers, rouge_l: expected }) => {
    expect(rougeL(prediction, answers)).toBeCloseTo(expected, 12);
  });

  it("has cases all over its range", () => {
    expect(new Set(rouge.map(({ rouge_l: value }) => value.toFixed(3))).size).toBeGreaterThan(20);
  });

  it("is 1 for the gold answer, never above 1, and the same for either side", () => {
    const text = fc
      .array(fc.constantFrom("river", "the", "town", "1580", "of"), { minLength: 1, maxLength: 8 })
      .map((words) => words.join(" "));
    fc.assert(
      fc.property(text, text, (left, right) => {
        expect(rougeL(left, [right, left])).toBe(1);
        expect(rougeL(left, [right])).toBeCloseTo(rougeL(right, [left]), 12);
        expect(rougeL(left, [right])).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("counts order, which F1 doesn't", () => {
    expect(rougeL("one two three", ["three two one"])).toBeCloseTo(1 / 3, 12);
  });

  it("needs a gold answer", () => {
    expect(() => rougeL("x", [])).toThrow("gold answer");
  });
});
