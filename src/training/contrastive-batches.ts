/**
 * Which examples are in each batch of in-batch contrastive learning: every epoch a new shuffle, cut so that no batch holds a positive or a wording twice (as sentence-transformers' NO_DUPLICATES sampler), or so that all questions of a
 * positive are together. batches.ts finds a step's place in its epoch; phases/contrastive.ts makes what a batch holds.
 * The traps: a repeat waits for a later batch, so at an epoch's end repeats are left that have smaller batches, or none, of their own. And a question with several gold passages has a positive drawn for each epoch: a plan must be told the epoch's.
 */
import { fromPlans, requireExamples, requireWhole, type BatchSource, type Plan } from "./batches.js";
import { permutation, shuffled } from "./counter-random.js";

export interface ContrastiveBatchOptions {
  readonly seed: number;
  /** Number of examples. At least 2. */
  readonly size: number;
  /** Examples in a batch. At least 2. */
  readonly batch: number;
  /** What an example's positive is in an epoch (a passage row), a pure function. No batch holds two examples of one positive, unless they are to be `together`. Default: each has its own. */
  readonly positiveOf?: (example: number, epoch: number) => number;
  /** What an example asks. No batch holds the same words twice. Default: each asks something else. */
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
 * Batches for in-batch contrastive learning: every epoch a shuffle, cut into `batch` examples. Never a batch of one: it teaches nothing, so its example joins another batch, which then has one more, or is left out of this epoch where
 * every batch has its positive or its wording. Only where no two examples go together does each stand alone.
 * @throws UserError if there are fewer than two examples or the batch is smaller than two
 */
export function contrastiveBatches(options: ContrastiveBatchOptions): BatchSource {
  requireWhole("contrastive batch", "size", options.batch, 2);
  requireExamples(options.size, 2);
  const source = fromPlans((epoch) => contrastivePlan(options, epoch));
  return {
    ...source,
    epoch() {
      const { examples, batches } = source.epoch();
      const full = Math.max(1, Math.ceil(examples / options.batch));
      return { examples, batches, leftOut: options.size - examples, extra: options.together === true ? 0 : Math.max(0, batches - full) };
    },
  };
}

/** What an example has in one epoch. */
interface Keys {
  readonly positiveOf: (example: number) => number;
  /** What no two examples of a batch share. */
  readonly distinctOf: (example: number) => readonly Key[];
}

/** A positive, or a wording. */
type Key = number | string;

function contrastivePlan(options: ContrastiveBatchOptions, epoch: number): Plan {
  const { seed, size, batch, topicOf, wordingOf, together } = options;
  const positiveOf = (example: number): number => options.positiveOf?.(example, epoch) ?? example;
  const wordings = (example: number): Key[] => (wordingOf === undefined ? [] : [wordingOf(example)]);
  const at = permutation(size, [seed, epoch, 0x636f6e]);
  const order = Array.from({ length: size }, (_, place) => at(place));
  const mix = (batches: Plan): Plan => shuffled(batches, [seed, epoch, 0x746f70]);
  if (together === true) {
    const planned = togetherBatches(order, batch, positiveOf, topicOf);
    const merged = mergeSingletons(topicOf === undefined ? planned : mix(planned), { positiveOf, distinctOf: () => [] });
    return apart(merged, { positiveOf, distinctOf: wordings }, batch);
  }
  const keys: Keys = { positiveOf, distinctOf: (example) => [positiveOf(example), ...wordings(example)] };
  if (topicOf === undefined) return mergeSingletons(distinctBatches(order, batch, keys), keys, batch);
  const full = [...groupedBy(order, topicOf).values()].flatMap((members) => distinctBatches(members, batch, keys, "full"));
  const used = new Set(full.flat());
  const rest = order.filter((example) => !used.has(example));
  return mergeSingletons(mix([...full, ...distinctBatches(rest, batch, keys)]), keys, batch);
}

/** Batches in which the examples of one positive are together, and of one topic as far as topics fill batches. */
function togetherBatches(
  order: readonly number[],
  batch: number,
  positiveOf: (example: number) => number,
  topicOf: ((example: number) => string) | undefined,
): Plan {
  const planOf = (members: readonly number[]): number[][] => wholeGroups([...groupedBy(members, positiveOf).values()], batch);
  if (topicOf === undefined) return planOf(order);
  const planned = [...groupedBy(order, topicOf).values()].flatMap(planOf);
  // A topic's last batch stands alone where it is more than half full; what is less is mixed.
  const isFull = (members: readonly number[]): boolean => 2 * members.length > batch;
  return [...planned.filter(isFull), ...planOf(planned.filter((members) => !isFull(members)).flat())];
}

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

function groupedBy<Value>(examples: readonly number[], keyOf: (example: number) => Value): Map<Value, number[]> {
  const groups = new Map<Value, number[]>();
  for (const example of examples) {
    const group = groups.get(keyOf(example));
    if (group === undefined) groups.set(keyOf(example), [example]);
    else group.push(example);
  }
  return groups;
}

/** A batch that takes no key twice. */
class Batch {
  readonly members: number[] = [];
  readonly #taken = new Set<Key>();
  readonly #distinctOf: Keys["distinctOf"];

