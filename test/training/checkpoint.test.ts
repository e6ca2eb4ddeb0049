/**
 * Proves that a checkpoint holds a run's whole state bit for bit, that every kind of damage is refused in one line, that an unfinished folder is never taken for a checkpoint, and what retention keeps.
 * Alone: npx vitest run test/training/checkpoint.test.ts
 */
import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { ops, tensor, type Tensor } from "../../src/engine/tensor.js";
import {
  CHECKPOINT_FORMAT,
  checkpointArtefacts,
  checkpointPending,
  listCheckpoints,
  loadCheckpoint,
  retainCheckpoints,
  saveCheckpoint,
} from "../../src/training/checkpoint.js";
import { fingerprint, newProgress, newRunState, trainable, type RunState, type Trainable } from "../../src/training/run-state.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";

const OPTIONS = { betas: [0.9, 0.99], eps: 1e-8 } as const;
const HERE = fingerprint({ workers: 1, device: "cpu", precision: "f32" });

function model(name: string, seed: number, width = 3): Trainable {
  const values = Float32Array.from({ length: 2 * width }, (_, i) => Math.sin(seed + i));
  const parameters = new Map<string, Tensor>([
    ["weight", tensor(values, { shape: [2, width] }).setRequiresGrad()],
    ["bias", tensor([seed, -seed]).setRequiresGrad()],
  ]);
  return trainable(name, [{ name: "all", parameters, weightDecay: 0.1 }], OPTIONS);
}

const stateOf = (seed: number, ...names: string[]): RunState =>
  newRunState(
    names.map((name, i) => model(name, seed + i)),
    HERE,
  );

/** Trains every model a few steps with gradients that depend on `seed`. */
function train(state: RunState, steps: number, seed: number): void {
  for (let step = 0; step < steps; step++)
    scope(() => {
      for (const { parameters, optimiser } of state.trainables.values()) {
        for (const parameter of parameters.values()) parameter.setGrad(noGrad(() => parameter.mul(seed + step).sin()));
        optimiser.step(0.01);
      }
      state.progress.step++;
    });
}

/** Everything that a checkpoint must hold, as bytes. */
const contentOf = ({ progress, trainables }: RunState): unknown => ({
  progress: structuredClone(progress),
  tensors: [...trainables.values()].flatMap(({ name, parameters, optimiser }) =>
    [...parameters, ...optimiser.state()].map(([key, entry]) => [name, key, [...entry.toBytes()]]),
  ),
});

