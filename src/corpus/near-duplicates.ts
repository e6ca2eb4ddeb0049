/**
 * Which texts of two lists are near duplicates: Jaccard similarity of their sets of neighbouring word pairs (the ends of the text count as words) at or above a threshold. Exact: no hashing, no sampling.
 * Candidates come from the rarest pairs of each text alone, ordered by length and filtered by position (PPJoin: Xiao et al. 2008, Efficient similarity joins for near duplicate detection). Not every near pair is
 * listed, for there may be as many as the product of the two lists: of each text that has a counterpart at least one is. The trap: texts made from one template are all near each other, so what has a
 * counterpart already is set apart, and the rest goes on with those that have none.
 */

export interface NearPair {
  /** Positions in the two lists. */
  left: number;
  right: number;
  /** |pairs of both| / |pairs of either|, in [threshold, 1]. */
  similarity: number;
}

/** All texts of both lists, the shortest first, as flat arrays: millions of look-ups are bound by memory. */
interface Entries {
  count: number;
  /** 0 left, 1 right. */
  side: Uint8Array;
  /** Position in its list. */
  at: Int32Array;
  /** Text i has the word pairs `ranks[starts[i]]` to `ranks[starts[i + 1] - 1]`, the rarest first; rank 0 is the rarest of all. */
  starts: Int32Array;
  ranks: Int32Array;
  /** Distinct word pairs. */
  pairs: number;
}

/** Keeps a share that is exactly the threshold from being lost to rounding. */
const ROUNDING = 1e-9;
/** A posting is entry × this + the position of the word pair in it. */
const POSITIONS = 2 ** 20;

/**
 * Pairs such that every text with a counterpart on the other side is in one at least. Texts are sequences of words; an empty one has no counterpart. Time grows with the number of texts that share
 * one of their rarest pairs: near linear for natural language, quadratic for texts of very few different words.
 * @param threshold in (0, 1]
 */
export function nearDuplicates(left: readonly (readonly string[])[], right: readonly (readonly string[])[], threshold: number): NearPair[] {
  if (!(threshold > 0 && threshold <= 1)) throw new RangeError(`threshold ${threshold} isn't in (0, 1]`);
  const entries = rankedEntries(left, right);
  const join = new Join(entries, threshold);
  for (let entry = 0; entry < entries.count; entry++) join.add(entry);
  return join.found;
}

class Join {
  readonly found: NearPair[] = [];
  private readonly hasCounterpart: Uint8Array;
  /** The last entry that each was compared with. */
  private readonly comparedWith: Int32Array;
  /** By side, then by rank: entries without counterpart that hold the pair among their rarest, and those with one. */
  private readonly open: (number[] | undefined)[][];
  private readonly settled: (number[] | undefined)[][];

  constructor(
    private readonly entries: Entries,
    private readonly threshold: number,
  ) {
    this.hasCounterpart = new Uint8Array(entries.count);
    this.comparedWith = new Int32Array(entries.count).fill(-1);
    this.open = [new Array<number[] | undefined>(entries.pairs), new Array<number[] | undefined>(entries.pairs)];
    this.settled = [new Array<number[] | undefined>(entries.pairs), new Array<number[] | undefined>(entries.pairs)];
  }

  /** Entries come by length. */
  add(entry: number): void {
    const [start, length] = this.rangeOf(entry);
    const others = 1 - (this.entries.side[entry] ?? 0);
    const looked = Math.min(length, length - Math.ceil(this.threshold * length - ROUNDING) + 1);
    for (let position = 0; position < looked; position++) this.compareOpen(entry, position, others);
    for (let position = 0; position < looked && this.hasCounterpart[entry] === 0; position++)
      this.settled[others]?.[this.entries.ranks[start + position] ?? 0]?.some((posting) => this.compare(entry, position, posting));
    this.enter(entry, start, length);
  }

  /** Compares with all that have no counterpart yet; those that have got one move. */
  private compareOpen(entry: number, position: number, others: number): void {
    const rank = this.entries.ranks[(this.entries.starts[entry] ?? 0) + position] ?? 0;
    const postings = this.open[others]?.[rank];
    if (postings === undefined) return;
    let kept = 0;
    for (const posting of postings) {
      const other = Math.floor(posting / POSITIONS);
      if (this.hasCounterpart[other] === 0) this.compare(entry, position, posting);
      if (this.hasCounterpart[other] === 0) postings[kept++] = posting;
      else ((this.settled[others] ?? [])[rank] ??= []).push(posting);
    }
    postings.length = kept;
  }

