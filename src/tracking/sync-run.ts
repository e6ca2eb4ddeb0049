/**
 * Sends a run directory to an MLflow server after the fact: a run that trained without one, whose server was away, or that was killed before it could say so. The same steps as the tracker's, in the foreground.
 * The trap: a run that still trains may be synced too; it keeps its state, and its own tracker must not send at the same time.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.js";
import { MlflowClient } from "./mlflow-client.js";
import { MlflowRun, type Say, type TrackedRun } from "./mlflow-run.js";
import { MlflowError, MlflowTransport, type MlflowServer } from "./mlflow-transport.js";
import type { RunDirectory } from "./run-directory.js";
import { readStatus } from "./run-status.js";
import { lockTracking, messageOf, MLFLOW_STATES, pauseAfter } from "./tracker.js";

export interface SyncOptions {
  readonly server: MlflowServer;
  readonly tracked: TrackedRun;
  /** How often a server that is away is tried again. */
  readonly retries: number;
  readonly say: Say;
}

/** What a sync did. */
export interface SyncOutcome {
  readonly run: string;
  /** Where a browser finds it. */
  readonly address: string;
  readonly status: string;
  /** Points and files that the server lacked. */
  readonly points: number;
  readonly files: number;
}

/**
 * Sends what the server lacks and how the run ended.
 *
 * @throws UserError when the server is away or refuses, or another process sends this run
 */
export async function syncRun(run: RunDirectory, { server, tracked, retries, say }: SyncOptions): Promise<SyncOutcome> {
  const unlock = lockTracking(run);
  if (unlock === undefined)
    throw new UserError({ where: run.path, what: "is being sent by another process", remedy: "let the run end, or wait for that process" });
  const transport = new MlflowTransport(server);
  const mlflow = new MlflowRun(run, new MlflowClient(transport), tracked, say);
  try {
    const status = await persistently(() => sendAll(run, mlflow), { retries, say, uri: server.uri });
    return { run: run.path, address: mlflow.address ?? "", status, ...mlflow.sent };
  } finally {
    await transport.close();
    unlock();
  }
}

async function sendAll(run: RunDirectory, mlflow: MlflowRun): Promise<string> {
  const { signal } = new AbortController();
  const { state, time } = readStatus(run);
  await mlflow.connect(state === "running", signal);
  await mlflow.sendNew(signal);
  const status = MLFLOW_STATES[state];
  await mlflow.settle(status, state === "running" ? undefined : time, signal);
  return status;
}

async function persistently<T>(
  body: () => Promise<T>,
  { retries, say, uri }: Pick<SyncOptions, "retries" | "say"> & { uri: string },
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await body();
    } catch (error) {
      if (!(error instanceof MlflowError)) throw error;
      if (error.kind === "refused" || failures > retries) throw failure(error, uri);
      const pause = pauseAfter(failures, error.retryAfter);
      say("note", `${messageOf(error, uri)}; trying again in ${Math.ceil(pause / 1000)} s`);
      await sleep(pause);
    }
  }
}

function failure(error: MlflowError, uri: string): UserError {
  return new UserError({
    where: uri,
    what: messageOf(error, uri),
    remedy: "what was sent so far stays; run the command again",
  });
}
