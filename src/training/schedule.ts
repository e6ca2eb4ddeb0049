/**
 * The order of training as data: a list of phases with lengths, and pure functions from the global step to the place in it. What a phase does
 * is not here. A `refresh` updates nothing, so its entry has 0 steps, but it takes one place in the global count: every moment of a run has one
 * number, and a checkpoint needs no second counter.
 * The trap: a phase's own learning rate and batches run over the steps of its kind in all its occurrences (`stepOfKind`), not over one occurrence.
 */
import { UserError } from "../errors.js";

/** Gold passages; what the current retriever finds; or passages that are asked for their own words (copying-questions.ts). */
export type Contexts = "gold" | "retrieved" | "copying";

/** One entry of the schedule. */
export interface ScheduledPhase {
  /** Name of the phase: `generator`, `contrastive`, `reader-distillation`, `joint`, `refresh`. */
  readonly phase: string;
  /** Updates of the optimiser. 0 for `refresh`. */
  readonly steps: number;
  /** Where a generator phase takes its contexts from. Default: gold in the first generator phase that reads questions, retrieved afterwards. */
  readonly contexts?: Contexts | null;
}

/** A place in the schedule. */
export interface SchedulePosition {
  readonly phaseIndex: number;
  readonly phase: string;
  /** 0-based step in this entry of the schedule. */
  readonly stepInPhase: number;
  /** Places this entry takes: its updates, or 1 for a refresh. */
  readonly steps: number;
  /** 0-based step among all steps of this kind of phase. */
  readonly stepOfKind: number;
  /** Steps of this kind in the whole schedule. */
  readonly stepsOfKind: number;
  /** How often this kind came before (0 in its first entry). */
  readonly occurrence: number;
  /** Refreshes that stand before this entry. */
  readonly refreshes: number;
  /** The contexts of a generator phase, the default filled in; undefined elsewhere. */
  readonly contexts: Contexts | undefined;
}

export interface AlternationOptions {
  /** How often both models are trained in turn. */
  readonly rounds: number;
  /** Optimiser steps of the generator in each round. */
  readonly generatorSteps: number;
  /** Optimiser steps of the retriever in each round. */
  readonly contrastiveSteps: number;
}

/** CoZyRAG's alternation, generator first, with the index refreshed after each retriever phase (which CoZyRAG never does). */
export function alternation(options: AlternationOptions): ScheduledPhase[] {
  const round: ScheduledPhase[] = [
    { phase: "generator", steps: options.generatorSteps },
    { phase: "contrastive", steps: options.contrastiveSteps },
    { phase: "refresh", steps: 0 },
  ];
  return Array.from({ length: options.rounds }, () => round).flat();
}

/** Global steps of the whole schedule: all updates and refreshes. */
export function totalSteps(schedule: readonly ScheduledPhase[]): number {
  return schedule.reduce((sum, entry) => sum + placesOf(entry), 0);
}

/** How many steps of each phase come after the first `done` global steps; phases that are over are left out. */
export function stepsLeft(schedule: readonly ScheduledPhase[], done: number): Record<string, number> {
  const left: Record<string, number> = {};
  let start = 0;
  for (const entry of schedule) {
    const end = start + placesOf(entry);
    const own = end - Math.max(start, Math.min(end, done));
    if (own > 0) left[entry.phase] = (left[entry.phase] ?? 0) + own;
    start = end;
  }
  return left;
}

function placesOf(entry: ScheduledPhase): number {
  return entry.phase === "refresh" ? 1 : entry.steps;
}

/**
 * Where global step `step` (0-based) stands; undefined when the schedule is over.
 */
