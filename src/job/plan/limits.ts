/** Which limit a run meets first, and at how many passages: pure arithmetic on forecasts. The trap: a need that doesn't grow with the corpus has no such number. */

export type LimitName = "memory" | "JavaScript's heap" | "disk" | "time";

export interface LimitForecast {
  readonly name: LimitName;
  readonly unit: "bytes" | "seconds";
  readonly need: number;
  readonly limit: number;
  /** Passages of a corpus at which the need reaches the limit; null where it doesn't grow so far. */
  readonly passages: number | null;
}

/** More passages than anybody has: where the search ends. */
const MOST_PASSAGES = 1e12;

/** @param needs what is needed for so many passages; never falls as they grow */
export function limitForecast(
  { name, unit, limit }: Pick<LimitForecast, "name" | "unit" | "limit">,
  passages: number,
  needs: (passages: number) => number,
): LimitForecast {
  return { name, unit, limit, need: needs(passages), passages: reached(limit, needs) };
}

/** The fewest passages with which the limit is passed, to one in ten thousand. */
function reached(limit: number, needs: (passages: number) => number): number | null {
  if (needs(1) > limit) return 0;
  if (needs(MOST_PASSAGES) <= limit) return null;
  let [low, high] = [1, MOST_PASSAGES];
  while (high / low > 1.0001) {
    const middle = Math.sqrt(low * high);
    if (needs(middle) > limit) high = middle;
    else low = middle;
  }
  return Math.round(high);
}

/** The limit that is passed by the largest factor, or else the nearest one. @throws Error where there is none */
export function nearestLimit(limits: readonly LimitForecast[]): LimitForecast {
  const [first] = [...limits].sort((a, b) => b.need / b.limit - a.need / a.limit);
  if (first === undefined) throw new Error("no limit to compare with");
  return first;
}

/** The limit that a growing corpus meets first. */
export function firstOfGrowing(limits: readonly LimitForecast[]): LimitForecast | undefined {
  return [...limits].filter(({ passages }) => passages !== null).sort((a, b) => (a.passages ?? 0) - (b.passages ?? 0))[0];
}
