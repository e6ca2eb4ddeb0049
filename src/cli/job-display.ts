/**
 * Shows what a job says while it runs: stages, notes and warnings as lines, progress as a bar, all on stderr. It keeps nothing. The trap: a bar that isn't finished swallows the next line, so
 * `finish` belongs into a `finally`.
 */
import type { JobMessage, Report } from "../job/reporter.js";
import { startProgress, type Progress } from "./progress.js";

export interface JobDisplay {
  readonly report: Report;
  finish(): void;
}

type Bar = Pick<Extract<JobMessage, { type: "progress" }>, "name" | "done" | "total" | "detail">;

const TRAINING = "training";

/** @param quiet warnings only */
export function jobDisplay({ quiet }: { quiet: boolean }): JobDisplay {
  let shown: { name: string; progress: Progress } | undefined;
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
    if (shown?.name !== name) {
      finish();
      // The corpus counts the bytes it has read; its detail says how many passages that makes.
      const isCorpus = name === "corpus";
      // A resumed run begins where it stopped: the rate and the time left are this process's.
      const start = name === TRAINING ? Math.max(0, done - 1) : 0;
      shown = { name, progress: startProgress({ label: name, total, unit: isCorpus ? "bytes" : (detail ?? ""), start, quiet }) };
    }
    shown.progress.update(done, facts);
    if (done >= total) finish();
  };
  const advanceTraining = ({ record, totalSteps }: Extract<JobMessage, { type: "step" }>): void => {
    advance({ name: TRAINING, done: record.step, total: totalSteps, detail: "steps" }, { loss: record.loss, note: record.phase });
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
