/**
 * Which run a command means: a run directory, or `latest`, the newest one that is trained, alone or in a sweep. It looks and loads the saved config, it opens no model. The trap: a run that was killed between its two
 * exports has one model folder; only both together make a pair.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { loadRunConfig } from "../../config/load-config.js";
import type { TandemConfig } from "../../config/schema.js";
import { UserError } from "../../errors.js";
import { openRunDirectory, type RunDirectory } from "../../tracking/run-directory.js";
import { hasTime, runLabel } from "../../tracking/run-folder.js";
import { runsIn } from "../../tracking/run-summary.js";

/** The name that stands for the newest trained run. */
const LATEST = "latest";

/** A run whose pair is trained and exported. */
export interface TrainedRun {
  readonly places: RunDirectory;
  /** The run's passage store. */
  readonly corpus: string;
  readonly config: TandemConfig;
  /** Who set each key. */
  readonly sources: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
  /** What the user called it: for the commands in messages. */
  readonly name: string;
}

/**
 * Finds a trained run and loads its config.
 *
 * @param name a run directory or `latest`
 * @param overrides `key=value` words that go over the saved config
 * @param root where `latest` is looked for
 * @throws UserError when there is no such run, or it isn't trained yet
 */
export function findTrainedRun(name: string, overrides: readonly string[] = [], root = "runs"): TrainedRun {
  const places = name === LATEST ? latestTrained(root) : openRunDirectory(name);
  requireTrained(places);
  const { config, sources, warnings } = loadRunConfig(places.config, overrides);
  return { places, corpus: path.join(places.path, "corpus"), config, sources, warnings, name: name === LATEST ? places.path : name };
}

/** Whether a run's saved config is this one; which run to go on with, and where its numbers are sent, is not compared. */
export function hasConfig(places: RunDirectory, config: TandemConfig): boolean {
  const { config: saved } = loadRunConfig(places.config);
  const settled = (one: TandemConfig): object => ({ ...one, resume: null, tracking: null });
  return isDeepStrictEqual(settled(saved), settled(config));
}

/** {@link hasConfig}, whatever the number of workers: it decides how fast a step is, and the last digits of its figures. */
export function hasConfigButWorkers(places: RunDirectory, config: TandemConfig): boolean {
  const { workers } = loadRunConfig(places.config).config.train;
  return hasConfig(places, { ...config, train: { ...config.train, workers } });
}

function isTrained(places: RunDirectory): boolean {
  return existsSync(places.environment) && existsSync(places.retriever) && existsSync(places.generator);
}

function latestTrained(root: string): RunDirectory {
  const runs = existsSync(root) ? runsIn(root) : [];
  const newest = runs.findLast((places) => hasTime(path.basename(places.path)) && isTrained(places));
  if (newest !== undefined) return newest;
  throw new UserError({
    where: root,
    what: "holds no finished run",
    expected: "a run that tandem train brought to its end",
    got:
      runs.length === 0
        ? "nothing"
        : runs
            .slice(0, 3)
            .map((places) => runLabel(places.path))
            .join(", "),
    remedy: "name a run directory, or run: tandem train experiment=quickstart",
  });
}

function requireTrained(places: RunDirectory): void {
  if (isTrained(places)) return;
  const missing = [places.retriever, places.generator].filter((folder) => !existsSync(folder)).map((folder) => `${path.basename(folder)}/`);
  throw new UserError({
    where: places.path,
    what: "the run isn't finished",
    expected: "retriever/ and generator/",
    got: `no ${missing.join(" and no ")}`,
    remedy: `go on with it: tandem train --resume ${places.path}`,
  });
}