describe("cozyrag 33: a checkpoint", () => {
  it("that is complete keeps its tensors when its step is saved again, and gets the new progress in one rename", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "model");
    state.progress.isPhaseEndDue = true;
    const saved = saveCheckpoint(folder, state);
    const before = statSync(path.join(saved, "model.safetensors")).ino;
    state.progress.isPhaseEndDue = false;
    state.progress.best = { metric: "em", value: 0.5, step: 0 };
    expect(saveCheckpoint(folder, state)).toBe(saved);
    expect(statSync(path.join(saved, "model.safetensors")).ino).toBe(before);
    expect(namesIn(saved)).toEqual(["model.optimiser.safetensors", "model.safetensors", "state.json"]);
    const other = stateOf(5, "model");
    loadCheckpoint(saved, other);
    expect(contentOf(other)).toEqual(contentOf(state));
  });

  it("holds an index under way, and a state without its upkeep is one of an older version", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "model");
    const artefacts = { index: "a".repeat(16), retrieval: "b".repeat(16) };
    const pending = { startedAt: 2, swapAt: 7, snapshot: "c".repeat(16), artefacts };
    state.progress.upkeep = { refreshedAt: 1, isDue: true, pending, measured: { "drift/cosine": 0.25 } };
    const saved = saveCheckpoint(folder, state);
    const other = stateOf(5, "model");
    loadCheckpoint(saved, other);
    expect(other.progress).toEqual(state.progress);
    expect(checkpointPending(saved)).toEqual(pending);
    const file = path.join(saved, "state.json");
    const { upkeep, ...older } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify(older));
    loadCheckpoint(saved, other);
    expect(other.progress.upkeep).toEqual({ refreshedAt: 0, isDue: false, pending: undefined, measured: {} });
    expect(checkpointPending(saved)).toBeUndefined();
    writeFileSync(file, JSON.stringify({ ...older, upkeep: { ...(upkeep as object), isDue: "perhaps" } }));
    expect(faultOf(() => loadCheckpoint(saved, other))).toMatch(
      /state\.json: its upkeep of the index is no state; remove the checkpoint's folder/,
    );
  });

  it("gives the whole state back bit for bit, and training goes on as if never stopped", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "retriever", "generator");
    train(state, 3, 1);
    state.progress.artefacts = { index: "a".repeat(16), retrieval: "b".repeat(16) };
    state.progress.best = { metric: "f1", value: 1 / 3, step: 2 };
    state.progress.losses = { phaseIndex: 2, losses: [0.1, 1 / 3] };
    state.progress.rollBacks = [{ at: 9, to: 2, rate: 0.5 }];
    const saved = saveCheckpoint(folder, state);
    const content = contentOf(state);
    expect(path.basename(saved)).toBe("step-00000003");
    const other = stateOf(50, "retriever", "generator");
    train(other, 1, 9);
    expect(loadCheckpoint(saved, other)).toEqual(HERE);
    expect(contentOf(other)).toEqual(content);
    train(state, 4, 2);
    train(other, 4, 2);
    expect(contentOf(other)).toEqual(contentOf(state));
    expect(checkpointArtefacts(saved)).toEqual({ index: "a".repeat(16), retrieval: "b".repeat(16) });
  });

  it("keeps what the schedule decided, and of format 1, which decided nothing, is read as that", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "m");
    Object.assign(state.progress, {
      transitions: [{ entry: 1, step: 7, reason: "loss < 1 holds" }],
      metrics: { em: 1 / 3, loss: 0.1, drift: NaN },
      earlier: { f1: 0.2, drift: Infinity },
      recent: [{ loss: 0.1, terms: { answer: 0.1 } }],
      seconds: 12.5,
      isValidationDue: true,
      improvement: { best: 1 / 3, waited: 2 },
    });
    const saved = saveCheckpoint(folder, state);
    const other = stateOf(2, "m");
    loadCheckpoint(saved, other);
    expect(other.progress).toEqual({ ...state.progress, metrics: { em: 1 / 3, loss: 0.1 }, earlier: { f1: 0.2 } });
    const file = path.join(saved, "state.json");
    const { step, artefacts, models, fingerprint: own } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ format: 1, step, artefacts, best: null, isPhaseEndDue: true, models, fingerprint: own }));
    loadCheckpoint(saved, other);
    expect(other.progress).toEqual({ ...newProgress(), isPhaseEndDue: true });
  });

  it("says that there is no best yet when there is none", () => {
    const folder = temporaryFolder();
    const saved = saveCheckpoint(folder, stateOf(1, "m"));
    const other = stateOf(2, "m");
    other.progress.best = { metric: "f1", value: 1, step: 1 };
    loadCheckpoint(saved, other);
    expect(other.progress).toEqual(newProgress());
  });

  it("is written beside and renamed: nothing else stands in the folder", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "m");
    const saved = saveCheckpoint(folder, state);
    expect(namesIn(folder)).toEqual(["step-00000000"]);
    expect(namesIn(saved)).toEqual(["m.optimiser.safetensors", "m.safetensors", "state.json"]);
    const other = stateOf(5, "m");
    loadCheckpoint(saved, other);
    expect(contentOf(other)).toEqual(contentOf(state));
  });

  it("leaves no tensor behind, saving or loading", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "m");
    const before = liveTensors();
    loadCheckpoint(saveCheckpoint(folder, state), state);
    expect(liveTensors()).toEqual(before);
  });
});

