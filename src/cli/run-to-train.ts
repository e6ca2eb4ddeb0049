/**
 * Which run `tandem train` works on: a new one, or the one to go on with. What the command asks for is read first, which makes nothing, so that several processes of a job can compare it; then one of them makes or finds the run directory.
 * The trap: how many workers share a step may change whenever a run goes on, everything else is settled when it begins.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { LoadedConfig } from "../config/load-config.js";
import { requireFiles } from "../config/missing-files.js";
import { renderYaml } from "../config/render.js";
import type { TandemConfig } from "../config/schema.js";
import { UserError } from "../errors.js";
import { hasConfigButWorkers } from "../job/run/find-run.js";
import { createRunDirectory, latestRun, noteResumption, openRunDirectory, type RunDirectory } from "../tracking/run-directory.js";
import { collectVersions } from "../tracking/versions.js";
import { reopened, serverOf, type OpenedRun } from "./drive-run.js";
import { configOf, type OverrideArguments } from "./overrides.js";
import { hashOfAsked } from "./team-command.js";

export interface TrainArguments extends OverrideArguments {
  readonly multirun: boolean;
  readonly resume: string | undefined;
  readonly profile: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

/** What a command asks for: a run by its folder, or one of a config, the last of its name with `isAuto`. */
export type WantedRun =
  | { readonly folder: string; readonly overrides: readonly string[] }
  | { readonly folder?: undefined; readonly isAuto: boolean; readonly loaded: LoadedConfig; readonly overrides: readonly string[] };

/** The one key that may be set for a run that goes on. */
const WORKERS = "train.workers";

/** Keys that no step so far depended on: a run that goes on takes them as its own config.yaml has them then. */
const EDITED = ["train.alarms", "train.shard_optimiser", "tracking"];

/**
 * Reads what the command asks for. Nothing is made.
 *
 * @param isQuiet the config's warnings are printed by another process
 * @throws UserError for whatever is wrong in a file or a word
 */
export function wantedRun(command: TrainArguments, isQuiet = false): WantedRun {
  const { resume, overrides } = command;
  if (resume !== undefined && resume !== "auto") return named(resume, overrides);
  const loaded = configOf(command, {}, isQuiet);
  const wanted = resume ?? loaded.config.resume;
  if (wanted !== null && wanted !== "auto")
    return named(
      wanted,
      overrides.filter((word) => !word.startsWith("resume=")),
    );
  return { isAuto: wanted === "auto", loaded, overrides };
}

function named(folder: string, overrides: readonly string[]): WantedRun {
  const others = overrides.filter((word) => !word.startsWith(`${WORKERS}=`));
  if (others.length === 0) return { folder, overrides };
  throw new UserError({
    where: `--resume ${folder}`,
    what: "a run goes on with its own config",
    expected: `nothing but ${WORKERS}`,
    got: others.join(" "),
    remedy: remedyFor(folder, others),
  });
}

function remedyFor(folder: string, others: readonly string[]): string {
  const keys = others.map((word) => word.replace(/^[+~]+/, "").split("=")[0] ?? "");
  const edited = keys.filter((key) => EDITED.some((name) => key === name || key.startsWith(`${name}.`)));
  const file = path.join(folder, "config.yaml");
  if (edited.length === 0) return "leave the overrides out, or start a new run";
  if (edited.length === keys.length) return `change ${edited.join(", ")} in ${file}, and leave the overrides out`;
  return `leave the overrides out, or start a new run; ${edited.join(", ")} may be changed in ${file}`;
}

/** The number of workers on one machine that the command itself asks for, and where it does; of a run that is named its own config doesn't count. */
export function workersAsked(wanted: WantedRun): { readonly where: string; readonly workers: number } | undefined {
  if (wanted.folder === undefined) {
    const { workers } = wanted.loaded.config.train;
    return { where: `${WORKERS}=${workers} (${wanted.loaded.sources[WORKERS] ?? "the config"})`, workers };
  }
  const word = wanted.overrides.at(-1);
  return word === undefined ? undefined : { where: word, workers: Number(word.slice(WORKERS.length + 1)) };
}

/** Equal for commands that ask for the same. */
export function hashOfWanted(wanted: WantedRun): string {
  const { overrides } = wanted;
  const asked =
    wanted.folder === undefined
      ? { config: renderYaml(wanted.loaded.config), resume: wanted.isAuto ? "auto" : null }
      : { resume: wanted.folder, overrides };
  return hashOfAsked(asked);
}

/**
 * Makes the run directory, or finds it and notes that it goes on. After a finished run `--resume auto` begins another. What is wrong with the server's settings is said before anything is made.
 *
 * @throws UserError when it can't be made, isn't there, or has another config
 */
export function openWanted(wanted: WantedRun): OpenedRun {
  if (wanted.folder !== undefined) return resumed(wanted.folder, wanted.overrides);
  const { loaded, isAuto, overrides } = wanted;
  const { config } = loaded;
  const latest = isAuto ? latestRun(config.run.dir, config.name) : undefined;
  const server = serverOf(config.tracking);
  const { tracking, train } = config;
  if (latest !== undefined && !existsSync(latest.reportJson)) {
    requireSameConfig(latest, config);
    noteResumption(latest, { step: -1, overrides, versions: collectVersions() });
    return { run: latest, workers: train.workers, tracking, server };
  }
  if (latest !== undefined) process.stderr.write(`the last run of this name is finished (${latest.path}); a new one begins\n`);
  return { run: created(loaded), workers: train.workers, tracking, server };
}

function created({ config, overrides, sources }: LoadedConfig): RunDirectory {
  requireFiles(config, sources);
  return createRunDirectory(config.run.dir, {
    name: config.name,
    configYaml: renderYaml({ ...config, resume: null }),
    overrides,
    versions: collectVersions(),
  });
}

function resumed(folder: string, overrides: readonly string[]): OpenedRun {
  const run = openRunDirectory(path.resolve(folder));
  const opened = reopened(run, overrides);
  noteResumption(run, { step: -1, overrides, versions: collectVersions() });
  return opened;
}

/** A batch script that was edited between two jobs must not silently go on with the old values, nor mix both. Where the numbers are sent may change, and the number of workers. */
function requireSameConfig(run: RunDirectory, config: TandemConfig): void {
  if (hasConfigButWorkers(run, config)) return;
  throw new UserError({
    where: run.path,
    what: "the unfinished run has another config",
    remedy: `go on with its own: tandem train --resume ${run.path}; or start anew without --resume`,
  });
}
