/**
 * Proves that moments shared out among 2, 3 and 4 real processes move the weights bit for bit as one worker's do, in float32 and float64, also with fewer tensors than workers and with parameters that have no gradient in a step; that each process holds
 * about its share of them; that the checkpoint the first one writes is the unsharded one's, byte for byte; that a run goes on from either, with any number of workers; and that a save that fails half-way leaves nobody waiting.
 * Alone: npx vitest run test/training/sharded-adamw.test.ts
 */
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { SINGLE_PROCESS } from "../../src/distributed/process-group.js";
import { setThreads } from "../../src/engine/info.js";
import { ops } from "../../src/engine/tensor.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { saveCheckpoint } from "../../src/training/checkpoint.js";
import { TensorDealer } from "../../src/training/deal-tensors.js";
import { parameterGroups } from "../../src/training/optimiser.js";
import { fingerprint, newRunState, trainable } from "../../src/training/run-state.js";
import { runRanks } from "../distributed/ranks.js";
import { namesIn, temporaryFolder } from "../storage/bad-input.js";
import { trained, type Trained, type Training } from "./sharded-program.js";

const STEPS = 6;
/** One tensor that is too large to be packed with others, and many small ones. */
const LAYER = [[40, 30], [30], [30, 20], [20], [7], []];
const MODELS = { retriever: [[300, 250], ...LAYER], generator: [...LAYER, ...LAYER, [260, 300]] };
const CASES: Readonly<Record<string, Pick<Training, "dtype" | "models">>> = {
  "two models, f32": { dtype: "f32", models: MODELS },
  "two models, f64": { dtype: "f64", models: MODELS },
  "fewer tensors than workers, f32": { dtype: "f32", models: { retriever: [[5, 3]], generator: [[9]] } },
  "fewer tensors than workers, f64": { dtype: "f64", models: { retriever: [[5, 3]] } },
};
const names = Object.keys(CASES);
/** Even tensors: the ideal share can be reached. */
const EVEN: Training = { dtype: "f32", models: { model: new Array<number[]>(24).fill([50, 40]) }, steps: 2 };
const EVEN_BYTES = 24 * 50 * 40 * 2 * 4;

let folder = "";
const checkpointOf = (run: string, step: number): string => path.join(folder, run, `step-${String(step).padStart(8, "0")}`);
const contentOf = (checkpoint: string): Record<string, string> =>
  Object.fromEntries(
    namesIn(checkpoint)
      .filter((name) => name.endsWith(".safetensors"))
      .map((name) => [name, hashFile(path.join(checkpoint, name))]),
  );

const whole: Trained[] = [];
beforeAll(() => {
  setThreads(1);
  folder = temporaryFolder();
  for (const [i, name] of names.entries()) {
    whole.push(trained({ ...CASES[name]!, steps: STEPS, saveAt: [3, STEPS], checkpoints: path.join(folder, `whole-${i}`) }));
  }
});

/** The trainings of all cases, each with places of its own. */
const trainings = (size: number): Training[] => [
  ...names.map((name, i) => ({
    ...CASES[name]!,
    steps: STEPS,
    saveAt: [3, STEPS],
    checkpoints: path.join(folder, `sharded-${size}-${i}`),
  })),
  ...names.map((name, i) => ({ ...CASES[name]!, steps: STEPS, from: checkpointOf(`whole-${i}`, 3) })),
  EVEN,
  { ...CASES[names[0]!]!, steps: STEPS, saveAt: [2, 3], checkpoints: path.join(folder, `broken-${size}`), failsAfter: 9 },
];

