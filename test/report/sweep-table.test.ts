/** Proves that a sweep's table has one line a run, whatever its values, row names and faults hold. Alone: npx vitest run test/report/sweep-table.test.ts */
import { describe, expect, it } from "vitest";
import { sweepTable, type ComparedRun } from "../../src/report/sweep-table.js";

const run = (number: number, value: string, more: Partial<ComparedRun> = {}): ComparedRun => ({
  number,
  run: `20260101-000000-x+${number}`,
  outcome: "finished",
  fault: null,
  overrides: { key: value },
  rows: [{ name: "trained-pair", figures: { em: 0.5, f1: 0.25, "recall@1": 0.125, mrr: null } }],
  ...more,
});

describe("a sweep's table", () => {
  it("has the trained pair's figures, of other rows the exact match, and the folder", () => {
    const rows = [
      { name: "trained-pair", figures: { em: 0.5, f1: 0.25, "recall@1": 0.125, mrr: null } },
      { name: "bm25", figures: { em: 1 } },
    ];
    const [title, , heads, first, second] = sweepTable({ name: "x", keys: ["key"], runs: [run(0, "a", { rows }), run(1, "b")] }).split(
      "\n",
    );
    expect(title).toBe("x: 2 of 2 runs finished; EM, F1, R@1 and MRR are the trained pair's");
    expect(heads?.trim().split(/ {2,}/)).toEqual(["run", "key", "EM", "F1", "R@1", "MRR", "EM bm25", "folder"]);
    expect(first?.trim().split(/ {2,}/)).toEqual(["0", "a", "0.500", "0.250", "0.125", "–", "1.000", "20260101-000000-x+0"]);
    expect(second?.trim().split(/ {2,}/)).toEqual(["1", "b", "0.500", "0.250", "0.125", "–", "–", "20260101-000000-x+1"]);
  });

  it.each(["a\nb", "a\r\nb", "a\u2028b", "\u001b[2Ja", "a\tb", "\u0085"])("keeps %j in its line", (value) => {
    const plain = sweepTable({ name: "x", keys: ["key"], runs: [run(0, "a"), run(1, "b", { outcome: "failed", fault: "why" })] });
    const failed = run(1, value, { outcome: "failed", fault: value, rows: [{ name: value, figures: { em: 1 } }] });
    const text = sweepTable({ name: "x", keys: ["key"], runs: [run(0, value), failed] });
    expect(text.split("\n")).toHaveLength(plain.split("\n").length);
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
  });
});
