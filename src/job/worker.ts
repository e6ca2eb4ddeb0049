/**
 * The worker process of a training run: it computes and may block for a step at a time. Started by the driver with the run directory as its one argument, it reads the config from there and
 * sends {@link JobMessage}s. Not a module to import: it runs when it is loaded. The trap: a signal is only noted; the trainer looks at it between two steps, saves and leaves.
 */
import { loadConfig } from "../config/load-config.js";
import { UserError } from "../errors.js";
import { runPlaces } from "../tracking/run-directory.js";
import type { JobMessage } from "./reporter.js";
import { EXIT } from "./exit-codes.js";
import { trainJob } from "./train-job.js";

let isStopping = false;

function send(message: JobMessage): void {
  if (process.connected) process.send?.(message, () => undefined);
}

/** Waits until what was sent has left the process, then ends it: libtorch's threads would keep it alive. */
function leave(message: JobMessage, code: number): void {
  if (process.connected && process.send !== undefined) process.send(message, () => process.exit(code));
  else process.exit(code);
}

async function work(folder: string): Promise<void> {
  const { config } = loadConfig({ base: runPlaces(folder).config });
  const outcome = await trainJob({ config, run: folder, report: send, stopRequested: () => isStopping });
  leave({ type: "end", outcome }, outcome === "finished" ? EXIT.finished : EXIT.requeue);
}

for (const signal of ["SIGTERM", "SIGUSR2", "SIGINT"] as const) {
  process.on(signal, () => {
    isStopping = true;
  });
}
// A driver that is gone can't show or requeue anything: what was learnt is saved.
process.on("disconnect", () => {
  isStopping = true;
});

work(process.argv[2] ?? "").catch((error: unknown) => {
  if (error instanceof UserError) leave({ type: "fault", text: error.message }, EXIT.userError);
  else {
    process.stderr.write(
      `the training process failed: this is a bug in Tandem, not in your input\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    leave({ type: "fault", text: "" }, EXIT.bug);
  }
});
