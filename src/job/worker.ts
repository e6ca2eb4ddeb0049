/**
 * The worker process of a training run: it computes and may block for a step at a time. Started by the driver with the run directory and the word `profile` or nothing, it reads the config from there and
 * sends {@link JobMessage}s. Not a module to import: it runs when it is loaded. The trap: while steps are taken a signal is only noted, and the trainer saves and leaves between two of them; at any
 * other time all that is worth keeping lies on the disk already, and the process leaves at once.
 */
import { loadRunConfig } from "../config/load-config.js";
import { UserError } from "../errors.js";
import { runPlaces, type RunDirectory } from "../tracking/run-directory.js";
import { isFinished, noteEnd, noteStatus } from "../tracking/run-status.js";
import type { JobMessage } from "./reporter.js";
import { EXIT } from "./exit-codes.js";
import { lockRun } from "./run/run-lock.js";
import { trainJob } from "./train-job.js";

/** The word after the run directory that asks for a trace. */
const PROFILE = "profile";

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
  isStopping = true;
  if (!hasUnsaved) leave({ type: "end", outcome: "stopped" }, EXIT.requeue);
}

function send(message: JobMessage): void {
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

async function work(folder: string): Promise<void> {
  await lockRun(folder, (text) => send({ type: "warning", text }));
  held = runPlaces(folder);
  wasFinished = isFinished(held);
  if (!wasFinished) noteStatus(held, "running");
  send({ type: "run", folder });
  const { config } = loadRunConfig(held.config);
  const outcome = await trainJob({
    config,
    run: folder,
    report: send,
    stopRequested: () => isStopping,
    unsaved,
    profile: process.argv[3] === PROFILE,
  });
  leave({ type: "end", outcome }, outcome === "finished" ? EXIT.finished : EXIT.requeue);
}

for (const signal of ["SIGTERM", "SIGUSR2", "SIGINT"] as const) {
  process.on(signal, stop);
}
// A driver that is gone can't show or requeue anything: what was learnt is saved.
process.on("disconnect", stop);

work(process.argv[2] ?? "").catch((error: unknown) => {
  if (error instanceof UserError) leave({ type: "fault", fault: error.fault }, EXIT.userError);
  else {
    if (held !== undefined) noteEnd(held, "failed", error instanceof Error ? error.message : String(error));
    process.stderr.write(
      `the training process failed: this is a bug in Tandem, not in your input\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(EXIT.bug);
  }
});
