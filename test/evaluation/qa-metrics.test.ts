/** Proves: EM and F1 equal the reference's golden values, to the last digit; repetition counts what its formula says. */
import fs from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exactMatch, f1, kiltExactMatch, repetition } from "../../src/evaluation/qa-metrics.js";

const goldens = process.env.TANDEM_GOLDENS ?? "test/fixtures/goldens";
const cases = JSON.parse(fs.readFileSync(path.join(goldens, "qa_metrics.expected.json"), "utf8")) as {
  prediction: string;
  answers: string[];
  exact_match: number;
  f1: number;
}[];

describe("cozyrag 37: answers are measured", () => {
  it.each(cases)("$prediction against $answers", ({ prediction, answers, exact_match: em, f1: overlap }) => {
    expect(exactMatch(prediction, answers)).toBe(em);
    expect(f1(prediction, answers)).toBeCloseTo(overlap, 12);
  });

  it("a gold answer scores 1 and 1 among any others; scores stay in [0, 1]", () => {
    const text = fc
      .array(fc.constantFrom("river", "the", "town", "1580", "Raimo", "of", "a"), { minLength: 1, maxLength: 5 })
      .map((words) => words.join(" "));
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 3 }), text, (answer, others, prediction) => {
        const answers = [...others, `${answer} x`];
        expect(exactMatch(`${answer} X!`, answers)).toBe(1);
        expect(f1(`${answer} X!`, answers)).toBe(1);
        const score = f1(prediction, answers);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(1);
        if (exactMatch(prediction, answers) === 1 && exactMatch(prediction, [""]) === 0) expect(score).toBe(1);
      }),
    );
  });

  it("a missing prediction is the empty answer; a question without answers is a bug", () => {
    expect([exactMatch("", ["x"]), f1("", ["x"])]).toEqual([0, 0]);
    expect(() => exactMatch("x", [])).toThrow("gold answer");
    expect(() => f1("x", [])).toThrow("gold answer");
  });

  it("KILT-EM counts only with full R-precision", () => {
    expect([kiltExactMatch("a b", ["B"], 1), kiltExactMatch("a b", ["B"], 0.5), kiltExactMatch("c", ["B"], 1)]).toEqual([1, 0, 0]);
  });
});

describe("repetition", () => {
  it.each<[string, number, number]>([
    ["a b a b", 2, 1 - 2 / 3],
    ["a a a a", 1, 0.75],
    ["a b c", 2, 0],
    ["a", 2, 0],
    ["", 1, 0],
    ["vem vem vem vem vem", 3, 1 - 1 / 3],
  ])("of %j with n = %i is %f", (text, n, expected) => expect(repetition(text, n)).toBeCloseTo(expected, 12));

  it("refuses n-grams of no words", () => expect(() => repetition("a", 0)).toThrow("n-gram"));
});
