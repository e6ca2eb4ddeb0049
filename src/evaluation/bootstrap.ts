/**
 * How sure a mean over questions is, and a difference of two. Questions of one document resemble each other, so whole documents are drawn, not questions.
 * It says nothing of what another training seed would give: report seeds one by one.
 * The traps: with few documents (SQuAD's validation has six here) the interval is rough, and a single document gives none; and a difference of
 * two systems needs {@link clusteredPermutation} or the interval of the differences, never two intervals side by side.
 */
import { seededRandom } from "../corpus/seeded-random.js";

export interface Interval {
  /** Of the values as they are. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface ResampleOptions {
  /** Equal seeds give equal digits. Default 0. */
  readonly seed?: number;
  /** Default 10,000. */
  readonly resamples?: number;
  /** Share of resampled means inside the interval. Default 0.95. */
  readonly level?: number;
}

/** What a mean is made of: the sum and the number of a document's values. */
interface Cluster {
  sum: number;
  count: number;
}

/**
 * Percentile interval of the mean over all values, by drawing as many documents as there are, with replacement, and taking
 * Σ values / Σ counts (Efron & Tibshirani 1993, ch. 13; clusters as in Field & Welsh 2007). Quantiles interpolate linearly, as numpy's.
 * @param documents the document of each value
 * @throws Error when there is no value, a value isn't finite, or the lists differ in length.
 */
export function clusteredInterval(
  values: readonly number[],
  documents: readonly (string | number)[],
  options: ResampleOptions = {},
): Interval {
  const clusters = gather(values, documents);
  const resamples = checkedResamples(options);
  const level = options.level ?? 0.95;
  if (!(level > 0 && level < 1)) throw new Error(`an interval of level ${level}`);
  const random = seededRandom(`bootstrap/${options.seed ?? 0}`);
  const sums = Float64Array.from(clusters, (cluster) => cluster.sum);
  const counts = Float64Array.from(clusters, (cluster) => cluster.count);
  const means = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    let count = 0;
    for (let draw = 0; draw < clusters.length; draw++) {
      const i = Math.floor(random() * clusters.length);
      sum += sums[i] ?? 0;
      count += counts[i] ?? 0;
    }
    means[r] = sum / count;
  }
  means.sort();
  const tail = (1 - level) / 2;
  return { mean: total(clusters, "sum") / values.length, low: quantile(means, tail), high: quantile(means, 1 - tail) };
}

/**
 * Two-sided p-value for "the paired differences have mean 0": the share of random sign changes, a document's all at once, whose sum is at least as far from 0 as the one seen, the one seen counted among them (Good 2005; Phipson & Smyth 2010).
 * Never below 1 / (resamples + 1); with D documents it can't be below about 2 / 2^D.
 * @param differences system A's value minus system B's, for each question
 * @throws Error as {@link clusteredInterval}
 */
export function clusteredPermutation(
  differences: readonly number[],
  documents: readonly (string | number)[],
  options: ResampleOptions = {},
): number {
  const clusters = gather(differences, documents);
  const resamples = checkedResamples(options);
  const random = seededRandom(`permutation/${options.seed ?? 0}`);
  // A hair of tolerance: sums in another order of signs may differ in the last digit.
  const seen = Math.abs(total(clusters, "sum")) * (1 - 1e-12);
  let asFar = 1;
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    for (const cluster of clusters) sum += random() < 0.5 ? cluster.sum : -cluster.sum;
    if (Math.abs(sum) >= seen) asFar++;
  }
  return asFar / (resamples + 1);
}

function gather(values: readonly number[], documents: readonly (string | number)[]): Cluster[] {
  if (values.length === 0) throw new Error("no values to resample");
  if (values.length !== documents.length) throw new Error(`${values.length} values of ${documents.length} documents`);
  const clusters = new Map<string | number, Cluster>();
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) throw new Error(`value ${i} is ${value}`);
    const document = documents[i] ?? "";
    const cluster = clusters.get(document) ?? { sum: 0, count: 0 };
    cluster.sum += value;
    cluster.count++;
    clusters.set(document, cluster);
  });
  return [...clusters.values()];
}

function total(clusters: readonly Cluster[], part: keyof Cluster): number {
  return clusters.reduce((sum, cluster) => sum + cluster[part], 0);
}

function checkedResamples(options: ResampleOptions): number {
  const resamples = options.resamples ?? 10_000;
  if (!Number.isSafeInteger(resamples) || resamples < 1) throw new Error(`${resamples} resamples`);
  return resamples;
}

/** Linear interpolation between the two nearest of the sorted values. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[below + 1] ?? low;
  return low + (high - low) * (place - below);
}
