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
  const advance = ({ name, done, total, detail }: Extract<JobMessage, { type: "progress" }>): void => {
    // Threads that end together report the end more than once.
    if (ended === name && done >= total) return;
    ended = done >= total ? name : undefined;
    if (shown?.name !== name) {
      finish();
      // The corpus counts the bytes it has read; its detail says how many passages that makes.
      const isCorpus = name === "corpus";
      shown = { name, progress: startProgress({ label: name, total, unit: isCorpus ? "bytes" : (detail ?? ""), quiet }) };
    }
    shown.progress.update(done);
    if (done >= total) finish();
  };
  const report: Report = (message) => {
    if (message.type === "progress") advance(message);
    else if (message.type === "warning") say(`warning: ${message.text}`);
    else if (message.type === "stage" && !quiet) say(`== ${message.name}: ${message.detail}`);
    else if (message.type === "note" && !quiet) say(message.text);
  };
  return { report, finish };
}
