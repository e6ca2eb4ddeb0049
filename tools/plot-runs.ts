/**
 * Validation metrics of several runs over the global step, as one SVG file for the documents: `npx tsx tools/plot-runs.ts docs/figures/stale-index.svg recall@1,em never=<run>,<run> drift=<run>,<run>`. A setting has one colour and
 * its runs, one a seed, a line each. It reads `validation/summary.jsonl` and trains nothing. The trap: an SVG in a page sees nothing of the page's style, so colours for light and dark stand in the file itself.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as Plot from "@observablehq/plot";
import { runToExit } from "../src/cli/exit.js";
import { UserError } from "../src/errors.js";
import { escapeHtml, htmlOf } from "../src/report/markup.js";
import { svgPlot } from "../src/report/svg-plot.js";
import { writeFileAtomic } from "../src/storage/atomic-write.js";

/** Told apart by most eyes, on white and on black: Okabe and Ito's. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const WIDTH = 680;
const HEIGHT = 240;
const LINE_HEIGHT = 14;

export interface Setting {
  readonly label: string;
  /** Run directories, one a seed. */
  readonly runs: readonly string[];
}

interface Point {
  readonly setting: string;
  readonly run: string;
  readonly metric: string;
  readonly step: number;
  readonly value: number;
}

/** One panel a metric, steps from left to right. @throws UserError when a run has no such values */
export function plotRuns(settings: readonly Setting[], metrics: readonly string[]): string {
  if (settings.length > COLOURS.length)
    throw new UserError({
      where: "plot-runs",
      what: "has too few colours",
      expected: `at most ${COLOURS.length} settings`,
      got: String(settings.length),
    });
  const points = settings.flatMap(({ label, runs }) => runs.flatMap((run) => pointsOf(label, run, metrics)));
  const legend = settings.map(({ label }, i) => ({
    metric: metrics[0],
    label,
    setting: label,
    dy: -(settings.length - 1 - i) * LINE_HEIGHT,
  }));
  const drawing = htmlOf(
    svgPlot(
      {
        width: WIDTH,
        height: HEIGHT,
        marginLeft: 44,
        marginBottom: 34,
        marginTop: 24,
        x: { label: "global step", ticks: 5 },
        y: { label: null, grid: true, ticks: 5, nice: true },
        fx: { label: null, domain: [...metrics] },
        color: { domain: settings.map(({ label }) => label), range: COLOURS.slice(0, settings.length) },
        marks: [
          Plot.line(points, { x: "step", y: "value", fx: "metric", stroke: "setting", z: "run", strokeWidth: 1.6 }),
          Plot.dot(points, { x: "step", y: "value", fx: "metric", fill: "setting", r: 2 }),
          ...legend.map((entry) =>
            Plot.text([entry], { text: "label", fill: "setting", fx: "metric", frameAnchor: "bottom-right", dx: -4, dy: entry.dy - 4 }),
          ),
        ],
      },
      "title",
    ),
  );
  const title = `${metrics.join(" and ")} of validation over the global step: ${settings.map(({ label, runs }) => `${label} (${runs.length} runs)`).join(", ")}`;
  return standalone(drawing, title);
}

function pointsOf(setting: string, run: string, metrics: readonly string[]): Point[] {
  const file = path.join(run, "validation", "summary.jsonl");
  if (!existsSync(file)) throw new UserError({ where: file, what: "is missing", expected: "a run directory with validations", got: run });
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  const points = lines.flatMap((line) => {
    const { step, ...figures } = JSON.parse(line) as { step: number } & Record<string, unknown>;
    return metrics.flatMap((metric) => {
      const value = metric.startsWith("recall@") ? (figures["recall"] as Record<string, unknown>)[metric.slice(7)] : figures[metric];
      return typeof value === "number" ? [{ setting, run, metric, step, value }] : [];
    });
  });
  const missing = metrics.find((metric) => !points.some((point) => point.metric === metric));
  if (missing !== undefined)
    throw new UserError({ where: file, what: `has no ${missing}`, expected: "a metric of the validation, as em or recall@1" });
  return points;
}

/** With a title for those who don't see it, a font, and colours for a dark page. */
function standalone(svg: string, title: string): string {
  const style =
    "svg { font: 11px sans-serif; color: #1b1f24; background: #fff } @media (prefers-color-scheme: dark) { svg { color: #e6edf3; background: #0d1117 } }";
  return `${svg.replace(/^<svg([^>]*)>/, (_, rest: string) => `<svg${rest.includes("xmlns=") ? "" : ' xmlns="http://www.w3.org/2000/svg"'}${rest}><title id="title">${escapeHtml(title)}</title><style>${style}</style>`)}\n`;
}

function main(words: readonly string[]): void {
  const [file, metrics, ...named] = words;
  const settings = named.map((word): Setting => {
    const at = word.indexOf("=");
    return { label: word.slice(0, Math.max(0, at)), runs: word.slice(at + 1).split(",") };
  });
  if (file === undefined || metrics === undefined || settings.length === 0 || settings.some(({ label }) => label === ""))
    throw new UserError({
      where: "plot-runs",
      what: "doesn't know what to draw",
      expected: "FILE.svg METRIC,… LABEL=RUN,… …",
      got: words.join(" "),
    });
  writeFileAtomic(file, plotRuns(settings, metrics.split(",")));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runToExit(
    () => "plot-runs",
    () => {
      main(process.argv.slice(2));
      return Promise.resolve();
    },
  );
}
