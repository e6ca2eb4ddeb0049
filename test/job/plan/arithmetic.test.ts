/**
 * Proves the arithmetic of a plan on numbers that can be worked out by hand: a ring's sum, what of it a backward pass hides, a step between two that were measured, the work that a schedule makes, and which limit is met first.
 * Alone: npx vitest run test/job/plan/arithmetic.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allReduceSeconds, stepTraffic } from "../../../src/job/plan/all-reduce.js";
import { slowestShare } from "../../../src/job/plan/forecast-time.js";
import { firstOfGrowing, limitForecast, nearestLimit } from "../../../src/job/plan/limits.js";
import { linkOf } from "../../../src/job/plan/measure-link.js";
import { scheduleWork, type WorkedEntry } from "../../../src/job/plan/schedule-work.js";
import { quicker, stepSeconds, type StepCost } from "../../../src/job/plan/step-times.js";

const LINK = { bytesPerSecond: 1e9, latency: 1e-4 };

describe("a ring's sum", () => {
  it("is 2(N−1)/N of the bytes and 2(N−1) messages", () => {
    expect(allReduceSeconds(8e6, 4, LINK)).toBeCloseTo((2 * 3 * 8e6) / 4 / 1e9 + 6 * 1e-4, 12);
    expect(allReduceSeconds(8e6, 1, LINK)).toBe(0);
    // 100 MB are four buckets: each has its messages.
    expect(allReduceSeconds(100 * 2 ** 20, 2, LINK)).toBeCloseTo((100 * 2 ** 20) / 1e9 + 4 * 2 * 1e-4, 12);
  });

  it("gives back the link that its two measurements were made with", () => {
    const bytes = 25 * 2 ** 20;
    const small = 2 * LINK.latency;
    const { bytesPerSecond, latency } = linkOf({ small, large: allReduceSeconds(bytes, 2, LINK), bytes });
    expect(bytesPerSecond).toBeCloseTo(1e9, -3);
    expect(latency).toBeCloseTo(1e-4, 12);
  });

  it("is hidden behind two thirds of the step's arithmetic, messages never", () => {
    const sent = { messages: 10, rowBytes: 0, gradientBytes: 8e6, weightBytes: 0 };
    const summed = allReduceSeconds(8e6, 4, LINK);
    const waiting = 10 * 3 * 1e-4;
    expect(stepTraffic(sent, { link: LINK, workers: 4, compute: 1 })).toEqual({ hidden: waiting, exposed: waiting + summed });
    expect(stepTraffic(sent, { link: LINK, workers: 4, compute: 0.006 }).hidden).toBeCloseTo(waiting + summed - 0.004, 12);
    expect(stepTraffic(sent, { link: LINK, workers: 1, compute: 1 })).toEqual({ hidden: 0, exposed: 0 });
  });

  it("is never quicker exposed than hidden, and never quicker with more bytes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.nat(1e9),
        fc.nat(1e9),
        fc.double({ min: 0, max: 10, noNaN: true }),
        (workers, bytes, more, compute) => {
          const of = (gradientBytes: number) =>
            stepTraffic({ messages: 4, rowBytes: 100, gradientBytes, weightBytes: 0 }, { link: LINK, workers, compute });
          expect(of(bytes).exposed).toBeGreaterThanOrEqual(of(bytes).hidden);
          expect(of(bytes + more).hidden).toBeGreaterThanOrEqual(of(bytes).hidden);
        },
      ),
    );
  });
});

describe("a step", () => {
  const costs = new Map([
    [1, { seconds: 10 }],
    [4, { seconds: 4 }],
    [16, { seconds: 2 }],
  ]);

  it("is what was measured, in a line over the share between, and no quicker than the last beyond", () => {
    expect([1, 4, 16].map((workers) => stepSeconds(costs, workers))).toEqual([10, 4, 2]);
    expect(stepSeconds(costs, 2)).toBeCloseTo(4 + (6 * (0.5 - 0.25)) / 0.75, 12);
    expect(stepSeconds(costs, 64)).toBe(2);
  });

  it("counts the quicker of two measurements of the same steps", () => {
    const cost = (times: number[], peakBytes: number): StepCost => ({
      times,
      seconds: 0,
      peakBytes,
      messages: 0,
      rowBytes: 0,
      gradientBytes: 0,
    });
    expect(quicker(cost([3, 1, 5, 9], 7), cost([1, 2, 5], 8))).toMatchObject({ times: [1, 1, 5], seconds: 7 / 3, peakBytes: 8 });
  });
});

const entry = (phase: string, change: Partial<WorkedEntry> = {}): WorkedEntry => ({
  phase,
  trainsRetriever: phase === "contrastive",
  validations: 1,
  checkpoints: 1,
  mines: phase === "contrastive",
  ...change,
});
const RUN = { keepLast: 2, keepsBest: true, hasBaseRow: true, hasTrainedRow: true, isFixed: false };

it.each([
  [100, 10, 1, 1],
  [100, 10, 4, 0.3],
  [95, 10, 4, 30 / 95],
  // What fits into one batch is one worker's.
  [64, 64, 8, 1],
  [5, 64, 2, 1],
  [0, 64, 2, 0],
])("of %i questions in batches of %i, the slowest of %i workers answers %d", (questions, batch, workers, share) => {
  expect(slowestShare(questions, batch, workers)).toBeCloseTo(share, 12);
});

describe("the work of a schedule", () => {
  it("is the quickstart's: an index for each retriever, though each is looked at more than once", () => {
    const schedule = ["generator", "refresh", "contrastive", "refresh", "generator", "contrastive", "refresh"].map((phase) => entry(phase));
    const closedBook = entry("closed-book", { validations: 0 });
    expect(scheduleWork([...schedule, closedBook], RUN)).toEqual({
      // As it begins, after the first contrastive phase, after the second.
      indexes: 3,
      searches: 3,
      validations: 7,
      mines: 2,
      checkpoints: 8,
      mostIndexes: 3,
      mostSearches: 3,
      mostCheckpoints: 4,
      lastIndexes: 3,
      lastCheckpoints: 3,
    });
  });

  it("has no more checkpoints than are made, one index where passages stay, and none without a refresh and rows that search", () => {
    const one = scheduleWork([entry("generator", { validations: 0 })], { ...RUN, hasBaseRow: false, hasTrainedRow: false });
    expect(one).toMatchObject({ indexes: 0, searches: 0, mostCheckpoints: 1, lastCheckpoints: 1, mostIndexes: 0 });
    const trained = entry("reader-distillation", { trainsRetriever: true });
    const fixed = scheduleWork([entry("refresh"), trained, trained], { ...RUN, isFixed: true });
    expect(fixed).toMatchObject({ indexes: 1, mostIndexes: 1, searches: 1 });
  });

  it("makes an index for each validation inside a phase that trains the retriever", () => {
    expect(scheduleWork([entry("refresh"), entry("contrastive", { validations: 5, checkpoints: 5 })], RUN)).toMatchObject({
      indexes: 6,
      validations: 6,
    });
  });
});

describe("limits", () => {
  const grows = limitForecast({ name: "disk", unit: "bytes", limit: 1000 }, 50, (passages) => 100 + 3 * passages);
  const stands = limitForecast({ name: "time", unit: "seconds", limit: 10 }, 50, () => 9);
  const over = limitForecast({ name: "memory", unit: "bytes", limit: 10 }, 50, (passages) => 11 + passages);

  it("say at how many passages they are reached", () => {
    expect(grows).toMatchObject({ need: 250, passages: 300 });
    expect(stands).toMatchObject({ need: 9, passages: null });
    expect(over).toMatchObject({ need: 61, passages: 0 });
  });

  it("are told by how far they are passed, or how near", () => {
    expect(nearestLimit([grows, stands]).name).toBe("time");
    expect(nearestLimit([grows, stands, over]).name).toBe("memory");
    expect(firstOfGrowing([grows, stands])?.name).toBe("disk");
  });

  it("find the number of passages for any line", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 2, max: 1e6 }),
        (fixed, each, wanted) => {
          const limit = fixed + each * wanted;
          const { passages } = limitForecast({ name: "disk", unit: "bytes", limit }, 1, (count) => fixed + each * count);
          expect(Math.abs((passages ?? NaN) / wanted - 1)).toBeLessThan(0.001 + 1 / wanted);
        },
      ),
    );
  });
});
