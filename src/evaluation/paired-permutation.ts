/**
 * Whether two systems differ on the same questions: a paired permutation test, two-sided, in which all questions of a document change sides together, as the bootstrap draws them together. It says how
 * rarely chance alone makes such a difference, not how large the difference is (that is its interval, bootstrap.ts), and nothing of what another training seed would give.
 * The traps: few documents can't give a small p, whatever they show, so the smallest reachable one stands beside it; and of twenty tests of nothing one lies below 0.05: p-values here aren't corrected for their number.
 */
import { seededRandom } from "../corpus/seeded-random.js";
import { clustersOf, totalOf } from "./clusters.js";

export interface PermutationOptions {
  /** Equal seeds give equal digits. Default 0. */
  readonly seed?: number;
  /** Sign changes drawn where they can't all be tried. Default 10,000. */
  readonly permutations?: number;
}

export interface PermutationTest {
  /** In (0, 1]. */
  readonly p: number;
  /** Whether every sign change was tried; else they were drawn. */
  readonly exact: boolean;
  /** How many sign changes were tried or drawn. */
  readonly permutations: number;
  /** The least p that this number of differing documents and of permutations can give; 1 where no document differs. */
  readonly smallest_p: number;
  readonly documents: number;
  /** Documents whose questions don't sum to a difference of 0: only these have a say. */
  readonly differing_documents: number;
}

/** Up to so many differing documents all 2^n sign changes are tried: 65,536 at most. */
const EXACT_DOCUMENTS = 16;
/** Sums in another order of signs may differ in the last digits; within this share of all that is summed they are equal. */
const TIE = 1e-12;

/**
 * p of "the paired differences have mean 0": the share of sign changes, a document's all at once, whose sum is at least as far from 0 as the one seen (Good 2005). With all 2^n tried the one seen is among
 * them; drawn ones are counted together with it, (1 + as far) / (1 + drawn), so that p is never 0 (Phipson & Smyth 2010). As scipy.stats.permutation_test with `permutation_type="samples"` on the documents' sums.
 * @param differences system A's value minus system B's, for each question
 * @param documents the document of each question
 * @throws Error when there is no value, a value isn't finite, the lists differ in length, or permutations is no positive whole number
 */
export function pairedPermutation(
  differences: readonly number[],
  documents: readonly (string | number)[],
  options: PermutationOptions = {},
): PermutationTest {
  const permutations = options.permutations ?? 10_000;
  if (!Number.isSafeInteger(permutations) || permutations < 1) throw new Error(`${permutations} permutations`);
  const clusters = clustersOf(differences, documents);
  const scale = differences.reduce((total, difference) => total + Math.abs(difference), 0);
  // Rounding leaves a hair where a document's gains and losses cancel: that document doesn't differ.
  const sums = Float64Array.from(clusters.map(({ sum }) => sum).filter((sum) => Math.abs(sum) > TIE * scale));
  const least = Math.abs(totalOf(clusters)) - TIE * scale;
  const counted = { documents: clusters.length, differing_documents: sums.length };
  if (sums.length <= EXACT_DOCUMENTS) {
    const all = 2 ** sums.length;
    return { p: asFarOfAll(sums, least) / all, exact: true, permutations: all, smallest_p: Math.min(1, 2 / all), ...counted };
  }
  const p = (1 + asFarOfDrawn(sums, least, permutations, options.seed ?? 0)) / (1 + permutations);
  // Of 2^17 or more sign changes two, the seen and its opposite, are always as far.
  return { p, exact: false, permutations, smallest_p: Math.max(1 / (1 + permutations), 2 / 2 ** sums.length), ...counted };
}

/** How many of all sign changes give a sum at least `least` from 0. Branching instead of a running sum keeps the rounding of each to that of its own additions. */
function asFarOfAll(sums: Float64Array, least: number): number {
  const branch = (at: number, sum: number): number => {
    if (at === sums.length) return Math.abs(sum) >= least ? 1 : 0;
    const value = sums[at] ?? 0;
    return branch(at + 1, sum + value) + branch(at + 1, sum - value);
  };
  return branch(0, 0);
}

/** The same of drawn sign changes; 32 signs come from one draw. */
function asFarOfDrawn(sums: Float64Array, least: number, permutations: number, seed: number): number {
  const random = seededRandom(`permutation/${seed}`);
  let asFar = 0;
  for (let r = 0; r < permutations; r++) {
    let sum = 0;
    let bits = 0;
    for (let i = 0; i < sums.length; i++) {
      if (i % 32 === 0) bits = (random() * 0x100000000) | 0;
      sum += ((bits >>> (i % 32)) & 1) === 0 ? (sums[i] ?? 0) : -(sums[i] ?? 0);
    }
    if (Math.abs(sum) >= least) asFar++;
  }
  return asFar;
}
