/**
 * Shows what a job says while it runs: stages, notes and warnings as lines, progress as a bar, all on stderr. It keeps nothing. The trap: a bar that isn't finished swallows the next line, so
 * `finish` belongs into a `finally`.
 */
import type { JobMessage, Report } from "../job/reporter.js";
import { updatesNothing } from "../training/schedule.js";
import { startProgress, type Progress } from "./progress.js";

export interface JobDisplay {
  readonly report: Report;
  finish(): void;
}

type Bar = Pick<Extract<JobMessage, { type: "progress" }>, "name" | "done" | "total" | "detail">;

const TRAINING = "training";

/** @param quiet warnings only */
export function jobDisplay({ quiet }: { quiet: boolean }): JobDisplay {
  let shown: { name: string; total: number; progress: Progress } | undefined;
  let ended: string | undefined;
  const finish = (): void => {
    shown?.progress.finish();
    shown = undefined;
  };
  const say = (text: string): void => {
    finish();
    process.stderr.write(`${text}\n`);
  };
  const advance = ({ name, done, total, detail }: Bar, facts: Parameters<Progress["update"]>[1] = {}): void => {
    // Threads that end together report the end more than once.
    if (ended === name && done >= total) return;
    ended = done >= total ? name : undefined;
    // Training grows shorter when a phase ends early.
    if (shown?.name !== name || (name === TRAINING && shown.total !== total)) {
      finish();
      // The corpus counts the bytes it has read; its detail says how many passages that makes.
      const isCorpus = name === "corpus";
      // A resumed run begins where it stopped: the rate and the time left are this process's.
      const start = name === TRAINING ? Math.max(0, done - 1) : 0;
      shown = { name, total, progress: startProgress({ label: name, total, unit: isCorpus ? "bytes" : (detail ?? ""), start, quiet }) };
    }
    shown.progress.update(done, facts);
    if (done >= total) finish();
  };
  const times = new PhaseTimes();
  const advanceTraining = ({ record, totalSteps, left }: Extract<JobMessage, { type: "step" }>): void => {
    times.note(record.phase, record.seconds);
    const facts = { loss: record.loss, note: record.phase, secondsLeft: times.left(left) };
    advance({ name: TRAINING, done: record.step, total: totalSteps ?? Infinity, detail: "steps" }, facts);
  };
  const report: Report = (message) => {
    if (message.type === "progress") advance(message);
    else if (message.type === "step") advanceTraining(message);
    else if (message.type === "text") finish();
    else if (message.type === "warning") say(`warning: ${message.text}`);
    else if (message.type === "stage" && !quiet) say(`== ${message.name}: ${message.detail}`);
    else if (message.type === "note" && !quiet) say(message.text);
  };
  return { report, finish };
}

/** How long steps of each phase take: they differ by ten times, so one rate for all would jump where a phase begins. */
class PhaseTimes {
  readonly #seconds = new Map<string, { sum: number; steps: number }>();

  note(phase: string, seconds: number): void {
    const { sum, steps } = this.#seconds.get(phase) ?? { sum: 0, steps: 0 };
    this.#seconds.set(phase, { sum: sum + seconds, steps: steps + 1 });
  }

  /** Seconds for so many steps of each phase; one that wasn't met yet is taken to be as quick as the others, and a refresh or mine as free. */
  left(steps: Readonly<Record<string, number>>): number {
    const all = [...this.#seconds.values()];
    const mean =
      all.reduce((sum, own) => sum + own.sum, 0) /
      Math.max(
        1,
        all.reduce((sum, own) => sum + own.steps, 0),
      );
    return Object.entries(steps)
      .filter(([phase]) => !updatesNothing(phase))
      .reduce((sum, [phase, count]) => {
        const own = this.#seconds.get(phase);
        return sum + count * (own === undefined ? mean : own.sum / own.steps);
      }, 0);
  }
}
