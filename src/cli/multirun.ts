/**
 * `tandem train --multirun`: every combination of values is composed and checked before the first run starts, then src/job/multirun.ts runs them one after another, and one table compares them. The trap:
 * a sweep is gone on with by its own state, so values may not change between the first start and the last.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { loadConfig } from "../config/load-config.js";
import { planSweep } from "../config/sweep.js";
import { trackingServer } from "../config/tracking-environment.js";
import { requireFiles } from "../config/missing-files.js";
import { UserError } from "../errors.js";
import type { CaughtSignals } from "../job/driver.js";
import { EXIT } from "../job/exit-codes.js";
import { hasConfig } from "../job/run/find-run.js";
import {
  compareSweep,
  createSweep,
  halfMadeSweeps,
  isDone,
  latestSweep,
  openSweep,
  runsOf,
  runSweep,
  type PlannedRun,
  type Sweep,
} from "../job/run/multirun.js";
import { lockRun } from "../job/run/run-lock.js";
import { sweepTable } from "../report/sweep-table.js";
import { isHalfMadeSweep, isSweepFolder } from "../tracking/run-folder.js";
import { collectVersions } from "../tracking/versions.js";
import { driveRun, leaveSoon, reopened } from "./drive-run.js";
import { jobDisplay } from "./job-display.js";
import type { OverrideArguments } from "./overrides.js";

interface SweepArguments extends OverrideArguments {
  readonly resume: string | undefined;
  readonly profile: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

/** Whether `--resume` names a sweep's folder, whole or half made. */
export function namesSweep(resume: string | undefined): boolean {
  if (resume === undefined || resume === "auto") return false;
  const folder = path.resolve(resume);
  return isSweepFolder(folder) || isHalfMadeSweep(folder);
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const warn = (text: string): void => say(`warning: ${text}`);

/** Returns the exit code: 0 when all runs finished, 1 when one failed, 75 when the sweep was stopped and can be resumed. */
export async function trainSweep(command: SweepArguments, signals: CaughtSignals): Promise<number> {
  const sweep = await openOrCreate(command, () => signals.asked());
  if (sweep === undefined) {
    say("stopped before the sweep was made; nothing is left of it: give the same command again");
    return EXIT.requeue;
  }
  const unlock = await lockRun(sweep.path, warn);
  const course = { followed: false };
  try {
    if (!command.quiet) say(`${sweep.runs.length} runs in ${sweep.path}`);
    const ended = await runSweep(sweep, {
      versions: collectVersions(),
      stopRequested: () => signals.asked(),
      killed: () => signals.killed(),
      warn,
      drive: async (run, { number, overrides }) => {
        const display = jobDisplay(command);
        display.report({ type: "stage", name: `run ${number + 1} of ${sweep.runs.length}`, detail: overrides.join(" ") });
        const opened = reopened(run);
        requireOwnServerRuns(opened.server?.runId);
        course.followed ||= opened.server !== undefined;
        return driveRun(opened, signals, (message) => display.report(message), command).finally(() => display.finish());
      },
    });
    const comparison = compareSweep(sweep);
    if (ended === "killed")
      throw new UserError({
        where: sweep.path,
        what: "the run under way was killed without saving, as the interrupts asked",
        remedy: `go on from its last checkpoint: tandem train --resume ${sweep.path}`,
      });
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

/** The sweep to go on with, or a new one; undefined when signals stopped it before it was made. */
async function openOrCreate(command: SweepArguments, stopRequested: () => boolean): Promise<Sweep | undefined> {
  const { resume, overrides } = command;
  if (resume !== undefined && resume !== "auto") return resumed(resume, overrides);
  const { runs, keys, warnings } = planSweep(overrides, command.configDir);
  warnings.forEach(warn);
  const planned = await planRuns(command, runs, stopRequested);
  if (planned === undefined) return undefined;
  const [first] = planned;
  if (first === undefined) throw new Error("a sweep has at least one run");
  const { name, run } = first.config;
  requireOnePlace(planned);
  const latest = resume === "auto" ? latestSweep(run.dir, name) : undefined;
  if (latest !== undefined && !isDone(latest)) {
    requireSame(latest, planned);
    return latest;
  }
  if (latest !== undefined) say(`the last sweep of this name is finished (${latest.path}); a new one begins`);
  for (const folder of halfMadeSweeps(run.dir, name))
    warn(`${folder} has no sweep.json: its making was cut off, or goes on in another process; remove it if nothing runs there`);
  return createSweep(run.dir, { name, words: overrides, keys, planned, versions: collectVersions() }, stopRequested);
}

/** All configs, before anything is made; what several of them warn of is said once. */
async function planRuns(
  command: SweepArguments,
  runs: readonly (readonly string[])[],
  stopRequested: () => boolean,
): Promise<PlannedRun[] | undefined> {
  const said = new Set<string>();
  const warnOnce = (text: string): void => {
    if (!said.has(text)) warn(text);
    said.add(text);
  };
  const planned: PlannedRun[] = [];
  for (const overrides of runs) {
    const run = plan(command, overrides, warnOnce);
    requireOwnServerRuns(trackingServer(run.config.tracking, process.env, warnOnce)?.runId);
    planned.push(run);
    await yieldToEvents();
    if (stopRequested()) return undefined;
  }
  return planned;
}

/** A sweep's runs lie in one folder, which has one name. */
function requireOnePlace(planned: readonly PlannedRun[]): void {
  const folders = [...new Set(planned.map(({ config }) => config.run.dir))];
  if (folders.length > 1)
    throw new UserError({
      where: "run.dir",
      what: "differs between the runs of a sweep, which lie in one folder",
      expected: "one folder",
      got: folders.slice(0, 3).join(", "),
      remedy: "take it out of the sweep",
    });
  const names = [...new Set(planned.map(({ config }) => config.name))];
  if (names.length > 1) warn(`name differs between the runs; the sweep is named after the first: ${names[0] ?? ""}`);
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

function plan({ configDir }: SweepArguments, overrides: readonly string[], warnOnce: (text: string) => void): PlannedRun {
  const { config, warnings, sources } = loadConfig({ ...(configDir === undefined ? {} : { configDir }), overrides });
  warnings.forEach(warnOnce);
  requireFiles(config, sources);
  if (config.resume !== null)
    throw new UserError({
      where: "resume",
      what: "is set for the runs of a sweep",
      remedy: "take it out; --resume auto goes on with a sweep",
    });
  return { overrides, config };
}

function resumed(folder: string, overrides: readonly string[]): Sweep {
  if (isHalfMadeSweep(path.resolve(folder)))
    throw new UserError({
      where: `--resume ${folder}`,
      what: "has no sweep.json: it was killed while its runs were made, and none of them has begun",
      remedy: "remove it and start the sweep anew",
    });
  if (!namesSweep(folder))
    throw new UserError({
      where: `--resume ${folder}`,
      what: "is no sweep's folder",
      expected: "a folder with sweep.json",
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
  const isSame = (index: number): boolean => {
    const [run, words, wanted] = [runs[index], sweep.runs[index]?.overrides, planned[index]];
    if (run === undefined || wanted === undefined) return false;
    // A run whose folder was removed is known by its words alone.
    return existsSync(run.config) ? hasConfig(run, wanted.config) : isDeepStrictEqual(words, wanted.overrides);
  };
  if (sweep.runs.length === planned.length && planned.every((_, index) => isSame(index))) return;
  throw new UserError({
    where: sweep.path,
    what: "the unfinished sweep has other values",
    remedy: `go on with its own: tandem train --resume ${sweep.path}; or start anew without --resume`,
  });
}
