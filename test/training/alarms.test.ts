/**
 * Proves: which figures ring at which bounds, that no number rings too, which action wins; the spike's distance on a worked example and its window's course.
 * Alone: npx vitest run test/training/alarms.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alarmError, alarmLine, ringing, type AlarmRule } from "../../src/training/alarms.js";
import { remembered, spikeOf, type LossWindow } from "../../src/training/loss-spike.js";

const rules: Record<string, AlarmRule> = {
  rank: { below: 1.5, action: "stop" },
  hubness: { above: 0.8, action: "warn" },
  repetition: { above: null, action: "stop" },
  entropy: { above: 0.9, action: "roll_back" },
};

describe("alarms", () => {
  it("ring beyond their bounds only; a figure without a rule, without a bound or not measured doesn't", () => {
    expect(ringing(rules, { rank: 1.5, hubness: 0.8, repetition: 9, other: 7, entropy: undefined })).toEqual([]);
    expect(ringing(rules, { rank: 1.4, hubness: 0.81 })).toEqual([
      { name: "rank", value: 1.4, side: "below", bound: 1.5, action: "stop" },
      { name: "hubness", value: 0.81, side: "above", bound: 0.8, action: "warn" },
    ]);
  });

  it("ring at a figure that is no number", () => {
    expect(ringing(rules, { rank: NaN, hubness: NaN }).map(({ name }) => name)).toEqual(["rank", "hubness"]);
  });

  it("say which key sets the bound", () => {
    expect(ringing(rules, { hubness: 0.93333 }).map(alarmLine)).toEqual([
      "alarm: hubness is 0.9333, above 0.8 (train.alarms.hubness.above)",
    ]);
    expect(alarmError(3, "joint", ringing(rules, { rank: 1 }))?.message).toContain(
      "set train.alarms in the run's config.yaml, then tandem train --resume",
    );
  });

  it("show as many digits as tell the figure from its bound", () => {
    const line = (name: string, side: "above" | "below", bound: number, value: number): string =>
      alarmLine(ringing({ [name]: { [side]: bound, action: "warn" } }, { [name]: value })[0]!);
    expect(line("entropy", "above", 0.9999, 0.99990012)).toContain("entropy is 0.9999001, above 0.9999 ");
    expect(line("rank", "below", 1.5, 1.49999)).toContain("rank is 1.49999, below 1.5 ");
    expect(line("rank", "below", 1.5, 1.2345678)).toContain("rank is 1.235, below 1.5 ");
    expect(line("rank", "below", 1.5, NaN)).toContain("rank is NaN, below 1.5 ");
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), fc.double({ noNaN: true, min: -1e6, max: 1e6 }), (bound, value) => {
        fc.pre(value > bound);
        const [, shown] = / is (\S+), above/.exec(line("hubness", "above", bound, value))!;
        expect(Number(shown)).toBeGreaterThan(bound);
      }),
    );
  });

  it("act by the strongest action, and not at all if all of them warn", () => {
    expect(alarmError(3, "joint", ringing(rules, { hubness: 1 }))).toBeUndefined();
    expect(alarmError(3, "joint", ringing(rules, { hubness: 1, entropy: 1 }))).toMatchObject({
      action: "roll_back",
      alarms: ["entropy"],
      step: 3,
    });
    expect(alarmError(3, "joint", ringing(rules, { rank: 1, entropy: 1 }))).toMatchObject({ action: "stop", alarms: ["rank", "entropy"] });
  });
});

describe("a loss spike", () => {
  const window: LossWindow = { phaseIndex: 2, losses: [1, 2, 3, 4, 100] };

  it("is measured from the median in robust standard deviations", () => {
    // Median 3, distances 2, 1, 0, 1, 97: their median is 1.
    expect(spikeOf(window, 2, 10, 5)).toBeCloseTo(7 / 1.4826, 12);
    expect(spikeOf(window, 2, 1, 5)).toBeCloseTo(-2 / 1.4826, 12);
    // Equal losses: a thousandth of their size counts as one deviation.
    expect(spikeOf({ phaseIndex: 0, losses: [2, 2, 2, 2] }, 0, 2.02, 4)).toBeCloseTo(10, 9);
  });

  it("isn't measured before the window is full, nor against another phase's losses", () => {
    expect(spikeOf(undefined, 0, 5, 5)).toBeUndefined();
    expect(spikeOf(window, 3, 10, 5)).toBeUndefined();
    expect(spikeOf(window, 2, 10, 6)).toBeUndefined();
  });

  it("remembers the latest losses of one phase, and any loss survives a checkpoint's JSON", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 10 }),
        (losses, length) => {
          let kept: LossWindow | undefined = { phaseIndex: 0, losses: [5, 5] };
          for (const loss of losses) kept = remembered(kept, 1, loss, length);
          expect(kept).toEqual({ phaseIndex: 1, losses: losses.slice(-length) });
          expect(JSON.parse(JSON.stringify(kept))).toEqual(kept);
        },
      ),
    );
  });
});
