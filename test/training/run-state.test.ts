/**
 * Proves that a fresh state stands before step 1, that a fingerprint is this process's, and that every difference between two is named.
 * Alone: npx vitest run test/training/run-state.test.ts
 */
import { describe, expect, it } from "vitest";
import { engineFacts } from "../../src/engine/info.js";
import { ops } from "../../src/engine/tensor.js";
import {
  fingerprint,
  fingerprintDifferences,
  newProgress,
  newRunState,
  trainable,
  type Fingerprint,
} from "../../src/training/run-state.js";

const here = fingerprint({ workers: 1, device: "cpu", precision: "f32" });

describe("a run state", () => {
  it("begins before step 1 with no artefact and no best", () => {
    const group = (name: string): { name: string; parameters: Map<string, ReturnType<typeof ops.zeros>>; weightDecay: number } => ({
      name,
      parameters: new Map([[`${name}.weight`, ops.zeros([2])]]),
      weightDecay: 0,
    });
    const model = trainable("m", [group("a"), group("b")], { betas: [0.9, 0.999], eps: 1e-8 });
    expect([...model.parameters.keys()]).toEqual(["a.weight", "b.weight"]);
    const state = newRunState([model], here);
    expect(state.progress).toEqual(newProgress());
    expect(state.progress).toMatchObject({ step: 0, artefacts: {}, best: undefined, isPhaseEndDue: false, transitions: [], metrics: {} });
    expect(state.trainables.get("m")).toBe(model);
    model.optimiser.dispose();
  });
});

describe("a fingerprint", () => {
  it("is this process's libtorch, processor and threads", () => {
    const { torchVersion, cpuCapability, threads } = engineFacts();
    expect(here).toEqual({ torch: torchVersion, processor: cpuCapability, threads, workers: 1, device: "cpu", precision: "f32" });
  });

  it("holds the kind of device: the checkpoint of worker 0 on cuda:0 is that of worker 1 on cuda:1", () => {
    const [first, second] = ["cuda:0", "cuda:1"].map((device) => fingerprint({ workers: 2, device, precision: "bf16" }));
    expect(first?.device).toBe("cuda");
    expect(fingerprintDifferences(first!, second!)).toEqual([]);
    expect(fingerprintDifferences(first!, fingerprint({ workers: 2, device: "cpu", precision: "bf16" }))).toEqual([
      "device: was cuda, is cpu",
    ]);
  });

  it("names each difference with both values, and none between equals", () => {
    expect(fingerprintDifferences(here, { ...here })).toEqual([]);
    const others: Fingerprint = { torch: "9.9", processor: "X", threads: 99, workers: 2, device: "cuda:0", precision: "bf16" };
    for (const name of Object.keys(others) as (keyof Fingerprint)[])
      expect(fingerprintDifferences(here, { ...here, [name]: others[name] })).toEqual([`${name}: was ${here[name]}, is ${others[name]}`]);
    expect(fingerprintDifferences(here, others)).toHaveLength(6);
  });
});
