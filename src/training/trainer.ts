/**
 * The training loop: next phase, next batch, step, clip, update, log, checkpoint. It knows no loss and no file format; phases compute, `RunState` holds, the hooks
 * do the rest. The trap: it yields to the event loop after every step, so that signals and messages are served; whatever must not be interrupted stands between two yields.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import type { StepOptions } from "../engine/adamw.js";
import { clipGradientNorm, gradientNorm } from "../engine/clip.js";
import { profiledStep, span } from "../engine/profiler.js";
import { scope } from "../engine/scope.js";
import { AlarmError } from "./alarms.js";
import { decideEnd, decideStart, decideStep } from "./decisions.js";
import { sumOf, totalLoss, type LossTerms } from "./loss-terms.js";
import type { Phase } from "./phase.js";
import { rateScale, type RunState, type Trainable } from "./run-state.js";
import { WHOLE, type Share } from "./share.js";
import { positionAt, spansOf, updatesNothing, type ScheduledPhase, type SchedulePosition, type Transition } from "./schedule.js";

/** A phase with what its updates need: one a model that it trains. */
export interface TrainedPhase {
  readonly phase: Phase;
  /** The first is the one whose rate and norm a log calls just so. */
  readonly updates: readonly Update[];
}

/** How a step moves one model. */
interface Update {
  /** Which of the state's trainables. */
  readonly model: string;
  /** Learning rate at a 0-based step of the rate's course. */
  readonly rate: (courseStep: number, courseSteps: number) => number;
  /** Longest gradient norm; undefined: no clipping. */
  readonly clip: number | undefined;
  /** The phase's own settings of the optimiser. */
  readonly optimiser?: StepOptions;
}

/** What was measured of one model's update. */
export interface UpdateRecord {
  readonly model: string;
  readonly rate: number;
  readonly gradientNorm: number;
}

/** What one step measured; a line of metrics.jsonl. */
export interface StepRecord {
  readonly step: number;
  readonly phase: string;
  readonly loss: number;
  /** Each term's value, sum / count; terms with nothing to count are left out. */
  readonly terms: Readonly<Record<string, number>>;
  readonly updates: readonly UpdateRecord[];
  readonly tokens: number;
  readonly seconds: number;
}

export interface TrainerHooks {
  /** The phase for a place in the schedule; called when a phase begins and after a resume, so it must be a function of position and state. */
  readonly phaseAt: (position: SchedulePosition, state: RunState) => TrainedPhase | Promise<TrainedPhase>;
  /** Embeds and indexes with the current retriever and sets the state's artefacts. */
  readonly refresh: (state: RunState) => Promise<void>;
  /** Chooses the negatives of the contrastive phases that follow. Needed where the schedule mines. */
  readonly mine?: (position: SchedulePosition, state: RunState) => void | Promise<void>;
  /** After every step, before checkpoints: log lines, progress. */
  readonly stepped: (record: StepRecord, position: SchedulePosition, state: RunState) => Promise<void>;
  /**
   * Before each step, and once after the last, where there is no position any more: what must happen between two steps and takes no place in their count. `changed`: the state has other artefacts, so the phase is made anew.
   */
  readonly between?: (position: SchedulePosition | undefined, state: RunState) => Promise<"same" | "changed">;
  /** Saves the state. */
  readonly save: (state: RunState) => void;
  /** After the last step of a phase, between two saves: what it changes in the progress is saved again, and a run that dies in it does it once more. */
  readonly phaseEnded: (position: SchedulePosition, state: RunState) => Promise<void>;
  /** Validates inside a phase, between two saves as well. Needed with `validateEvery`. */
  readonly validate?: (position: SchedulePosition, state: RunState) => Promise<void>;
  /** Tells of an entry that was left early or passed over; it is saved right afterwards. */
  readonly left?: (transition: Transition, position: SchedulePosition) => void;
  /** True when the run was asked to stop; looked at between steps. */
  readonly stopRequested: () => boolean;
}

