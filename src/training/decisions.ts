/**
 * What the schedule decides while a run goes on: whether an entry is passed over, whether a step was a phase's last, whether training ends early. Each is a function of the schedule and the progress, which it changes;
 * nothing is remembered elsewhere, so a resumed run decides the same. Wall time alone is no such function: what it ended stands as a transition. The trap: a transition that isn't saved was never taken.
 */
import { holds, isLoss, measuredText, readsLoss } from "./conditions.js";
import { latestMetrics, type Progress, type StepLosses } from "./run-state.js";
import { readsIndex, spansOf, type ScheduledPhase, type SchedulePosition, type Transition } from "./schedule.js";

export interface DecisionOptions {
  readonly schedule: readonly ScheduledPhase[];
  /** Steps over which a phase's losses are averaged. */
  readonly window: number;
}

/**
 * An entry is about to begin, and is passed over if its `when` says so. The losses of the last one are forgotten; what else was measured decides whether this one begins, but not when it ends: a score that the
 * last entry reached would end this one after a single step.
 */
export function decideStart({ schedule }: DecisionOptions, { phaseIndex }: SchedulePosition, progress: Progress): Transition | undefined {
  progress.recent = [];
  progress.seconds = 0;
  progress.earlier = Object.fromEntries(Object.entries(latestMetrics(progress)).filter(([name]) => !isLoss(name)));
  progress.metrics = {};
  const when = schedule[phaseIndex]?.when;
  if (when === undefined || holds(when, progress.earlier)) return undefined;
  return left(progress, phaseIndex, `${when.text} doesn't hold: ${measuredText(when, progress.earlier)}`);
}

/**
 * A step was taken and isn't counted yet. What ends a phase at its last planned step is no transition.
 *
 * @param seconds wall time of the step
 */
export function decideStep(
  { schedule, window }: DecisionOptions,
  position: SchedulePosition,
  progress: Progress,
  losses: StepLosses,
  seconds: number,
): Transition | undefined {
  const entry = schedule[position.phaseIndex];
  progress.seconds += seconds;
  if (readsLoss(entry?.until)) noteLosses(progress, losses, window);
  if (entry === undefined || position.stepInPhase + 1 === position.steps) return undefined;
  const done = progress.step + 1;
  if (entry.minutes !== undefined && progress.seconds >= 60 * entry.minutes)
    return left(progress, position.phaseIndex, `its ${entry.minutes} min are over`, done);
  return decideEnd(schedule, position, progress, done);
}

/** A validation was made inside a phase: `until` may hold now. */
export function decideEnd(
  schedule: readonly ScheduledPhase[],
  { phaseIndex }: SchedulePosition,
  progress: Progress,
  done = progress.step,
): Transition | undefined {
  const until = schedule[phaseIndex]?.until;
  if (until === undefined || progress.transitions.some(({ entry }) => entry === phaseIndex) || !holds(until, progress.metrics))
    return undefined;
  return left(progress, phaseIndex, `${until.text} holds: ${measuredText(until, progress.metrics)}`, done);
}

export interface EarlyStopping {
  /** The metric that must rise. */
  readonly metric: string;
  /** Validations without a rise that end training. */
  readonly patience: number;
  /** A smaller rise is none. */
  readonly minDelta: number;
}

/** A validation was made after steps of training: whether it was one too many without a rise. */
export function decideStopping({ metric, patience, minDelta }: EarlyStopping, progress: Progress): string | undefined {
  const value = progress.metrics[metric];
  if (value === undefined) return undefined;
  const { best, waited } = progress.improvement ?? { best: -Infinity, waited: 0 };
  const isRise = value > best && value - best >= minDelta;
  progress.improvement = isRise ? { best: value, waited: 0 } : { best, waited: waited + 1 };
  if (progress.improvement.waited < patience) return undefined;
  return `early stopping: ${metric} has been at most ${best.toPrecision(4)} for ${patience === 1 ? "one validation" : `${patience} validations`}`;
}

/**
 * Training ends here: whatever is still to come is passed over, but what stands beside training and, when the retriever was trained after the last refresh, one more refresh.
 *
 * @param last the place of the last step taken
 */
export function endTraining(schedule: readonly ScheduledPhase[], last: SchedulePosition, progress: Progress, reason: string): Transition[] {
  const isLeft = (index: number): boolean =>
    (index > last.phaseIndex || (index === last.phaseIndex && last.stepInPhase + 1 !== last.steps)) &&
    schedule[index]?.isBeside !== true &&
    !progress.transitions.some((other) => other.entry === index);
  const refreshes = schedule.flatMap(({ phase, when }, index) =>
    phase === "refresh" && isLeft(index) ? [{ index, isSure: when === undefined }] : [],
  );
  // One with a condition may not be made in the end.
  const kept = staleAt(schedule, last.phaseIndex, progress.transitions)
    ? (refreshes.find(({ isSure }) => isSure) ?? refreshes[0])
    : undefined;
  const taken: Transition[] = [];
  for (const index of schedule.keys()) if (isLeft(index) && index !== kept?.index) taken.push(left(progress, index, reason));
  return taken;
}

/** Whether the retriever was trained after the last refresh that was made. */
function staleAt(schedule: readonly ScheduledPhase[], until: number, transitions: readonly Transition[]): boolean {
  let isStale = false;
  for (const { entry, start, end } of spansOf(schedule, transitions).slice(0, until + 1)) {
    if (end === start) continue;
    if (entry.phase === "refresh") isStale = false;
    else if (entry.phase === "contrastive" || readsIndex(entry.phase)) isStale = true;
  }
  return isStale;
}

function noteLosses(progress: Progress, { loss, terms }: StepLosses, window: number): void {
  progress.recent = [...progress.recent, { loss, terms }].slice(-window);
  if (progress.recent.length < window) return;
  progress.metrics["loss"] = mean(progress.recent.map((step) => step.loss));
  for (const name of new Set(progress.recent.flatMap((step) => Object.keys(step.terms))))
    progress.metrics[`loss/${name}`] = mean(progress.recent.flatMap((step) => step.terms[name] ?? []));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function left(progress: Progress, entry: number, reason: string, step = progress.step): Transition {
  const transition = { entry, step, reason };
  progress.transitions.push(transition);
  return transition;
}
