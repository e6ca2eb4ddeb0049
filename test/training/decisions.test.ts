/**
 * Proves what the schedule decides in a real loop: conditions on averaged losses and on validations, minutes by an injected clock, entries passed over, early stopping with its last refresh; that each decision stands in
 * the state and is told once; and that a loop stopped after any step and taken up from what was saved decides and trains as one that wasn't.
 * Alone: npx vitest run test/training/decisions.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCondition } from "../../src/config/condition.js";
import { tensor, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { holds, measuredText, unmeasuredLosses, type Condition } from "../../src/training/conditions.js";
import { decideStopping, endTraining } from "../../src/training/decisions.js";
import type { Phase } from "../../src/training/phase.js";
import { fingerprint, newProgress, newRunState, trainable, type Progress, type RunState } from "../../src/training/run-state.js";
import { positionAt, type ScheduledPhase } from "../../src/training/schedule.js";
import { train, type TrainerHooks, type TrainerOptions } from "../../src/training/trainer.js";

const condition = (text: string): Condition => ({ text, any: parseCondition(text) });
const told = (state: RunState): string[] => state.progress.transitions.map(({ entry, step, reason }) => `${entry} at ${step}: ${reason}`);

function freshState(): RunState {
  const weight = tensor([4], { dtype: "f64" }).setRequiresGrad();
  const made = trainable("m", [{ name: "all", parameters: new Map([["weight", weight]]), weightDecay: 0 }], {
    betas: [0.9, 0.99],
    eps: 1e-8,
  });
  return newRunState([made], fingerprint({ workers: 1, device: "cpu", precision: "f32" }));
}
const weightOf = (state: RunState): Tensor => state.trainables.get("m")!.parameters.get("weight")!;
const valueOf = (state: RunState): number => toFloat64Array(weightOf(state))[0] ?? NaN;

/** loss = w², term `half` = w² / 2 of weight 0. */
function phaseOf(state: RunState): Phase {
  const weight = weightOf(state);
  return {
    name: "generator",
    parameters: new Map([["weight", weight]]),
    batch: (step) => step,
    losses: () => ({}),
    step: () => {
      const loss = weight.square().sum();
      loss.backward();
      const value = loss.item();
      return { main: { sum: value, count: 1, weight: 1 }, half: { sum: value / 2, count: 1, weight: 0 } };
    },
    tokens: () => 1,
  };
}

interface World {
  readonly log: string[];
  readonly saved: Progress[];
  readonly hooks: TrainerHooks;
}

/** @param scores what validations measure, by global step @param stopAtStep the step after which a stop is asked for */
function world(scores: (step: number) => Record<string, number> = () => ({}), stopAtStep?: number): World {
  const log: string[] = [];
  const saved: Progress[] = [];
  let isStopping = false;
  const validate =
    (kind: string) =>
    ({ phase }: { phase: string }, state: RunState): Promise<void> => {
      log.push(`${kind} ${phase} ${state.progress.step}`);
      Object.assign(state.progress.metrics, scores(state.progress.step));
      return Promise.resolve();
    };
  return {
    log,
    saved,
    hooks: {
      phaseAt: (_, state) => ({ phase: phaseOf(state), updates: [{ model: "m", rate: () => 0.1, clip: undefined }] }),
      refresh: () => {
        log.push("refresh");
        return Promise.resolve();
      },
      stepped: (record) => {
        log.push(`step ${record.step}`);
        isStopping = record.step === stopAtStep;
        return Promise.resolve();
      },
      save: (state) => saved.push(structuredClone(state.progress)),
      phaseEnded: validate("end"),
      validate: validate("validate"),
      left: ({ entry, step }) => log.push(`left ${entry} at ${step}`),
      stopRequested: () => isStopping,
    },
  };
}

async function run(options: Omit<TrainerOptions, "checkpointEvery">, made = world(), state = freshState()): Promise<RunState> {
  await train({ checkpointEvery: undefined, ...options }, made.hooks, state);
  return state;
}