describe("a damaged or foreign checkpoint", () => {
  /** Saves a sound checkpoint, spoils it, and gives the line that loading refuses it with. */
  function refusalOf(spoil: (saved: string) => void, into: RunState = stateOf(1, "m")): string {
    const state = stateOf(1, "m");
    const saved = saveCheckpoint(temporaryFolder(), state);
    spoil(saved);
    return faultOf(() => loadCheckpoint(saved, into));
  }
  const editState = (change: Record<string, unknown>) => (saved: string) => {
    const file = path.join(saved, "state.json");
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), ...change }));
  };

  it("of another format version is refused, naming both", () => {
    const line = refusalOf(editState({ format: CHECKPOINT_FORMAT + 1 }));
    expect(line).toContain(
      `has another format version; expected 1 to ${CHECKPOINT_FORMAT}, got ${CHECKPOINT_FORMAT + 1}; resume with the version that wrote it`,
    );
  });

  it("of other models is refused, naming them", () => {
    expect(refusalOf(() => undefined, stateOf(1, "m", "n"))).toMatch(/holds other models than this run trains; expected m, n, got m/);
    expect(refusalOf(() => undefined, stateOf(1, "n"))).toMatch(/expected n, got m/);
  });

  it("of another shape is refused, naming file, tensor and both shapes", () => {
    const wider = newRunState([model("m", 1, 4)], HERE);
    expect(refusalOf(() => undefined, wider)).toMatch(
      /m\.safetensors: tensor 'weight' does not fit this model; expected F32\[2,4\], got F32\[2,3\]/,
    );
  });

  it.each<[string, (saved: string) => void]>([
    ["weights that are gone", (saved) => rmSync(path.join(saved, "m.safetensors"))],
    ["moments that are gone", (saved) => rmSync(path.join(saved, "m.optimiser.safetensors"))],
    ["weights cut short", (saved) => truncateSync(path.join(saved, "m.safetensors"), 100)],
    [
      "moments cut by a byte",
      (saved) =>
        truncateSync(path.join(saved, "m.optimiser.safetensors"), readFileSync(path.join(saved, "m.optimiser.safetensors")).length - 1),
    ],
    ["empty weights", (saved) => truncateSync(path.join(saved, "m.safetensors"), 0)],
    ["no state.json", (saved) => rmSync(path.join(saved, "state.json"))],
    ["a state.json cut short", (saved) => truncateSync(path.join(saved, "state.json"), 30)],
    ["a state.json that is null", (saved) => writeFileSync(path.join(saved, "state.json"), "null")],
    ["a state without a step", editState({ step: undefined })],
    ["a state with half a step", editState({ step: 1.5 })],
    ["a state without models", editState({ models: undefined })],
    ["a state without a fingerprint", editState({ fingerprint: undefined })],
    ["a state without transitions", editState({ transitions: undefined })],
    ["a transition without a reason", editState({ transitions: [{ entry: 0, step: 1 }] })],
    ["a transition that is null", editState({ transitions: [null] })],
    ["a transition of half an entry", editState({ transitions: [{ entry: 0.5, step: 1, reason: "x" }] })],
    ["metrics that are words", editState({ metrics: { em: "high" } })],
    ["metrics that are none", editState({ metrics: null })],
    ["earlier metrics that are words", editState({ earlier: { em: "high" } })],
    ["losses that are none", editState({ recent: [null] })],
    ["losses without terms", editState({ recent: [{ loss: 1, terms: null }] })],
    ["time that runs backwards", editState({ seconds: -1 })],
  ])("with %s is refused in one line that names the file", (_, spoil) => {
    expect(refusalOf(spoil)).toMatch(/step-00000000\/(state\.json|m\.safetensors|m\.optimiser\.safetensors)/);
  });

  it("that lacks one tensor is refused", () => {
    const more = stateOf(1, "m");
    const saved = saveCheckpoint(temporaryFolder(), more);
    const wanting = trainable(
      "m",
      [{ name: "all", parameters: new Map([...more.trainables.get("m")!.parameters, ["extra", ops.zeros([1])]]), weightDecay: 0 }],
      OPTIONS,
    );
    expect(faultOf(() => loadCheckpoint(saved, newRunState([wanting], HERE)))).toMatch(
      /tensor 'extra' does not fit this model; expected F32\[1\], got nothing/,
    );
  });
});

describe("the checkpoints of a run", () => {
  it("are listed oldest first by number, without what was never finished and what is none", () => {
    const folder = temporaryFolder();
    expect(listCheckpoints(path.join(folder, "absent"))).toEqual([]);
    const state = stateOf(1, "m");
    for (const step of [10, 2, 100000000]) {
      state.progress.step = step;
      saveCheckpoint(folder, state);
    }
    mkdirSync(path.join(folder, "step-00000050"));
    mkdirSync(path.join(folder, "step-00000060.tmp-1"));
    writeFileSync(path.join(folder, "notes.txt"), "");
    expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([2, 10, 100000000]);
  });

  it("cozyrag 35: are kept by age and by name, and what goes is told", () => {
    const folder = temporaryFolder();
    const state = stateOf(1, "m");
    for (const step of [1, 2, 3, 4, 5]) {
      state.progress.step = step;
      saveCheckpoint(folder, state);
    }
    expect(retainCheckpoints(folder, 2, [1]).map(({ step }) => step)).toEqual([2, 3]);
    expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([1, 4, 5]);
    expect(retainCheckpoints(folder, 9, [])).toEqual([]);
  });
});