export interface TrainerOptions {
  readonly schedule: readonly ScheduledPhase[];
  /** Steps between two checkpoints inside a phase; undefined: only at a phase's end. */
  readonly checkpointEvery: number | undefined;
  /** Steps between two validations inside a phase; undefined: none there. */
  readonly validateEvery?: number | undefined;
  /** Steps over which conditions average losses. Default 1. */
  readonly window?: number;
  /** Milliseconds of a clock that never goes back; for tests. */
  readonly now?: () => number;
  /** What is asked for when a loss or gradient is no number. Default `stop`. */
  readonly notANumber?: "stop" | "roll_back";
  /** This worker's share of each step. Default: the whole. */
  readonly share?: Share;
}

/** Runs the schedule from the state's step on. Returns `stopped`, with the state saved, when asked to stop. */
export async function train(options: TrainerOptions, hooks: TrainerHooks, state: RunState): Promise<"finished" | "stopped"> {
  const { progress } = state;
  const { share = WHOLE } = options;
  let entered: { phaseIndex: number; trained: TrainedPhase } | undefined;
  await followUp(options, hooks, state);
  for (;;) {
    const position = positionAt(options.schedule, progress.step, progress.transitions);
    // Signals reach the workers at different steps: the first decides for all.
    if (position !== undefined && share.ofFirst(hooks.stopRequested())) {
      hooks.save(state);
      return "stopped";
    }
    if (position?.stepInPhase === 0 && isPassedOver(options, hooks, position, state)) continue;
    if ((await hooks.between?.(position, state)) === "changed") entered = undefined;
    if (position === undefined) return "finished";
    if (position.phase === "refresh") await span("refresh", () => hooks.refresh(state));
    else if (position.phase === "mine") await span("mine", () => mined(hooks, position, state));
    else {
      if (entered?.phaseIndex !== position.phaseIndex)
        entered = { phaseIndex: position.phaseIndex, trained: await span("phase begins", () => hooks.phaseAt(position, state)) };
      await takeStep(entered.trained, position, { options, hooks, state });
    }
    progress.step++;
    noteDue(options, position, state);
    if (isDue(state) || (options.checkpointEvery !== undefined && progress.step % options.checkpointEvery === 0))
      span("save", () => hooks.save(state));
    // What follows a step may take long, and a resumed run does it first.
    if (isDue(state) && share.ofFirst(hooks.stopRequested())) return "stopped";
    await followUp(options, hooks, state);
    await yieldToEvents();
  }
}

async function mined({ mine }: TrainerHooks, position: SchedulePosition, state: RunState): Promise<void> {
  if (mine === undefined) throw new Error("trainer: the schedule mines, and there is no hook for it");
  await mine(position, state);
}

/** Decides where an entry would begin; one that is passed over is saved so at once. */
function isPassedOver(options: TrainerOptions, hooks: TrainerHooks, position: SchedulePosition, state: RunState): boolean {
  const transition = decideStart(decisionsOf(options), position, state.progress);
  if (transition === undefined) return false;
  hooks.left?.(transition, position);
  span("save", () => hooks.save(state));
  return true;
}

/** One step with its decision and its line. */
async function takeStep(
  trained: TrainedPhase,
  position: SchedulePosition,
  { options, hooks, state }: { options: TrainerOptions; hooks: TrainerHooks; state: RunState },
): Promise<void> {
  const { now = () => performance.now(), share = WHOLE } = options;
  const start = now();
  const record = profiledStep(trained.phase.name, () => trainStep(trained, position, state, options));
  // One clock for all: lengths in minutes would end at different steps.
  const seconds = share.ofFirst((now() - start) / 1000);
  const transition = decideStep(decisionsOf(options), position, state.progress, record, seconds);
  await span("log", () => hooks.stepped(record, position, state));
  if (transition !== undefined) hooks.left?.(transition, position);
}

function decisionsOf({ schedule, window = 1 }: TrainerOptions): { schedule: readonly ScheduledPhase[]; window: number } {
  return { schedule, window };
}

/** What follows the step that was just counted: a phase's end, or a validation inside the phase. */
function noteDue({ schedule, validateEvery }: TrainerOptions, { phaseIndex, phase }: SchedulePosition, { progress }: RunState): void {
  progress.isPhaseEndDue = spansOf(schedule, progress.transitions)[phaseIndex]?.end === progress.step;
  const isTraining = !updatesNothing(phase) && schedule[phaseIndex]?.isBeside !== true;
  progress.isValidationDue = !progress.isPhaseEndDue && isTraining && validateEvery !== undefined && progress.step % validateEvery === 0;
}

