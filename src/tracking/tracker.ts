/**
 * Follows a run while it trains, from the driver: every few seconds what is new goes to the MLflow server. Nothing here is waited for by a step, and the run's end waits no longer than it is told to. While the
 * server is away the run directory is the spool; there is one warning, and one note when it answers again. The trap: the process that trains and the one that sends are two; a tracker starts when the worker
 * holds the run directory, never before.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.js";
import { lockFile } from "../storage/file-lock.js";
import { MlflowClient, type ServerState } from "./mlflow-client.js";
import { MlflowRun, type Say, type TrackedRun } from "./mlflow-run.js";
import { MlflowError, MlflowTransport, type MlflowServer } from "./mlflow-transport.js";
import type { RunDirectory } from "./run-directory.js";
import { readStatus, type RunState } from "./run-status.js";

export interface TrackerOptions {
  readonly run: RunDirectory;
  readonly server: MlflowServer;
  readonly tracked: TrackedRun;
  /** Milliseconds between two batches. */
  readonly every: number;
  readonly say: Say;
}

/** How MLflow calls the ends. */
export const MLFLOW_STATES: Readonly<Record<RunState, ServerState>> = {
  running: "RUNNING",
  finished: "FINISHED",
  failed: "FAILED",
  stopped: "KILLED",
  killed: "KILLED",
  unfinished: "KILLED",
};

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;
/** At the end nobody wants to wait a minute for the next try. */
const PAUSE_AT_END = 1000;

/** How long to wait after so many failures: twice as long each time, with some chance, so that many runs don't come back at once. */
export function pauseAfter(failures: number, retryAfter: number | undefined): number {
  const grown = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1));
  return Math.max(grown * (0.75 + Math.random() / 2), retryAfter ?? 0);
}

/** Takes the right to send a run: undefined when another process has it. File systems without locks let everybody in. */
export function lockTracking(run: RunDirectory): (() => void) | undefined {
  try {
    return lockFile(`${run.path}/tracking.lock`, `process ${process.pid}\n`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    return () => undefined;
  }
}

export class Tracker {
  readonly #options: TrackerOptions;
  readonly #transport: MlflowTransport;
  readonly #mlflow: MlflowRun;
  readonly #abort = new AbortController();
  readonly #ending = new AbortController();
  #loop: Promise<void> | undefined;
  #unlock: (() => void) | undefined;
  #isConnected = false;
  #wasConnected = false;
  #failures = 0;
  /** Until the next try. */
  #wait = FIRST_PAUSE;
  #warned: string | undefined;

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#transport = new MlflowTransport(options.server);
    this.#mlflow = new MlflowRun(options.run, new MlflowClient(this.#transport), options.tracked, options.say);
  }

  /** Begins to follow; returns at once. */
  start(): void {
    this.#loop ??= this.#follow();
  }

  /**
   * Sends what is left and how the run ended, which it reads from the run directory. Call it when the worker is gone.
   *
   * @param limit milliseconds, after which the rest is left to a later sync
   * @param hurry aborted: no more waiting at all
   */
  async end(limit: number, hurry: AbortSignal): Promise<void> {
    if (this.#loop === undefined) return this.#transport.close();
    const deadline = performance.now() + limit;
    const giveUp = (): void => this.#abort.abort(new Error("out of time"));
    const timer = setTimeout(giveUp, limit);
    hurry.addEventListener("abort", giveUp);
    if (hurry.aborted) giveUp();
    this.#ending.abort();
    await this.#loop;
    let isSent = false;
    while (!isSent && !this.#abort.signal.aborted && this.#unlock !== undefined) {
      isSent = await this.#attempt(true);
      if (!isSent) await pause(Math.min(PAUSE_AT_END, Math.max(0, deadline - performance.now())), this.#abort.signal);
    }
    clearTimeout(timer);
    hurry.removeEventListener("abort", giveUp);
    if (!isSent) this.#sayUnsent();
    this.#unlock?.();
    await this.#transport.close();
  }

  async #follow(): Promise<void> {
    const over = AbortSignal.any([this.#ending.signal, this.#abort.signal]);
    while (!over.aborted) {
      const isSent = await this.#attempt(false);
      await pause(isSent ? this.#options.every : this.#wait, over);
    }
  }

  /** One pass. Failures of any kind are told and outlived: training goes on without a server. */
  async #attempt(isLast: boolean): Promise<boolean> {
    const { signal } = this.#abort;
    try {
      if (!this.#lock()) return false;
      if (!this.#isConnected) await this.#connect(!isLast);
      await this.#mlflow.sendNew(signal);
      if (isLast) await this.#settle();
      this.#recovered();
      return true;
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
      return false;
    }
  }

  async #connect(isLive: boolean): Promise<void> {
    await this.#mlflow.connect(isLive, this.#abort.signal);
    if (!this.#wasConnected) this.#options.say("note", `MLflow: ${this.#mlflow.address ?? ""}`);
    this.#isConnected = true;
    this.#wasConnected = true;
  }

  async #settle(): Promise<void> {
    const { state, time } = readStatus(this.#options.run);
    await this.#mlflow.settle(MLFLOW_STATES[state], state === "running" ? undefined : time, this.#abort.signal);
  }

  /** Another process that sends this run (a sync, a driver that still waits) is waited for. */
  #lock(): boolean {
    this.#unlock ??= lockTracking(this.#options.run);
    return this.#unlock !== undefined;
  }

  #recovered(): void {
    this.#failures = 0;
    if (this.#warned !== undefined) this.#options.say("note", `tracking: ${this.#transport.uri} answers again; what was kept back is sent`);
    this.#warned = undefined;
  }

  #failed(error: unknown): void {
    this.#isConnected = false;
    this.#failures++;
    this.#wait = pauseAfter(this.#failures, error instanceof MlflowError ? error.retryAfter : undefined);
    const isRefused = error instanceof MlflowError && error.kind === "refused";
    // A server that stumbles once is no news.
    if (this.#wasConnected && this.#failures === 1 && !isRefused) return;
    const text = messageOf(error, this.#transport.uri);
    if (this.#warned !== undefined && !isRefused) return;
    if (this.#warned === text) return;
    this.#warned = text;
    this.#options.say(
      "warning",
      `tracking: ${text}; the run goes on, everything stays in its directory and is sent when the server takes it`,
    );
  }

  #sayUnsent(): void {
    const { run, say } = this.#options;
    const what = `tracking: not everything reached ${this.#transport.uri} before the run's end`;
    say("warning", `${what}; nothing is lost, send the rest with: tandem runs sync ${run.path}`);
  }
}

/** Waits, or less when `signal` says so. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
}

/** What failed, in a line that names the server. */
export function messageOf(error: unknown, uri: string): string {
  if (error instanceof UserError) return error.message;
  if (!(error instanceof MlflowError)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error.kind === "refused") return `${uri} refuses: ${error.message}`;
  return `${uri} ${/^(answers|redirects)/.test(error.message) ? "" : "is away: "}${error.message}`;
}
