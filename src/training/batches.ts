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
  /** What the first epoch holds. Later ones hold as many examples, and as many batches unless batches depend on lengths or documents. */
  epoch(): EpochSize;
}

/** How much one epoch is. */
export interface EpochSize {
  readonly examples: number;
  readonly batches: number;
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

export interface ContrastiveBatchOptions {
  readonly seed: number;
  /** Number of examples. At least 2. */
  readonly size: number;
  /** Examples in a batch. At least 2. */
  readonly batch: number;
  /**
   * What an example's positive is (a passage row). Two examples with the same value aren't put into one batch while others are left; where it
   * can't be avoided at an epoch's end the loss's mask takes over.
   */
  readonly positiveOf?: (example: number) => number;
  /** What an example asks. Two with the same words are kept apart as those with one positive are. */
  readonly wordingOf?: (example: number) => string;
  /**
   * What an example is about (its document). Given, a batch holds examples of one topic, whose passages are the hardest negatives for each other; what
   * doesn't fill a batch is mixed. Topic-aware sampling: Hofstätter et al. 2021, arXiv 2104.06967, with documents instead of clusters.
   */
  readonly topicOf?: ((example: number) => string) | undefined;
  /** All examples of one positive share a batch: a batch of as many questions then has a fraction of the passages, which are most of the work. With `topicOf` too they are of one topic, as far as topics fill batches. */
  readonly together?: boolean | undefined;
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

/**
 * Batches for in-batch contrastive learning: every epoch a shuffle, cut into `batch` examples. Never a batch of one: a rest of one joins the
 * batch before it.
 * @throws UserError if there are fewer than two examples or the batch is smaller than two
 */
export function contrastiveBatches(options: ContrastiveBatchOptions): BatchSource {
  requireWhole("contrastive batch", "size", options.batch, 2);
  requireExamples(options.size, 2);
  return fromPlans((epoch) => contrastivePlan(options, epoch));
}

type Plan = readonly (readonly number[])[];

/** Wraps `(epoch, its first step) → plan`: remembers where each epoch begins and the plans used last. */
function fromPlans(planOf: (epoch: number, firstStep: number) => Plan): BatchSource {
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

function contrastivePlan(options: ContrastiveBatchOptions, epoch: number): Plan {
  const { seed, size, batch, topicOf, together } = options;
  const positiveOf = options.positiveOf ?? ((example: number) => example);
  const { wordingOf } = options;
  const keysOf: KeysOf = (example) => (wordingOf === undefined ? [positiveOf(example)] : [positiveOf(example), wordingOf(example)]);
  const at = permutation(size, [seed, epoch, 0x636f6e]);
  const order = Array.from({ length: size }, (_, place) => at(place));
  if (together === true) {
    const grouped = (members: readonly number[]): number[][] => [...groupedBy(members, positiveOf).values()];
    if (topicOf === undefined) return mergeSingletons(wholeGroups(grouped(order), batch), positiveOf);
    const planned = [...groupedBy(order, topicOf).values()].map((members) => wholeGroups(grouped(members), batch));
    // A topic's last batch stands alone where it is more than half full; what is less is mixed.
    const isFull = (members: readonly number[]): boolean => 2 * members.length > batch;
    const full = planned.flatMap((own) => own.filter(isFull));
    const rest = planned.flatMap((own) => own.filter((members) => !isFull(members)).flat());
    const mixed = wholeGroups(grouped(rest), batch);
    return mergeSingletons(shuffled([...full, ...mixed], [seed, epoch, 0x746f70]), positiveOf);
  }
  if (topicOf === undefined) return mergeSingletons(distinctBatches(order, batch, keysOf), positiveOf);
  const planned = [...groupedBy(order, topicOf).values()].map((members) => distinctBatches(members, batch, keysOf, "full"));
  const full = planned.flat();
  const used = new Set(full.flat());
  const rest = order.filter((example) => !used.has(example));
  return mergeSingletons(shuffled([...full, ...distinctBatches(rest, batch, keysOf)], [seed, epoch, 0x746f70]), positiveOf);
}

/** What no two examples of a batch should share: its positive, and what it asks. */
type KeysOf = (example: number) => readonly (number | string)[];

/** Batches of whole groups, in their order, of at most `size` members. A group above half a batch is cut, and what is cut off comes after all others, so that a batch has at least two groups. */
function wholeGroups(groups: readonly (readonly number[])[], size: number): number[][] {
  const most = Math.max(1, Math.floor(size / 2));
  const batches: number[][] = [];
  let current: number[] = [];
  let waiting = [...groups];
  while (waiting.length > 0) {
    for (const members of waiting.map((group) => group.slice(0, most))) {
      if (current.length + members.length > size) {
        batches.push(current);
        current = [];
      }
      current.push(...members);
    }
    waiting = waiting.map((group) => group.slice(most)).filter((group) => group.length > 0);
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

function groupedBy<Key>(examples: readonly number[], keyOf: (example: number) => Key): Map<Key, number[]> {
  const groups = new Map<Key, number[]>();
  for (const example of examples) {
    const group = groups.get(keyOf(example));
    if (group === undefined) groups.set(keyOf(example), [example]);
    else group.push(example);
  }
  return groups;
}

/**
 * Batches in the examples' order that hold no positive and no wording twice: a repeat waits for a later batch. `full` stops at the first batch that can't be filled so;
 * otherwise the repeats that are left share batches, and the loss's mask keeps them from being each other's negatives.
 */
function distinctBatches(order: readonly number[], size: number, keysOf: KeysOf, until?: "full"): number[][] {
  const batches: number[][] = [];
  let waiting: number[] = [];
  let next = 0;
  while (next < order.length || waiting.length > 0) {
    const current: number[] = [];
    const taken = new Set<number | string>();
    const delayed: number[] = [];
    const offer = (example: number): void => {
      const keys = keysOf(example);
      if (keys.some((key) => taken.has(key))) delayed.push(example);
      else {
        for (const key of keys) taken.add(key);
        current.push(example);
      }
    };
    for (const example of waiting) {
      if (current.length < size) offer(example);
      else delayed.push(example);
    }
    while (current.length < size && next < order.length) offer(order[next++] ?? 0);
    if (until === "full" && current.length < size) break;
    while (next >= order.length && current.length < size && delayed.length > 0) current.push(delayed.shift() ?? 0);
    waiting = delayed;
    batches.push(current);
  }
  return batches;
}

/** A batch without two different positives teaches nothing (loss 0, gradient 0): its examples join the batch before, or the one after. */
function mergeSingletons(batches: readonly (readonly number[])[], positiveOf: (example: number) => number): Plan {
  const merged: number[][] = [];
  let carried: number[] = [];
  for (const batch of batches) {
    const members = [...carried, ...batch];
    carried = [];
    const teaches = new Set(members.map(positiveOf)).size > 1;
    const before = merged.at(-1);
    if (teaches) merged.push(members);
    else if (before !== undefined) before.push(...members);
    else carried = members;
  }
  if (carried.length > 0) merged.push(carried);
  return merged;
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

function requireWhole(where: string, what: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new UserError({ where, what: `${what} is out of range`, expected: `a whole number of at least ${least}`, got: String(value) });
}

function requireExamples(size: number, least: number): void {
  if (size >= least) return;
  throw new UserError({
    where: "batches",
    what: "too few training examples",
    expected: `at least ${least}`,
    got: String(size),
    remedy: "check the training questions and how many of them were rejected",
  });
}
