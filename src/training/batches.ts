/**
 * Which examples are in batch `step`: a pure function of seed, step and the data's sizes. Every epoch is a new shuffle without replacement, so
 * resuming needs nothing but the step. This file deals in example numbers only; what a batch holds is made by the phases.
 * The trap: epochs differ in their number of batches (token budgets, merged rests), so a step's epoch is found by walking the plans from the
 * first; the plans' sizes are kept, the plans themselves are not (only the last two).
 */
import { UserError } from "../errors.js";
import { permutation, shuffled, uniform } from "./counter-random.js";

/** The example numbers of each batch. `at` is pure: what is kept inside is only a cache. */
export interface BatchSource {
  /** Example numbers of batch `step` (0-based). */
  at(step: number): readonly number[];
  /** Epoch of batch `step` and its place in the epoch. */
  place(step: number): { readonly epoch: number; readonly batch: number };
  /** What the first epoch holds. Later ones hold as many examples and batches, unless batches depend on lengths or documents or have no place for a repeat. */
  epoch(): EpochSize;
}

/** How much one epoch is. */
export interface EpochSize {
  /** Those that are in a batch. */
  readonly examples: number;
  readonly batches: number;
  /** Examples that no batch of this epoch holds, since each would have repeated something there. Left out where that can't be. */
  readonly leftOut?: number;
  /** Batches beyond those that full ones would be, since repeats have smaller ones of their own. Left out where that can't be. */
  readonly extra?: number;
}

export interface LengthBucketOptions {
  readonly seed: number;
  /** Number of examples. */
  readonly size: number;
  /** Tokens of an example in a batch at about this step (contexts may grow while training goes on). A pure function. */
  readonly length: (example: number, step: number) => number;
  /** Most tokens a batch may hold, padding included (examples × longest). A longer example makes a batch of its own. */
  readonly budget: number;
  /** Examples that are sorted by length together; larger windows pad less and shuffle less. Default 512. */
  readonly window?: number;
  /** Most examples in a batch. Default unlimited. */
  readonly most?: number;
}

/**
 * Batches under a token budget: shuffled, sorted by length (with a tenth of noise) within a window, cut greedily, and the window's batches shuffled again.
 * @throws UserError if there are no examples or an option is out of range
 */
export function lengthBucketBatches(options: LengthBucketOptions): BatchSource {
  const window = options.window ?? 512;
  const most = options.most ?? Number.MAX_SAFE_INTEGER;
  requireWhole("batches", "budget", options.budget, 1);
  requireWhole("batches", "window", window, 1);
  requireWhole("batches", "most examples in a batch", most, 1);
  requireExamples(options.size, 1);
  return fromPlans((epoch, firstStep) => bucketPlan(options, window, most, epoch, firstStep));
}

/** The batches of an epoch. */
export type Plan = readonly (readonly number[])[];

/** Wraps `(epoch, its first step) → plan`: remembers where each epoch begins and the plans used last. */
export function fromPlans(planOf: (epoch: number, firstStep: number) => Plan): BatchSource {
  const starts: number[] = [0];
  const recent = new Map<number, Plan>();
  const plan = (epoch: number): Plan => {
    const known = recent.get(epoch);
    if (known !== undefined) return known;
    const made = planOf(epoch, starts[epoch] ?? 0);
    recent.set(epoch, made);
    if (recent.size > 2) recent.delete(Math.min(...[...recent.keys()].filter((key) => key !== epoch)));
    return made;
  };
  const place = (step: number): { epoch: number; batch: number } => {
    if (!Number.isInteger(step) || step < 0) throw new RangeError(`batch of step ${step}`);
    while ((starts.at(-1) ?? 0) <= step) starts.push((starts.at(-1) ?? 0) + plan(starts.length - 1).length);
    const epoch = lastNotAbove(starts, step);
    return { epoch, batch: step - (starts[epoch] ?? 0) };
  };
  return {
    place,
    epoch: () => ({ examples: plan(0).reduce((sum, batch) => sum + batch.length, 0), batches: plan(0).length }),
    at(step) {
      const { epoch, batch } = place(step);
      return plan(epoch)[batch] ?? [];
    },
  };
}

function bucketPlan(options: LengthBucketOptions, window: number, most: number, epoch: number, firstStep: number): Plan {
  const { size } = options;
  const order = permutation(size, [options.seed, epoch, 0x6c656e]);
  const batches: number[][] = [];
  for (let start = 0; start < size; start += window) {
    const step = firstStep + batches.length;
    const length = (example: number): number => options.length(example, step);
    const members = Array.from({ length: Math.min(window, size - start) }, (_, offset) => order(start + offset));
    // A tenth of noise: sorted exactly, a small data set would be cut into the same batches every epoch.
    const noisy = (example: number): number => length(example) * (1 + 0.1 * uniform(options.seed, epoch, example, 0x6a6974));
    const keys = new Map(members.map((example) => [example, noisy(example)]));
    members.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
    const cut = cutByBudget(members, length, options.budget, most);
    batches.push(...shuffled(cut, [options.seed, epoch, start, 0x77696e]));
  }
  return batches;
}

/** Runs of members, in their order, whose rectangle (members × longest) is at most `budget` and which hold at most `most`; a longer member stands alone. */
export function cutByBudget<Member>(
  members: readonly Member[],
  length: (member: Member) => number,
  budget: number,
  most: number = Number.MAX_SAFE_INTEGER,
): Member[][] {
  const batches: Member[][] = [];
  let current: Member[] = [];
  let longest = 0;
  for (const example of members) {
    const full = current.length >= most || (current.length + 1) * Math.max(longest, length(example)) > budget;
    if (current.length > 0 && full) {
      batches.push(current);
      current = [];
      longest = 0;
    }
    current.push(example);
    longest = Math.max(longest, length(example));
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

/** Index of the last element that isn't above `value` in a rising list. */
function lastNotAbove(rising: readonly number[], value: number): number {
  let low = 0;
  let high = rising.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rising[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

export function requireWhole(where: string, what: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new UserError({ where, what: `${what} is out of range`, expected: `a whole number of at least ${least}`, got: String(value) });
}

export function requireExamples(size: number, least: number): void {
  if (size >= least) return;
  throw new UserError({
    where: "batches",
    what: "too few training examples",
    expected: `at least ${least}`,
    got: String(size),
    remedy: "check the training questions and how many of them were rejected",
  });
}
