/**
 * Proves the loop: phases in the schedule's order with their own step numbers, hooks in their order, a stop between two steps with the state saved, a loss that is no number refused with the weights
 * untouched, and a loop that is stopped and entered again equal to one that wasn't.
 * Alone: npx vitest run test/training/trainer.test.ts
 */
import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { ops, tensor, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import type { LossTerms } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { fingerprint, newRunState, trainable, type RunState } from "../../src/training/run-state.js";
import type { ScheduledPhase } from "../../src/training/schedule.js";
import { train, type StepRecord, type TrainerHooks } from "../../src/training/trainer.js";

const SCHEDULE: ScheduledPhase[] = [
  { phase: "generator", steps: 3 },
  { phase: "contrastive", steps: 2 },
  { phase: "refresh", steps: 0 },
  { phase: "generator", steps: 2 },
];

/** Two parameters of two numbers each, one a model. */
function freshState(): RunState {
  const make = (name: string): ReturnType<typeof trainable> => {
    const weight = tensor([1, -2], { dtype: "f64" }).setRequiresGrad();
    return trainable(name, [{ name: "all", parameters: new Map([["weight", weight]]), weightDecay: 0 }], { betas: [0.9, 0.99], eps: 1e-8 });
  };
  return newRunState([make("generator"), make("retriever")], fingerprint({ workers: 1, device: "cpu", precision: "f32" }));
}

const weightOf = (state: RunState, model: string): Tensor => state.trainables.get(model)!.parameters.get("weight")!;
const valuesOf = (state: RunState): number[][] => ["generator", "retriever"].map((model) => [...toFloat64Array(weightOf(state, model))]);

/** loss = Σ (w − step)² / 2; `spoil` multiplies the loss. */
function squarePhase(name: string, weight: Tensor, seen: number[], spoil: (step: number) => number): Phase {
  const losses = (step: number): LossTerms => ({
    main: { sum: weight.sub(step).square().sum().mul(spoil(step)), count: 2, weight: 1 },
    none: { sum: 0, count: 0, weight: 5 },
  });
  return {
    name,
    parameters: new Map([["weight", weight]]),
    batch: (step) => step,
    losses: (batch) => losses(batch as number),
    step: (batch) => {
      seen.push(batch as number);
      const { main } = losses(batch as number);
      (main!.sum as Tensor).div(2).backward();
      return { main: { ...main!, sum: (main!.sum as Tensor).item() }, none: { sum: 0, count: 0, weight: 5 } };
    },
    tokens: () => 7,
  };
}

interface World {
  readonly log: string[];
  readonly records: StepRecord[];
  readonly batches: Record<string, number[]>;
  readonly hooks: TrainerHooks;
}

/** Hooks that write down what happens; `stopAt`: the number of steps done at which a stop is asked for. */
function world(options: { stopAt?: number; spoil?: (step: number) => number; clip?: number } = {}): World {
  const log: string[] = [];
  const records: StepRecord[] = [];
  const batches: Record<string, number[]> = { generator: [], contrastive: [] };
  let done = 0;
  const hooks: TrainerHooks = {
    phaseAt: ({ phase, occurrence }, state) => {
      log.push(`enter ${phase} ${occurrence}`);
      const model = phase === "generator" ? "generator" : "retriever";
      const made = squarePhase(phase, weightOf(state, model), batches[phase]!, options.spoil ?? (() => 1));
      return { phase: made, updates: [{ model, rate: (step, steps) => 0.1 * (1 - step / steps), clip: options.clip }] };
    },
    refresh: (state) => {
      log.push("refresh");
      state.progress.artefacts = { index: "new" };
      return Promise.resolve();
    },
    stepped: (record) => {
      log.push(`step ${record.step} ${record.phase}`);
      records.push(record);
      done++;
      return Promise.resolve();
    },
    save: (state) => {
      log.push(`save ${state.progress.step}`);
    },
    phaseEnded: ({ phase }, state) => {
      log.push(`end ${phase} ${state.progress.step}`);
      return Promise.resolve();
    },
    stopRequested: () => done === options.stopAt,
  };
  return { log, records, batches, hooks };
}

describe("the loop", () => {
  it("goes through the schedule: phases, steps, refreshes, phase ends and saves in their order", async () => {
    const { log, batches, hooks } = world();
    const state = freshState();
    expect(await train({ schedule: SCHEDULE, checkpointEvery: 2 }, hooks, state)).toBe("finished");
    expect(log).toEqual([
      ...["enter generator 0", "step 1 generator", "step 2 generator", "save 2", "step 3 generator", "save 3", "end generator 3", "save 3"],
      ...["enter contrastive 0", "step 4 contrastive", "save 4", "step 5 contrastive", "save 5", "end contrastive 5", "save 5"],
      ...["refresh", "save 6", "end refresh 6", "save 6"],
      ...["enter generator 1", "step 7 generator", "step 8 generator", "save 8", "end generator 8", "save 8"],
    ]);
    // A kind of phase goes on counting its batches where it stopped.
    expect(batches).toEqual({ generator: [0, 1, 2, 3, 4], contrastive: [0, 1] });
    expect(state.progress).toMatchObject({ step: 8, artefacts: { index: "new" } });
  });

  it("saves only at a phase's end without a checkpoint interval", async () => {
    const { log, hooks } = world();
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, hooks, freshState());
    expect(log.filter((entry) => entry.startsWith("save"))).toEqual([3, 5, 6, 8].flatMap((step) => [`save ${step}`, `save ${step}`]));
  });

  it("does what follows a phase first where a run died in it, from the state that was saved before", async () => {
    const { log, hooks } = world();
    const state = freshState();
    const saved: { step: number; isPhaseEndDue: boolean }[] = [];
    const dying = {
      ...hooks,
      save: ({ progress }: RunState) => saved.push({ step: progress.step, isPhaseEndDue: progress.isPhaseEndDue }),
      phaseEnded: () => Promise.reject(new Error("killed in the validation")),
    };
    await expect(train({ schedule: SCHEDULE, checkpointEvery: undefined }, dying, state)).rejects.toThrow("killed in the validation");
    expect(saved).toEqual([{ step: 3, isPhaseEndDue: true }]);
    log.length = 0;
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, hooks, state);
    expect(log.slice(0, 4)).toEqual(["end generator 3", "save 3", "enter contrastive 0", "step 4 contrastive"]);
    expect(state.progress).toMatchObject({ step: 8, isPhaseEndDue: false });
  });

  it("asks what must happen between two steps, once more after the last, and makes the phase anew where that changed the artefacts", async () => {
    const { log, batches, hooks } = world();
    const between: TrainerHooks["between"] = (position, { progress }) => {
      log.push(`between ${progress.step} ${position?.phase ?? "end"}`);
      return Promise.resolve(progress.step === 1 || progress.step === 6 ? "changed" : "same");
    };
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, { ...hooks, between }, freshState());
    const seen = log.filter((entry) => /between|enter/.test(entry));
    expect(seen.slice(0, 5)).toEqual([
      "between 0 generator",
      "enter generator 0",
      "between 1 generator",
      "enter generator 0",
      "between 2 generator",
    ]);
    expect(seen.slice(-4)).toEqual(["between 6 generator", "enter generator 1", "between 7 generator", "between 8 end"]);
    // It takes no place in the count: batches and steps are those of a run without it.
    expect(batches).toEqual({ generator: [0, 1, 2, 3, 4], contrastive: [0, 1] });
  });

  it("records loss, terms, rate, norm and tokens of each step", async () => {
    const { records, hooks } = world({ clip: 0.5 });
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, hooks, freshState());
    const [first] = records;
    // w = (1, −2), target 0: loss (1 + 4) / 2, gradient (1, −2), which is clipped but told as it was.
    expect(first).toMatchObject({
      step: 1,
      phase: "generator",
      loss: 2.5,
      terms: { main: 2.5 },
      updates: [{ model: "generator", rate: 0.1 }],
      tokens: 7,
    });
    expect(first!.updates[0]!.gradientNorm).toBeCloseTo(Math.sqrt(5), 12);
    expect(first!.seconds).toBeGreaterThanOrEqual(0);
    expect(records.map(({ updates }) => Number(updates[0]!.rate.toFixed(10)))).toEqual([0.1, 0.08, 0.06, 0.1, 0.05, 0.04, 0.02]);
  });

  it("moves every model that a phase trains by its own rate, clipping and settings, and none of them when one gradient is no number", async () => {
    const both = (spoilt: boolean): Phase => ({
      name: "joint",
      parameters: new Map(),
      batch: (step) => step,
      losses: () => ({}),
      step: () => {
        const [first, second] = ["retriever", "generator"].map((model) => weightOf(state, model));
        first!
          .mul(2)
          .sum()
          .add(second!.mul(spoilt ? Number.NaN : 3).sum())
          .backward();
        return { main: { sum: 1, count: 1, weight: 1 } };
      },
      tokens: () => 1,
    });
    const { records, hooks } = world();
    let state = freshState();
    const updates = [
      { model: "retriever", rate: () => 0.1, clip: undefined },
      { model: "generator", rate: () => 0.01, clip: 1, optimiser: { betas: [0, 0], eps: 1, weightDecay: 2 } as const },
    ];
    const phaseAt =
      (spoilt: boolean): TrainerHooks["phaseAt"] =>
      () => ({ phase: both(spoilt), updates });
    await train({ schedule: [{ phase: "joint", steps: 1 }], checkpointEvery: undefined }, { ...hooks, phaseAt: phaseAt(false) }, state);
    // Adam's first step is as long as the rate; with an eps of 1 and a clipped gradient of √½ it is √½ / (√½ + 1) of it.
    const second = (weight: number): number => Number((weight * (1 - 0.01 * 2) - (0.01 * Math.SQRT1_2) / (Math.SQRT1_2 + 1)).toFixed(6));
    expect(
      valuesOf(state)
        .flat()
        .map((value) => Number(value.toFixed(6))),
    ).toEqual([second(1), second(-2), 0.9, -2.1]);
    expect(records[0]!.updates.map(({ model, rate, gradientNorm }) => [model, rate, Number(gradientNorm.toFixed(6))])).toEqual([
      ["retriever", 0.1, Number((2 * Math.SQRT2).toFixed(6))],
      ["generator", 0.01, Number((3 * Math.SQRT2).toFixed(6))],
    ]);
    state = freshState();
    const spoilt = train(
      { schedule: [{ phase: "joint", steps: 1 }], checkpointEvery: undefined },
      { ...hooks, phaseAt: phaseAt(true) },
      state,
    );
    await expect(spoilt).rejects.toThrow(/phase joint: .*gradient norm of the generator NaN/);
    expect(valuesOf(state)).toEqual([
      [1, -2],
      [1, -2],
    ]);
  });

  it("updates only the model of its phase", async () => {
    const state = freshState();
    const before = valuesOf(state);
    await train({ schedule: [{ phase: "contrastive", steps: 2 }], checkpointEvery: undefined }, world().hooks, state);
    expect(valuesOf(state)[0]).toEqual(before[0]);
    expect(valuesOf(state)[1]).not.toEqual(before[1]);
  });

  it("leaves no tensor behind but the parameters' gradients", async () => {
    const state = freshState();
    const before = liveTensors().tensors;
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, world().hooks, state);
    expect(liveTensors().tensors).toBe(before);
  });

  it("does nothing when the schedule is over, and refuses a phase whose model the state lacks", async () => {
    const state = freshState();
    state.progress.step = 8;
    const { log, hooks } = world();
    expect(await train({ schedule: SCHEDULE, checkpointEvery: 1 }, hooks, state)).toBe("finished");
    expect(log).toEqual([]);
    const lacking = {
      ...hooks,
      phaseAt: async (...given: Parameters<TrainerHooks["phaseAt"]>) => ({
        ...(await hooks.phaseAt(...given)),
        updates: [{ model: "reader", rate: () => 0.1, clip: undefined }],
      }),
    };
    await expect(train({ schedule: SCHEDULE, checkpointEvery: 1 }, lacking, freshState())).rejects.toThrow(
      /trains 'reader', which the state doesn't hold/,
    );
  });
});

