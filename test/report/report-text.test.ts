/**
 * Proves that the report's text shows every row with its figures, says nothing where there is nothing, and says as plainly that training made the retriever worse as that it made it better.
 * Alone: npx vitest run test/report/report-text.test.ts
 */
import { describe, expect, it } from "vitest";
import type { ReportRow } from "../../src/evaluation/baselines.js";
import type { Difference } from "../../src/evaluation/compare-rows.js";
import { reportText, type RunReport } from "../../src/report/report-text.js";

const row = (name: string, change: Partial<ReportRow> = {}): ReportRow => ({
  name,
  meaning: `meaning of ${name}`,
  questions: 200,
  em: 0.25,
  f1: 0.5,
  rouge_l: 0.52,
  em_interval: [0.2, 0.3],
  f1_interval: [0.45, 0.55],
  rouge_l_interval: [0.46, 0.58],
  rep: { "1": 0.1, "2": 0.05 },
  recall: { "1": 0.4, "5": 0.6 },
  recall_interval: { "1": [0.3, 0.5], "5": [0.5, 0.7] },
  ndcg: { "1": 0.4, "5": 0.51 },
  ndcg_interval: { "1": [0.3, 0.5], "5": [0.4, 0.6] },
  mrr: 0.48,
  mrr_interval: [0.4, 0.56],
  with_gold: 200,
  answer_in_context: 0.7,
  answer_in_context_interval: [0.6, 0.8],
  against_base: null,
  ...change,
});
const against = (change: Partial<Difference> = {}): Difference => ({
  difference: 0.125,
  interval: [0.1, 0.2],
  questions: 200,
  p: 0.0312,
  exact: true,
  permutations: 1024,
  smallest_p: 0.00195,
  documents: 12,
  differing_documents: 10,
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
  gold_rep: { "2": 0.012 },
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
    expect(figures("row")).toEqual([
      "row",
      "EM",
      "interval",
      "F1",
      "ROUGE-L",
      "R@1",
      "R@5",
      "nDCG@5",
      "MRR@5",
      "rep-2",
      "answer in context",
    ]);
    expect(figures("bm25")).toEqual([
      "bm25",
      "0.250",
      "0.200-0.300",
      "0.500",
      "0.520",
      "0.400",
      "0.600",
      "0.510",
      "0.480",
      "0.050",
      "0.700",
    ]);
    expect(figures("trained-pair")).toEqual([
      "trained-pair",
      "0.500",
      "0.410-0.590",
      "0.500",
      "0.520",
      "0.400",
      "0.600",
      "0.510",
      "0.480",
      "0.050",
      "0.700",
    ]);
    expect(figures("no-passage")[0]).toBe("no-passage");
    for (const name of ["bm25", "trained-pair", "no-passage"]) expect(text).toMatch(new RegExp(`  ${name}\\s+meaning of ${name}`));
    expect(text).toContain("Intervals hold 95 % of bootstrap resamples");
    // A table: all its lines are of one width.
    const start = lines.findIndex((line) => line.startsWith("row"));
    expect(new Set(lines.slice(start, start + 4).map(({ length }) => length)).size).toBe(1);
  });

  it("shows a dash, not 0, where nothing was retrieved", () => {
    const text = reportText(report([row("closed-book", { recall: { "1": null }, ndcg: { "1": null }, mrr: null })]));
    expect(text).toMatch(/closed-book.*0\.520\s+–\s+–\s+–\s+–\s+0\.050\s+0\.700/);
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

  it.each([
    [0.049, "above its start: "],
    [0.3, "above its start, by no more than chance may give: "],
  ])("with p = %s says whether chance may have done it", (p, words) => {
    const tested = { ...withRecall("trained-pair", 0.6), against_base: { "recall@1": against({ difference: 0.2, p }) } };
    const text = reportText(report([withRecall("base-pair", 0.4), tested]));
    expect(text).toContain(`The trained retriever's recall@1 is ${words}0.600 against 0.400`);
  });

  it("shows what each row has over the base pair, with p, how it was found and how small it could be", () => {
    const drawn = against({ difference: -0.25, p: 0.00009999, exact: false, permutations: 10_000, smallest_p: 0.00009999 });
    const rows = [
      row("base-pair"),
      row("trained-pair", { against_base: { em: against(), f1: drawn, rouge_l: against({ difference: 0, p: 1 }), "recall@1": drawn } }),
      row("closed-book", { against_base: { em: against(), f1: against(), rouge_l: against() } }),
    ];
    const text = reportText(report(rows));
    expect(text).toMatch(/^against base-pair +EM +p +F1 +p +ROUGE-L +p +R@1 +p$/m);
    expect(text).toMatch(/^trained-pair +\+0\.125 +0\.031 +-0\.250 +0\.00010\* +\+0\.000 +1\.000 +-0\.250 +0\.00010\*$/m);
    expect(text).toMatch(/^closed-book +\+0\.125 +0\.031 .* – +–$/m);
    expect(text).toContain("whole documents (12) changing sides; not corrected for the number of tests.");
    expect(text).toContain("* 10,000 sign changes drawn; elsewhere every one was tried.");
    expect(text).toContain("Smallest p that could be reached: 0.00010 to 0.002, by how many documents differ.");
    expect(text).toContain("recall@1 is equal to its start: 0.400 against 0.400 (+0.000, p = 0.00010).");
    expect(reportText(report([row("base-pair"), row("trained-pair", { against_base: { em: against() } })]))).toContain(
      "Every sign change was tried.",
    );
    expect(reportText(report([row("trained-pair")]))).not.toContain("against base-pair");
  });

  it("compares with nothing that wasn't measured", () => {
    expect(reportText(report([withRecall("trained-pair", 0.5), withRecall("base-pair", null)]))).not.toContain("recall@1 is");
    expect(reportText(report([withRecall("base-pair", 0.5)]))).not.toContain("recall@1 is");
  });

  it("says how often the unknown answer is given where one is configured, and nothing where none is", () => {
    const abstention = {
      unknown_answer: "I don't know",
      with_answer: 140,
      without_answer: 60,
      rate_with_answer: 0.05,
      rate_with_answer_interval: [0.02, 0.09],
      rate_without_answer: 0.75,
      rate_without_answer_interval: [0.6, 0.9],
      answered: 148,
      em_answered: 0.625,
      em_answered_interval: [0.5, 0.7],
      f1_answered: null,
      f1_answered_interval: null,
    } as const;
    const lines = reportText(report([row("bm25", { abstention }), row("trained-pair")])).split("\n");
    const start = lines.findIndex((line) => line.startsWith("unknown answer"));
    expect(lines[start + 1]!.trim().split(/\s{2,}/)).toEqual(["bm25", "140", "0.050", "60", "0.750", "148", "0.625", "–"]);
    expect(lines[start + 2]).toMatch(/^How often "I don't know" is said/);
    expect(reportText(report([row("bm25")]))).not.toContain("unknown answer");
  });
});
