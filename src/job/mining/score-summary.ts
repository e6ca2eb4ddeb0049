/** Some scores in seven numbers. It draws nothing. The trap: what isn't known (NaN) isn't counted. */

export interface Summary {
  readonly count: number;
  /** Null, as are the others, of no scores. */
  readonly mean: number | null;
  readonly deviation: number | null;
  readonly minimum: number | null;
  /** By linear interpolation between the neighbouring scores, as NumPy does it. */
  readonly quartiles: readonly [number, number, number] | null;
  readonly maximum: number | null;
}

/** Count, mean, standard deviation (n − 1), minimum, quartiles, maximum. */
export function summary(values: readonly number[]): Summary {
  const known = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const count = known.length;
  if (count === 0) return { count, mean: null, deviation: null, minimum: null, quartiles: null, maximum: null };
  const mean = known.reduce((sum, value) => sum + value, 0) / count;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const quantile = (share: number): number => {
    const place = share * (count - 1);
    const [low, high] = [known[Math.floor(place)] ?? NaN, known[Math.ceil(place)] ?? NaN];
    return low + (high - low) * (place - Math.floor(place));
  };
  return {
    count,
    mean,
    deviation: count === 1 ? null : Math.sqrt(squares / (count - 1)),
    minimum: known[0] ?? null,
    quartiles: [quantile(0.25), quantile(0.5), quantile(0.75)],
    maximum: known.at(-1) ?? null,
  };
}
