/**
 * A worker process of another work than training: joins the others, does its part, tells its driver how it ended. Training's own is worker.ts, which has a run directory to answer for. The traps: what a signal asks for is noted and done by
 * the work itself, at a place where nothing is lost, and a work that doesn't come to one is left after a while; and who fails because another is gone waits to be ended, so that the other is named, unless
 * all were asked to stop.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { nativeCollectives } from "../../engine/native.js";
import { UserError } from "../../errors.js";
import { EXIT } from "../exit-codes.js";
import type { JobMessage, Report } from "../reporter.js";
import { PULSE_DESCRIPTOR, PULSE_EVERY, type FromWorker, type ToWorker, type WorkerPlace } from "../worker-order.js";
import { joinCrew, type Crew } from "./crew.js";
import { isForsaken } from "./forsaken.js";

/** Milliseconds after which a worker whose fellow is gone ends by itself. */
const WAIT_FOR_THE_END = 120_000;
/** Milliseconds after which a work that was asked to stop, and has nothing to save, is left. */
const STOP_PATIENCE = 60_000;

export interface TeamWork {
  readonly crew: Crew;
  /** The first worker's words are shown; the others' aren't. */
  readonly report: Report;
  readonly stopRequested: () => boolean;
}

function send(message: FromWorker): void {
  if (process.connected) process.send?.(message, () => undefined);
}

/** Waits until what was sent has left the process, then ends it: libtorch's threads would keep it alive. */
function leave(message: JobMessage, code: number): void {
  if (process.connected && process.send !== undefined) process.send(message, () => process.exit(code));
  else process.exit(code);
}

/**
 * Does the work and ends the process.
 *
 * @param work false: it was stopped before its end
 * @param keeps whether it has something to save; else a signal ends the process as any other, amid whatever it computes
 */
export function workInTeam(
  place: WorkerPlace,
  work: (team: TeamWork) => Promise<boolean>,
  { keeps = true }: { readonly keeps?: boolean } = {},
): void {
  const isFirst = place.rank === 0;
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
  const ask = (): void => {
    stop.abort();
    setTimeout(() => process.exit(EXIT.requeue), keeps ? STOP_PATIENCE : 0).unref();
  };
  // Nobody is left who could show, name or end anything.
  process.on("disconnect", ask);
  const storePort = new Promise<number>((resolve) => {
    if (!isFirst) process.on("message", (message) => resolve((message as ToWorker).port));
  });
  if (keeps) {
    for (const signal of ["SIGTERM", "SIGUSR2", "SIGINT"] as const) process.on(signal, ask);
    send({ type: "listening" });
  }
  const end = (isDone: boolean): void =>
    leave({ type: "end", outcome: isDone ? "finished" : "stopped" }, isDone ? EXIT.finished : EXIT.requeue);
  const all = async (): Promise<boolean> => {
    if (place.size > 1) nativeCollectives().startPulse(PULSE_DESCRIPTOR, PULSE_EVERY);
    const crew = await joinCrew(place, { tell: (port) => send({ type: "store", port }), ask: () => storePort });
    send({ type: "joined" });
    return await work({ crew, report: isFirst ? send : () => undefined, stopRequested: () => stop.signal.aborted });
  };
  all()
    .then(end)
    .catch(async (error: unknown) => {
      if (place.size > 1 && isForsaken(error)) {
        await Promise.race([sleep(WAIT_FOR_THE_END), stopped]);
        if (stop.signal.aborted) {
          end(false);
          return;
        }
      }
      if (error instanceof UserError) leave({ type: "fault", fault: error.fault }, EXIT.userError);
      else {
        process.stderr.write(
          `this process failed: this is a bug in Tandem, not in your input\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
        );
        process.exit(EXIT.bug);
      }
    });
}
