/**
 * What a run's log becomes before it is drawn: one curve a metric, cut at the phases. It draws nothing (step-chart.ts does). The traps: a log may hold a hundred thousand lines, so long curves are drawn as
 * means of neighbours, and say so; and a number that isn't finite has no place on an axis: it leaves a gap and is counted.
 */

/** A stretch of training, in global steps: after `from`, up to `to`. */
export interface PhaseSpan {
  readonly phase: string;
  readonly from: number;
  readonly to: number;
}

/** A line of a log: a step and, beside other things, numbers. */
export type CurveRecord = Readonly<Record<string, unknown>> & { readonly step: number };

interface CurvePoint {
  readonly step: number;
  readonly value: number;
}

/** What a table says of a phase. */
interface CurveSummary {
  readonly phase: string;
  readonly values: number;
  readonly first: number;
  readonly last: number;
  readonly low: number;
  readonly high: number;
}

export interface Curve {
  readonly name: string;
  /** Finite values, as they were logged or as means of `merged` neighbours; a phase's points are a stretch of their own. */
  readonly stretches: readonly (readonly CurvePoint[])[];
  /** How many logged values a drawn point stands for. */
  readonly merged: number;
  readonly summaries: readonly CurveSummary[];
  /** Values that were NaN or infinite. */
  readonly unfinite: number;
}

/** Drawn points a curve: more than the pixels that a chart is wide show nothing more. */
const MOST_POINTS = 600;

/** The phases of a schedule as stretches of global steps. */
export function phaseSpans(schedule: readonly { readonly phase: string; readonly steps: number }[]): PhaseSpan[] {
  let step = 0;
  return schedule.flatMap(({ phase, steps }) => {
    const from = step;
    step += steps;
    return steps > 0 ? [{ phase, from, to: step }] : [];
  });
}

/** One curve for each number that the records hold, `step` aside, in the order in which they first appear. Objects of numbers count by their keys: `recall` gives `recall@1`. */
export function curvesOf(records: readonly CurveRecord[], spans: readonly PhaseSpan[]): Curve[] {
  const points = new Map<string, CurvePoint[]>();
  for (const { step, ...rest } of records) {
    for (const [name, value] of numbersIn(rest)) {
      const own = points.get(name) ?? [];
      own.push({ step, value });
      points.set(name, own);
    }
  }
  return [...points].map(([name, own]) => curve(name, own, spans));
}

function numbersIn(values: Readonly<Record<string, unknown>>): (readonly [string, number])[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (typeof value === "number") return [[name, value] as const];
    if (typeof value !== "object" || value === null) return [];
    const separator = name === "rep" ? "-" : "@";
    return Object.entries(value).flatMap(([key, each]) => (typeof each === "number" ? [[`${name}${separator}${key}`, each] as const] : []));
  });
}

function curve(name: string, points: readonly CurvePoint[], spans: readonly PhaseSpan[]): Curve {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  const stretches = spans
    .map((span) => ({ span, own: finite.filter(({ step }) => step > span.from && step <= span.to) }))
    .filter(({ own }) => own.length > 0);
  const merged = Math.max(1, Math.ceil(finite.length / MOST_POINTS));
  return {
    name,
    stretches: stretches.map(({ own }) => averaged(own, merged)),
    merged,
    summaries: stretches.map(({ span, own }) => summary(span.phase, own)),
    unfinite: points.length - finite.length,
  };
}

/** Means of `merged` neighbours; the last group of a stretch may be smaller. */
function averaged(points: readonly CurvePoint[], merged: number): readonly CurvePoint[] {
  if (merged === 1) return points;
  return Array.from({ length: Math.ceil(points.length / merged) }, (_, i) => {
    const group = points.slice(i * merged, (i + 1) * merged);
    const mean = (pick: (point: CurvePoint) => number): number => group.reduce((sum, point) => sum + pick(point), 0) / group.length;
    return { step: mean(({ step }) => step), value: mean(({ value }) => value) };
  });
}

function summary(phase: string, points: readonly CurvePoint[]): CurveSummary {
  const values = points.map(({ value }) => value);
  const extreme = (pick: (a: number, b: number) => number): number => values.reduce((best, value) => pick(best, value));
  return {
    phase,
    values: values.length,
    first: values[0] ?? Number.NaN,
    last: values.at(-1) ?? Number.NaN,
    low: extreme(Math.min),
    high: extreme(Math.max),
  };
}
