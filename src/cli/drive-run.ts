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

/** A run directory and its server. */
export interface OpenedRun {
  readonly run: RunDirectory;
  readonly tracking: TrackingConfig;
  readonly server: TrackingServer | undefined;
}

/** The server that a run is sent to. @throws UserError when the environment's settings are wrong */
export function serverOf(tracking: TrackingConfig): TrackingServer | undefined {
  return trackingServer(tracking, process.env, (text) => process.stderr.write(`warning: ${text}\n`));
}

/** A run that exists, with the server that its own config and this environment name. */
export function reopened(run: RunDirectory): OpenedRun {
  const { tracking } = loadRunConfig(run.config).config;
  return { run, tracking, server: serverOf(tracking) };
}

/** Trains to the run's end; returns the exit code of `driveTraining`, and throws what it throws. */
export async function driveRun(
  { run, tracking, server }: OpenedRun,
  signals: CaughtSignals,
  report: Report,
  options: DriveOptions = {},
): Promise<number> {
  const tracker = trackTraining(run, { config: tracking, server, signals, report });
  return driveTraining(run.path, tracker.report, signals, options).finally(() => tracker.end());
}

/** The name of a server that is still being looked up would hold the process for as long as the resolver likes. */
export function leaveSoon(): void {
  setTimeout(() => process.exit(), 1000).unref();
}
