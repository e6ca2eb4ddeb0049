/**
 * One curve over the global step as a figure: the phases as bands with their numbers and names, refreshes as dashed lines, the curve interrupted between phases, and a table of the same for those who don't see it. The
 * trap: colours are the page's variables, so that the drawing follows light, dark and print.
 */
import * as Plot from "@observablehq/plot";
import type { Curve, PhaseSpan } from "./curves.js";
import { markup, type Markup } from "./markup.js";
import { svgPlot } from "./svg-plot.js";

const WIDTH = 560;
const HEIGHT = 190;
const MARGIN = { left: 52, right: 12, top: 24, bottom: 34 };
/** The phases without a loss: one step, in which the index follows the retriever or negatives are chosen. */
const STANDING = ["refresh", "mine"];
/** About what a character of a label takes. */
const LABEL_WIDTH = 6.2;

export interface StepChartOptions {
  readonly id: string;
  readonly spans: readonly PhaseSpan[];
  /** One sentence: what the numbers are. */
  readonly meaning: string | undefined;
  /** Few points, each a measurement of its own. */
  readonly dots: boolean;
  /** Whether the axis is that of a share, 0 to 1. */
  readonly share: boolean;
}

export function stepChart(curve: Curve, { id, spans, meaning, dots, share }: StepChartOptions): Markup {
  return markup`<figure class="chart">
<figcaption id="${id}"><strong>${curve.name}</strong>${meaning === undefined ? "" : ` – ${meaning}`} ${notes(curve)}</figcaption>
${svgPlot(drawing(curve, spans, dots, share), id)}
<details><summary>In figures</summary>
<table><thead><tr><th scope="col">phase</th><th scope="col">values</th><th scope="col">first</th><th scope="col">last</th><th scope="col">lowest</th><th scope="col">highest</th></tr></thead>
<tbody>${curve.summaries.map(
    ({ phase, values, first, last, low, high }) =>
      markup`<tr><th scope="row">${phase}</th><td>${values}</td>${[first, last, low, high].map((value) => markup`<td>${digits(value)}</td>`)}</tr>
`,
  )}</tbody></table></details>
</figure>`;
}

function notes({ merged, unfinite }: Curve): string {
  const mean = merged > 1 ? [`Each point is the mean of ${merged} logged values.`] : [];
  const gaps = unfinite > 0 ? [`${unfinite} ${unfinite === 1 ? "value was" : "values were"} not finite and left out.`] : [];
  return [...mean, ...gaps].join(" ");
}

function drawing({ stretches }: Curve, spans: readonly PhaseSpan[], dots: boolean, share: boolean): Plot.PlotOptions {
  const points = stretches.flatMap((stretch, piece) => stretch.map((point) => ({ ...point, piece })));
  const last = Math.max(1, ...spans.map(({ to }) => to), ...points.map(({ step }) => step));
  const bands = spans.filter(({ phase }) => !STANDING.includes(phase));
  const at = { x: "step", y: "value" };
  return {
    width: WIDTH,
    height: HEIGHT,
    marginLeft: MARGIN.left,
    marginRight: MARGIN.right,
    marginTop: MARGIN.top,
    marginBottom: MARGIN.bottom,
    x: { domain: [0, last], label: "global step", ticks: 6 },
    y: { label: null, grid: true, nice: true, ticks: 5, tickFormat: tick, ...(share ? { domain: [0, 1] } : {}) },
    marks: [
      Plot.rectX(
        bands.filter((_, i) => i % 2 === 1),
        { x1: "from", x2: "to", fill: "var(--band)" },
      ),
      Plot.ruleX(
        spans.filter(({ phase }) => phase === "refresh"),
        { x: "to", stroke: "var(--refresh)", strokeDasharray: "2,3" },
      ),
      Plot.text(labels(spans, last), { x: "middle", text: "label", frameAnchor: "top", dy: -14, fill: "var(--quiet)" }),
      Plot.line(points, { ...at, z: "piece", stroke: "var(--curve)", strokeWidth: 1.6, ...(dots ? { z: null } : {}) }),
      // A stretch of one point has no line.
      Plot.dot(dots ? points : points.filter(({ piece }) => stretches[piece]?.length === 1), { ...at, r: 3, fill: "var(--curve)" }),
    ],
  };
}

/** Each phase's number in the page's list, with its name where there is room; none where not even the number has any. */
function labels(spans: readonly PhaseSpan[], last: number): { middle: number; label: string }[] {
  const pixels = (WIDTH - MARGIN.left - MARGIN.right) / last;
  return spans.flatMap(({ phase, from, to }, i) => {
    if (STANDING.includes(phase)) return [];
    const label = [`${i + 1} ${phase}`, `${i + 1}`].find(({ length }) => (to - from) * pixels >= length * LABEL_WIDTH);
    return label === undefined ? [] : [{ middle: (from + to) / 2, label }];
  });
}

/** An axis' number: `20k`, `0.5`, `1e-4`. */
function tick(value: number): string {
  const size = Math.abs(value);
  if (size >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`;
  return size > 0 && size < 0.001 ? Number(value.toPrecision(2)).toExponential() : String(Number(value.toPrecision(4)));
}

/** Four significant digits. */
function digits(value: number): string {
  return String(Number(value.toPrecision(4)));
}
