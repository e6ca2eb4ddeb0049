/**
 * How parameters are updated: what an optimiser is to the trainer, which parameters decay, and at which rate a step runs. The arithmetic is the engine's AdamW. Nothing here remembers anything:
 * the rate is a pure function of the step, so that a resumed run has the rate of the uninterrupted one.
 * The trap: biases and norms mustn't decay; they are the tensors of one dimension, whatever their names.
 */
import type { ParameterGroup, StepOptions } from "../engine/adamw.js";
import type { Dtype } from "../engine/dtype.js";
import type { Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";

/** One tensor of an optimiser's state that several workers keep together. */
export interface StatePart {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly device: string;
  /** The rank of the worker that has it. */
  readonly owner: number;
}

/** What moves one model's parameters. */
export interface Optimiser {
  /** One update at rate `lr`. @param own in place of what the optimiser was made with */
  step(lr: number, own?: StepOptions): void;
  /** Drops every gradient. */
  zeroGrad(): void;
  /** What this worker keeps between steps, live: copy before keeping it. */
  state(): ReadonlyMap<string, Tensor>;
  /** Where several workers keep the state together: all of it, in the same order in each of them. Otherwise {@link state} is all. */
  readonly parts?: readonly StatePart[];
  dispose(): void;
}

/** The course of the learning rate over a model's steps: rises, stays, falls. */
export interface RateCourse {
  /** Highest rate. */
  readonly peak: number;
  /** Steps in which the rate rises in a line; the first step already has peak / warmup. */
  readonly warmup: number;
  /** Share of all steps after which the rate starts to fall, 0 … 1. Never before the warm-up is over. */
  readonly flat: number;
  readonly decay: "linear" | "cosine" | "constant";
  /** What the rate falls towards, as a share of peak. It would be reached one step after the last. */
  readonly floor: number;
}

/**
 * Two groups: matrices decay by `weightDecay` (decoupled), tensors of one dimension (biases, norms) never do. Groups without members are left out.
 */
export function parameterGroups(parameters: ReadonlyMap<string, Tensor>, weightDecay: number): ParameterGroup[] {
  const entries = [...parameters];
  const groups = [
    { name: "decay", parameters: new Map(entries.filter(([, tensor]) => tensor.shape.length > 1)), weightDecay },
    {
      name: "no-decay",
      parameters: new Map(entries.filter(([, tensor]) => tensor.shape.length <= 1)),
      weightDecay: 0,
      neverDecays: true as const,
    },
  ];
  return groups.filter((group) => group.parameters.size > 0);
}

/**
 * The learning rate of step `step` (0-based) of `total`: peak·(step+1)/warmup while warming up, peak until flat·total, then from peak towards
 * floor·peak, in a line or along half a cosine. In (0, peak].
 */
export function rateAt(course: RateCourse, step: number, total: number): number {
  if (step < course.warmup) return (course.peak * (step + 1)) / course.warmup;
  if (course.decay === "constant") return course.peak;
  const start = Math.max(course.warmup, course.flat * total);
  if (step < start || total <= start) return course.peak;
  const progress = Math.min(1, (step - start) / (total - start));
  const left = course.decay === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return course.peak * (course.floor + (1 - course.floor) * left);
}

/**
 * Refuses a course that can't be meant.
 * @param where the config section, for the message
 * @throws UserError
 */
export function validateRateCourse(course: RateCourse, total: number, where: string): void {
  const faults: [boolean, string, string, string][] = [
    [!(course.peak > 0 && Number.isFinite(course.peak)), "lr", "a number above 0", String(course.peak)],
    [!(Number.isInteger(course.warmup) && course.warmup >= 0), "warmup", "a whole number of at least 0", String(course.warmup)],
    [course.warmup > total, "warmup", `at most the ${total} steps there are`, String(course.warmup)],
    [!(course.flat >= 0 && course.flat <= 1), "flat", "a share in 0 … 1", String(course.flat)],
    [!(course.floor >= 0 && course.floor <= 1), "floor", "a share in 0 … 1", String(course.floor)],
  ];
  for (const [wrong, key, expected, got] of faults) {
    if (wrong) throw new UserError({ where: `${where}.${key}`, what: "the learning rate's course is impossible", expected, got });
  }
}