describe("cozyrag 34: a stop", () => {
  it("is heard between two steps: the state is saved, nothing more is done", async () => {
    const { log, hooks } = world({ stopAt: 2 });
    const state = freshState();
    expect(await train({ schedule: SCHEDULE, checkpointEvery: undefined }, hooks, state)).toBe("stopped");
    expect(log).toEqual(["enter generator 0", "step 1 generator", "step 2 generator", "save 2"]);
    expect(state.progress.step).toBe(2);
  });

  it("that comes at a phase's end leaves what follows the phase to the resumed run", async () => {
    const [first, second] = [world({ stopAt: 3 }), world()];
    const state = freshState();
    expect(await train({ schedule: SCHEDULE, checkpointEvery: undefined }, first.hooks, state)).toBe("stopped");
    expect(first.log.slice(-2)).toEqual(["step 3 generator", "save 3"]);
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, second.hooks, state);
    expect(second.log.slice(0, 2)).toEqual(["end generator 3", "save 3"]);
  });

  it.each([0, 1, 3, 4, 5, 6])("after %i steps, and going on from there, equals a loop that wasn't stopped", async (stopAt) => {
    const whole = freshState();
    const all = world();
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, all.hooks, whole);
    const state = freshState();
    const [first, second] = [world({ stopAt }), world()];
    expect(await train({ schedule: SCHEDULE, checkpointEvery: undefined }, first.hooks, state)).toBe("stopped");
    expect(await train({ schedule: SCHEDULE, checkpointEvery: undefined }, second.hooks, state)).toBe("finished");
    expect(valuesOf(state)).toEqual(valuesOf(whole));
    const losses = ({ records }: World): number[] => records.map(({ loss }) => loss);
    expect([...losses(first), ...losses(second)]).toEqual(losses(all));
  });

  it("reaches the loop from outside, because it yields after every step", async () => {
    let isStopping = false;
    setImmediate(() => (isStopping = true));
    const { records, hooks } = world();
    const endless: ScheduledPhase[] = [{ phase: "generator", steps: 100_000 }];
    expect(
      await train({ schedule: endless, checkpointEvery: undefined }, { ...hooks, stopRequested: () => isStopping }, freshState()),
    ).toBe("stopped");
    expect(records.length).toBeLessThan(100);
  });
});

