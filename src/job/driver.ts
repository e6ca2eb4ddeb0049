/**
 * The driver of a training run: starts the worker process, passes its messages on, forwards signals, and never blocks, so that progress, tracking and signals are served while a step computes.
 * It doesn't train. The trap: under a terminal or a batch system a signal often reaches both processes; the worker takes any number of them as one.
 */
import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";
import { type Fault, UserError } from "../errors.js";
import { EXIT } from "./exit-codes.js";
import type { JobMessage } from "./reporter.js";
import { lockRun } from "./run-lock.js";

/** After this many interrupts the worker is killed without saving. */
const PATIENCE = 2;

/** The worker's file beside this one: compiled when this is compiled. */
function workerFile(): string {
  return path.join(import.meta.dirname, `worker${path.extname(import.meta.filename)}`);
}

/**
 * Trains in a worker process until it ends. Returns the exit code for the command.
 *
 * @throws UserError when the worker reports a mistake of the user's, or another process works in the run directory
 * @throws Error when the worker was killed or failed
 */
export async function driveTraining(run: string, onMessage: (message: JobMessage) => void): Promise<number> {
  const unlock = await lockRun(run, (text) => onMessage({ type: "note", text }));
  const worker = fork(workerFile(), [run], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const { release, asked, killed } = forwardSignals(worker);
  let fault: Fault | undefined;
  worker.on("message", (message) => {
    const received = message as JobMessage;
    if (received.type === "fault") fault = received.fault;
    else onMessage(received);
  });
  try {
    const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
    });
    // The worker may be asked to stop before it listens, while it is still being loaded. Any other signal is a crash, whatever was asked.
    if ((signal === "SIGTERM" || signal === "SIGINT" || signal === "SIGUSR2") && asked()) return EXIT.requeue;
    if (signal !== null)
      throw new UserError({
        where: run,
        what: `the training process was ended by ${signal}${reasonOf(signal, killed())}`,
        remedy: `go on from the last checkpoint: tandem train --resume ${run}`,
      });
    if (code === EXIT.userError)
      throw new UserError(fault ?? { where: run, what: "the training process refused its input and didn't say why" });
    return code ?? EXIT.bug;
  } finally {
    release();
    unlock();
  }
}

function reasonOf(signal: NodeJS.Signals, isOurs: boolean): string {
  if (signal !== "SIGKILL") return "";
  return isOurs ? ` after ${PATIENCE + 1} interrupts` : " (out of memory, or a time limit)";
}

function forwardSignals(worker: ChildProcess): { release: () => void; asked: () => boolean; killed: () => boolean } {
  let isAsked = false;
  let interrupts = 0;
  const forward = (signal: NodeJS.Signals): void => {
    isAsked = true;
    interrupts += signal === "SIGINT" ? 1 : 0;
    worker.kill(interrupts > PATIENCE ? "SIGKILL" : "SIGTERM");
  };
  const signals = ["SIGTERM", "SIGUSR2", "SIGINT"] as const;
  for (const signal of signals) process.on(signal, forward);
  const release = (): void => {
    for (const signal of signals) process.off(signal, forward);
  };
  return { release, asked: () => isAsked, killed: () => interrupts > PATIENCE };
}
