/**
 * Which examples are in each batch of in-batch contrastive learning: every epoch a new shuffle, cut so that examples that share a positive or ask the same are kept apart, or together. batches.ts finds a step's place in its epoch;
 * phases/contrastive.ts makes what a batch holds.
 */
import { fromPlans, requireExamples, requireWhole, type BatchSource, type Plan } from "./batches.js";
import { permutation, shuffled } from "./counter-random.js";

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
 * Batches for in-batch contrastive learning: every epoch a shuffle, cut into `batch` examples. Never a batch of one: a rest of one joins the
 * batch before it.
 * @throws UserError if there are fewer than two examples or the batch is smaller than two
 */
export function contrastiveBatches(options: ContrastiveBatchOptions): BatchSource {
  requireWhole("contrastive batch", "size", options.batch, 2);
  requireExamples(options.size, 2);
  return fromPlans((epoch) => contrastivePlan(options, epoch));
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
