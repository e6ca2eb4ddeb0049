/**
 * How far a step's loss lies above those of the steps before it. It decides nothing: alarms.ts holds it against a bound. The trap: what it remembers decides what a run does, so it is part of the run's state; kept elsewhere, a resumed
 * run would ring at other steps.
 */

/** The latest losses of the phase that is going on, oldest first. */
export interface LossWindow {
  readonly phaseIndex: number;
  readonly losses: readonly number[];
}

/** Makes the median distance a standard deviation where losses are normally distributed. */
const NORMAL = 1.4826;

/** Losses that are all but equal differ by rounding, which is no spike. */
const LEAST_SPREAD = 1e-3;

/** The window with one more loss; a new phase begins a new one. */
export function remembered(window: LossWindow | undefined, phaseIndex: number, loss: number, length: number): LossWindow {
  const before = window?.phaseIndex === phaseIndex ? window.losses : [];
  return { phaseIndex, losses: [...before, loss].slice(-length) };
}

/**
 * (loss − median) / max(1.4826 · median |x − median|, 0.001 · |median|) over the losses before; the median absolute deviation of Hampel 1974. Negative for a loss that fell.
 *
 * @returns undefined while fewer than `length` losses of this phase are known
 */
export function spikeOf(window: LossWindow | undefined, phaseIndex: number, loss: number, length: number): number | undefined {
  if (window?.phaseIndex !== phaseIndex || window.losses.length < length) return undefined;
  const middle = median(window.losses);
  const spread = NORMAL * median(window.losses.map((value) => Math.abs(value - middle)));
  return (loss - middle) / Math.max(spread, LEAST_SPREAD * Math.abs(middle), Number.MIN_VALUE);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? NaN) + upper) / 2;
}