describe.each([2, 3, 4])("%i workers", (size) => {
  let found: Trained[][] = [];
  beforeAll(async () => {
    found = await runRanks<Trained[]>("../training/sharded-program.ts", size, trainings(size));
  }, 120_000);

  it.each(names)("have one worker's weights after every step, to the bit: %s", (name) => {
    const i = names.indexOf(name);
    expect(found).toHaveLength(size);
    expect(whole[i]!.weights).toHaveLength(STEPS);
    expect(whole[i]!.weights[STEPS - 1]).not.toEqual(whole[i]!.weights[0]);
    for (const each of found) {
      expect(each[i]!.weights).toEqual(whole[i]!.weights);
      expect(each[i]!.left).toBe(0);
    }
  });

  it.each(names)("write one worker's checkpoint, byte for byte: %s", (name) => {
    const i = names.indexOf(name);
    for (const step of [3, STEPS]) {
      const expected = contentOf(checkpointOf(`whole-${i}`, step));
      expect(Object.keys(expected).length).toBeGreaterThanOrEqual(2);
      expect(contentOf(checkpointOf(`sharded-${size}-${i}`, step))).toEqual(expected);
    }
  });

  it.each(names)("go on from one worker's checkpoint as if they had written it: %s", (name) => {
    const i = names.indexOf(name);
    for (const each of found) expect(each[names.length + i]!.weights).toEqual(whole[i]!.weights.slice(3));
  });

  it("leave theirs to one worker, and to another number of workers", async () => {
    const from = checkpointOf(`sharded-${size}-0`, 3);
    const going = { ...CASES[names[0]!]!, steps: STEPS, from };
    const expected = whole[0]!.weights.slice(3);
    expect(trained(going).weights).toEqual(expected);
    for (const [each] of await runRanks<Trained[]>("../training/sharded-program.ts", size === 2 ? 3 : 2, [going]))
      expect(each!.weights).toEqual(expected);
  });

  it("each hold their share of the moments", () => {
    const bytes = found.map((each) => each[2 * names.length]!.momentBytes);
    // Steps are counted in four bytes a tensor.
    for (const own of bytes) expect(own).toBe((EVEN_BYTES + 24 * 4) / size);
    expect(trained(EVEN).momentBytes).toBe(EVEN_BYTES + 24 * 4);
    // Of tensors that don't divide evenly too.
    const uneven = found.map((each) => each[0]!.momentBytes);
    expect(uneven.reduce((sum, own) => sum + own, 0)).toBe(whole[0]!.momentBytes);
    expect(Math.max(...uneven)).toBeLessThan(whole[0]!.momentBytes * (size === 2 ? 0.6 : 0.55));
  });

  it("go on together after a save that failed half-way, and save again", () => {
    const last = found.map((each) => each.at(-1)!);
    expect(last.map(({ failures }) => failures)).toEqual([["no space left"], ...new Array<string[]>(size - 1).fill([])]);
    for (const { weights, left } of last) {
      expect(weights).toEqual(whole[0]!.weights);
      expect(left).toBe(0);
    }
    expect(namesIn(path.join(folder, `broken-${size}`))).toEqual(["step-00000003"]);
    expect(contentOf(checkpointOf(`broken-${size}`, 3))).toEqual(contentOf(checkpointOf("whole-0", 3)));
  });
});

describe("moments that are shared out", () => {
  const parameters = new Map(["a", "b"].map((name) => [name, ops.zeros([2, 2], "f32").setRequiresGrad()]));
  const group = { ...SINGLE_PROCESS, size: 2 };

  it("are never written as if they were whole", () => {
    const made = trainable(
      "model",
      parameterGroups(parameters, 0),
      { betas: [0.9, 0.99], eps: 1e-8 },
      { group, dealer: new TensorDealer(2) },
    );
    expect([...made.optimiser.state().keys()]).toEqual(["a.first", "a.second", "a.step"]);
    const state = newRunState([made], fingerprint({ workers: 2, device: "cpu", precision: "f32" }));
    const place = temporaryFolder();
    expect(() => saveCheckpoint(place, state)).toThrow("the moments of 'model' are shared out among the workers, and not gathered");
    expect(namesIn(place)).toEqual([]);
    made.optimiser.dispose();
  });

  it("belong to parameters of one name each", () => {
    const groups = ["one", "two"].map((name) => ({ name, parameters, weightDecay: 0 }));
    const options = { betas: [0.9, 0.99], eps: 1e-8 } as const;
    expect(() => trainable("model", groups, options, { group, dealer: new TensorDealer(2) })).toThrow("stands in two groups");
  });
});
