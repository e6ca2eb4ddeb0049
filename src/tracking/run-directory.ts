/**
 * The folder of one run, `runs/<time>-<name>/`: all that is needed to say later what was done, and to do it again. Everything else that a run
 * makes goes into the places named here. It isn't a checkpoint: what changes while training is in `checkpoints/`.
 * The trap: several jobs start within one second, so the folder is claimed by making it, and a taken name gets a number.
 */
import { randomUUID } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { hashBytes } from "../storage/content-hash.js";
import { aboutFile } from "../storage/file-fault.js";
import { packageRoot } from "../storage/package-root.js";
import { gitRevision, type GitRevision } from "./git-revision.js";
import { claimedFolders, claimFolder, timeStamp } from "./run-folder.js";
import type { Versions } from "./versions.js";

/** The places in a run directory. Only those in {@link createRunDirectory} exist from the start. */
export interface RunDirectory {
  readonly path: string;
  /** The resolved config. */
  readonly config: string;
  /** What the command line changed, a YAML list. */
  readonly overrides: string;
  /** An id that no other run has, git revision (and the name of a patch with what was not committed), versions, machine, time of the start. */
  readonly environment: string;
  /** One line for each time that the run was taken up again. */
  readonly resumptions: string;
  /** Whether the run goes on, and how it ended. */
  readonly status: string;
  /** Held by the process that works in the run directory. */
  readonly lock: string;
  readonly metrics: string;
  readonly checkpoints: string;
  readonly retriever: string;
  /** What embedded the passages, where `retriever` embeds the questions alone. */
  readonly passageRetriever: string;
  readonly generator: string;
  readonly index: string;
  readonly validation: string;
  readonly reportJson: string;
  readonly reportText: string;
  readonly reportHtml: string;
}

/** What a run is, said at its start. */
export interface RunDescription {
  /** Letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** The resolved config as YAML; a text in it that looks like a reference must be escaped, as renderYaml does. */
  readonly configYaml: string;
  readonly overrides: readonly string[];
  readonly versions: Versions;
  /** When the run began; now, if not given. */
  readonly start?: Date;
  /** The program's source, null where it is unknown; asked of git, four processes, if not given. */
  readonly git?: GitRevision | null;
}

/** The places of the run in `path`, whether they exist or not. */
export function runPlaces(path: string): RunDirectory {
  return {
    path,
    config: join(path, "config.yaml"),
    overrides: join(path, "overrides.yaml"),
    environment: join(path, "environment.json"),
    resumptions: join(path, "resumptions.jsonl"),
    status: join(path, "status.json"),
    lock: join(path, "lock"),
    metrics: join(path, "metrics.jsonl"),
    checkpoints: join(path, "checkpoints"),
    retriever: join(path, "retriever"),
    passageRetriever: join(path, "passage-retriever"),
    generator: join(path, "generator"),
    index: join(path, "index"),
    validation: join(path, "validation"),
    reportJson: join(path, "report.json"),
    reportText: join(path, "report.txt"),
    reportHtml: join(path, "report.html"),
  };
}

/**
 * Makes `<root>/<time>-<name>/` with the resolved config, the overrides, and the environment (git revision, uncommitted changes as a patch,
 * versions). The environment is written last: a folder without it is no run.
 *
 * @throws UserError when the name can't be a folder's or nothing can be written there
 */
export function createRunDirectory(
  root: string,
  { name, configYaml, overrides, versions, start = new Date(), git = sourceRevision() }: RunDescription,
): RunDirectory {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(name)) {
    const expected = "letters, digits, '.', '_' and '-', at most 100";
    throw new UserError({
      where: "name",
      what: "can't be the name of a run",
      expected,
      got: JSON.stringify(name),
      remedy: "name=<another>",
    });
  }
  const run = runPlaces(claimFolder(root, `${timeStamp(start)}-${name}`));
  aboutFile(run.path, () => {
    for (const folder of [run.checkpoints, run.validation]) mkdirSync(folder);
  });
  writeFileAtomic(run.config, configYaml);
  writeFileAtomic(run.overrides, stringify(overrides));
  writeFileAtomic(
    run.environment,
    `${JSON.stringify({ id: randomUUID(), name, start: start.toISOString(), ...surroundings(run, versions, git) }, null, 2)}\n`,
  );
  return run;
}

/** The words that the run was started with; none where nothing says them. */
export function readOverrides(run: RunDirectory): string[] {
  if (!existsSync(run.overrides)) return [];
  const words: unknown = parse(aboutFile(run.overrides, () => readFileSync(run.overrides, "utf8")));
  return Array.isArray(words) ? words.map(String) : [];
}

/**
 * The run in `path`, to be read or taken up again.
 *
 * @throws UserError when there is no run
 */
export function openRunDirectory(path: string): RunDirectory {
  const run = runPlaces(path);
  if (existsSync(run.environment) && existsSync(run.config)) return run;
  const what = existsSync(path) ? "is not a run directory" : "no such folder";
  throw new UserError({
    where: path,
    what,
    expected: "a folder with config.yaml and environment.json",
    remedy: "name a folder under runs/",
  });
}

/** Notes that the run goes on: when, from which step, with which versions and overrides. */
export function noteResumption(run: RunDirectory, note: { step: number; overrides: readonly string[]; versions: Versions }): void {
  const { step, overrides, versions } = note;
  const line = { time: new Date().toISOString(), step, overrides, ...surroundings(run, versions) };
  aboutFile(run.resumptions, () => appendFileSync(run.resumptions, `${JSON.stringify(line)}\n`));
}

/** The youngest run of this name under `root`, for `resume=auto`; undefined when there is none. */
export function latestRun(root: string, name: string): RunDirectory | undefined {
  return claimedFolders(root, name)
    .map(runPlaces)
    .findLast(({ environment }) => existsSync(environment));
}

/** The program's own source; null where it is unknown. */
export function sourceRevision(): GitRevision | null {
  return gitRevision(packageRoot()) ?? null;
}

function surroundings(run: RunDirectory, versions: Versions, git = sourceRevision()): object {
  if (git === null) return { git, versions };
  const { revision, branch, changes } = git;
  const patch = changes === undefined ? null : `uncommitted-${hashBytes(changes).slice(0, 12)}.patch`;
  if (changes !== undefined && patch !== null) writeFileAtomic(join(run.path, patch), changes);
  return { git: { revision, branch: branch ?? null, changes: patch }, versions };
}