describe("a loss or gradient that is no number", () => {
  it.each([NaN, Infinity])("(%s) is refused with step, phase and terms; weights and moments stay as they were", async (broken) => {
    const state = freshState();
    const { log, hooks } = world({ spoil: (step) => (step === 2 ? broken : 1), clip: 1 });
    const twoSteps = freshState();
    await train({ schedule: SCHEDULE, checkpointEvery: undefined }, world({ stopAt: 2, clip: 1 }).hooks, twoSteps);
    const run = train({ schedule: SCHEDULE, checkpointEvery: undefined }, hooks, state);
    await expect(run).rejects.toThrow(UserError);
    await expect(run).rejects.toThrow(
      /step 3, phase generator: the loss or its gradient is no number.*main (NaN|Infinity).*start a new run with a lower learning rate or another seed/,
    );
    expect(valuesOf(state)).toEqual(valuesOf(twoSteps));
    expect(state.trainables.get("generator")!.optimiser.state().get("weight.step")!.item()).toBe(2);
    expect(state.progress.step).toBe(2);
    expect(log.filter((entry) => entry.startsWith("save"))).toEqual([]);
  });

  it("is refused when only the gradient is none", async () => {
    const state = freshState();
    const { hooks } = world();
    const spoiled: TrainerHooks = {
      ...hooks,
      phaseAt: async (...given) => {
        const trained = await hooks.phaseAt(...given);
        const step = (batch: unknown): LossTerms => {
          const terms = trained.phase.step(batch);
          scope(() => noGrad(() => weightOf(state, "generator").setGrad(ops.full([2], NaN, "f64"))));
          return terms;
        };
        return { ...trained, phase: { ...trained.phase, step } };
      },
    };
    const before = valuesOf(state);
    await expect(train({ schedule: SCHEDULE, checkpointEvery: undefined }, spoiled, state)).rejects.toThrow(/gradient norm NaN/);
    expect(valuesOf(state)).toEqual(before);
  });
});
