/** The rows at a glance: EM and F1, each a point with its interval, one under the other. The figures themselves are in the tables (row-tables.ts), so this drawing repeats and adds nothing. */
import * as Plot from "@observablehq/plot";
import type { ReportRow } from "../evaluation/baselines.js";
import { markup, type Markup } from "./markup.js";
import { percent } from "./report-text.js";
import { svgPlot } from "./svg-plot.js";

export function rowsChart(rows: readonly ReportRow[], confidence: number): Markup {
  const points = rows.flatMap(({ name, em, f1, em_interval: emInterval, f1_interval: f1Interval }) => [
    { name, metric: "exact match", value: em, low: emInterval[0], high: emInterval[1] },
    { name, metric: "F1", value: f1, low: f1Interval[0], high: f1Interval[1] },
  ]);
  const place = { y: "name", fx: "metric" };
  const drawn = svgPlot(
    {
      width: 860,
      height: 60 + 30 * rows.length,
      marginLeft: 170,
      marginRight: 16,
      fx: { domain: ["exact match", "F1"], label: null, padding: 0.1 },
      x: { domain: [0, 1], label: null, grid: true, ticks: 5, insetLeft: 16, insetRight: 16 },
      y: { domain: rows.map(({ name }) => name), label: null, tickSize: 0 },
      marks: [
        Plot.ruleY(points, { ...place, x1: "low", x2: "high", stroke: "var(--curve)", strokeWidth: 2 }),
        Plot.dot(points, { ...place, x: "value", r: 4, fill: "var(--curve)" }),
        Plot.text(points, { ...place, x: "value", text: ({ value }: { value: number }) => value.toFixed(3), dy: -10, fill: "var(--text)" }),
      ],
    },
    "rows-caption",
  );
  return markup`<figure class="chart wide"><figcaption id="rows-caption">Exact match and F1 of every row, with intervals that hold ${percent(confidence)} of bootstrap resamples over documents.</figcaption>
<div class="scroll" role="region" aria-labelledby="rows-caption" tabindex="0">${drawn}</div></figure>`;
}
