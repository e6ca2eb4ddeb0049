/**
 * The driver of a training run: starts the worker process, passes its messages on, forwards signals, and never blocks, so that progress, tracking and signals are served while a step computes.
 * It doesn't train. The trap: under a terminal or a batch system a signal often reaches both processes; the worker takes any number of them as one.
 */
import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { type Fault, UserError } from "../errors.js";
import { runPlaces } from "../tracking/run-directory.js";
import { noteEnd } from "../tracking/run-status.js";
import { EXIT } from "./exit-codes.js";
import type { JobMessage } from "./reporter.js";

/** After this many interrupts the worker is killed without saving. */
const PATIENCE = 2;

/** The worker's file beside this one: compiled when this is compiled. */
function workerFile(): string {
  return path.join(import.meta.dirname, `worker${path.extname(import.meta.filename)}`);
}

/** Signals to this process from the moment of {@link catchSignals} on, passed to the worker once there is one. */
export interface CaughtSignals {
  /** Whether any asked the run to stop. */
  asked(): boolean;
  /** Whether the worker was killed because of them. */
  killed(): boolean;
  /** Aborted by the first of them. */
  readonly first: AbortSignal;
  passTo(worker: ChildProcess): void;
  release(): void;
}

/** Takes SIGTERM, SIGUSR2 and SIGINT, so that none ends the driver between two instructions: call it before a run directory is made. */
export function catchSignals(): CaughtSignals {
  const first = new AbortController();
  let isAsked = false;
  let interrupts = 0;
  let worker: ChildProcess | undefined;
  const forward = (signal: NodeJS.Signals): void => {
    isAsked = true;
    first.abort();
    interrupts += signal === "SIGINT" ? 1 : 0;
    worker?.kill(interrupts > PATIENCE ? "SIGKILL" : "SIGTERM");
  };
  const signals = ["SIGTERM", "SIGUSR2", "SIGINT"] as const;
  for (const signal of signals) process.on(signal, forward);
  return {
    asked: () => isAsked,
    killed: () => interrupts > PATIENCE,
    first: first.signal,
    passTo: (child) => (worker = child),
    release: () => {
      for (const signal of signals) process.off(signal, forward);
    },
  };
}

export interface DriveOptions {
  /** The worker writes a trace of where its time goes. */
  readonly profile?: boolean;
}

/**
 * Trains in a worker process until it ends. Returns the exit code for the command.
 *
 * @throws UserError when the worker reports a mistake of the user's
 * @throws Error when the worker was killed or failed
 */
export async function driveTraining(
  run: string,
  onMessage: (message: JobMessage) => void,
  signals: CaughtSignals,
  { profile = false }: DriveOptions = {},
): Promise<number> {
  // A turn of the event loop: what came while the command was being read is known before a worker is started.
  await yieldToEvents();
  if (signals.asked()) return EXIT.requeue;
  const worker = fork(workerFile(), profile ? [run, "profile"] : [run], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  signals.passTo(worker);
  let fault: Fault | undefined;
  const had = { run: false };
  worker.on("message", (message) => {
    const received = message as JobMessage;
    had.run ||= received.type === "run";
    if (received.type === "fault") fault = received.fault;
    else onMessage(received);
  });
  const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  // The worker may be asked to stop before it listens, while it is still being loaded. Any other signal is a crash, whatever was asked.
  if ((signal === "SIGTERM" || signal === "SIGINT" || signal === "SIGUSR2") && signals.asked()) return EXIT.requeue;
  if (signal !== null) {
    const what = `the training process was ended by ${signal}${reasonOf(signal, signals.killed())}`;
    // A worker that never had the run directory says nothing about the run in it.
    if (had.run) noteEnd(runPlaces(run), signal === "SIGKILL" ? "killed" : "failed", what);
    throw new UserError({
      where: run,
      what,
      remedy: `go on from the last checkpoint: tandem train --resume ${run}`,
    });
  }
  if (code === EXIT.userError)
    throw new UserError(fault ?? { where: run, what: "the training process refused its input and didn't say why" });
  return code ?? EXIT.bug;
}

function reasonOf(signal: NodeJS.Signals, isOurs: boolean): string {
  if (signal !== "SIGKILL") return "";
  return isOurs ? ` after ${PATIENCE + 1} interrupts` : " (out of memory, or a time limit)";
}