  private enter(entry: number, start: number, length: number): void {
    const lists = (this.hasCounterpart[entry] === 1 ? this.settled : this.open)[this.entries.side[entry] ?? 0] ?? [];
    // Whatever looks this entry up is at least as long, so that fewer of its pairs need to be found.
    const entered = length - Math.ceil(((2 * this.threshold) / (1 + this.threshold)) * length - ROUNDING) + 1;
    for (let position = 0; position < Math.min(entered, length); position++)
      (lists[this.entries.ranks[start + position] ?? 0] ??= []).push(entry * POSITIONS + position);
  }

  /** Whether the two are near. Nothing is computed twice, and nothing that length or position rules out. */
  private compare(entry: number, position: number, posting: number): boolean {
    const other = Math.floor(posting / POSITIONS);
    if (this.comparedWith[other] === entry) return false;
    const [a, lengthA] = this.rangeOf(entry);
    const [b, lengthB] = this.rangeOf(other);
    if (lengthB < this.threshold * lengthA - ROUNDING) return false;
    const needed = Math.ceil((this.threshold / (1 + this.threshold)) * (lengthA + lengthB) - ROUNDING);
    // The first meeting is at the rarest pair that both have: nothing before it is shared.
    if (Math.min(lengthA - position, lengthB - (posting % POSITIONS)) < needed) return false;
    this.comparedWith[other] = entry;
    const shared = this.sharedFrom(a + position, a + lengthA, b + (posting % POSITIONS), b + lengthB, needed);
    if (shared < needed) return false;
    this.hasCounterpart[entry] = 1;
    this.hasCounterpart[other] = 1;
    const [one, two] = this.entries.side[entry] === 0 ? [entry, other] : [other, entry];
    const similarity = shared / (lengthA + lengthB - shared);
    this.found.push({ left: this.entries.at[one] ?? 0, right: this.entries.at[two] ?? 0, similarity });
    return true;
  }

  /** How many ranks two sorted ranges share; less than `needed` as soon as that is certain. */
  private sharedFrom(a: number, endA: number, b: number, endB: number, needed: number): number {
    const { ranks } = this.entries;
    let shared = 0;
    while (a < endA && b < endB && shared + Math.min(endA - a, endB - b) >= needed) {
      const difference = (ranks[a] ?? 0) - (ranks[b] ?? 0);
      if (difference === 0) shared++;
      if (difference <= 0) a++;
      if (difference >= 0) b++;
    }
    return shared;
  }

  private rangeOf(entry: number): [start: number, length: number] {
    const start = this.entries.starts[entry] ?? 0;
    return [start, (this.entries.starts[entry + 1] ?? start) - start];
  }
}

function rankedEntries(left: readonly (readonly string[])[], right: readonly (readonly string[])[]): Entries {
  const numbers = new Map<string, number>();
  const counts: number[] = [];
  const texts = ([left, right] as const).flatMap((list, side) =>
    list.map((words, at) => {
      const pairs = new Set<number>();
      for (let i = 0; i <= words.length && words.length > 0; i++) {
        const pair = `${words[i - 1] ?? ""} ${words[i] ?? ""}`;
        let number = numbers.get(pair);
        if (number === undefined) numbers.set(pair, (number = counts.push(0) - 1));
        pairs.add(number);
      }
      for (const number of pairs) counts[number] = (counts[number] ?? 0) + 1;
      return { side, at, pairs };
    }),
  );
  texts.sort((a, b) => a.pairs.size - b.pairs.size);
  const rarestFirst = counts.map((_, number) => number).sort((a, b) => (counts[a] ?? 0) - (counts[b] ?? 0) || a - b);
  const rankOf = new Int32Array(counts.length);
  rarestFirst.forEach((number, rank) => (rankOf[number] = rank));
  const starts = new Int32Array(texts.length + 1);
  texts.forEach(({ pairs }, i) => (starts[i + 1] = (starts[i] ?? 0) + pairs.size));
  const ranks = new Int32Array(starts.at(-1) ?? 0);
  texts.forEach(({ pairs }, i) => ranks.set(Int32Array.from(pairs, (number) => rankOf[number] ?? 0).sort(), starts[i]));
  const side = Uint8Array.from(texts, (text) => text.side);
  return { count: texts.length, side, at: Int32Array.from(texts, ({ at }) => at), starts, ranks, pairs: counts.length };
}
