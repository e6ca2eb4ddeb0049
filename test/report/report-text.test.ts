/**
 * Proves that the report's text shows every row with its figures, says nothing where there is nothing, and says as plainly that training made the retriever worse as that it made it better.
 * Alone: npx vitest run test/report/report-text.test.ts
 */
import { describe, expect, it } from "vitest";
import type { ReportRow } from "../../src/evaluation/baselines.js";
import { reportText, type RunReport } from "../../src/report/report-text.js";

const row = (name: string, change: Partial<ReportRow> = {}): ReportRow => ({
  name,
  meaning: `meaning of ${name}`,
  questions: 200,
  em: 0.25,
  f1: 0.5,
  em_interval: [0.2, 0.3],
  f1_interval: [0.45, 0.55],
  recall: { "1": 0.4, "5": 0.6 },
  mrr: 0.48,
  with_gold: 200,
  answer_in_context: 0.7,
  ...change,
});
const report = (rows: ReportRow[], more: ReportRow[] = []): RunReport => ({
  name: "quickstart",
  split: "test",
  questions: 200,
  passages: 1234,
  k: 4,
  confidence: 0.95,
  rows,
  more,
  seconds: {},
});
const withRecall = (name: string, value: number | null): ReportRow => row(name, { recall: { "1": value, "5": value } });

describe("reportText", () => {
  it("shows each row's figures under its heads, and what the row means", () => {
    const text = reportText(report([row("bm25"), row("trained-pair", { em: 0.5, em_interval: [0.41, 0.59] })], [row("no-passage")]));
    const lines = text.split("\n");
    expect(lines[0]).toBe("quickstart: 200 questions of the test split, 1234 passages, k = 4");
    const figures = (name: string): string[] =>
      lines
        .find((line) => line.startsWith(name))!
        .trim()
        .split(/\s{2,}/);
    expect(figures("row")).toEqual(["row", "EM", "interval", "F1", "R@1", "R@5", "MRR@5", "answer in context"]);
    expect(figures("bm25")).toEqual(["bm25", "0.250", "0.200-0.300", "0.500", "0.400", "0.600", "0.480", "0.700"]);
    expect(figures("trained-pair")).toEqual(["trained-pair", "0.500", "0.410-0.590", "0.500", "0.400", "0.600", "0.480", "0.700"]);
    expect(figures("no-passage")[0]).toBe("no-passage");
    for (const name of ["bm25", "trained-pair", "no-passage"]) expect(text).toMatch(new RegExp(`  ${name}\\s+meaning of ${name}`));
    expect(text).toContain("Intervals hold 95 % of bootstrap resamples");
    // A table: all its lines are of one width.
    const start = lines.findIndex((line) => line.startsWith("row"));
    expect(new Set(lines.slice(start, start + 4).map(({ length }) => length)).size).toBe(1);
  });

  it("shows a dash, not 0, where nothing was retrieved", () => {
    const text = reportText(report([row("closed-book", { recall: { "1": null }, mrr: null })]));
    expect(text).toMatch(/closed-book.*–\s+–\s+–\s+0\.700/);
  });

  it.each([
    [0.6, 0.4, "above its start: 0.600 against 0.400 (+0.200)"],
    [0.3, 0.4, "BELOW its start: 0.300 against 0.400 (-0.100)"],
    [0.4, 0.4, "equal to its start: 0.400 against 0.400 (+0.000)"],
  ])("says what training did to the retriever: %s after %s before", (trained, base, words) => {
    const text = reportText(report([withRecall("base-pair", base), withRecall("trained-pair", trained), withRecall("bm25", 0.1)]));
    expect(text).toContain(`The trained retriever's recall@1 is ${words}.`);
    expect(text).toContain(`The trained retriever's recall@1 is above BM25: ${trained.toFixed(3)} against 0.100`);
  });

  it("compares with nothing that wasn't measured", () => {
    expect(reportText(report([withRecall("trained-pair", 0.5), withRecall("base-pair", null)]))).not.toContain("recall@1 is");
    expect(reportText(report([withRecall("base-pair", 0.5)]))).not.toContain("recall@1 is");
  });
});
