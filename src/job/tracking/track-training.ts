/**
 * Joins a training run and its MLflow server: makes the tracker from the config's section and what the environment says, and starts it when the worker holds the run directory. It sends nothing itself. The trap: a
 * driver whose worker never got the run directory (another one works there) must not touch that run's MLflow run.
 */
import type { TrackingConfig } from "../../config/schema.js";
import type { TrackingServer } from "../../config/tracking-environment.js";
import { UserError } from "../../errors.js";
import { expectObject, readJson } from "../../storage/json-file.js";
import type { TrackedRun } from "../../tracking/mlflow-run.js";
import type { RunDirectory } from "../../tracking/run-directory.js";
import { Tracker } from "../../tracking/tracker.js";
import type { CaughtSignals } from "../driver.js";
import type { Report } from "../reporter.js";

/** Milliseconds that a run which was asked to stop waits for the server: batch systems kill soon. */
const STOPPED_WAIT = 5000;

export interface TrainingTracker {
  readonly report: Report;
  /** To be awaited when the worker is gone. */
  end(): Promise<void>;
}

/** Follows what `report` is told, and passes it on. Without a server it only passes on. */
export function trackTraining(
  run: RunDirectory,
  {
    config,
    server,
    signals,
    report,
  }: { config: TrackingConfig; server: TrackingServer | undefined; signals: CaughtSignals; report: Report },
): TrainingTracker {
  if (server === undefined) return { report, end: () => Promise.resolve() };
  const tracker = new Tracker({
    run,
    server,
    tracked: trackedRun(run, config, server),
    every: 1000 * config.every,
    say: (type, text) => report({ type, text }),
  });
  return {
    report: (message) => {
      if (message.type === "run") tracker.start();
      report(message);
    },
    end: () => {
      const wait = 1000 * config.end_wait;
      // A first signal shortens the wait, one that comes while waiting ends it.
      return signals.asked() ? tracker.end(Math.min(wait, STOPPED_WAIT), new AbortController().signal) : tracker.end(wait, signals.first);
    },
  };
}

/** What of a run directory is sent, and as what. @throws UserError when its environment.json can't be read */
export function trackedRun(run: RunDirectory, config: TrackingConfig, { experiment, runId }: TrackingServer): TrackedRun {
  const { start } = expectObject(readJson(run.environment), run.environment);
  const time = typeof start === "string" ? Date.parse(start) : Number.NaN;
  if (!Number.isFinite(time))
    throw new UserError({ where: run.environment, what: "says no time of the start", expected: "start: an ISO time" });
  return { experiment, runId, name: config.run_name, tags: config.tags, artefacts: config.artefacts, start: time };
}
