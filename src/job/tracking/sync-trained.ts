/**
 * A run directory and the server that its config, the command line and the environment name, put together for a later sync. The trap: the saved config says where the run was sent to then; what is said now wins.
 */
import { loadRunConfig } from "../../config/load-config.js";
import { type Environment, requireServerAddress, trackingServer } from "../../config/tracking-environment.js";
import { UserError } from "../../errors.js";
import type { Say } from "../../tracking/mlflow-run.js";
import type { RunDirectory } from "../../tracking/run-directory.js";
import { syncRun, type SyncOutcome } from "../../tracking/sync-run.js";
import { trackedRun } from "./track-training.js";

/** What the command line says. */
export interface SyncWishes {
  readonly uri?: string | undefined;
  readonly experiment?: string | undefined;
  readonly models?: boolean | undefined;
}

/** @throws UserError when no server is named, or it is away or refuses */
export async function syncTrained(
  run: RunDirectory,
  { uri, experiment, models }: SyncWishes,
  environment: Environment,
  say: Say,
): Promise<SyncOutcome> {
  const { tracking: saved } = loadRunConfig(run.config).config;
  const config = {
    ...saved,
    enabled: true,
    uri: uri === undefined ? saved.uri : requireServerAddress("--uri", uri),
    experiment: experiment ?? saved.experiment,
    artefacts: { ...saved.artefacts, models: models ?? saved.artefacts.models },
  };
  const server = trackingServer(config, environment, (what) => {
    throw new UserError({ where: run.path, what });
  });
  if (server === undefined)
    throw new UserError({
      where: run.path,
      what: "no server is named",
      remedy: "give --uri http://…, or set MLFLOW_TRACKING_URI",
    });
  return syncRun(run, { server, tracked: trackedRun(run, config, server), retries: server.retries, say });
}
