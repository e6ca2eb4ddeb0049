/**
 * The entries of a run's schedule as they are planned: steps, epochs, rates, validations, checkpoints, and the time of each where somebody measured it. It measures nothing. The traps: conditions can end a phase early, so counts are of the plan;
 * and how many steps fit into minutes shows only once a step was measured.
 */
import { writtenSettings } from "../../config/phase-settings.js";
import type { OpenRun } from "../run/open-run.js";
import { plannedSteps, positionAt, updatesNothing, type ScheduledPhase, type SchedulePosition } from "../../training/schedule.js";
import type { Kind, StepTimes } from "./step-times.js";

/** One entry of the schedule, as planned. null: nobody can know before it runs. */
export interface PlannedEntry {
  readonly entry: number;
  readonly phase: string;
  readonly contexts: string | null;
  /** Updates, at most; a refresh has none. */
  readonly steps: number | null;
  readonly minutes: number | null;
  readonly until: string | null;
  readonly when: string | null;
  /** The entry's own settings, by their keys as they were written. */
  readonly with: Readonly<Record<string, unknown>>;
  /** Times that each usable example is met. */
  readonly epochs: number | null;
  /** Usable examples. */
  readonly examples: number | null;
  readonly first_rate: number | null;
  readonly last_rate: number | null;
  readonly validations: number | null;
  readonly checkpoints: number | null;
  /** The estimate; null without a measurement. */
  readonly seconds: number | null;
}

/** An entry with what it was planned from. */
export interface EntryPlan {
  readonly planned: PlannedEntry;
  /** What is measured once for all entries alike; undefined where nothing is updated. */
  readonly kind: Kind | undefined;
  /** Updates, as many as minutes allow where those end it; 1 where nothing is updated. */
  readonly steps: number | null;
}

/**
 * Plans every entry.
 *
 * @param secondsOf of a step, or of an entry that updates nothing; null: not measured
 */
export async function planEntries(
  run: OpenRun,
  times: StepTimes,
  secondsOf: (entry: ScheduledPhase, kind: Kind | undefined) => Promise<number | null>,
): Promise<EntryPlan[]> {
  const { schedule } = run;
  const plans: EntryPlan[] = [];
  const finite: ScheduledPhase[] = [];
  for (const [index, entry] of schedule.entries()) {
    const place = positionAt([...finite, ...schedule.slice(index)], plannedSteps(finite));
    if (place === undefined) throw new Error(`the schedule has no entry ${index}`);
    const kind = updatesNothing(entry.phase) ? undefined : times.kindOf(place);
    const each = await secondsOf(entry, kind);
    const steps = stepsWithin(entry, each);
    plans.push({ planned: planned(run, { entry, place, start: plannedSteps(finite), kind, steps, each }), kind, steps });
    // What comes after an entry of unknown length is counted as if it had none.
    finite.push({ ...entry, steps: steps ?? 0 });
  }
  return plans;
}

/** Updates of an entry; where minutes limit them, as many as the measurement lets them be. */
function stepsWithin({ phase, steps, minutes }: ScheduledPhase, each: number | null): number | null {
  if (updatesNothing(phase)) return 1;
  const within = minutes === undefined || each === null ? Infinity : Math.max(1, Math.ceil((60 * minutes) / each));
  const fewest = Math.min(steps, within);
  return fewest === Infinity ? null : fewest;
}

interface Place {
  readonly entry: ScheduledPhase;
  readonly place: SchedulePosition;
  /** Steps planned before it. */
  readonly start: number;
  readonly kind: Kind | undefined;
  readonly steps: number | null;
  readonly each: number | null;
}

function planned({ config, sets }: OpenRun, { entry, place, start, kind, steps, each }: Place): PlannedEntry {
  const { checkpoint, validate } = config.train;
  const isStanding = updatesNothing(entry.phase);
  const within = (every: number | null): number =>
    steps === null || every === null ? 0 : Math.floor((start + steps - 1) / every) - Math.floor(start / every);
  const endsOn = (every: number | null): boolean => steps !== null && every !== null && (start + steps) % every === 0;
  const isValidated = sets.valid.length > 0 && entry.isBeside !== true;
  const atEnd = validate.after_each_phase || (!isStanding && endsOn(validate.every)) ? 1 : 0;
  const rate = kind?.trained.updates[0]?.rate;
  const batches = kind?.epoch?.batches;
  // What is trained for the report alone isn't in the config's schedule.
  const own = config.train.schedule[place.phaseIndex];
  return {
    entry: place.phaseIndex,
    phase: entry.phase,
    contexts: place.contexts ?? null,
    steps: isStanding || entry.steps === Infinity ? null : entry.steps,
    minutes: entry.minutes ?? null,
    until: entry.until?.text ?? null,
    when: entry.when?.text ?? null,
    with: Object.fromEntries(own === undefined ? [] : writtenSettings(own)),
    epochs: steps === null || batches === undefined ? null : steps / batches,
    examples: kind?.epoch?.examples ?? null,
    first_rate: rate?.(place.courseStep, place.courseSteps) ?? null,
    last_rate: steps === null ? null : (rate?.(place.courseStep + steps - 1, place.courseSteps) ?? null),
    validations: isValidated && entry.phase !== "mine" ? (isStanding ? 0 : within(validate.every)) + atEnd : 0,
    checkpoints: within(isStanding ? null : checkpoint.every) + 1,
    seconds: each === null ? null : entry.steps === Infinity && entry.minutes !== undefined ? 60 * entry.minutes : each * (steps ?? 0),
  };
}
