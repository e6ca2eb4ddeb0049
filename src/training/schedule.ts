/**
 * The order of training as data: a list of phases with lengths, and pure functions from the transitions taken and the global step to the place in it. What a phase does and what ends it early is not here. A `refresh` or a
 * `mine` updates nothing, so its entry has 0 steps, but it takes one place in the global count: every moment of a run has one number, and a checkpoint needs no second counter.
 * The trap: nothing of a place may depend on transitions that come after it, or a resumed run would see another one. So the rate's course runs over the steps as they were planned (`courseStep`), batches over the steps
 * that were taken (`stepOfKind`): both over all occurrences of a kind, not over one.
 */
import { UserError } from "../errors.js";
import type { Condition } from "./conditions.js";

/** Gold passages; what the current retriever finds; or passages that are asked for their own words (copying-questions.ts). */
export type Contexts = "gold" | "retrieved" | "copying";

/** One entry of the schedule. */
export interface ScheduledPhase {
  /** Name of the phase: `generator`, `contrastive`, `reader-distillation`, `joint`, `refresh`, `mine`. */
  readonly phase: string;
  /** Most updates of the optimiser. 0 or 1 for what updates nothing; Infinity: as many as its minutes allow. */
  readonly steps: number;
  /** Where a generator phase takes its contexts from. Default: gold in the first generator phase that reads questions, retrieved afterwards. */
  readonly contexts?: Contexts | null;
  /** Minutes in its steps after which it ends. */
  readonly minutes?: number;
  /** Ends it. */
  readonly until?: Condition;
  /** Decides whether it is run at all, where it would begin. */
  readonly when?: Condition;
  /** The rate's course runs over this entry's steps alone, and the course of its kind leaves them out. */
  readonly isOwnCourse?: boolean;
  /** Stands beside training, which may end early without it: the closed-book generator. */
  readonly isBeside?: boolean;
}

/** An entry was left before its planned end, or passed over. Once taken it stands in the run's state, so a resumed run repeats it. */
export interface Transition {
  /** Number of the entry. */
  readonly entry: number;
  /** Global steps done then. */
  readonly step: number;
  readonly reason: string;
}

