/**
 * How sure a mean over questions is, and a difference of two. Questions of one document resemble each other, so whole documents are drawn, not questions.
 * It says nothing of what another training seed would give: report seeds one by one.
 * The traps: with few documents (SQuAD's validation has six here) the interval is rough, and a single document gives none; and a difference of
 * two systems needs the interval of the differences or the test in paired-permutation.ts, never two intervals side by side.
 */
import { seededRandom } from "../corpus/seeded-random.js";
import { clustersOf, totalOf } from "./clusters.js";

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
  const clusters = clustersOf(values, documents);
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
  return { mean: totalOf(clusters) / values.length, low: quantile(means, tail), high: quantile(means, 1 - tail) };
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
