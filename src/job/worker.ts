/**
 * A worker process of a training run: it computes and may block for a step at a time. Started by the driver with a {@link WorkerOrder}, it reads the config from the run directory and
 * sends {@link JobMessage}s. Not a module to import: it runs when it is loaded. The traps: while steps are taken a signal is only noted, and the trainer saves and leaves between two of them; at any
 * other time all that is worth keeping lies on the disk already, and the process leaves at once. And among several workers the first alone decides to stop; whose fellow is gone waits to be ended, so that the one that failed is named.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { loadRunConfig } from "../config/load-config.js";
import { nativeCollectives } from "../engine/native.js";
import { UserError } from "../errors.js";
import { runPlaces, type RunDirectory } from "../tracking/run-directory.js";
import { isFinished, noteEnd, noteStatus } from "../tracking/run-status.js";
import type { JobMessage } from "./reporter.js";
import { EXIT } from "./exit-codes.js";
import { joinCrew } from "./run/crew.js";
import { isForsaken } from "./run/forsaken.js";
import { lockRun } from "./run/run-lock.js";
import { trainJob } from "./train-job.js";
import { PULSE_DESCRIPTOR, PULSE_EVERY, type FromWorker, type ToWorker, type WorkerOrder } from "./worker-order.js";

const order = JSON.parse(process.argv[2] ?? "") as WorkerOrder;
const { place } = order;
const isFirst = place.rank === 0;
/** Milliseconds after which a worker whose fellow is gone ends by itself. */
const WAIT_FOR_THE_END = 120_000;

let isStopping = false;
/** True while steps are taken whose result isn't saved yet. */
let hasUnsaved = false;
/** True once the end was told: a signal that comes while the message is under way changes nothing any more. */
let isLeaving = false;
/** True while a run that came to its end before is only scored again. */
let wasFinished = false;
/** The run directory, once this process has it for itself. */
let held: RunDirectory | undefined;

function stop(): void {
  if (!isFirst) return;
  isStopping = true;
  if (!hasUnsaved) leave({ type: "end", outcome: "stopped" }, EXIT.requeue);
}

function send(message: FromWorker): void {
  if (process.connected) process.send?.(message, () => undefined);
}

function unsaved(is: boolean): void {
  hasUnsaved = is;
  // A finished run whose training goes on after all (its schedule was made longer) isn't finished any more.
  if (is && wasFinished && held !== undefined) {
    wasFinished = false;
    noteStatus(held, "running");
  }
  if (!is && isStopping) stop();
}

/** Waits until what was sent has left the process, then ends it: libtorch's threads would keep it alive. */
function leave(message: JobMessage, code: number): void {
  if (isLeaving) return;
  isLeaving = true;
  if (held !== undefined && message.type === "end") noteEnd(held, message.outcome);
  if (held !== undefined && message.type === "fault") noteEnd(held, "failed", new UserError(message.fault).message);
  if (process.connected && process.send !== undefined) process.send(message, () => process.exit(code));
  else process.exit(code);
}

/** The port of the first worker's store, once the driver has told it. */
const storePort = new Promise<number>((resolve) => {
  if (isFirst) return;
  process.on("message", (message) => {
    resolve((message as ToWorker).port);
  });
});

async function work(folder: string): Promise<void> {
  if (isFirst) {
    await lockRun(folder, (text) => send({ type: "warning", text }));
    held = runPlaces(folder);
    wasFinished = isFinished(held);
    if (!wasFinished) noteStatus(held, "running");
    send({ type: "run", folder });
  }
  if (place.size > 1) nativeCollectives().startPulse(PULSE_DESCRIPTOR, PULSE_EVERY);
  const crew = await joinCrew(place, { tell: (port) => send({ type: "store", port }), ask: () => storePort });
  if (place.size > 1) send({ type: "joined" });
  const { config } = loadRunConfig(runPlaces(folder).config);
  const outcome = await trainJob({
    config,
    run: folder,
    report: isFirst ? send : () => undefined,
    crew,
    localRank: place.localRank,
    localWorkers: place.localSize,
    cores: place.cores,
    stopRequested: () => isStopping,
    unsaved,
    // The first worker's steps are told with all that is shown of them.
    stepped: (step) => {
      if (!isFirst) send({ type: "stepped", step });
    },
    profile: order.profile,
  });
  leave({ type: "end", outcome }, outcome === "finished" ? EXIT.finished : EXIT.requeue);
}

for (const signal of ["SIGTERM", "SIGUSR2", "SIGINT"] as const) {
  process.on(signal, stop);
}
/** Resolved when the driver is gone. It can't show or requeue anything: what was learnt is saved. The other workers follow the first; without one of their own to end them they end by themselves. */
const orphaned = new Promise<void>((resolve) => {
  process.on("disconnect", () => {
    resolve();
    stop();
    if (!isFirst) setTimeout(() => process.exit(EXIT.bug), WAIT_FOR_THE_END).unref();
  });
});
send({ type: "listening" });

work(order.run).catch(async (error: unknown) => {
  if (place.size > 1 && isForsaken(error)) {
    await Promise.race([sleep(WAIT_FOR_THE_END), orphaned]);
    // Nobody is left who could name the one that failed; who goes on with the run waits for its lock.
    if (!process.connected) process.exit(EXIT.bug);
  }
  if (error instanceof UserError) leave({ type: "fault", fault: error.fault }, EXIT.userError);
  else {
    if (held !== undefined) noteEnd(held, "failed", error instanceof Error ? error.message : String(error));
    process.stderr.write(
      `the training process failed: this is a bug in Tandem, not in your input\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(EXIT.bug);
  }
});
