/**
 * What a job says while it runs: stages, progress, notes, warnings, metrics. Plain data, because it crosses from the worker process to the driver. Not a log file: the run directory's
 * files are written by the worker itself, so that nothing is lost when a message is.
 */
import type { Fault } from "../errors.js";
import type { StepRecord } from "../training/trainer.js";

/** `left` of a step: how many steps of each phase are still to come, as far as they can be counted; `totalSteps` is null while a phase goes on that only minutes end. */
export type JobMessage =
  | { readonly type: "stage"; readonly name: string; readonly detail: string }
  | { readonly type: "progress"; readonly name: string; readonly done: number; readonly total: number; readonly detail?: string }
  | {
      readonly type: "step";
      readonly record: StepRecord;
      readonly totalSteps: number | null;
      readonly left: Readonly<Record<string, number>>;
    }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "warning"; readonly text: string }
  | { readonly type: "text"; readonly text: string }
  /** The worker has the run directory for itself. */
  | { readonly type: "run"; readonly folder: string }
  /** A mistake of the user's that the worker found. */
  | { readonly type: "fault"; readonly fault: Fault }
  | { readonly type: "end"; readonly outcome: "finished" | "stopped" };

export type Report = (message: JobMessage) => void;