describe("conditions", () => {
  it("are decided by values, and never by what has none", () => {
    const both = condition("em > 0.5 and loss < 1 or recall@1 >= 0.9");
    expect(holds(both, { em: 0.6, loss: 0.9 })).toBe(true);
    expect(holds(both, { em: 0.5, loss: 0.9 })).toBe(false);
    expect(holds(both, { em: 0.6 })).toBe(false);
    expect(holds(both, { "recall@1": 0.9 })).toBe(true);
    expect(holds(condition("em <= 0.5"), {})).toBe(false);
    expect(holds(condition("em < 1"), { em: NaN })).toBe(false);
    expect(measuredText(both, { em: 1 / 3 })).toBe("em 0.3333, loss not measured, recall@1 not measured");
    expect(unmeasuredLosses(condition("loss < 1 or loss/copy < 1"), { loss: 2 })).toEqual(["loss/copy"]);
  });
});

describe("until", () => {
  it("ends a phase once the mean of its last losses says so, not by one step, and the next phase begins anew", async () => {
    const made = world();
    const schedule: ScheduledPhase[] = [
      { phase: "generator", steps: 50, until: condition("loss < 13") },
      { phase: "generator", steps: 3, until: condition("loss/half < 100") },
      { phase: "generator", steps: 2, until: condition("loss < 0") },
    ];
    const state = await run({ schedule, window: 3 }, made);
    // w falls by about 0.1 a step: losses 16, 15.2, 14.4, 13.7, 12.9, 12.2: the first three in a row with a mean below 13 end at step 6.
    expect(told(state)).toEqual([expect.stringMatching(/^0 at 6: loss < 13 holds: loss 12\.9\d$/)]);
    expect(made.log.filter((line) => line.startsWith("left"))).toEqual(["left 0 at 6"]);
    expect(made.log.filter((line) => line.startsWith("end"))).toEqual(["end generator 6", "end generator 9", "end generator 11"]);
    expect(state.progress.step).toBe(11);
  });

  it("that waits for a validation is decided by the one inside the phase", async () => {
    const made = world((step) => ({ em: step / 10 }));
    const schedule: ScheduledPhase[] = [
      { phase: "generator", steps: 20, until: condition("em >= 0.4") },
      { phase: "generator", steps: 1 },
    ];
    const state = await run({ schedule, validateEvery: 2 }, made);
    expect(told(state)).toEqual(["0 at 4: em >= 0.4 holds: em 0.4000"]);
    // The phase ended in its validation, which isn't made twice.
    expect(made.log).toEqual([
      "step 1",
      "step 2",
      "validate generator 2",
      "step 3",
      "step 4",
      "validate generator 4",
      "left 0 at 4",
      "step 5",
      "end generator 5",
    ]);
  });
});

describe("until, after a phase that reached it", () => {
  const scores = (step: number): Record<string, number> => ({ em: 0.5, recall: step });
  const round: ScheduledPhase = { phase: "generator", steps: 9, until: condition("em >= 0.4") };

  it("waits for a validation of its own, also where an entry without one stands between", async () => {
    const schedule: ScheduledPhase[] = [round, { phase: "contrastive", steps: 1 }, round, { phase: "refresh", steps: 1 }, round];
    const state = await run({ schedule, validateEvery: 4 }, world(scores));
    // Validations at 4, 8, 12, …: the second round begins at step 5 and the third at step 9, both with em 0.5 from before.
    expect(told(state)).toEqual([4, 8, 12].map((step, i) => `${2 * i} at ${step}: em >= 0.4 holds: em 0.5000`));
  });

  it("says of a metric of before that it wasn't measured, and `when` still reads it", async () => {
    const both = condition("em > 9 or loss > 0");
    const schedule: ScheduledPhase[] = [
      { phase: "generator", steps: 2 },
      { ...round, until: both, when: condition("em >= 0.4") },
      { phase: "generator", steps: 1, when: condition("em > 0.9") },
    ];
    const state = await run({ schedule }, world(scores));
    expect(told(state)).toEqual([
      expect.stringMatching(/^1 at 3: em > 9 or loss > 0 holds: em not measured, loss \d/),
      "2 at 3: em > 0.9 doesn't hold: em 0.5000",
    ]);
  });
});