function isDue({ progress }: RunState): boolean {
  return progress.isPhaseEndDue || progress.isValidationDue;
}

/** What follows the last step, which is saved already. */
async function followUp({ schedule }: TrainerOptions, hooks: TrainerHooks, state: RunState): Promise<void> {
  const { progress } = state;
  if (!isDue(state)) return;
  const position = positionAt(schedule, progress.step - 1, progress.transitions);
  if (position !== undefined) {
    if (progress.isPhaseEndDue) await span("phase ends", () => hooks.phaseEnded(position, state));
    else {
      await span("validation", () => hooks.validate?.(position, state));
      const transition = decideEnd(schedule, position, progress);
      if (transition !== undefined) hooks.left?.(transition, position);
    }
  }
  progress.isPhaseEndDue = false;
  progress.isValidationDue = false;
  span("save", () => hooks.save(state));
}

/** Forward, backward, clip, update: one step of the current phase. @throws AlarmError when the loss or a gradient is no number */
function trainStep(
  { phase, updates }: TrainedPhase,
  position: SchedulePosition,
  state: RunState,
  { notANumber = "stop", share = WHOLE }: Pick<TrainerOptions, "notANumber" | "share">,
): StepRecord {
  const targets = updates.map((update) => ({ update, target: trainableOf(state, phase.name, update.model) }));
  const start = performance.now();
  const step = state.progress.step + 1;
  const scale = rateScale(state.progress);
  return scope(() => {
    for (const { target } of targets) target.optimiser.zeroGrad();
    const batch = span("batch", () => phase.batch(position.stepOfKind, share));
    const terms = span("forward and backward", () => phase.step(batch, share));
    const loss = totalLoss(terms);
    const measured = targets.map(({ update: { clip, model, rate }, target }): UpdateRecord => {
      const parameters = target.parameters.values();
      const gradientNormOf = (): number => (clip === undefined ? gradientNorm(parameters) : clipGradientNorm(parameters, clip));
      return { model, rate: rate(position.courseStep, position.courseSteps) * scale, gradientNorm: span("gradient norm", gradientNormOf) };
    });
    // All of them before the first is moved: a step that isn't a number leaves every model as it was.
    requireFinite(step, phase.name, loss, measured, terms, notANumber);
    for (const [i, { update, target }] of targets.entries())
      span("optimiser", () => target.optimiser.step(measured[i]?.rate ?? 0, update.optimiser));
    const seconds = (performance.now() - start) / 1000;
    return {
      step,
      phase: phase.name,
      loss,
      terms: termValues(terms),
      updates: measured,
      tokens: share.total(phase.tokens(batch, share)),
      seconds,
    };
  });
}

function trainableOf(state: RunState, phase: string, model: string): Trainable {
  const target = state.trainables.get(model);
  if (target === undefined) throw new Error(`trainer: phase '${phase}' trains '${model}', which the state doesn't hold`);
  return target;
}

function termValues(terms: LossTerms): Record<string, number> {
  const counted = Object.entries(terms).filter(([, term]) => term.count > 0);
  return Object.fromEntries(counted.map(([name, term]) => [name, sumOf(term) / term.count]));
}

/** A step that isn't a number must not reach the weights: the last checkpoint before it is sound. */
function requireFinite(
  step: number,
  phase: string,
  loss: number,
  updates: readonly UpdateRecord[],
  terms: LossTerms,
  action: "stop" | "roll_back",
): void {
  if (Number.isFinite(loss) && updates.every(({ gradientNorm }) => Number.isFinite(gradientNorm))) return;
  const values = Object.entries(termValues(terms)).map(([name, value]) => `${name} ${value}`);
  const norms = updates.map(({ model, gradientNorm }) => `gradient norm${updates.length > 1 ? ` of the ${model}` : ""} ${gradientNorm}`);
  throw new AlarmError(step, ["not_a_number"], action, {
    where: `step ${step}, phase ${phase}`,
    what: "the loss or its gradient is no number, the weights were left as they were",
    got: [...values, ...norms].join(", "),
    remedy: "start a new run with a lower learning rate or another seed",
  });
}
