/**
 * The run's schedule as the trainer follows it: conditions read, epochs made steps, the closed-book generator's steps at its end; and how it went, in `schedule.json`. What a place in it means is training/schedule.ts's.
 * The trap: entries keep the numbers that they have in the config, so the closed-book entry, which has none there, must come last.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { parseCondition } from "../../config/condition.js";
import { hasOwnCourse } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import { UserError } from "../../errors.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import { expectObject, readJson } from "../../storage/json-file.js";
import type { EpochSize } from "../../training/batches.js";
import type { Condition } from "../../training/conditions.js";
import type { Progress } from "../../training/run-state.js";
import { takenPhases, updatesNothing, type Contexts, type ScheduledPhase } from "../../training/schedule.js";
import { CLOSED_BOOK } from "../phases/phase-parts.js";

/** How many updates an epoch of an entry of the config is. */
type EpochOf = (entry: number) => EpochSize;

/**
 * The config's schedule, with the closed-book generator's steps at its end. A refresh is one step of the whole.
 *
 * @param epochOf asked for entries whose length is in epochs
 */
export function scheduleOf(config: TandemConfig, hasClosedBook: boolean, epochOf: EpochOf): ScheduledPhase[] {
  const { contexts: given } = config.train.generator;
  const own = config.train.schedule.map((entry, index): ScheduledPhase => ({
    phase: entry.phase,
    steps: stepsOf(entry, () => epochOf(index)),
    ...contextsOf(entry.phase, entry.contexts, given),
    ...(entry.minutes === null ? {} : { minutes: entry.minutes }),
    ...(entry.until === null ? {} : { until: condition(entry.until) }),
    ...(entry.when === null ? {} : { when: condition(entry.when) }),
    ...(hasOwnCourse(entry) ? { isOwnCourse: true } : {}),
  }));
  return hasClosedBook ? [...own, { phase: CLOSED_BOOK, steps: config.eval.closed_book.steps, isBeside: true }] : own;
}

/** The entries' phases and contexts, whatever their lengths: for making the phases that say how long an epoch is. */
export function outlineOf(config: TandemConfig): ScheduledPhase[] {
  return scheduleOf(config, false, () => ({ examples: 1, batches: 1 }));
}

type Entry = TandemConfig["train"]["schedule"][number];

function stepsOf({ phase, steps, epochs, minutes }: Entry, epoch: () => EpochSize): number {
  if (updatesNothing(phase)) return 1;
  if (epochs !== null) return Math.max(1, Math.round(epochs * epoch().batches));
  return steps === 0 && minutes !== null ? Infinity : steps;
}

function condition(text: string): Condition {
  return { text, any: parseCondition(text) };
}

/** A phase's own contexts come first, then those of train.generator; with neither the schedule's default holds. */
function contextsOf(
  phase: string,
  own: Contexts | null,
  given: TandemConfig["train"]["generator"]["contexts"],
): Pick<ScheduledPhase, "contexts"> {
  if (own !== null) return { contexts: own };
  return phase === "generator" && given !== "auto" ? { contexts: given } : {};
}

/** A phase with the steps it took. */
export interface TakenPhase {
  readonly phase: string;
  readonly steps: number;
}

/** Writes how the schedule went so far: the phases with their steps, and what was decided. */
export function writeSchedule(run: string, schedule: readonly ScheduledPhase[], { step, transitions }: Progress): void {
  const text = JSON.stringify({ phases: takenPhases(schedule, transitions, step), transitions }, null, 2);
  writeFileAtomic(path.join(run, "schedule.json"), `${text}\n`);
}

/** What {@link writeSchedule} wrote; runs of older versions have the phases of their config. @throws UserError when the file is damaged */
export function readSchedule(run: string, config: TandemConfig, hasClosedBook: boolean): TakenPhase[] {
  const file = path.join(run, "schedule.json");
  if (!existsSync(file)) return scheduleOf(config, hasClosedBook, () => ({ examples: 0, batches: 0 }));
  const { phases } = expectObject(readJson(file), file);
  const isPhase = (value: unknown): value is TakenPhase => {
    const { phase, steps } = (value ?? {}) as Partial<TakenPhase>;
    return typeof phase === "string" && Number.isSafeInteger(steps);
  };
  if (Array.isArray(phases) && phases.every(isPhase)) return phases;
  throw new UserError({ where: file, what: "is no schedule of a run", expected: "phases with their steps", remedy: "remove the file" });
}
