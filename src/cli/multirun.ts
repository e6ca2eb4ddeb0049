/**
 * `tandem train --multirun`: every combination of values is composed and checked before the first run starts, then src/job/multirun.ts runs them one after another, and one table compares them. The trap:
 * a sweep is gone on with by its own state, so values may not change between the first start and the last.
 */
import path from "node:path";
import { planSweep } from "../config/sweep.js";
import { UserError } from "../errors.js";
import type { CaughtSignals } from "../job/driver.js";
import { EXIT } from "../job/exit-codes.js";
import { hasConfig } from "../job/find-run.js";
import { compareSweep, createSweep, latestSweep, openSweep, runsOf, runSweep, type PlannedRun, type Sweep } from "../job/multirun.js";
import { lockRun } from "../job/run-lock.js";
import { sweepTable } from "../report/sweep-table.js";
import { isSweepFolder } from "../tracking/run-folder.js";
import { collectVersions } from "../tracking/versions.js";
import { driveRun, leaveSoon, reopened, serverOf } from "./drive-run.js";
import { jobDisplay } from "./job-display.js";
import { configOf, type OverrideArguments } from "./overrides.js";

interface SweepArguments extends OverrideArguments {
  readonly resume: string | undefined;
  readonly profile: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

/** Whether `--resume` names a sweep's folder. */
export function namesSweep(resume: string | undefined): boolean {
  return resume !== undefined && resume !== "auto" && isSweepFolder(path.resolve(resume));
}

/** Returns the exit code: 0 when all runs finished, 1 when one failed, 75 when the sweep was stopped and can be resumed. */
export async function trainSweep(command: SweepArguments, signals: CaughtSignals): Promise<number> {
  const sweep = openOrCreate(command);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const unlock = await lockRun(sweep.path, (text) => say(`warning: ${text}`));
  const course = { followed: false };
  try {
    if (!command.quiet) say(`${sweep.runs.length} runs in ${sweep.path}`);
    const ended = await runSweep(sweep, {
      versions: collectVersions(),
      stopRequested: () => signals.asked(),
      drive: async (run, { number, overrides }) => {
        const display = jobDisplay(command);
        display.report({ type: "stage", name: `run ${number + 1} of ${sweep.runs.length}`, detail: overrides.join(" ") });
        const opened = reopened(run);
        course.followed ||= opened.server !== undefined;
        return driveRun(opened, signals, (message) => display.report(message), command).finally(() => display.finish());
      },
    });
    const comparison = compareSweep(sweep);
    if (ended === "stopped") {
      say(`saved and stopped; go on with: tandem train --resume ${sweep.path}`);
      return EXIT.requeue;
    }
    process.stdout.write(command.json ? `${JSON.stringify(comparison, null, 2)}\n` : sweepTable(comparison));
    const failed = comparison.runs.filter(({ outcome }) => outcome === "failed").length;
    if (failed > 0) say(`${failed} of ${sweep.runs.length} runs failed; try them again: tandem train --resume ${sweep.path}`);
    return failed > 0 ? EXIT.bug : EXIT.finished;
  } finally {
    unlock();
    if (course.followed) leaveSoon();
  }
}

function openOrCreate(command: SweepArguments): Sweep {
  const { resume, overrides } = command;
  if (resume !== undefined && resume !== "auto") return resumed(resume, overrides);
  const { runs, keys } = planSweep(overrides, command.configDir);
  const planned = runs.map((words) => plan(command, words));
  const [first] = planned;
  if (first === undefined) throw new Error("a sweep has at least one run");
  const { name, run, tracking } = first.config;
  requireOwnServerRuns(serverOf(tracking)?.runId);
  const latest = resume === "auto" ? latestSweep(run.dir, name) : undefined;
  if (latest !== undefined && latest.runs.some(({ outcome }) => outcome !== "finished")) {
    requireSame(latest, planned);
    return latest;
  }
  if (latest !== undefined) process.stderr.write(`the last sweep of this name is finished (${latest.path}); a new one begins\n`);
  return createSweep(run.dir, { name, words: overrides, keys, planned, versions: collectVersions() });
}

/** One MLflow run can't hold the numbers of several. */
function requireOwnServerRuns(runId: string | undefined): void {
  if (runId === undefined) return;
  throw new UserError({
    where: "MLFLOW_RUN_ID",
    what: "names one MLflow run for all runs of a sweep",
    got: runId,
    remedy: "unset it; each run makes its own",
  });
}

function plan(command: SweepArguments, overrides: readonly string[]): PlannedRun {
  const { config } = configOf({ ...command, overrides: [...overrides] });
  if (config.resume !== null)
    throw new UserError({
      where: "resume",
      what: "is set for the runs of a sweep",
      remedy: "take it out; --resume auto goes on with a sweep",
    });
  return { overrides, config };
}

function resumed(folder: string, overrides: readonly string[]): Sweep {
  if (!namesSweep(folder))
    throw new UserError({
      where: `--resume ${folder}`,
      what: "is no sweep's folder",
      expected: "a folder that ends with -multirun",
      remedy: "leave --multirun out for a single run",
    });
  if (overrides.length > 0)
    throw new UserError({
      where: `--resume ${folder}`,
      what: "a sweep goes on with its own config",
      got: overrides.join(" "),
      remedy: "leave the overrides out, or start a new sweep",
    });
  return openSweep(path.resolve(folder));
}

/** A batch script that was edited between two jobs must not silently go on with the old values, nor mix both. */
function requireSame(sweep: Sweep, planned: readonly PlannedRun[]): void {
  const runs = runsOf(sweep);
  if (runs.length === planned.length && runs.every((run, index) => planned[index] !== undefined && hasConfig(run, planned[index].config)))
    return;
  throw new UserError({
    where: sweep.path,
    what: "the unfinished sweep has other values",
    remedy: `go on with its own: tandem train --resume ${sweep.path}; or start anew without --resume`,
  });
}
