/**
 * What differs between runs: the config keys that aren't the same in all, and the reports' figures side by side. It judges nothing. The trap: a key that a run doesn't have (an older version's) differs from one
 * that is null.
 */
import { configKeys } from "./config-keys.js";
import type { RunDirectory } from "./run-directory.js";
import { reportRows, summariseRun, type RunSummary } from "./run-summary.js";

/** Values stand in the order of the runs. */
export interface RunComparison {
  readonly runs: readonly RunSummary[];
  /** Only keys that differ; null: the run has no such key. */
  readonly config: Readonly<Record<string, readonly (string | null)[]>>;
  /** Row, figure, values; null: not measured. */
  readonly report: Readonly<Record<string, Readonly<Record<string, readonly (number | null)[]>>>>;
}

/** Keys that say where a run lies and where it is sent, not what it is. */
const NO_DIFFERENCE = /^(resume|run\.dir|tracking(\..*)?)$/;

/** @throws UserError when a run's config or report can't be read */
export function compareRuns(runs: readonly RunDirectory[]): RunComparison {
  const configs = runs.map(configKeys);
  const keys = union(configs.map((config) => [...config.keys()])).filter((key) => !NO_DIFFERENCE.test(key));
  const valued = keys.map((key) => [key, configs.map((config) => config.get(key) ?? null)] as const);
  const differing = valued.filter(([, values]) => new Set(values).size > 1);
  const reports = runs.map((run) => reportRows(run) ?? []);
  const report = union(reports.map((rows) => rows.map(({ name }) => name))).map((name) => {
    const own = reports.map((rows) => rows.find((row) => row.name === name)?.figures ?? {});
    const figures = union(own.map((some) => Object.keys(some)));
    return [name, Object.fromEntries(figures.map((figure) => [figure, own.map((some) => some[figure] ?? null)]))] as const;
  });
  return { runs: runs.map(summariseRun), config: Object.fromEntries(differing), report: Object.fromEntries(report) };
}

/** All words, each once, in the order in which they first come. */
function union(lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())];
}
