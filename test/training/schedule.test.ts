/**
 * Proves that the schedule is a pure function of the global step and refuses what can't run. Run alone: npx vitest run test/training/schedule.test.ts
 */
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { alternation, positionAt, stepsLeft, totalSteps, validateSchedule, type ScheduledPhase } from "../../src/training/schedule.js";

const KNOWN = ["generator", "contrastive", "refresh"];
const twice = alternation({ rounds: 2, generatorSteps: 3, contrastiveSteps: 2 });

describe("positions", () => {
  it("the default alternates as CoZyRAG does, generator first, and refreshes the index after the retriever", () => {
    expect(twice.map((entry) => entry.phase)).toEqual(["generator", "contrastive", "refresh", "generator", "contrastive", "refresh"]);
    expect(validateSchedule(twice, KNOWN)).toEqual([]);
  });

  it("every global step has one place, a refresh takes one", () => {
    expect(totalSteps(twice)).toBe(12);
    expect(stepsLeft(twice, 0)).toEqual({ generator: 6, contrastive: 4, refresh: 2 });
    for (let done = 0; done <= 12; done += 1)
      expect(Object.values(stepsLeft(twice, done)).reduce((sum, steps) => sum + steps, 0)).toBe(12 - done);
    expect(stepsLeft(twice, 12)).toEqual({});
    const places = Array.from({ length: 12 }, (_, step) => positionAt(twice, step)!);
    expect(places.map((place) => place.phase[0]).join("")).toBe("gggccrgggccr");
    expect(places.map((place) => place.stepInPhase)).toEqual([0, 1, 2, 0, 1, 0, 0, 1, 2, 0, 1, 0]);
    expect(places.map((place) => place.refreshes)).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    expect(positionAt(twice, 12)).toBeUndefined();
  });

  it("a mine takes one place too, is no refresh, and neither ends nor begins a lag of the index", () => {
    const mined: ScheduledPhase[] = [
      { phase: "refresh", steps: 0 },
      { phase: "mine", steps: 0 },
      { phase: "contrastive", steps: 2 },
    ];
    expect(totalSteps(mined)).toBe(4);
    expect(positionAt(mined, 1)).toMatchObject({ phase: "mine", steps: 1, refreshes: 1, stepsOfKind: 1 });
    expect(positionAt(mined, 2)).toMatchObject({ phase: "contrastive", stepOfKind: 0, refreshes: 1 });
    const known = [...KNOWN, "mine"];
    expect(validateSchedule(mined, known)).toHaveLength(1);
    expect(validateSchedule([...mined, { phase: "mine", steps: 1 }], known)).toHaveLength(1);
    expect(validateSchedule([...mined, { phase: "refresh", steps: 0 }, { phase: "mine", steps: 0 }], known)).toEqual([]);
    expect(() => validateSchedule([{ phase: "mine", steps: 2 }], known)).toThrow(/a mine updates nothing.*steps: 0.*steps: 2/);
  });

  it("a phase's own steps go on over its occurrences", () => {
    expect(positionAt(twice, 7)).toMatchObject({
      phase: "generator",
      stepOfKind: 4,
      stepsOfKind: 6,
      occurrence: 1,
      phaseIndex: 3,
      steps: 3,
    });
    expect(positionAt(twice, 9)).toMatchObject({ phase: "contrastive", stepOfKind: 2, stepsOfKind: 4 });
  });

  it("contexts are gold first and retrieved afterwards, unless said otherwise", () => {
    expect([0, 3, 6].map((step) => positionAt(twice, step)!.contexts)).toEqual(["gold", undefined, "retrieved"]);
    const said: ScheduledPhase[] = [
      { phase: "generator", steps: 1, contexts: null },
      { phase: "generator", steps: 1, contexts: "gold" },
    ];
    expect([0, 1].map((step) => positionAt(said, step)!.contexts)).toEqual(["gold", "gold"]);
  });

  it("a step that is no step is a bug", () => {
    expect(() => positionAt(twice, -1)).toThrow(RangeError);
    expect(() => positionAt(twice, 0.5)).toThrow(RangeError);
  });
});

describe("what can't run is refused in one line", () => {
  const refused: [string, ScheduledPhase[], RegExp][] = [
    ["no phases", [], /no phases/],
    ["an unknown phase", [{ phase: "genrator", steps: 1 }], /schedule\[0\].*no such phase.*generator, contrastive, refresh.*"genrator"/],
    ["no steps", [{ phase: "generator", steps: 0 }], /steps is out of range/],
    ["half a step", [{ phase: "contrastive", steps: 1.5 }], /whole number/],
    ["a refresh with updates", [{ phase: "refresh", steps: 5 }], /updates nothing/],
    [
      "retrieved contexts without an index",
      [
        { phase: "generator", steps: 1 },
        { phase: "generator", steps: 1 },
      ],
      /no index was built before/,
    ],
    ["contexts in another phase", [{ phase: "contrastive", steps: 1, contexts: "gold" }], /generator phases only/],
    ["unknown contexts", [{ phase: "generator", steps: 1, contexts: "best" as "gold" }], /gold, retrieved or copying/],
  ];
  for (const [name, schedule, message] of refused) {
    it(name, () => {
      const run = (): string[] => validateSchedule(schedule, KNOWN);
      expect(run).toThrow(UserError);
      expect(run).toThrow(message);
    });
  }

  it("cozyrag 27: a retriever trained after the last refresh is warned about", () => {
    const stale = [...twice, { phase: "contrastive", steps: 4 }];
    expect(validateSchedule(stale, KNOWN)).toEqual([expect.stringMatching(/index lags behind.*add \{phase: refresh/)]);
  });
});

describe("phases in which the reader teaches", () => {
  const known = ["generator", "contrastive", "reader-distillation", "joint", "refresh"];

  it.each(["reader-distillation", "joint"])("%s needs an index before it, takes no contexts, and leaves the index behind", (phase) => {
    expect(() => validateSchedule([{ phase, steps: 3 }], known)).toThrow(/reads what an index finds.*a refresh phase before it/);
    expect(() =>
      validateSchedule(
        [
          { phase: "refresh", steps: 1 },
          { phase, steps: 3, contexts: "gold" },
        ],
        known,
      ),
    ).toThrow(/contexts belongs/);
    expect(
      validateSchedule(
        [
          { phase: "refresh", steps: 1 },
          { phase, steps: 3 },
        ],
        known,
      ),
    ).toEqual([expect.stringMatching(/the index lags behind/)]);
    expect(
      validateSchedule(
        [
          { phase: "refresh", steps: 1 },
          { phase, steps: 3 },
          { phase: "refresh", steps: 1 },
        ],
        known,
      ),
    ).toEqual([]);
  });
});