export function positionAt(schedule: readonly ScheduledPhase[], step: number): SchedulePosition | undefined {
  if (!Number.isInteger(step) || step < 0) throw new RangeError(`global step ${step}`);
  let start = 0;
  for (const [phaseIndex, entry] of schedule.entries()) {
    if (step < start + placesOf(entry)) {
      const before = schedule.slice(0, phaseIndex).filter((other) => other.phase === entry.phase);
      const stepInPhase = step - start;
      return {
        phaseIndex,
        phase: entry.phase,
        stepInPhase,
        steps: placesOf(entry),
        stepOfKind: totalSteps(before) + stepInPhase,
        stepsOfKind: totalSteps(schedule.filter((other) => other.phase === entry.phase)),
        occurrence: before.length,
        refreshes: schedule.slice(0, phaseIndex).filter((other) => other.phase === "refresh").length,
        contexts: contextsOf(entry, before.filter(readsQuestions).length),
      };
    }
    start += placesOf(entry);
  }
  return undefined;
}

/** Whether the reader teaches the retriever in a phase, by the passages that an index found. */
export function readsIndex(phase: string): boolean {
  return phase === "reader-distillation" || phase === "joint";
}

/**
 * Checks a schedule before anything is computed.
 * @param known the phases this program has
 * @param isIndexFixed the index doesn't follow the retriever, so it can't lag behind it
 * @returns warnings, one line each, for what is allowed but is rarely meant
 * @throws UserError for what can't run: no phases, an unknown one, lengths, retrieved contexts before there is an index
 */
export function validateSchedule(schedule: readonly ScheduledPhase[], known: readonly string[], isIndexFixed = false): string[] {
  if (schedule.length === 0) throw fault("train.schedule", "the schedule has no phases", "at least one entry {phase, steps}", "none");
  let generators = 0;
  let refreshes = 0;
  let stale = false;
  for (const [index, entry] of schedule.entries()) {
    const where = `train.schedule[${index}]`;
    if (!known.includes(entry.phase)) throw fault(where, "no such phase", `one of ${known.join(", ")}`, JSON.stringify(entry.phase));
    if (entry.phase === "refresh") {
      if (entry.steps !== 0 && entry.steps !== 1) throw fault(where, "a refresh updates nothing", "steps: 0", `steps: ${entry.steps}`);
      refreshes += 1;
      stale = false;
      continue;
    }
    if (!Number.isInteger(entry.steps) || entry.steps < 1) {
      throw fault(where, "steps is out of range", "a whole number of at least 1", String(entry.steps));
    }
    if (entry.phase === "generator") {
      checkContexts(entry, where, generators, refreshes);
      if (readsQuestions(entry)) generators += 1;
    } else if (typeof entry.contexts === "string") {
      throw fault(where, "contexts belongs to generator phases only", "no contexts", entry.contexts);
    }
    if (readsIndex(entry.phase) && refreshes === 0)
      throw fault(
        where,
        `a ${entry.phase} phase reads what an index finds, but none was built before`,
        "a refresh phase before it",
        "none",
      );
    stale ||= entry.phase === "contrastive" || readsIndex(entry.phase);
  }
  if (!stale || isIndexFixed) return [];
  return [
    "train.schedule: the retriever is trained after the last refresh, so the index lags behind it; add {phase: refresh, steps: 0} at the end",
  ];
}

function checkContexts(entry: ScheduledPhase, where: string, generators: number, refreshes: number): void {
  const contexts: unknown = entry.contexts ?? undefined;
  if (contexts !== undefined && contexts !== "gold" && contexts !== "retrieved" && contexts !== "copying") {
    throw fault(where, "contexts is unknown", "gold, retrieved or copying", JSON.stringify(contexts));
  }
  if (contextsOf(entry, generators) === "retrieved" && refreshes === 0) {
    throw fault(where, "contexts are retrieved, but no index was built before", "a refresh phase before it, or contexts: gold", "none");
  }
}

/** Whether it is trained on the data set's questions, not on the passages' own words. */
function readsQuestions({ contexts }: ScheduledPhase): boolean {
  return contexts !== "copying";
}

function contextsOf(entry: ScheduledPhase, occurrence: number): Contexts | undefined {
  if (entry.phase !== "generator") return undefined;
  return entry.contexts ?? (occurrence === 0 ? "gold" : "retrieved");
}

function fault(where: string, what: string, expected: string, got: string): UserError {
  return new UserError({ where, what, expected, got });
}
