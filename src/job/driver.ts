/**
 * The driver of a training run: has its workers started (local-workers.ts), passes on what they say, forwards signals, and never blocks, so that progress, tracking and signals are served while a step computes.
 * It doesn't train. The trap: under a terminal or a batch system a signal often reaches all processes; a worker takes any number of them as one.
 */
import type { ChildProcess } from "node:child_process";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { UserError } from "../errors.js";
import { runPlaces } from "../tracking/run-directory.js";
import { noteEnd } from "../tracking/run-status.js";
import { EXIT } from "./exit-codes.js";
import { runWorkers, type WorkersEnd } from "./local-workers.js";
import type { JobMessage } from "./reporter.js";
import { ONLY_WORKER } from "./worker-order.js";

/** After this many interrupts the worker is killed without saving. */
const PATIENCE = 2;

/** Signals to this process from the moment of {@link catchSignals} on, passed to the worker once there is one. */
export interface CaughtSignals {
  /** Whether any asked the run to stop. */
  asked(): boolean;
  /** Whether the worker was killed because of them. */
  killed(): boolean;
  /** Aborted by the first of them. */
  readonly first: AbortSignal;
  passTo(worker: ChildProcess): unknown;
  release(): void;
}

/** Takes SIGTERM, SIGUSR2 and SIGINT, so that none ends the driver between two instructions: call it before a run directory is made. */
export function catchSignals(): CaughtSignals {
  const first = new AbortController();
  let isAsked = false;
  let interrupts = 0;
  const workers: ChildProcess[] = [];
  const forward = (signal: NodeJS.Signals): void => {
    isAsked = true;
    first.abort();
    interrupts += signal === "SIGINT" ? 1 : 0;
    for (const worker of workers) worker.kill(interrupts > PATIENCE ? "SIGKILL" : "SIGTERM");
  };
  const signals = ["SIGTERM", "SIGUSR2", "SIGINT"] as const;
  for (const signal of signals) process.on(signal, forward);
  return {
    asked: () => isAsked,
    killed: () => interrupts > PATIENCE,
    first: first.signal,
    passTo: (child) => workers.push(child),
    release: () => {
      for (const signal of signals) process.off(signal, forward);
    },
  };
}

/** What is asked of a run while it goes on. */
type Asked = Pick<CaughtSignals, "asked" | "killed">;

export interface DriveOptions {
  /** Worker processes. */
  readonly workers: number;
  /** Each worker writes a trace of where its time goes. */
  readonly profile?: boolean;
  /** Milliseconds without a sign of life after which a worker among several is taken for lost; for tests. */
  readonly silence?: number;
}

/**
 * Trains in worker processes until they end. Returns the exit code for the command.
 *
 * @throws UserError when a worker reports a mistake of the user's, or was killed or lost
 */
export async function driveTraining(
  run: string,
  onMessage: (message: JobMessage) => void,
  signals: CaughtSignals,
  { workers: size, profile = false, silence }: DriveOptions,
): Promise<number> {
  // A turn of the event loop: what came while the command was being read is known before a worker is started.
  await yieldToEvents();
  if (signals.asked()) return EXIT.requeue;
  const end = await runWorkers({
    run,
    profile,
    places: Array.from({ length: size }, (_, rank) => ({ ...ONLY_WORKER, rank, size, localRank: rank, localSize: size })),
    onMessage,
    onStart: (worker) => signals.passTo(worker),
    ...(silence === undefined ? {} : { silence }),
  });
  return exitCodeOf(run, end, signals);
}

/** @throws UserError when a worker reports a mistake of the user's, or was killed or lost */
function exitCodeOf(run: string, end: WorkersEnd, asked: Asked): number {
  const { code, signal, name, lastStep } = end;
  if (isStoppedEarly(end, asked)) return EXIT.requeue;
  if (signal !== null) {
    const what = `${name} ${lossOf(end, asked)}${lastStep === undefined ? "" : ` after step ${lastStep}`}`;
    // A worker that never had the run directory says nothing about the run in it.
    if (end.hadRun) noteEnd(runPlaces(run), signal === "SIGKILL" ? "killed" : "failed", what);
    throw new UserError({ where: run, what, remedy: goOn(run) });
  }
  // The first worker writes down its own.
  const fault = code === EXIT.userError ? faultOf(run, end) : undefined;
  const isAnothers = end.rank !== 0 && code !== EXIT.finished && code !== EXIT.requeue;
  if (isAnothers && end.hadRun) noteEnd(runPlaces(run), "failed", `${name}: ${fault?.message ?? "failed of a bug; its own lines say how"}`);
  if (fault !== undefined) throw fault;
  return code ?? EXIT.bug;
}

/** The worker may be asked to stop before it listens, while it is still being loaded. Any other signal is a crash, whatever was asked. */
export function isStoppedEarly({ signal }: Pick<WorkersEnd, "signal">, { asked }: Pick<Asked, "asked">): boolean {
  return (signal === "SIGTERM" || signal === "SIGINT" || signal === "SIGUSR2") && asked();
}

/** Of a worker that a signal ended: `was ended by SIGKILL (out of memory, or a time limit)`. */
export function lossOf({ signal, isSilent }: Pick<WorkersEnd, "signal" | "isSilent">, { killed }: Pick<Asked, "killed">): string {
  if (isSilent) return "gave no sign of life";
  return `was ended by ${signal ?? "nothing"}${signal === "SIGKILL" ? reasonOf(killed()) : ""}`;
}

function reasonOf(isOurs: boolean): string {
  return isOurs ? ` after ${PATIENCE + 1} interrupts` : " (out of memory, or a time limit)";
}

/** The mistake of the user's that a worker ended with. */
export function faultOf(run: string, { fault, name }: WorkersEnd): UserError {
  return new UserError(fault ?? { where: run, what: `${name} refused its input and didn't say why` });
}

export function goOn(run: string): string {
  return `go on from the last checkpoint: tandem train --resume ${run}`;
}
