/**
 * Runs as tables and texts for a terminal. The figures are `src/tracking`'s; nothing is computed here. The trap: reasons and names are a stranger's text once run directories are passed on, so control characters
 * are taken out.
 */
import type { RunsTest } from "../evaluation/test-runs.js";
import type { RunComparison } from "../tracking/compare-runs.js";
import { runLabel } from "../tracking/run-folder.js";
import type { RunSummary } from "../tracking/run-summary.js";

const LONGEST_CELL = 48;

/** One line a run. */
export function listText(runs: readonly RunSummary[]): string {
  const heads = ["run", "state", "started", "ended", "step", "loss", "EM", "F1", "R@1", "from"];
  const lines = runs.map((run) => [
    runLabel(run.run),
    run.state,
    minute(run.started),
    minute(run.ended),
    run.step === null ? "–" : String(run.step),
    figure(run.loss),
    figure(run.figures["em"]),
    figure(run.figures["f1"]),
    figure(run.figures["recall@1"]),
    run.from ?? "–",
  ]);
  const reasons = runs
    .filter(({ reason }) => reason !== undefined)
    .map(({ run, reason = "" }) => `${runLabel(run)}: ${shown(reason, 200)}`);
  return `${[...table([heads, ...lines], 4), ...(reasons.length === 0 ? [] : ["", ...reasons])].join("\n")}\n`;
}

/** The runs, the keys that differ, the rows. */
export function compareText({ runs, config, report }: RunComparison): string {
  const names = runs.map((_, index) => `[${index + 1}]`);
  const states = runs.map(({ run, state, step }, index) => [
    names[index] ?? "",
    runLabel(run),
    state,
    step === null ? "no step" : `step ${step}`,
  ]);
  const keys = Object.entries(config).map(([key, values]) => [
    key,
    ...values.map((value) => (value === null ? "(none)" : shown(value, LONGEST_CELL))),
  ]);
  const rows = Object.entries(report).flatMap(([row, figures]) =>
    Object.entries(figures)
      .filter(([, values]) => values.some((value) => value !== null))
      .map(([name, values], index) => [index === 0 ? row : "", name, ...values.map(figure)]),
  );
  const differing = keys.length === 0 ? ["The configs are the same."] : table([["config", ...names], ...keys], 99);
  const scored = rows.length === 0 ? ["No run has a report yet."] : table([["report", "", ...names], ...rows], 2);
  return `${[...table(states, 99), "", ...differing, "", ...scored].join("\n")}\n`;
}

/** A metric a line: the difference, its interval, p, and how many documents have a say. */
export function testText({ runs, against, comparison }: RunsTest): string {
  const heads = ["", "difference", "95 % interval", "p", "questions", "documents", "that differ"];
  const lines = Object.entries(comparison).map(([name, of]) => [
    name,
    signed(of.difference),
    `${signed(of.interval[0])} to ${signed(of.interval[1])}`,
    of.p < 0.0001 ? of.p.toExponential(1) : of.p.toFixed(4),
    String(of.questions),
    String(of.documents),
    String(of.differing_documents),
  ]);
  const names = (folders: readonly string[]): string => folders.map((folder) => runLabel(folder)).join(", ");
  return `${[names(runs), `against ${names(against)}`, "", ...table([heads, ...lines], 1)].join("\n")}\n`;
}

function signed(value: number): string {
  return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(4)}`;
}

/** Facts of one run, one a line. */
export function factsText(facts: readonly (readonly [string, string])[]): string {
  return table(
    facts.map(([name, value]) => [name, shown(value, 2000)]),
    99,
  )
    .map((line) => `${line}\n`)
    .join("");
}

/** Validations, one a line. */
export function validationText(
  lines: readonly { step: number; phase: string; figures: Readonly<Record<string, number | null>> }[],
): string {
  const names = [...new Set(lines.flatMap(({ figures }) => Object.keys(figures)))];
  const cells = lines.map(({ step, phase, figures }) => [phase, String(step), ...names.map((name) => figure(figures[name]))]);
  return `${table([["validation after", "step", ...names], ...cells], 1).join("\n")}\n`;
}

/** @param rightFrom the first column whose cells stand at the right */
function table(lines: readonly (readonly string[])[], rightFrom: number): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines.map((line) =>
    line
      .map((cell, column) => (column >= rightFrom ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) && value > 1 ? String(value) : value.toFixed(4);
}

/** `2026-03-14 15:09`, UTC as in the run directory's name. */
function minute(time: string | null): string {
  return time === null ? "–" : shown(time.slice(0, 16).replace("T", " "), 16);
}

function shown(text: string, longest: number): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ");
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}
