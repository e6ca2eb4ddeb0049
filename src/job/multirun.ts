/**
 * A sweep on the disk and its course: `<time>-<name>-multirun/` holds one ordinary run directory for each combination of values, all made before the first one starts, and `sweep.json`, which says how each
 * ended. Runs go one after another, since two at once slow each other. It composes no configs and shows nothing. The trap: a sweep that was killed knows only what its state says, so a run's end is noted
 * before the next begins, and a run that has its report counts as finished whatever the state says.
 */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { renderYaml } from "../config/render.js";
import type { TandemConfig } from "../config/schema.js";
import { UserError } from "../errors.js";
import type { ComparedRun, SweepComparison } from "../report/sweep-table.js";
import { sweepTable } from "../report/sweep-table.js";
import type { RunReport } from "../report/report-text.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { createRunDirectory, noteResumption, openRunDirectory, runPlaces, type RunDirectory } from "../tracking/run-directory.js";
import { claimFolder, isSweepFolder, SWEEP_STATE, SWEEP_SUFFIX, timeStamp } from "../tracking/run-folder.js";
import type { Versions } from "../tracking/versions.js";
import { EXIT } from "./exit-codes.js";

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

/** Makes the sweep's folder with all its runs; the state comes last, a folder without it is no sweep. */
export function createSweep(root: string, { name, words, keys, planned, versions }: SweepDescription): Sweep {
  const start = new Date();
  const folder = claimFolder(root, `${timeStamp(start)}-${name}${SWEEP_SUFFIX}`);
  const runs = planned.map(({ overrides, config }): SweepRun => {
    const run = createRunDirectory(folder, {
      name: config.name,
      configYaml: renderYaml({ ...config, resume: null }),
      overrides,
      versions,
      start,
    });
    return { folder: path.basename(run.path), overrides, outcome: "waiting", fault: null };
  });
  const sweep = { path: folder, name, words, keys, runs };
  save(sweep);
  return sweep;
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
  const folders = existsSync(root) ? readdirSync(root) : [];
  const found = folders
    .map((folder) => ({ folder, match: /^(\d{8}-\d{6})-([^+]*)(?:\+(\d+))?$/.exec(folder) }))
    .filter(({ folder, match }) => match?.[2] === name + SWEEP_SUFFIX && isSweepFolder(path.join(root, folder)))
    .map(({ folder, match }) => ({ folder, order: `${match?.[1] ?? ""} ${(match?.[3] ?? "1").padStart(9, "0")}` }))
    .sort((left, right) => (left.order < right.order ? -1 : 1))
    .at(-1);
  return found === undefined ? undefined : openSweep(path.join(root, found.folder));
}

/** The run directories, in the sweep's order. */
export function runsOf(sweep: Sweep): RunDirectory[] {
  return sweep.runs.map(({ folder }) => runPlaces(path.join(sweep.path, folder)));
}

export interface SweepCourse {
  /** Trains one run to its end; gives the exit code of `driveTraining`. */
  readonly drive: (run: RunDirectory, place: { readonly number: number; readonly overrides: readonly string[] }) => Promise<number>;
  readonly stopRequested: () => boolean;
  readonly versions: Versions;
}

/** Runs what is left of a sweep. `stopped`: asked to leave early, to be resumed. A run that fails is noted, and the next one begins. */
export async function runSweep(sweep: Sweep, { drive, stopRequested, versions }: SweepCourse): Promise<"ended" | "stopped"> {
  for (const [number, run] of sweep.runs.entries()) {
    const places = openRunDirectory(path.join(sweep.path, run.folder));
    if (existsSync(places.reportJson)) run.outcome = "finished";
    if (run.outcome === "finished") continue;
    if (stopRequested()) return "stopped";
    if (run.outcome !== "waiting") noteResumption(places, { step: -1, overrides: [], versions });
    note(sweep, run, "begun", null);
    const fault = await faultOf(() => drive(places, { number, overrides: run.overrides }));
    if (fault === "stopped") return "stopped";
    note(sweep, run, fault === undefined ? "finished" : "failed", fault ?? null);
  }
  save(sweep);
  return "ended";
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

/** What the runs show so far; written beside them as comparison.json and comparison.txt. */
export function compareSweep(sweep: Sweep): SweepComparison {
  const runs = sweep.runs.map((run, number): ComparedRun => {
    const places = runPlaces(path.join(sweep.path, run.folder));
    return {
      number,
      run: run.folder,
      outcome: run.outcome === "begun" ? "stopped" : run.outcome,
      fault: run.fault,
      overrides: Object.fromEntries(sweep.keys.map((key) => [key, valueOf(run.overrides, key)])),
      rows: run.outcome === "finished" ? rowsOf(places) : [],
    };
  });
  const comparison = { name: sweep.name, keys: sweep.keys, runs };
  writeFileAtomic(path.join(sweep.path, "comparison.json"), `${JSON.stringify(comparison, null, 2)}\n`);
  writeFileAtomic(path.join(sweep.path, "comparison.txt"), sweepTable(comparison));
  return comparison;
}

function rowsOf(places: RunDirectory): ComparedRun["rows"] {
  const report = expectObject(readJson(places.reportJson), places.reportJson) as unknown as RunReport;
  return [...report.rows, ...report.more];
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
