/**
 * Proves that what a server and `tandem runs` are given of a report's row are its figures, and of its comparison with the base pair the difference and p alone; and that any row, however odd, gives no more.
 * Alone: npx vitest run test/tracking/report-figures.test.ts
 */
import { describe, expect, it } from "vitest";
import { ReportStream } from "../../src/tracking/metric-streams.js";
import { rowFigures } from "../../src/tracking/report-figures.js";
import { reportRows } from "../../src/tracking/run-summary.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { finishRun, makeRun } from "./made-run.js";

const scratch = temporaryFolder();

describe("the figures of a report", () => {
  it("are sent with the difference to the base pair and its p, and without how p was found", async () => {
    const run = makeRun(scratch, { steps: 4 });
    finishRun(run);
    const keys: string[] = [];
    for await (const { points } of new ReportStream(run, () => 4).newSteps()) keys.push(...points.map(({ key }) => key));
    expect(keys.filter((key) => key.includes("against_base")).sort()).toEqual([
      "report/trained-pair/against_base_at_em_at_difference",
      "report/trained-pair/against_base_at_em_at_p",
      "report/trained-pair/against_base_at_recall_at_1_at_difference",
      "report/trained-pair/against_base_at_recall_at_1_at_p",
    ]);
    expect(keys).toContain("report/trained-pair/em");
  });

  it("are listed in the same way", () => {
    const run = makeRun(scratch, { steps: 4 });
    finishRun(run);
    const [row] = reportRows(run)!;
    expect(Object.entries(row!.figures).filter(([name]) => name.startsWith("against_base"))).toEqual([
      ["against_base@em@difference", 0.25],
      ["against_base@em@p", 0.0625],
      ["against_base@recall@1@difference", 0.125],
      ["against_base@recall@1@p", 0.5],
    ]);
  });

  it.each([
    [{ em: 1, against_base: null }, { em: 1 }],
    [{ em: 1, against_base: [1] }, { em: 1 }],
    [{ em: 1, against_base: "x" }, { em: 1 }],
    [
      { em: 1, against_base: { em: 3, f1: null, mrr: [2], rouge_l: { questions: 4 } } },
      { em: 1, against_base: { rouge_l: {} } },
    ],
  ])("of %j are %j", (values, figures) => {
    expect(rowFigures(values)).toEqual(figures);
  });
});
