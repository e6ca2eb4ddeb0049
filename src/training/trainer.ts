/**
 * The training loop: next phase, next batch, step, clip, update, log, checkpoint. It knows no loss and no file format; phases compute, `RunState` holds, the hooks
 * do the rest. The trap: it yields to the event loop after every step, so that signals and messages are served; whatever must not be interrupted stands between two yields.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { clipGradientNorm, gradientNorm } from "../engine/clip.js";
import { profiledStep, span } from "../engine/profiler.js";
import { scope } from "../engine/scope.js";
import { UserError } from "../errors.js";
import { sumOf, totalLoss, type LossTerms, type Phase } from "./phase.js";
import type { RunState, Trainable } from "./run-state.js";
import { positionAt, type ScheduledPhase, type SchedulePosition } from "./schedule.js";

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
  /** Learning rate at a 0-based step of this kind of phase. */
  readonly rate: (stepOfKind: number, stepsOfKind: number) => number;
  /** Longest gradient norm; undefined: no clipping. */
  readonly clip: number | undefined;
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
  readonly phaseAt: (position: SchedulePosition, state: RunState) => TrainedPhase;
  /** Embeds and indexes with the current retriever and sets the state's artefacts. */
  readonly refresh: (state: RunState) => Promise<void>;
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
  /** True when the run was asked to stop; looked at between steps. */
  readonly stopRequested: () => boolean;
}

export interface TrainerOptions {
  readonly schedule: readonly ScheduledPhase[];
  /** Steps between two checkpoints inside a phase; undefined: only at a phase's end. */
  readonly checkpointEvery: number | undefined;
}

/** Runs the schedule from the state's step on. Returns `stopped`, with the state saved, when asked to stop. */
export async function train(options: TrainerOptions, hooks: TrainerHooks, state: RunState): Promise<"finished" | "stopped"> {
  const { progress } = state;
  let entered: { phaseIndex: number; trained: TrainedPhase } | undefined;
  if (progress.isPhaseEndDue) await endPhase(options, hooks, state);
  for (;;) {
    const position = positionAt(options.schedule, progress.step);
    if (position !== undefined && hooks.stopRequested()) {
      hooks.save(state);
      return "stopped";
    }
    if ((await hooks.between?.(position, state)) === "changed") entered = undefined;
    if (position === undefined) return "finished";
    if (position.phase === "refresh") await span("refresh", () => hooks.refresh(state));
    else {
      if (entered?.phaseIndex !== position.phaseIndex)
        entered = { phaseIndex: position.phaseIndex, trained: span("phase begins", () => hooks.phaseAt(position, state)) };
      const { trained } = entered;
      const record = profiledStep(trained.phase.name, () => trainStep(trained, position, state));
      await span("log", () => hooks.stepped(record, position, state));
    }
    progress.step++;
    progress.isPhaseEndDue = position.stepInPhase + 1 === position.steps;
    if (progress.isPhaseEndDue || (options.checkpointEvery !== undefined && progress.step % options.checkpointEvery === 0))
      span("save", () => hooks.save(state));
    // What follows the phase may take long, and a resumed run does it first.
    if (progress.isPhaseEndDue && hooks.stopRequested()) return "stopped";
    if (progress.isPhaseEndDue) await endPhase(options, hooks, state);
    await yieldToEvents();
  }
}

/** What follows a phase's last step, which is saved already. */
async function endPhase({ schedule }: TrainerOptions, hooks: TrainerHooks, state: RunState): Promise<void> {
  const { progress } = state;
  const position = positionAt(schedule, progress.step - 1);
  if (position !== undefined) await span("phase ends", () => hooks.phaseEnded(position, state));
  progress.isPhaseEndDue = false;
  span("save", () => hooks.save(state));
}

/** Forward, backward, clip, update: one step of the current phase. @throws UserError when the loss or a gradient is no number */
function trainStep({ phase, updates }: TrainedPhase, position: SchedulePosition, state: RunState): StepRecord {
  const targets = updates.map((update) => ({ update, target: trainableOf(state, phase.name, update.model) }));
  const start = performance.now();
  const step = state.progress.step + 1;
  return scope(() => {
    for (const { target } of targets) target.optimiser.zeroGrad();
    const batch = span("batch", () => phase.batch(position.stepOfKind));
    const terms = span("forward and backward", () => phase.step(batch));
    const loss = totalLoss(terms);
    const measured = targets.map(({ update: { clip, model, rate }, target }): UpdateRecord => {
      const parameters = target.parameters.values();
      const gradientNormOf = (): number => (clip === undefined ? gradientNorm(parameters) : clipGradientNorm(parameters, clip));
      return { model, rate: rate(position.stepOfKind, position.stepsOfKind), gradientNorm: span("gradient norm", gradientNormOf) };
    });
    // All of them before the first is moved: a step that isn't a number leaves every model as it was.
    requireFinite(step, phase.name, loss, measured, terms);
    for (const [i, { target }] of targets.entries()) span("optimiser", () => target.optimiser.step(measured[i]?.rate ?? 0));
    const seconds = (performance.now() - start) / 1000;
    return { step, phase: phase.name, loss, terms: termValues(terms), updates: measured, tokens: phase.tokens(batch), seconds };
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
function requireFinite(step: number, phase: string, loss: number, updates: readonly UpdateRecord[], terms: LossTerms): void {
  if (Number.isFinite(loss) && updates.every(({ gradientNorm }) => Number.isFinite(gradientNorm))) return;
  const values = Object.entries(termValues(terms)).map(([name, value]) => `${name} ${value}`);
  const norms = updates.map(({ model, gradientNorm }) => `gradient norm${updates.length > 1 ? ` of the ${model}` : ""} ${gradientNorm}`);
  throw new UserError({
    where: `step ${step}, phase ${phase}`,
    what: "the loss or its gradient is no number, the weights were left as they were",
    got: [...values, ...norms].join(", "),
    remedy: "start a new run with a lower learning rate or another seed",
  });
}
