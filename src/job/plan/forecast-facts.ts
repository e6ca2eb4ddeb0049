/**
 * What a forecast is made from: the config's sizes, the schedule's work, and what was measured. Plain values and pure functions of the number of workers; forecast-memory.ts, forecast-disk.ts, forecast-time.ts and forecast-nodes.ts do the
 * arithmetic. The trap: everything measured here was measured in one process that had its machine, or its share of the cores, for itself.
 */
import type { TandemConfig } from "../../config/schema.js";
import type { IndexBytes } from "../../retrieval/index-bytes.js";
import type { AnswerCosts } from "./measure-answers.js";
import type { Link } from "./measure-link.js";
import type { LexicalCosts } from "./measure-search.js";
import type { Opening } from "./open-plan.js";
import type { ScheduleWork } from "./schedule-work.js";
import type { StateBytes } from "./state-bytes.js";
import type { StepCost } from "./step-times.js";

/** An entry of the schedule that takes steps. */
export interface SteppedEntry {
  /** Which steps: a key of {@link Measured.steps}. */
  readonly kind: string;
  /** Infinity: as many as its minutes allow. */
  readonly steps: number;
  readonly minutes: number | undefined;
}

export interface Measured {
  readonly opening: Opening;
  /** By kind, then by number of workers. */
  readonly steps: ReadonlyMap<string, ReadonlyMap<number, StepCost>>;
  /** Seconds of a passage, and of a training question, that is embedded. */
  readonly passage: number;
  readonly question: number;
  /** Seconds of a question and a vector in exact search. */
  readonly comparison: number;
  readonly answers: AnswerCosts;
  /** The gradient audit. */
  readonly audit: number;
  /** A checkpoint that is written. */
  readonly save: number;
  /** Bytes that the process held when the run was open, and at most. undefined: the system doesn't say. */
  readonly held: { readonly opened: number; readonly all: number } | undefined;
  /** Bytes of JavaScript's heap when the run was open. */
  readonly heap: number;
  /** The machine's link of two processes; undefined where they didn't reach each other. */
  readonly link: Link | undefined;
  /** Seconds that all of this took, and the share of them that other programs had the processor: taken off from what was measured. */
  readonly seconds: number;
  readonly waited: number;
}

export interface ForecastFacts {
  readonly config: TandemConfig;
  /** Workers on a node. */
  readonly workers: number;
  /** Passages and bytes of the corpus that was read. */
  readonly store: { readonly size: number; readonly bytes: number };
  readonly dimension: number;
  /** Questions that are learnt from, answered in a validation, answered for the report. */
  readonly questions: { readonly learned: number; readonly validated: number; readonly tested: number };
  /** Results kept of each training question. */
  readonly depth: number;
  readonly entries: readonly SteppedEntry[];
  readonly work: ScheduleWork;
  readonly states: StateBytes;
  /** Bytes of the models' folders as the run begins with them, and of what is exported at its end. */
  readonly models: { readonly start: number; readonly exported: number };
  /** FAISS's index; null: search is exact; undefined: its name isn't known. */
  readonly faiss: IndexBytes | null | undefined;
  /** BM25's; undefined where the run has no use for it. */
  readonly lexical: LexicalCosts | undefined;
  /** Bytes that the driver holds. */
  readonly driver: number;
  readonly measured: Measured | undefined;
}

/** Rows of the report that read passages found by vectors. */
export function denseRows({ eval: { rows } }: TandemConfig): number {
  return rows.filter((row) => row === "trained-pair" || row === "base-pair").length;
}

/** Bytes of gradients at once: those of the kind of step that has the most. */
export function gradientBytes({ steps }: Measured): number {
  return Math.max(0, ...[...steps.values()].flatMap((costs) => [...costs.values()].map((cost) => cost.gradientBytes)));
}
