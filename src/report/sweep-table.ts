/**
 * The runs of a sweep beside each other: what each was given that others weren't, how it ended, and its report's figures. The figures are those of each report.json; nothing is computed here. The trap: one
 * run a line and no interval, so a difference between two lines is no finding; the reports have the intervals.
 */
import type { RowFigures } from "../tracking/run-summary.js";
import { share } from "./report-text.js";

/** `comparison.json`. */
export interface SweepComparison {
  readonly name: string;
  /** The keys that differ between the runs. */
  readonly keys: readonly string[];
  readonly runs: readonly ComparedRun[];
}

export interface ComparedRun {
  /** From 0, in the sweep's order. */
  readonly number: number;
  /** The run's folder inside the sweep's; null when it has none. */
  readonly run: string | null;
  readonly outcome: "finished" | "failed" | "stopped" | "waiting";
  /** Why it failed. */
  readonly fault: string | null;
  /** The value of each differing key, as it was written. */
  readonly overrides: Readonly<Record<string, string>>;
  /** The report's figures, none of a run without a report. */
  readonly rows: readonly RowFigures[];
}

/** The row whose figures all have a column; of the others only the exact match is shown. */
const TRAINED = "trained-pair";

export function sweepTable({ name, keys, runs }: SweepComparison): string {
  const others = [...new Set(runs.flatMap(({ rows }) => rows.map((row) => row.name)))].filter((row) => row !== TRAINED);
  const heads = ["run", ...keys, "EM", "F1", "R@1", "MRR", ...others.map((row) => `EM ${row}`), "folder"];
  const table = [heads, ...runs.map((run) => cells(run, keys, others))].map((line) => line.map(onLine));
  const widths = heads.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const lines = table.map((line) =>
    line.map((cell, column) => (column === heads.length - 1 ? cell : cell.padStart(widths[column] ?? 0))).join("  "),
  );
  const failed = runs.filter(({ fault }) => fault !== null).map(({ number, fault }) => `run ${number} failed: ${onLine(fault ?? "")}`);
  const count = runs.filter(({ outcome }) => outcome === "finished").length;
  return [
    `${name}: ${count} of ${runs.length} runs finished; EM, F1, R@1 and MRR are the trained pair's`,
    "",
    ...lines,
    "",
    ...failed,
    ...(failed.length > 0 ? [""] : []),
  ].join("\n");
}

function cells({ number, run, outcome, overrides, rows }: ComparedRun, keys: readonly string[], others: readonly string[]): string[] {
  const figure = (row: string, name: string): string => share(rows.find((one) => one.name === row)?.figures[name]);
  return [
    String(number),
    ...keys.map((key) => overrides[key] ?? ""),
    ...["em", "f1", "recall@1", "mrr"].map((name) => figure(TRAINED, name)),
    ...others.map((row) => figure(row, "em")),
    outcome === "finished" ? (run ?? "") : [outcome, run].filter((part) => part !== null).join(" "),
  ];
}

/** Line breaks and other controls as JSON writes them: a value may hold any text. */
function onLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (character) => {
    const short = JSON.stringify(character).slice(1, -1);
    return short === character ? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}` : short;
  });
}
