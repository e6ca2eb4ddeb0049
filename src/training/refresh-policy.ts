/**
 * When an index is made anew beside the schedule's own refreshes, and when an index that is being made takes the old one's place: pure functions of the run state and the step, so that a resumed run decides alike.
 * It measures nothing and builds nothing. The trap: whatever is decided here stands in the state before anything is built, or a run killed in the build would not know that one is due.
 */

/** What the state keeps of the index's upkeep. */
export interface Upkeep {
  /** Global steps done when the retriever of the current index was read. */
  refreshedAt: number;
  /** The last step found that the index must be made anew before the next one. */
  isDue: boolean;
  /** Why, where drift or age asked for it. */
  why?: string | undefined;
  /** An index under way beside training. */
  pending: PendingRefresh | undefined;
  /** The latest figures of drift of the current index, by their names in the log. */
  measured: Readonly<Record<string, number>>;
  /** Seconds that training waited for an index since the last line of the log; undefined: there was none to wait for. */
  waited?: number | undefined;
}

/** An index that a second process makes of a snapshot. Its artefacts are named by content, so they are known before they stand. */
export interface PendingRefresh {
  /** Global steps done when the snapshot was taken. */
  readonly startedAt: number;
  /** Global steps done when it takes the old one's place, early or late. */
  readonly swapAt: number;
  /** `refresh/<name>`: the retriever as it was. */
  readonly snapshot: string;
  readonly artefacts: { readonly index: string; readonly retrieval: string };
}

/** Thresholds of drift; null: not looked at. */
interface DriftLimits {
  readonly cosineBelow: number | null;
  readonly overlapBelow: number | null;
  readonly regretAbove: number | null;
}

export interface RefreshPolicy {
  readonly onDrift: DriftLimits;
  /** Oldest that an index gets in phases that read it, in steps. */
  readonly atLeastEvery: number | null;
  /** Steps that an index lives at least, whatever its drift. */
  readonly atMostEvery: number | null;
}

/** Names of the figures in the log. */
export const DRIFT_COSINE = "drift/cosine";
export const DRIFT_OVERLAP = "drift/overlap";
export const DRIFT_REGRET = "drift/regret";
/** Steps since the retriever of the current index was read. */
export const DRIFT_AGE = "drift/age";

/** Before the first refresh. */
export function newUpkeep(): Upkeep {
  return { refreshedAt: 0, isDue: false, pending: undefined, measured: {} };
}

/**
 * Whether the index must be made anew after a step. Never while one is under way.
 *
 * @param step global steps done
 * @param measured figures of this very step; empty where none were taken
 */
export function isRefreshDue(
  policy: RefreshPolicy,
  upkeep: Pick<Upkeep, "refreshedAt" | "pending">,
  step: number,
  measured: Readonly<Record<string, number>>,
): boolean {
  const age = step - upkeep.refreshedAt;
  if (upkeep.pending !== undefined || age < (policy.atMostEvery ?? 1)) return false;
  return (policy.atLeastEvery !== null && age >= policy.atLeastEvery) || hasDrifted(policy.onDrift, measured);
}

/** What made {@link isRefreshDue} say so: `drift/overlap 0.41 is below 0.5`. */
export function whyDue(
  { onDrift, atLeastEvery }: RefreshPolicy,
  { refreshedAt }: Pick<Upkeep, "refreshedAt">,
  step: number,
  measured: Readonly<Record<string, number>>,
): string {
  const { cosineBelow, overlapBelow, regretAbove } = onDrift;
  const age = step - refreshedAt;
  const limits = [
    [DRIFT_COSINE, "below", cosineBelow],
    [DRIFT_OVERLAP, "below", overlapBelow],
    [DRIFT_REGRET, "above", regretAbove],
  ] as const;
  const beyond = limits.flatMap(([name, side, limit]) => {
    const value = measured[name];
    if (limit === null || value === undefined || !(side === "below" ? value < limit : value > limit)) return [];
    return [`${name} ${Number(value.toPrecision(4))} is ${side} ${limit}`];
  });
  return [...beyond, ...(atLeastEvery !== null && age >= atLeastEvery ? [`the index is ${age} steps old`] : [])].join(", ");
}

function hasDrifted({ cosineBelow, overlapBelow, regretAbove }: DriftLimits, measured: Readonly<Record<string, number>>): boolean {
  const isBelow = (name: string, limit: number | null): boolean => limit !== null && (measured[name] ?? Infinity) < limit;
  return (
    isBelow(DRIFT_COSINE, cosineBelow) ||
    isBelow(DRIFT_OVERLAP, overlapBelow) ||
    (regretAbove !== null && (measured[DRIFT_REGRET] ?? -Infinity) > regretAbove)
  );
}

/**
 * The step at which an index begun at `step` takes the old one's place; undefined: it is made at once, before the next step. That is so without `swapAfter`, for a first index, and where no step would come after the swap.
 *
 * @param end global steps of the whole schedule
 */
export function swapStep(swapAfter: number | undefined, hasIndex: boolean, step: number, end: number): number | undefined {
  if (swapAfter === undefined || !hasIndex || step + swapAfter >= end) return undefined;
  return step + swapAfter;
}

/** Reads what a checkpoint holds; undefined for anything else. Versions without upkeep left it out: theirs is a new one. */
export function readUpkeep(value: unknown): Upkeep | undefined {
  if (value === undefined) return newUpkeep();
  if (!isRecord(value) || !isCount(value["refreshedAt"]) || typeof value["isDue"] !== "boolean" || !isRecord(value["measured"]))
    return undefined;
  const { refreshedAt, isDue, why, pending, measured, waited } = value;
  if (waited !== undefined && typeof waited !== "number") return undefined;
  if (why !== undefined && typeof why !== "string") return undefined;
  if (!Object.values(measured).every((figure) => typeof figure === "number")) return undefined;
  if (pending !== undefined && !isPending(pending)) return undefined;
  return {
    refreshedAt,
    isDue,
    ...(why === undefined ? {} : { why }),
    pending,
    measured: measured as Record<string, number>,
    ...(waited === undefined ? {} : { waited }),
  };
}

function isPending(value: unknown): value is PendingRefresh {
  if (!isRecord(value) || !isCount(value["startedAt"]) || !isCount(value["swapAt"]) || !isRecord(value["artefacts"])) return false;
  const { snapshot, artefacts } = value;
  return [snapshot, artefacts["index"], artefacts["retrieval"]].every((name) => typeof name === "string" && /^[0-9a-f]{16}$/.test(name));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
