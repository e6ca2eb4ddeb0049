/**
 * A set of 128-bit digests in typed arrays: 16 bytes an entry at a load of at most one half. It is not a general set: keys are the first 32 hex digits of a hash.
 * Why not `Set<string>`: 21 million passages would take over 2 GB of JavaScript heap and minutes of garbage collection; this takes 0.5 to 1 GB outside it.
 */

const WORDS = 4;

export class DigestSet {
  private words: Uint32Array;
  private capacity: number;
  private count = 0;

  /** `expected` sizes the table in advance; it grows by doubling. */
  constructor(expected = 1024) {
    this.capacity = 2 ** Math.ceil(Math.log2(Math.max(16, expected * 2)));
    this.words = new Uint32Array(this.capacity * WORDS);
  }

  get size(): number {
    return this.count;
  }

  /** Adds a digest of 32 hex digits; true if it wasn't there yet. */
  add(digest: string): boolean {
    if (!insert(this.words, this.capacity, parseDigest(digest))) return false;
    this.count += 1;
    if (this.count * 2 > this.capacity) this.grow();
    return true;
  }

  private grow(): void {
    const capacity = this.capacity * 2;
    const words = new Uint32Array(capacity * WORDS);
    for (let at = 0; at < this.words.length; at += WORDS) {
      const entry = this.words.subarray(at, at + WORDS);
      if (!isFree(entry, 0)) insert(words, capacity, entry);
    }
    this.words = words;
    this.capacity = capacity;
  }
}

/** Four words; the all-zero digest, which marks a free place, is moved to its neighbour (a chance of 2^-128). */
function parseDigest(digest: string): Uint32Array {
  if (!/^[0-9a-f]{32}$/.test(digest)) throw new Error(`not a digest of 32 hex digits: ${digest}`);
  const words = new Uint32Array(WORDS);
  for (let i = 0; i < WORDS; i++) words[i] = Number.parseInt(digest.slice(i * 8, i * 8 + 8), 16);
  if (isFree(words, 0)) words[WORDS - 1] = 1;
  return words;
}

function isFree(words: Uint32Array, at: number): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0 && words[at + 3] === 0;
}

/** Linear probing; false if the digest is there already. */
function insert(table: Uint32Array, capacity: number, digest: Uint32Array): boolean {
  const mask = capacity - 1;
  for (let slot = (digest[0] ?? 0) & mask; ; slot = (slot + 1) & mask) {
    const at = slot * WORDS;
    if (isFree(table, at)) {
      table.set(digest, at);
      return true;
    }
    if (table[at] === digest[0] && table[at + 1] === digest[1] && table[at + 2] === digest[2] && table[at + 3] === digest[3]) return false;
  }
}
