/**
 * One run, driven to its end and followed by its MLflow server: what `tandem train` and each run of a sweep share. It makes no run directory. The trap: the address and the secrets of a server come from
 * the environment of this process, so they are asked for before anything is made, and a resumed run asks again.
 */
import { loadRunConfig } from "../config/load-config.js";
import type { TrackingConfig } from "../config/schema.js";
import { trackingServer, type TrackingServer } from "../config/tracking-environment.js";
import { driveTraining, type CaughtSignals, type DriveOptions } from "../job/driver.js";
import type { Report } from "../job/reporter.js";
import { trackTraining } from "../job/tracking/track-training.js";
import type { RunDirectory } from "../tracking/run-directory.js";

/** A run directory, its server, and how many workers train it on one machine. */
export interface OpenedRun {
  readonly run: RunDirectory;
  readonly workers: number;
  readonly tracking: TrackingConfig;
  readonly server: TrackingServer | undefined;
}

/** The server that a run is sent to. @throws UserError when the environment's settings are wrong */
export function serverOf(tracking: TrackingConfig): TrackingServer | undefined {
  return trackingServer(tracking, process.env, (text) => process.stderr.write(`warning: ${text}\n`));
}

/**
 * A run that exists, with the server that its own config and this environment name.
 *
 * @param overrides words over its config
 */
export function reopened(run: RunDirectory, overrides: readonly string[] = []): OpenedRun {
  const { tracking, train } = loadRunConfig(run.config, overrides).config;
  return { run, workers: train.workers, tracking, server: serverOf(tracking) };
}

/** Trains to the run's end; returns the exit code of `driveTraining`, and throws what it throws. */
export async function driveRun(
  opened: OpenedRun,
  signals: CaughtSignals,
  report: Report,
  options: Omit<DriveOptions, "workers"> = {},
): Promise<number> {
  return followed(opened, signals, report, (told) =>
    driveTraining(opened.run.path, told, signals, { ...options, workers: opened.workers }),
  );
}

/** What `drive` reports is shown by `report` and sent to the run's server. */
export async function followed(
  { run, tracking, server }: OpenedRun,
  signals: CaughtSignals,
  report: Report,
  drive: (report: Report) => Promise<number>,
): Promise<number> {
  const tracker = trackTraining(run, { config: tracking, server, signals, report });
  return drive(tracker.report).finally(() => tracker.end());
}

/** The name of a server that is still being looked up would hold the process for as long as the resolver likes. */
export function leaveSoon(): void {
  setTimeout(() => process.exit(), 1000).unref();
}
