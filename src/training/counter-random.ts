/**
 * Random choices as pure functions of a key: the same key gives the same number on every machine, whatever was drawn before. Batches, contexts
 * and negatives are chosen with it, so that resuming needs no generator state. Not for masks of activations (the engine's Philox kernel does
 * those) and not for secrets: 32 bits, mixed well enough for shuffling.
 * The trap: two uses with the same key are the same draw. Give every use its own word in the key.
 */

/** A key: whole numbers, each used modulo 2³². Its length is part of it. */
export type RandomKey = readonly number[];

const ROUNDS = 6;

/** A 32-bit hash of the key's words: murmur3's block mix for each word and its finaliser. Range 0 … 2³²−1. */
export function hash32(...key: number[]): number {
  let h = 0x9747b28c ^ key.length;
  for (const word of key) {
    let k = Math.imul(word | 0, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    h ^= k;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A number in [0, 1) for the key. */
export function uniform(...key: number[]): number {
  return hash32(...key) / 4294967296;
}

/** A whole number in 0 … size−1 for the key. */
export function integerBelow(size: number, ...key: number[]): number {
  return Math.min(size - 1, Math.floor(uniform(...key) * size));
}

/**
 * A shuffle of 0 … size−1 that is never stored: `permutation(size, key)(i)` is the i-th element. A six-round Feistel network over the next
 * even power of two, walked until it lands inside (fewer than four rounds of it on average). Without replacement by construction.
 * @throws RangeError if the size isn't a whole number in 1 … 2³⁰
 */
export function permutation(size: number, key: RandomKey): (index: number) => number {
  if (!Number.isInteger(size) || size < 1 || size > 2 ** 30) throw new RangeError(`permutation of ${size} elements`);
  const half = Math.max(1, Math.ceil(Math.log2(size) / 2));
  const mask = 2 ** half - 1;
  const seed = hash32(...key);
  return (index) => {
    if (!Number.isInteger(index) || index < 0 || index >= size) throw new RangeError(`element ${index} of ${size}`);
    let at = index;
    do {
      let left = (at >>> half) & mask;
      let right = at & mask;
      for (let round = 0; round < ROUNDS; round += 1) {
        const next = left ^ (hash32(seed, round, right) & mask);
        left = right;
        right = next;
      }
      at = ((left << half) | right) >>> 0;
    } while (at >= size);
    return at;
  };
}

/** The items in an order given by the key; the list itself is left as it is. */
export function shuffled<T>(items: readonly T[], key: RandomKey): T[] {
  if (items.length === 0) return [];
  const order = permutation(items.length, key);
  return items.map((_, index) => items[order(index)] as T);
}