  constructor(distinctOf: Keys["distinctOf"], members: readonly number[] = []) {
    this.#distinctOf = distinctOf;
    for (const example of members) this.add(example);
  }

  has(key: Key): boolean {
    return this.#taken.has(key);
  }

  fits(example: number): boolean {
    return !this.#distinctOf(example).some((key) => this.#taken.has(key));
  }

  add(example: number): void {
    for (const key of this.#distinctOf(example)) this.#taken.add(key);
    this.members.push(example);
  }

  /** Takes the example if it fits. */
  offer(example: number): boolean {
    const fits = this.fits(example);
    if (fits) this.add(example);
    return fits;
  }
}

/**
 * Batches in the examples' order that hold no positive and no wording twice: a repeat waits for a later batch. `full` stops at the first batch that can't be filled so; otherwise the repeats that are left have smaller batches.
 */
function distinctBatches(order: readonly number[], size: number, { positiveOf, distinctOf }: Keys, until?: "full"): number[][] {
  const batches: number[][] = [];
  const ofPositive = new Map([...groupedBy(order, positiveOf)].map(([positive, members]) => [positive, members.length]));
  let waiting: number[] = [];
  let next = 0;
  while (next < order.length || waiting.length > 0) {
    const current = new Batch(distinctOf);
    // With as many as there are positives left, looking further finds none.
    const most = Math.min(size, ofPositive.size);
    if (until === "full" && most < size) break;
    const delayed: number[] = [];
    let tried = 0;
    for (; tried < waiting.length && current.members.length < most; tried += 1) {
      const example = waiting[tried] ?? 0;
      if (!current.offer(example)) delayed.push(example);
    }
    const untried = waiting.slice(tried);
    for (; next < order.length && current.members.length < most; next += 1) {
      const example = order[next] ?? 0;
      if (!current.offer(example)) untried.push(example);
    }
    if (until === "full" && current.members.length < size) break;
    waiting = [...delayed, ...untried];
    for (const positive of current.members.map(positiveOf)) {
      const left = (ofPositive.get(positive) ?? 0) - 1;
      if (left > 0) ofPositive.set(positive, left);
      else ofPositive.delete(positive);
    }
    batches.push(current.members);
  }
  return batches;
}

/**
 * A batch without two different positives teaches nothing (loss 0, gradient 0 unless there are mined negatives): its examples join the batch before, or the one after, or else the last that has none of their keys and at most `room`
 * members. Those for whom there is none are left out.
 */
function mergeSingletons(batches: readonly (readonly number[])[], { positiveOf, distinctOf }: Keys, room = Infinity): Plan {
  const merged: Batch[] = [];
  const homeless: (readonly number[])[] = [];
  const join = (batch: Batch | undefined, members: readonly number[]): boolean => {
    if (batch === undefined || batch.members.length > room || !members.every((example) => batch.fits(example))) return false;
    for (const example of members) batch.add(example);
    return true;
  };
  let carried: readonly number[] = [];
  for (const own of batches) {
    const batch = new Batch(distinctOf, carried);
    const takes = join(batch, own);
    const members = takes ? batch.members : own;
    if (takes) carried = [];
    if (new Set(members.map(positiveOf)).size > 1) merged.push(takes ? batch : new Batch(distinctOf, own));
    else if (join(merged.at(-1), members)) continue;
    else if (merged.length === 0 && carried.length === 0) carried = members;
    else homeless.push(members);
  }
  if (carried.length > 0) homeless.unshift(carried);
  if (merged.length === 0) return homeless;
  house(homeless.flat(), merged, { positiveOf, distinctOf }, room);
  return merged.map(({ members }) => members);
}

/** The plan with what a batch holds twice in other batches, so that all others stay as they are. A batch that then has no two positives is given up. */
function apart(plan: Plan, keys: Keys, room: number): Plan {
  const repeats: number[] = [];
  const batches = plan.map((members) => {
    const batch = new Batch(keys.distinctOf);
    repeats.push(...members.filter((example) => !batch.offer(example)));
    return batch;
  });
  if (repeats.length === 0) return plan;
  const teaches = ({ members }: Batch): boolean => new Set(members.map(keys.positiveOf)).size > 1;
  const kept = batches.filter(teaches);
  if (kept.length === 0) return [...batches.map(({ members }) => members), ...repeats.map((example) => [example])];
  house([...batches.filter((batch) => !teaches(batch)).flatMap(({ members }) => members), ...repeats], kept, keys, room);
  return kept.map(({ members }) => members);
}

/** Puts each example into the last batch that takes it; one that none takes stays outside. */
function house(examples: readonly number[], batches: readonly Batch[], { positiveOf }: Keys, room: number): void {
  // Below which batches a positive still has to be tried: those above have it or are full, and stay so.
  const below = new Map<number, number>();
  for (const example of examples) {
    const positive = positiveOf(example);
    let at = below.get(positive) ?? batches.length;
    for (; at > 0; at -= 1) {
      const batch = batches[at - 1];
      if (batch !== undefined && batch.members.length <= room && !batch.has(positive)) break;
    }
    below.set(positive, at);
    const takes = (batch: Batch | undefined): boolean => batch !== undefined && batch.members.length <= room && batch.fits(example);
    let home = at - 1;
    while (home >= 0 && !takes(batches[home])) home -= 1;
    batches[home]?.add(example);
  }
}