describe("when", () => {
  const schedule: ScheduledPhase[] = [
    { phase: "generator", steps: 2 },
    { phase: "generator", steps: 3, when: condition("em < 0.5") },
    { phase: "refresh", steps: 0, when: condition("em < 0.9") },
    { phase: "generator", steps: 1 },
  ];

  it("passes an entry over by the latest validation, and saves that at once", async () => {
    const made = world(() => ({ em: 0.7 }));
    const state = await run({ schedule }, made);
    expect(told(state)).toEqual(["1 at 2: em < 0.5 doesn't hold: em 0.7000"]);
    expect(made.log).toEqual([
      "step 1",
      "step 2",
      "end generator 2",
      "left 1 at 2",
      "refresh",
      "end refresh 3",
      "step 4",
      "end generator 4",
    ]);
    expect(made.saved.some(({ step, transitions }) => step === 2 && transitions.length === 1)).toBe(true);
  });

  it("runs it where it holds, and passes it over where nothing was measured", async () => {
    expect(
      told(
        await run(
          { schedule },
          world(() => ({ em: 0.1 })),
        ),
      ),
    ).toEqual([]);
    expect(told(await run({ schedule }))).toEqual([
      "1 at 2: em < 0.5 doesn't hold: em not measured",
      "2 at 2: em < 0.9 doesn't hold: em not measured",
    ]);
  });
});

describe("minutes", () => {
  /** Each look at the clock is `seconds` later; a step looks twice. */
  const clock = (seconds: number): (() => number) => {
    let time = 0;
    return () => (time += 1000 * seconds);
  };

  it("end a phase after the time in its steps, whichever comes first", async () => {
    const open: ScheduledPhase[] = [{ phase: "generator", steps: Infinity, minutes: 1 }];
    expect(told(await run({ schedule: open, now: clock(10) }))).toEqual(["0 at 6: its 1 min are over"]);
    const both: ScheduledPhase[] = [{ phase: "generator", steps: 4, minutes: 1 }];
    expect(told(await run({ schedule: both, now: clock(10) }))).toEqual([]);
    expect(told(await run({ schedule: both, now: clock(30) }))).toEqual(["0 at 2: its 1 min are over"]);
  });

  it("count over all attempts, and a transition that was taken is repeated whatever the clock says then", async () => {
    const open: ScheduledPhase[] = [
      { phase: "generator", steps: Infinity, minutes: 1 },
      { phase: "generator", steps: 2 },
    ];
    const state = freshState();
    const first = world(undefined, 4);
    expect(await train({ schedule: open, checkpointEvery: undefined, now: clock(10) }, first.hooks, state)).toBe("stopped");
    expect(state.progress.seconds).toBe(40);
    await run({ schedule: open, now: clock(20) }, world(), state);
    expect(told(state)).toEqual(["0 at 5: its 1 min are over"]);
    const again = { ...freshState(), progress: { ...newProgress(), step: 5, transitions: structuredClone(state.progress.transitions) } };
    await run({ schedule: open, now: clock(1e6) }, world(), again);
    expect(told(again)).toEqual(told(state));
    expect(again.progress.step).toBe(7);
  });
});

