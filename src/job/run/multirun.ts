/**
 * A sweep on the disk and its course: `<time>-<name>-multirun/` holds one ordinary run directory for each combination of values, all made before the first one starts, and `sweep.json`, which says how each
 * ended. Runs go one after another, since two at once slow each other. It composes no configs and shows nothing. The trap: a sweep that was killed knows only what its state says, so a run's end is noted
 * before the next begins, and a run counts as finished when its report can be read, whatever the state says. One run's damage is that run's fault, never the sweep's.
 */
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { renderYaml } from "../../config/render.js";
import type { TandemConfig } from "../../config/schema.js";
import { UserError } from "../../errors.js";
import type { ComparedRun, SweepComparison } from "../../report/sweep-table.js";
import { sweepTable } from "../../report/sweep-table.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import { expectObject, readJson } from "../../storage/json-file.js";
import { createRunDirectory, noteResumption, runPlaces, sourceRevision, type RunDirectory } from "../../tracking/run-directory.js";
import {
  claimedFolders,
  claimFolder,
  isHalfMadeSweep,
  isSweepFolder,
  SWEEP_STATE,
  SWEEP_SUFFIX,
  timeStamp,
} from "../../tracking/run-folder.js";
import { reportRows, type RowFigures } from "../../tracking/run-summary.js";
import type { Versions } from "../../tracking/versions.js";
import { EXIT } from "../exit-codes.js";

/** `waiting`: not begun; `begun`: under way, or cut off; `failed`: ended by a fault, tried again when the sweep is resumed. */
type Outcome = "waiting" | "begun" | "finished" | "failed";
const OUTCOMES: readonly string[] = ["waiting", "begun", "finished", "failed"] satisfies Outcome[];

interface SweepRun {
  /** The run's folder inside the sweep's. */
  readonly folder: string;
  readonly overrides: readonly string[];
  outcome: Outcome;
  fault: string | null;
}

export interface Sweep {
  readonly path: string;
  readonly name: string;
  /** The words that were given. */
  readonly words: readonly string[];
  /** The keys that differ between runs. */
  readonly keys: readonly string[];
  readonly runs: readonly SweepRun[];
}

/** One combination of values, composed and checked. */
export interface PlannedRun {
  readonly overrides: readonly string[];
  readonly config: TandemConfig;
}

export interface SweepDescription {
  readonly name: string;
  readonly words: readonly string[];
  readonly keys: readonly string[];
  readonly planned: readonly PlannedRun[];
  readonly versions: Versions;
}

/**
 * Makes the sweep's folder with all its runs; the state comes last, a folder without it is no sweep. Between two runs it lets signals be heard; when they ask to stop, or something fails, the folder goes again.
 *
 * @returns undefined when it was stopped
 */
