/**
 * Which examples are in each batch of in-batch contrastive learning: every epoch a new shuffle, cut so that no batch holds a positive or a wording twice (as sentence-transformers' NO_DUPLICATES sampler), or so that all questions of a
 * positive are together. batches.ts finds a step's place in its epoch; phases/contrastive.ts makes what a batch holds.
 * The traps: a repeat waits for a later batch, so at an epoch's end repeats are left that have smaller batches, or none, of their own. And a question with several gold passages has another positive each epoch: a plan must be told the epoch's.
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
  const distinctOf = (example: number): Key[] => (together === true ? wordings(example) : [positiveOf(example), ...wordings(example)]);
  const keys: Keys = { positiveOf, distinctOf };
  const at = permutation(size, [seed, epoch, 0x636f6e]);
  const order = Array.from({ length: size }, (_, place) => at(place));
  if (together === true) {
    const grouped = (members: readonly number[]): number[][] => [...groupedBy(members, positiveOf).values()];
    if (topicOf === undefined) return mergeSingletons(wholeGroups(grouped(order), batch, keys), keys);
    const planned = [...groupedBy(order, topicOf).values()].map((members) => wholeGroups(grouped(members), batch, keys));
    // A topic's last batch stands alone where it is more than half full; what is less is mixed.
    const isFull = (members: readonly number[]): boolean => 2 * members.length > batch;
    const full = planned.flatMap((own) => own.filter(isFull));
    const rest = planned.flatMap((own) => own.filter((members) => !isFull(members)).flat());
    const mixed = wholeGroups(grouped(rest), batch, keys);
    return mergeSingletons(shuffled([...full, ...mixed], [seed, epoch, 0x746f70]), keys);
  }
  if (topicOf === undefined) return mergeSingletons(distinctBatches(order, batch, keys), keys, batch);
  const planned = [...groupedBy(order, topicOf).values()].map((members) => distinctBatches(members, batch, keys, "full"));
  const full = planned.flat();
  const used = new Set(full.flat());
  const rest = order.filter((example) => !used.has(example));
  return mergeSingletons(shuffled([...full, ...distinctBatches(rest, batch, keys)], [seed, epoch, 0x746f70]), keys, batch);
}

/**
 * Batches of whole groups, in their order, of at most `size` members. A group above half a batch is cut, and what is cut off comes after all others, so that a batch has at least two groups. A member whose wording the batch has comes
 * later too.
 */
function wholeGroups(groups: readonly (readonly number[])[], size: number, { distinctOf }: Keys): number[][] {
  const most = Math.max(1, Math.floor(size / 2));
  const batches: number[][] = [];
  let current = new Batch(distinctOf);
  let waiting = groups.map((group) => [...group]);
  while (waiting.length > 0) {
    const left: number[][] = [];
    for (const group of waiting) {
      const { taken, others } = distinctMembers(group, most, distinctOf);
      if (current.members.length + taken.length > size) {
        batches.push(current.members);
        current = new Batch(distinctOf);
      }
      const repeats = taken.filter((example) => !current.offer(example));
      if (repeats.length + others.length > 0) left.push([...repeats, ...others]);
    }
    // What the batch has no place for by its wordings has one in the next.
    if (left.length > 0 && left.length === waiting.length && left.every((group, i) => group.length === waiting[i]?.length)) {
      batches.push(current.members);
      current = new Batch(distinctOf);
    }
    waiting = left;
  }
  if (current.members.length > 0) batches.push(current.members);
  return batches;
}

/** The first `most` of a group that don't share a key, and the others. */
function distinctMembers(group: readonly number[], most: number, distinctOf: Keys["distinctOf"]): { taken: number[]; others: number[] } {
  const batch = new Batch(distinctOf);
  const others = group.filter((example) => batch.members.length >= most || !batch.offer(example));
  return { taken: batch.members, others };
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
    const home = batches.slice(0, at).findLast((batch) => batch.members.length <= room && batch.fits(example));
    home?.add(example);
  }
}
