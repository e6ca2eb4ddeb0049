/**
 * A small random generator for data: text in, the same numbers on every machine. Not for weights, dropout or anything that needs statistics beyond
 * a shuffle. The trap: two places that share one generator depend on each other's number of draws; give each its own key.
 */

/** Uniform numbers in [0, 1), 32 bits each. */
export type Random = () => number;

/** A generator keyed by text, for example `"7/article/12"`. The key is hashed (FNV-1a, then mixed), the stream is sfc32 (public domain, C. Doty-Humphrey). */
export function seededRandom(key: string): Random {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(key)) hash = Math.imul(hash ^ byte, 0x01000193);
  let a = mixed(hash);
  let b = mixed(a ^ 0x9e3779b9);
  let c = mixed(b ^ 0x85ebca6b);
  let counter = 1;
  return () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x100000000;
  };
}

/** The finaliser of MurmurHash3: every bit of the input moves half of the output's. */
function mixed(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** A whole number in [low, high]. */
export function randomInteger(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

/** One element; throws on an empty list, which is a bug of the caller. */
export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("pick from an empty list");
  return item;
}

/** A shuffled copy, by sorting random keys. */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  keyed.sort((x, y) => x.key - y.key);
  return keyed.map(({ item }) => item);
}
