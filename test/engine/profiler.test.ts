/**
 * Proves that a span is written when its work has ended, failed or settled, that nothing is written when nobody profiles, and that the native profiler refuses to be started or stopped twice instead of ending the
 * process. Alone: npx vitest run test/engine/profiler.test.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { native } from "../../src/engine/native.js";
import { profiledStep, span, startProfiling, stopProfiling, type TraceEvent } from "../../src/engine/profiler.js";
import { ops } from "../../src/engine/tensor.js";
import { scope } from "../../src/engine/scope.js";

afterEach(stopProfiling);

function recorded(): TraceEvent[] {
  const events: TraceEvent[] = [];
  startProfiling((event) => events.push(event));
  return events;
}

describe("a span", () => {
  it("gives back what its work gives, and costs nothing to write when nobody profiles", () => {
    expect(span("a", () => 7)).toBe(7);
    const events = recorded();
    stopProfiling();
    expect(span("b", () => 8)).toBe(8);
    expect(events).toEqual([]);
  });

  it("ends when its work throws", () => {
    const events = recorded();
    const fail = (): never => {
      throw new RangeError("no");
    };
    expect(() => span("outer", () => span("inner", fail))).toThrow(RangeError);
    expect(events.map(({ name }) => name)).toEqual(["inner", "outer"]);
  });

  it("lasts until a promise has settled", async () => {
    const events = recorded();
    await span("slow", () => sleep(30));
    await expect(span("failing", () => Promise.reject(new RangeError("no")))).rejects.toThrow(RangeError);
    expect(events.map(({ name }) => name)).toEqual(["slow", "failing"]);
    expect(events[0]?.duration).toBeGreaterThan(25_000);
  });

  it("of a profiled step holds the operators that ran, on this thread", () => {
    const events = recorded();
    for (let i = 0; i < 7; i++)
      profiledStep("sum", () =>
        scope(() =>
          ops
            .ones([3, 3])
            .mm(ops.ones([3, 3]))
            .sum()
            .item(),
        ),
      );
    const products = events.filter(({ name }) => name === "aten::mm");
    expect(products).toHaveLength(3);
    const steps = events.filter(({ name }) => name === "step (sum)");
    expect(steps).toHaveLength(7);
    expect(new Set(events.map(({ thread }) => thread)).size).toBe(1);
    for (const { start } of products) expect(Math.abs(start - 1000 * performance.now())).toBeLessThan(60e6);
  });
});

describe("the native profiler", () => {
  it.each([-1, 0.5, NaN, 1e14])("refuses %d as the origin of its times", (origin) => {
    expect(() => native().stopProfiler(origin)).toThrow(/whole milliseconds since 1970/);
  });

  it("can't be stopped when it doesn't run, nor started twice", () => {
    expect(() => native().stopProfiler(0)).toThrow(/doesn't run/);
    native().startProfiler();
    expect(() => native().startProfiler()).toThrow(/runs already/);
    expect(native().stopProfiler(0).names).toEqual([]);
    expect(() => native().stopProfiler(0)).toThrow(/doesn't run/);
  });
});