describe("early stopping", () => {
  const options = { metric: "em", patience: 2, minDelta: 0.05 };
  const after = (values: readonly (number | undefined)[]): (string | undefined)[] => {
    const progress = newProgress();
    return values.map((em) => {
      progress.metrics = em === undefined ? {} : { em };
      return decideStopping(options, progress);
    });
  };

  it("waits for so many validations without a rise that counts", () => {
    expect(after([0.1, 0.2, 0.2, 0.3, 0.31, 0.32])).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      "early stopping: em has been at most 0.3000 for 2 validations",
    ]);
    expect(after([0.5, undefined, undefined, 0.6])).toEqual([undefined, undefined, undefined, undefined]);
    expect(after([0, 0, 0])[2]).toMatch(/at most 0\.000/);
  });

  it("leaves out the rest of training but for a refresh that the retriever needs, and what stands beside it", () => {
    const schedule: ScheduledPhase[] = [
      { phase: "refresh", steps: 1 },
      { phase: "contrastive", steps: 4 },
      { phase: "generator", steps: 2 },
      { phase: "refresh", steps: 1 },
      { phase: "generator", steps: 2 },
      { phase: "refresh", steps: 1 },
      { phase: "closed-book", steps: 2, isBeside: true },
    ];
    const rest = (step: number): string => {
      const progress = { ...newProgress(), step };
      endTraining(schedule, positionAt(schedule, step - 1)!, progress, "enough");
      const phases: string[] = [];
      for (let at = step; ; at++) {
        const place = positionAt(schedule, at, progress.transitions);
        if (place === undefined) return phases.join(" ");
        phases.push(place.phase);
      }
    };
    // In the retriever's phase and at its end: one refresh. After the refresh: none.
    expect(rest(3)).toBe("refresh closed-book closed-book");
    expect(rest(5)).toBe("refresh closed-book closed-book");
    expect(rest(6)).toBe("refresh closed-book closed-book");
    expect(rest(9)).toBe("closed-book closed-book");
    expect(rest(1)).toBe("closed-book closed-book");
  });

  it("keeps the refresh that is sure to be made, not one with a condition that comes before it", () => {
    const sure: ScheduledPhase[] = [
      { phase: "contrastive", steps: 2 },
      { phase: "refresh", steps: 1, when: condition("em > 0.5") },
      { phase: "contrastive", steps: 2 },
      { phase: "refresh", steps: 1 },
    ];
    const leftOut = (schedule: ScheduledPhase[]): number[] =>
      endTraining(schedule, positionAt(schedule, 1)!, { ...newProgress(), step: 2 }, "enough").map(({ entry }) => entry);
    expect(leftOut(sure)).toEqual([1, 2]);
    expect(leftOut(sure.slice(0, 3))).toEqual([2]);
  });
});

describe("a loop that is stopped", () => {
  it("after any step, and taken up from what was saved, decides and trains as one that wasn't", async () => {
    const schedule: ScheduledPhase[] = [
      { phase: "generator", steps: 9, until: condition("loss < 14.5 or em > 5") },
      { phase: "refresh", steps: 1 },
      { phase: "generator", steps: 4, when: condition("em > 5") },
      { phase: "generator", steps: 8, until: condition("em >= 0.9") },
      { phase: "generator", steps: 8, when: condition("em >= 0.9"), until: condition("em >= 1") },
    ];
    const scores = (step: number): Record<string, number> => ({ em: step / 10 });
    const options = { schedule, window: 3, validateEvery: 3, checkpointEvery: 2 };
    const whole = freshState();
    await train(options, world(scores).hooks, whole);
    expect(whole.progress.transitions.map(({ entry }) => entry)).toEqual([0, 2, 3, 4]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: whole.progress.step }), { maxLength: 4 }), async (stops) => {
        const state = freshState();
        for (const stop of [...stops].sort((a, b) => a - b)) {
          await train(options, world(scores, stop).hooks, state);
          // What a process would read again.
          Object.assign(state.progress, JSON.parse(JSON.stringify(state.progress)) as Progress);
        }
        await train(options, world(scores).hooks, state);
        expect(valueOf(state)).toBe(valueOf(whole));
        expect({ ...state.progress, seconds: 0 }).toEqual({ ...whole.progress, seconds: 0 });
      }),
      { numRuns: 30 },
    );
  });
});
