/**
 * A few steps of two models whose moments are shared out, or kept whole: what sharded-adamw.test.ts compares. The default export runs in every process of a group (test/distributed/ranks.ts), {@link trained} in the test itself too.
 * Gradients are made of step and element alone, so every process has the same ones, as after a summed backward pass.
 */
import { createHash } from "node:crypto";
import { SINGLE_PROCESS, type ProcessGroup } from "../../src/distributed/process-group.js";
import { clipGradientNorm } from "../../src/engine/clip.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { tensor, type Tensor } from "../../src/engine/tensor.js";
import { loadCheckpoint, saveCheckpoint } from "../../src/training/checkpoint.js";
import { TensorDealer } from "../../src/training/deal-tensors.js";
import { gatherMoments, type MomentsOf, type TensorContent } from "../../src/training/gathered-moments.js";
import { parameterGroups } from "../../src/training/optimiser.js";
import { fingerprint, newRunState, trainable, type RunState } from "../../src/training/run-state.js";
import { normals } from "./central-differences.js";

export interface Training {
  readonly dtype: "f32" | "f64";
  /** Shapes of each model's parameters. */
  readonly models: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly steps: number;
  /** Steps after which a checkpoint is written. */
  readonly saveAt?: readonly number[];
  readonly checkpoints?: string;
  /** A checkpoint to begin with. */
  readonly from?: string;
  /** The first save fails after so many tensors of moments, as where the disk is full. */
  readonly failsAfter?: number;
}

export interface Trained {
  /** All weights after each step, as hashes of their bytes. */
  readonly weights: readonly (readonly string[])[];
  /** Bytes that the optimisers hold. */
  readonly momentBytes: number;
  /** Bytes of tensors that a step or a save left behind. */
  readonly left: number;
  readonly failures: readonly string[];
}

const OPTIONS = { betas: [0.8, 0.95], eps: 1e-6 } as const;
/** What some steps have in their place. */
const OWN = { betas: [0.7, 0.9], eps: 1e-4, weightDecay: 0.3 } as const;
/** A gradient that is missing in this step, as of a parameter that no batch member reached. */
const isMissing = (step: number, place: number): boolean => (step + place) % 4 === 2;

function madeState({ dtype, models }: Training, group: ProcessGroup | undefined): { state: RunState; momentBytes: number } {
  const shards = group === undefined ? undefined : { group, dealer: new TensorDealer(group.size) };
  const parametersOf = Object.entries(models).map(([name, shapes], model) => {
    const entries = shapes.map((shape, place): [string, Tensor] => {
      const values = normals(10 * model + place + 1, Math.max(1, product(shape)));
      return [`p${place}`, noGrad(() => tensor(values, { dtype, shape })).setRequiresGrad()];
    });
    return [name, new Map(entries)] as const;
  });
  const before = liveTensors().bytes;
  const trainables = parametersOf.map(([name, parameters]) => trainable(name, parameterGroups(parameters, 0.1), OPTIONS, shards));
  const momentBytes = liveTensors().bytes - before;
  return { state: newRunState(trainables, fingerprint({ workers: group?.size ?? 1, device: "cpu", precision: "f32" })), momentBytes };
}

const product = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1);

const hashOf = (weight: Tensor): string => createHash("sha1").update(weight.toBytes()).digest("hex");

function step(state: RunState, dtype: "f32" | "f64"): void {
  const { progress, trainables } = state;
  scope(() => {
    for (const { parameters, optimiser } of trainables.values()) {
      optimiser.zeroGrad();
      if ([...parameters.values()].some(({ grad }) => grad !== undefined)) throw new Error("a gradient was left");
      for (const [place, parameter] of [...parameters.values()].entries()) {
        if (isMissing(progress.step, place)) continue;
        const gradient = tensor(normals(1000 + 50 * progress.step + place, parameter.numel), { dtype, shape: parameter.shape });
        parameter.setGrad(noGrad(() => gradient.add(parameter.sin())));
      }
      clipGradientNorm(parameters.values(), 1);
      optimiser.step(0.01 * (1 + progress.step), progress.step % 3 === 1 ? OWN : undefined);
    }
  });
  progress.step++;
}

/** @param group undefined: one worker keeps everything */
export function trained(training: Training, group?: ProcessGroup): Trained {
  const { dtype, steps, saveAt = [], checkpoints = "", from, failsAfter } = training;
  const { state, momentBytes } = madeState(training, group);
  if (from !== undefined) loadCheckpoint(from, state);
  const bytesNow = (): number => {
    for (const { optimiser } of state.trainables.values()) optimiser.zeroGrad();
    return liveTensors().bytes;
  };
  const before = bytesNow();
  const failures: string[] = [];
  const weights: string[][] = [];
  let isBroken = failsAfter !== undefined;
  while (state.progress.step < steps) {
    step(state, dtype);
    weights.push([...state.trainables.values()].flatMap(({ parameters }) => [...parameters.values()].map(hashOf)));
    if (!saveAt.includes(state.progress.step)) continue;
    try {
      save(state, checkpoints, group ?? SINGLE_PROCESS, isBroken ? failsAfter : Infinity);
    } catch (error) {
      failures.push((error as Error).message);
    }
    isBroken = false;
  }
  return { weights, momentBytes, left: bytesNow() - before, failures };
}

/** @param failsAfter tensors of moments that can still be written */
function save(state: RunState, folder: string, group: ProcessGroup, failsAfter = Infinity): void {
  let room = failsAfter;
  const written = (content: TensorContent): Uint8Array => {
    if (room-- === 0) throw new Error("no space left");
    return content.toBytes();
  };
  const write = (momentsOf: MomentsOf): void => {
    saveCheckpoint(folder, state, (each) => {
      const moments = [...momentsOf(each)].map(([name, content]): [string, TensorContent] => {
        const { dtype, shape } = content;
        return [name, { dtype, shape, toBytes: () => written(content) }];
      });
      return new Map(moments);
    });
  };
  gatherMoments(group, state, group.rank === 0 ? write : undefined);
}

/** In one process of a group. */
export default function program(group: ProcessGroup, trainings: readonly Training[]): Trained[] {
  setThreads(1);
  return trainings.map((training) => trained(training, group));
}