/** A place in the schedule. */
export interface SchedulePosition {
  readonly phaseIndex: number;
  readonly phase: string;
  /** 0-based step in this entry of the schedule. */
  readonly stepInPhase: number;
  /** Places this entry was planned to take: its updates, or 1 where it updates nothing. */
  readonly steps: number;
  /** 0-based step among the steps of this kind of phase that were taken: which batch comes. */
  readonly stepOfKind: number;
  /** Planned steps of this kind in the whole schedule; entries without a planned end count nothing. */
  readonly stepsOfKind: number;
  /** 0-based place in the rate's course: what earlier entries left out is left out of the course too. */
  readonly courseStep: number;
  /** Steps of that course. */
  readonly courseSteps: number;
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

/** Global steps of the whole schedule: all updates and refreshes; of what was left early, those that were taken. Infinity while an entry without a planned end goes on. */
export function totalSteps(schedule: readonly ScheduledPhase[], transitions: readonly Transition[] = []): number {
  return spansOf(schedule, transitions).at(-1)?.end ?? 0;
}

/** The entries with the steps that they take, those passed over left out. What has no end yet ends at `done`. */
export function takenPhases(
  schedule: readonly ScheduledPhase[],
  transitions: readonly Transition[],
  done: number,
): { phase: string; steps: number }[] {
  return spansOf(schedule, transitions).flatMap(({ entry: { phase }, start, end }) => {
    const steps = (end === Infinity ? Math.max(start, done) : end) - start;
    return steps > 0 ? [{ phase, steps }] : [];
  });
}

/** How many steps of each phase come after the first `done` global steps; phases that are over, and steps that nobody can count yet, are left out. */
export function stepsLeft(
  schedule: readonly ScheduledPhase[],
  done: number,
  transitions: readonly Transition[] = [],
): Record<string, number> {
  const left: Record<string, number> = {};
  for (const { entry, start, end } of spansOf(schedule, transitions)) {
    const own = start === Infinity ? finite(placesOf(entry)) : finite(end) - Math.max(start, Math.min(end, done));
    if (own > 0) left[entry.phase] = (left[entry.phase] ?? 0) + own;
  }
  return left;
}

function placesOf(entry: ScheduledPhase): number {
  return updatesNothing(entry.phase) ? 1 : entry.steps;
}

function finite(steps: number): number {
  return steps === Infinity ? 0 : steps;
}

/** An entry with where it begins and ends. */
interface Span {
  readonly entry: ScheduledPhase;
  readonly start: number;
  readonly end: number;
}

/** Where each entry begins and ends, in global steps. */
export function spansOf(schedule: readonly ScheduledPhase[], transitions: readonly Transition[]): Span[] {
  const left = new Map(transitions.map(({ entry, step }) => [entry, step]));
  let start = 0;
  return schedule.map((entry, index) => {
    const planned = start + placesOf(entry);
    const end = Math.max(start, Math.min(planned, left.get(index) ?? planned));
    const span = { entry, start, end };
    start = end;
    return span;
  });
}

/**
 * Where global step `step` (0-based) stands; undefined when the schedule is over.
 *
 * @param transitions those taken so far; later ones change nothing
 */
export function positionAt(
  schedule: readonly ScheduledPhase[],
  step: number,
  transitions: readonly Transition[] = [],
): SchedulePosition | undefined {
  if (!Number.isInteger(step) || step < 0) throw new RangeError(`global step ${step}`);
  const spans = spansOf(schedule, transitions);
  const phaseIndex = spans.findIndex(({ end }) => step < end);
  const span = spans[phaseIndex];
  if (span === undefined) return undefined;
  const { entry, start } = span;
  const kin = ({ phase }: ScheduledPhase): boolean => phase === entry.phase;
  const before = spans.slice(0, phaseIndex).filter((other) => kin(other.entry));
  const stepInPhase = step - start;
  return {
    phaseIndex,
    phase: entry.phase,
    stepInPhase,
    steps: placesOf(entry),
    stepOfKind: before.reduce((sum, own) => sum + own.end - own.start, 0) + stepInPhase,
    stepsOfKind: plannedSteps(schedule.filter(kin)),
    ...courseAt(schedule, before, entry, stepInPhase),
    occurrence: before.length,
    refreshes: schedule.slice(0, phaseIndex).filter(({ phase }) => phase === "refresh").length,
    contexts: contextsOf(entry, before.filter((other) => readsQuestions(other.entry)).length),
  };
}

/** The place in the rate's course: of the entry's own, or of all entries of its kind that have none of their own. */
function courseAt(
  schedule: readonly ScheduledPhase[],
  before: readonly Span[],
  entry: ScheduledPhase,
  stepInPhase: number,
): Pick<SchedulePosition, "courseStep" | "courseSteps"> {
  if (entry.isOwnCourse === true) return { courseStep: stepInPhase, courseSteps: finite(placesOf(entry)) };
  const shares = before.filter((other) => other.entry.isOwnCourse !== true);
  const passed = shares.reduce((sum, { entry: { steps }, start, end }) => sum + (steps === Infinity ? end - start : steps), 0);
  return { courseStep: passed + stepInPhase, courseSteps: courseSteps(schedule, entry.phase) };
}

/** Planned steps of the course that the entries of a kind share. */
function courseSteps(schedule: readonly ScheduledPhase[], phase: string): number {
  return plannedSteps(schedule.filter((other) => other.phase === phase && other.isOwnCourse !== true));
}

/** Steps that are planned for entries; those without a planned end count nothing. */
export function plannedSteps(entries: readonly ScheduledPhase[]): number {
  return entries.reduce((sum, entry) => sum + finite(placesOf(entry)), 0);
}

/** Whether a phase makes something that others read, an index or negatives, and trains no model. */
export function updatesNothing(phase: string): boolean {
  return phase === "refresh" || phase === "mine";
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
    if (updatesNothing(entry.phase)) {
      if (entry.steps !== 0 && entry.steps !== 1)
        throw fault(where, `a ${entry.phase} updates nothing`, "steps: 0", `steps: ${entry.steps}`);
      if (entry.phase === "mine") continue;
      // One that may be passed over builds nothing that others can rely on.
      if (entry.when === undefined) {
        refreshes += 1;
        stale = false;
      }
      continue;
    }
    const isOpen = entry.steps === Infinity && entry.minutes !== undefined;
    if (!isOpen && (!Number.isInteger(entry.steps) || entry.steps < 1)) {
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