export async function createSweep(root: string, description: SweepDescription, stopRequested: () => boolean): Promise<Sweep | undefined> {
  const { name, words, keys, planned, versions } = description;
  const start = new Date();
  const git = sourceRevision();
  const folder = claimFolder(root, `${timeStamp(start)}-${name}${SWEEP_SUFFIX}`);
  const runs: SweepRun[] = [];
  try {
    for (const { overrides, config } of planned) {
      const configYaml = renderYaml({ ...config, resume: null });
      const run = createRunDirectory(folder, { name: config.name, configYaml, overrides, versions, start, git });
      runs.push({ folder: path.basename(run.path), overrides, outcome: "waiting", fault: null });
      await yieldToEvents();
      if (!stopRequested()) continue;
      rmSync(folder, { recursive: true });
      return undefined;
    }
    const sweep = { path: folder, name, words, keys, runs };
    save(sweep);
    return sweep;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** @throws UserError when the state is no sweep's */
export function openSweep(folder: string): Sweep {
  const file = path.join(folder, SWEEP_STATE);
  const { name, words, keys, runs } = expectObject(readJson(file), file);
  if (typeof name !== "string" || !isTexts(words) || !isTexts(keys) || !Array.isArray(runs) || !runs.every(isRun))
    throw new UserError({
      where: file,
      what: "is not a sweep's state",
      expected: "what tandem train --multirun writes",
      remedy: "start the sweep anew",
    });
  return { path: folder, name, words, keys, runs };
}

/** The youngest sweep of this name under `root`; undefined when there is none. */
export function latestSweep(root: string, name: string): Sweep | undefined {
  const found = claimedFolders(root, name + SWEEP_SUFFIX).findLast(isSweepFolder);
  return found === undefined ? undefined : openSweep(found);
}

/** Folders of sweeps of this name that are half made. */
export function halfMadeSweeps(root: string, name: string): string[] {
  return claimedFolders(root, name + SWEEP_SUFFIX).filter(isHalfMadeSweep);
}

/** Whether nothing is left to do: all runs finished, and the table says so. */
export function isDone({ path: folder, runs }: Sweep): boolean {
  return runs.every(({ outcome }) => outcome === "finished") && existsSync(path.join(folder, TABLE.json));
}

/** The run directories, in the sweep's order. */
export function runsOf(sweep: Sweep): RunDirectory[] {
  return sweep.runs.map(({ folder }) => runPlaces(path.join(sweep.path, folder)));
}

export interface SweepCourse {
  /** Trains one run to its end; gives the exit code of `driveTraining`. */
  readonly drive: (run: RunDirectory, place: { readonly number: number; readonly overrides: readonly string[] }) => Promise<number>;
  readonly stopRequested: () => boolean;
  /** Whether the signals that asked to stop became so many that the run was killed. */
  readonly killed: () => boolean;
  readonly warn: (text: string) => void;
  readonly versions: Versions;
}

/**
 * Runs what is left of a sweep. `stopped`: asked to leave early, to be resumed; `killed`: the same, but the run under way saved nothing. A run that fails is noted, and the next one begins. A table of before is
 * removed: it would say that the sweep is done.
 */
export async function runSweep(
  sweep: Sweep,
  { drive, stopRequested, killed, warn, versions }: SweepCourse,
): Promise<"ended" | "stopped" | "killed"> {
  for (const name of [TABLE.json, TABLE.text]) rmSync(path.join(sweep.path, name), { force: true });
  for (const [number, run] of sweep.runs.entries()) {
    const places = runPlaces(path.join(sweep.path, run.folder));
    const report = reportOf(places);
    if (report.rows !== undefined) {
      Object.assign(run, FINISHED);
      continue;
    }
    if (stopRequested()) return "stopped";
    if (report.fault !== undefined) warn(`${report.fault}; the run is tried again`);
    const isNew = run.outcome === "waiting";
    note(sweep, run, "begun", null);
    const fault = await faultOf(() => {
      requireRun(places);
      if (!isNew) noteResumption(places, { step: -1, overrides: [], versions });
      return drive(places, { number, overrides: run.overrides });
    });
    if (fault === "stopped") return "stopped";
    if (fault !== undefined && killed()) return "killed";
    note(sweep, run, fault === undefined ? "finished" : "failed", fault ?? null);
  }
  save(sweep);
  return "ended";
}

const FINISHED = { outcome: "finished", fault: null } as const;

/** What a run's report shows; a fault when it can't be read, neither when there is none. */
function reportOf(places: RunDirectory): { readonly rows?: readonly RowFigures[] | undefined; readonly fault?: string } {
  try {
    return { rows: reportRows(places) };
  } catch (error) {
    if (error instanceof UserError) return { fault: error.message };
    throw error;
  }
}

function requireRun({ path: folder, config, environment }: RunDirectory): void {
  if (existsSync(config) && existsSync(environment)) return;
  throw new UserError({
    where: folder,
    what: existsSync(folder) ? "is no run directory any more" : "is gone",
    expected: "a folder with config.yaml and environment.json",
    remedy: "put the folder back, or train its values as a single run",
  });
}

/** Why a run failed; undefined: it didn't. A bug of this process still ends the sweep. */
async function faultOf(drive: () => Promise<number>): Promise<string | undefined> {
  try {
    const code = await drive();
    if (code === EXIT.finished) return undefined;
    return code === EXIT.requeue ? "stopped" : `the training process ended with code ${code}; its stack was printed`;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** The table's files; the JSON comes last and says that the table is there. */
const TABLE = { json: "comparison.json", text: "comparison.txt" };

/** What the runs show so far; written beside them as comparison.txt and comparison.json. A finished run whose report can't be read has failed. */
export function compareSweep(sweep: Sweep): SweepComparison {
  const runs = sweep.runs.map((run, number): ComparedRun => {
    const places = runPlaces(path.join(sweep.path, run.folder));
    const { rows, fault = `${places.reportJson}: is gone` } = run.outcome === "finished" ? reportOf(places) : { rows: [] };
    const shown = run.outcome === "begun" ? "stopped" : run.outcome;
    return {
      number,
      run: run.folder,
      outcome: rows === undefined ? "failed" : shown,
      fault: rows === undefined ? fault : run.fault,
      overrides: Object.fromEntries(sweep.keys.map((key) => [key, valueOf(run.overrides, key)])),
      rows: rows ?? [],
    };
  });
  const comparison = { name: sweep.name, keys: sweep.keys, runs };
  writeFileAtomic(path.join(sweep.path, TABLE.text), sweepTable(comparison));
  writeFileAtomic(path.join(sweep.path, TABLE.json), `${JSON.stringify(comparison, null, 2)}\n`);
  return comparison;
}

function valueOf(overrides: readonly string[], key: string): string {
  return overrides.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
}

function note(sweep: Sweep, run: SweepRun, outcome: Outcome, fault: string | null): void {
  run.outcome = outcome;
  run.fault = fault;
  save(sweep);
}

function save({ path: folder, name, words, keys, runs }: Sweep): void {
  writeFileAtomic(path.join(folder, SWEEP_STATE), `${JSON.stringify({ name, words, keys, runs }, null, 2)}\n`);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isRun(value: unknown): value is SweepRun {
  if (typeof value !== "object" || value === null) return false;
  const { folder, overrides, outcome, fault } = value as Record<string, unknown>;
  const isInside = typeof folder === "string" && /^[\w.+-]+$/.test(folder) && folder !== "..";
  return isInside && isTexts(overrides) && OUTCOMES.includes(String(outcome)) && (fault === null || typeof fault === "string");
}
