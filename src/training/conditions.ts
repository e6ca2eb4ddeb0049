/**
 * Conditions of the schedule, decided: a comparison of a metric's latest value with a number. How they are written is the configuration's. The trap: a metric without a finite value decides nothing: it is neither
 * below nor above.
 */

interface Comparison {
  readonly metric: string;
  readonly relation: "<" | "<=" | ">" | ">=";
  readonly bound: number;
}

/** A condition as it is decided, with its text for what is reported. */
export interface Condition {
  /** As the config has it. */
  readonly text: string;
  /** True when every comparison of one of the lists is. */
  readonly any: readonly (readonly Comparison[])[];
}

/** Latest values by name. */
export type Metrics = Readonly<Record<string, number>>;

export function holds(condition: Condition, metrics: Metrics): boolean {
  return condition.any.some((all) => all.every((comparison) => isTrue(comparison, metrics[comparison.metric])));
}

/** Every metric that the condition names, with its value: `loss 0.48, em none`. */
export function measuredText(condition: Condition, metrics: Metrics): string {
  const names = [...new Set(condition.any.flatMap((all) => all.map(({ metric }) => metric)))];
  return names.map((name) => `${name} ${metrics[name]?.toPrecision(4) ?? "not measured"}`).join(", ");
}

/** Losses that a condition names and no step has measured. */
export function unmeasuredLosses(condition: Condition | undefined, metrics: Metrics): string[] {
  const names = (condition?.any ?? []).flatMap((all) => all.map(({ metric }) => metric));
  return [...new Set(names)].filter((name) => isLoss(name) && metrics[name] === undefined);
}

/** Whether a condition needs the losses of the phase's steps. */
export function readsLoss(condition: Condition | undefined): boolean {
  return condition?.any.some((all) => all.some(({ metric }) => isLoss(metric))) === true;
}

/** Whether a metric is one of the phase's steps. */
export function isLoss(metric: string): boolean {
  return metric === "loss" || metric.startsWith("loss/");
}

function isTrue({ relation, bound }: Comparison, value: number | undefined): boolean {
  if (value === undefined || !Number.isFinite(value)) return false;
  if (relation === "<") return value < bound;
  if (relation === "<=") return value <= bound;
  return relation === ">" ? value > bound : value >= bound;
}
