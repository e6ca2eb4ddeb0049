/**
 * Proves that the grammar of conditions is closed: what it prints it reads back, `and` binds tighter than `or`, and everything else, hostile text too, is refused with what was expected.
 * Alone: npx vitest run test/config/condition.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { conditionText, metricsIn, parseCondition, type ConditionTerms } from "../../src/config/condition.js";

const metric = fc.oneof(
  fc.constantFrom("em", "f1", "rouge_l", "mrr", "loss"),
  fc.nat({ max: 999 }).map((k) => `recall@${k}`),
  fc.stringMatching(/^loss\/[a-z_]{1,12}$/),
);
const comparison = fc.record({
  metric,
  relation: fc.constantFrom("<" as const, "<=" as const, ">" as const, ">=" as const),
  bound: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
});
const terms = fc.array(fc.array(comparison, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 });

describe("a condition", () => {
  it("is read back as it was printed", () => {
    fc.assert(
      fc.property(terms, (any: ConditionTerms) => {
        const text = conditionText(any);
        fc.pre(text.length <= 300);
        expect(parseCondition(text)).toEqual(any);
      }),
      { numRuns: 500 },
    );
  });

  it("needs no spaces and bears many; and binds tighter than or", () => {
    expect(parseCondition("loss<0.5")).toEqual([[{ metric: "loss", relation: "<", bound: 0.5 }]]);
    expect(parseCondition("  em   >=\t-.5e-1 ")).toEqual([[{ metric: "em", relation: ">=", bound: -0.05 }]]);
    const both = parseCondition("loss/answer < 1 and em > 0.2 or recall@10 <= 3");
    expect(both.map((all) => all.length)).toEqual([2, 1]);
    expect(metricsIn(both)).toEqual(["loss/answer", "em", "recall@10"]);
  });

  it.each([
    ["", /^expected a comparison/],
    ["   ", /^expected a comparison/],
    ["loss", /expected <, <=, > or >= after 'loss'/],
    ["loss <", /expected a number after 'loss <'/],
    ["loss < x", /expected a number after 'loss <'/],
    ["loss < 1e999", /expected a number/],
    ["loss < 0x10", /column 8/],
    ["loss < 1 2", /expected 'and' or 'or' where '2' stands/],
    ["loss < 1 and", /^expected a comparison/],
    ["loss < 1 or or em > 1", /where 'or' stands/],
    ["loss = 1", /at column 6/],
    [
      "loss < 1 && em > 1",
      /^expected comparisons joined by 'and', which binds tighter, and 'or', without brackets, not '&&' at column 10$/,
    ],
    ["loss < 1 || em > 1", /joined by .* not '\|\|' at column 10/],
    ["not(em > 1)", /without brackets, not '\(' at column 4/],
    ["(loss < 1)", /joined by .* without brackets, not '\(' at column 1$/],
    ["not loss < 1", /expected a metric/],
    ["0.5 > loss", /where '0.5' stands/],
    ["recal@1 < 0.9", /expected a metric \(.*\), not 'recal@1'$/],
    ["los < 1", /not 'los'$/],
    ["__proto__ < 1", /expected a metric/],
    ["constructor > 0", /expected a metric/],
    ["loss/../x < 1", /expected/],
    ["process.exit(1) < 1", /expected/],
    ["em\u0000 > 1", /expected/],
    ["em > 1\u202e", /expected/],
    ["em > １", /expected/],
  ])("%j is refused", (text, message) => {
    expect(() => parseCondition(text)).toThrow(message);
  });

  it.each([
    ["los < 1", "did you mean loss?"],
    ["recal@1 < 0.9", "did you mean recall@K?"],
    ["zzzzzz < 1", undefined],
  ])("%j says what may have been meant apart from what was expected", (text, remedy) => {
    expect(() => parseCondition(text)).toThrow(expect.objectContaining({ name: "GrammarError", remedy }));
  });

  it("of any other text is refused quickly with what was expected, or read", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 400 }), fc.stringMatching(/^[a-z<>=@/.\-+0-9 ]{0,300}$/)), (text) => {
        const start = performance.now();
        try {
          expect(parseCondition(text).length).toBeGreaterThan(0);
        } catch (error) {
          expect((error as Error).message).toMatch(/^expected /);
        }
        expect(performance.now() - start).toBeLessThan(200);
      }),
      { numRuns: 1000 },
    );
    expect(() => parseCondition("em > 1 and ".repeat(1e5))).toThrow(/at most 300 characters/);
    expect(() => parseCondition(`em > ${"1".repeat(290)}x`)).toThrow(/expected/);
  });
});
