/**
 * Philox4x32-10 (Salmon et al. 2011, §3.3) written for reading, number by number: what the dropout kernel's masks are held against. For tests only: it is a thousand times slower.
 */

export type Words = readonly [number, number, number, number];

const MASK = 0xffffffffn;

/** The four 32-bit words of one counter. */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const a = 0xd2511f53n * c0;
    const b = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(b >> 32n) ^ c1 ^ k0, b & MASK, (a >> 32n) ^ c3 ^ k1, a & MASK];
    k0 = (k0 + 0x9e3779b9n) & MASK;
    k1 = (k1 + 0xbb67ae85n) & MASK;
  }
  return [Number(c0), Number(c1), Number(c2), Number(c3)];
}

export interface Place {
  readonly seed: number;
  readonly step: number;
  readonly site: number;
  readonly example: number;
}

/** The word that decides over element (outer, inner, column) of an example: block = column / 4 counts, the rest are coordinates. */
export function wordOf({ seed, step, site, example }: Place, outer: number, inner: number, column: number): number {
  const counter: Words = [Math.floor(column / 4), outer * 65536 + inner, Number(BigInt.asUintN(32, BigInt(example))), step];
  return philox(counter, [seed, site])[column % 4]!;
}
