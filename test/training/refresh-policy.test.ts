/**
 * Proves when an index is due and when a new one takes the old one's place: each limit alone, at its edge, never while one is under way, never more often than allowed; and that what a checkpoint holds of it comes back, or is refused.
 * Alone: npx vitest run test/training/refresh-policy.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isRefreshDue,
  newUpkeep,
  readUpkeep,
  swapStep,
  whyDue,
  type RefreshPolicy,
  type Upkeep,
} from "../../src/training/refresh-policy.js";

const NONE: RefreshPolicy = {
  onDrift: { cosineBelow: null, overlapBelow: null, regretAbove: null },
  atLeastEvery: null,
  atMostEvery: null,
};
const onDrift = (limits: Partial<RefreshPolicy["onDrift"]>, rest: Partial<RefreshPolicy> = {}): RefreshPolicy => ({
  ...NONE,
  ...rest,
  onDrift: { ...NONE.onDrift, ...limits },
});
const since = (refreshedAt: number): Upkeep => ({ ...newUpkeep(), refreshedAt });
const PENDING = { startedAt: 3, swapAt: 9, snapshot: "a".repeat(16), artefacts: { index: "b".repeat(16), retrieval: "0".repeat(16) } };

describe("an index is due", () => {
  it.each([
    ["cosine", { cosineBelow: 0.9 }, "drift/cosine", 0.9, 0.89],
    ["overlap", { overlapBelow: 0.5 }, "drift/overlap", 0.5, 0.49],
    ["regret", { regretAbove: 0.1 }, "drift/regret", 0.1, 0.11],
  ] as const)("beyond its limit of %s and not at it, and not where it wasn't measured", (_, limits, name, at, beyond) => {
    expect(isRefreshDue(onDrift(limits), since(0), 5, { [name]: at })).toBe(false);
    expect(isRefreshDue(onDrift(limits), since(0), 5, { [name]: beyond })).toBe(true);
    expect(isRefreshDue(onDrift(limits), since(0), 5, {})).toBe(false);
    expect(isRefreshDue(NONE, since(0), 5, { [name]: beyond })).toBe(false);
  });

  it("by age alone, from the step on that at_least_every says", () => {
    const policy = { ...NONE, atLeastEvery: 4 };
    expect([7, 8, 9, 10].map((step) => isRefreshDue(policy, since(5), step, {}))).toEqual([false, false, true, true]);
  });

  it("not before at_most_every steps, whatever has drifted, and never while one is under way", () => {
    const policy = onDrift({ cosineBelow: 1 }, { atMostEvery: 3 });
    expect([5, 7, 8].map((step) => isRefreshDue(policy, since(5), step, { "drift/cosine": 0 }))).toEqual([false, false, true]);
    expect(isRefreshDue(policy, { refreshedAt: 0, pending: PENDING }, 99, { "drift/cosine": 0 })).toBe(false);
  });

  it("no more often when limits are stricter", () => {
    const unit = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(unit, unit, unit, fc.nat(50), (limit, stricter, measured, step) => {
        const due = (cosineBelow: number): boolean => isRefreshDue(onDrift({ cosineBelow }), since(0), step, { "drift/cosine": measured });
        expect(due(Math.min(limit, stricter)) && !due(Math.max(limit, stricter))).toBe(false);
      }),
    );
  });
});

describe("what made it due", () => {
  it("is named with its figure and its limit, age with the steps, and nothing else", () => {
    const policy = onDrift({ cosineBelow: 0.9, overlapBelow: 0.5, regretAbove: 0.1 }, { atLeastEvery: 4 });
    const measured = { "drift/cosine": 0.812_345, "drift/overlap": 0.7, "drift/regret": 0.2, "drift/age": 3 };
    expect(whyDue(policy, since(5), 8, measured)).toBe("drift/cosine 0.8123 is below 0.9, drift/regret 0.2 is above 0.1");
    expect(whyDue(policy, since(5), 9, {})).toBe("the index is 4 steps old");
  });
});

describe("the swap", () => {
  it("comes so many steps after the start, whatever else", () => {
    expect(swapStep(5, true, 10, 100)).toBe(15);
  });

  it("is none for a first index, without swap_after, and where no step would follow it", () => {
    expect(swapStep(5, false, 10, 100)).toBeUndefined();
    expect(swapStep(undefined, true, 10, 100)).toBeUndefined();
    expect([15, 16].map((end) => swapStep(5, true, 10, end))).toEqual([undefined, 15]);
  });
});

describe("what a checkpoint holds of it", () => {
  const whole: Upkeep = { refreshedAt: 3, isDue: true, pending: PENDING, measured: { "drift/cosine": 0.5 } };

  it("comes back through JSON, and is new where an older version left it out", () => {
    expect(readUpkeep(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
    expect(readUpkeep(JSON.parse(JSON.stringify(newUpkeep())))).toEqual(newUpkeep());
    expect(readUpkeep({ ...whole, waited: 1.5 })).toEqual({ ...whole, waited: 1.5 });
    expect(readUpkeep(undefined)).toEqual(newUpkeep());
  });

  it.each([
    ["null", null],
    ["a list", []],
    ["a text", "due"],
    ["nothing in it", {}],
    ["a negative step", { ...whole, refreshedAt: -1 }],
    ["half a step", { ...whole, refreshedAt: 0.5 }],
    ["a word for a flag", { ...whole, isDue: "yes" }],
    ["figures that are none", { ...whole, measured: { "drift/cosine": null } }],
    ["a list of figures", { ...whole, measured: [1] }],
    ["a wait that is no number", { ...whole, waited: "long" }],
    ["an index under way without a snapshot", { ...whole, pending: { ...PENDING, snapshot: undefined } }],
    ["a snapshot elsewhere", { ...whole, pending: { ...PENDING, snapshot: "../../etc" } }],
    ["an index that is no name", { ...whole, pending: { ...PENDING, artefacts: { index: "x", retrieval: "0".repeat(16) } } }],
    ["an index under way that is null", { ...whole, pending: null }],
  ])("%s is refused", (_, value) => {
    expect(readUpkeep(value)).toBeUndefined();
  });
});
