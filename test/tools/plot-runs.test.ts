/**
 * Proves that the figures of docs/results.md draw every run's validation at its place, one panel a metric and one colour a setting, with a title and a light and a dark style of their own; and that a metric which a run
 * hasn't is refused by name. Alone: npx vitest run test/tools/plot-runs.test.ts
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, describe, expect, it } from "vitest";
import { plotRuns } from "../../tools/plot-runs.js";

/** What is looked at of a document; linkedom's own type names a browser's. */
interface Drawing {
  querySelector(selector: string): Drawing | null;
  querySelectorAll(selector: string): Iterable<Drawing>;
  getAttribute(name: string): string | null;
  readonly textContent: string;
}

const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-plot-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(name: string, values: readonly (readonly [step: number, recall: number, em: number])[]): string {
  const place = path.join(folder, name);
  mkdirSync(path.join(place, "validation"), { recursive: true });
  const lines = values.map(([step, recall, em]) => JSON.stringify({ step, phase: "refresh", em, recall: { 1: recall, 5: 1 } }));
  writeFileSync(path.join(place, "validation", "summary.jsonl"), `${lines.join("\n")}\n`);
  return place;
}

const never = [
  run("never-0", [
    [0, 0.1, 0],
    [10, 0.5, 0.2],
  ]),
  run("never-1", [
    [0, 0.1, 0],
    [10, 0.6, 0.3],
  ]),
];
const drift = run("drift", [
  [0, 0.1, 0],
  [10, 0.9, 0.8],
]);

describe("a figure of runs", () => {
  it("has a line and its points for each run and metric, in the colour of its setting", () => {
    const text = plotRuns(
      [
        { label: "never", runs: never },
        { label: "on <drift>", runs: [drift] },
      ],
      ["recall@1", "em"],
    );
    const { document } = parseHTML(text) as unknown as { document: Drawing };
    const svg = document.querySelector("svg")!;
    expect(svg.getAttribute("xmlns")).toBe("http://www.w3.org/2000/svg");
    expect(document.querySelector("#title")!.textContent).toBe(
      "recall@1 and em of validation over the global step: never (2 runs), on <drift> (1 runs)",
    );
    expect(svg.getAttribute("aria-labelledby")).toBe("title");
    const strokes = [...document.querySelectorAll("path[stroke]")].map((line) => line.getAttribute("stroke"));
    expect(strokes.filter((colour) => colour === "#0072b2")).toHaveLength(4);
    expect(strokes.filter((colour) => colour === "#d55e00")).toHaveLength(2);
    expect([...document.querySelectorAll("circle")]).toHaveLength(12);
    // A higher value stands higher: 0.9 and 0.8 of the second setting above 0.5 to 0.2 of the first, at the same step.
    const dots = [...document.querySelectorAll("circle")].map((dot) => ({
      x: Number(dot.getAttribute("cx")),
      y: Number(dot.getAttribute("cy")),
      colour: dot.getAttribute("fill"),
    }));
    const right = Math.max(...dots.map(({ x }) => x));
    const last = (colour: string): number[] => dots.filter((dot) => dot.colour === colour && dot.x === right).map(({ y }) => y);
    expect(Math.max(...last("#d55e00"))).toBeLessThan(Math.min(...last("#0072b2")));
    expect(document.querySelector("style")!.textContent).toMatch(/prefers-color-scheme: dark/);
  });

  it("refuses a metric that wasn't measured, and more settings than colours", () => {
    expect(() => plotRuns([{ label: "never", runs: never }], ["recall@7"])).toThrow(/summary\.jsonl: has no recall@7/);
    expect(() => plotRuns([{ label: "gone", runs: [path.join(folder, "gone")] }], ["em"])).toThrow(/summary\.jsonl: is missing/);
    expect(() =>
      plotRuns(
        Array.from({ length: 7 }, (_, i) => ({ label: String(i), runs: never })),
        ["em"],
      ),
    ).toThrow(/too few colours; expected at most 6 settings, got 7/);
  });
});
