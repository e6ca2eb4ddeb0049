/** What a run's models take, to the byte: weights, gradients, the optimiser's moments, and the checkpoints made of them. Arithmetic on the tensors that are there. The trap: whole tensors are dealt out, so a worker's share of the moments is no n-th of them. */
import { byteLength, type Tensor } from "../../engine/tensor.js";
import { TensorDealer } from "../../training/deal-tensors.js";
import type { RunState, Trainable } from "../../training/run-state.js";

type Tensors = ReadonlyMap<string, Tensor>;

export interface StateBytes {
  /** Of all models: the pair, and the closed-book generator where there is one. */
  readonly weights: number;
  /** Of the optimisers, where one worker keeps all. */
  readonly moments: number;
  /** Of the moments, in the fullest of some workers. */
  momentsOf(workers: number): number;
  /** Of the tensors in a checkpoint. */
  readonly checkpoint: number;
}

/** @param isSharded the workers share the moments out: `train.shard_optimiser` */
export function stateBytes({ trainables }: Pick<RunState, "trainables">, isSharded: boolean): StateBytes {
  const models = [...trainables.values()];
  const weights = models.reduce((sum, { parameters }) => sum + tensorBytes(parameters), 0);
  const moments = models.reduce((sum, { optimiser }) => sum + tensorBytes(optimiser.state()), 0);
  return {
    weights,
    moments,
    momentsOf: (workers) => (isSharded && workers > 1 ? fullest(models, workers) : moments),
    checkpoint: weights + moments,
  };
}

function tensorBytes(tensors: Tensors): number {
  return [...tensors.values()].reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
}

/** As sharded-adamw.ts deals them: models in the order of the state. */
function fullest(models: readonly Trainable[], workers: number): number {
  const dealer = new TensorDealer(workers);
  const held = new Array<number>(workers).fill(0);
  for (const { parameters, optimiser } of models) {
    const state = optimiser.state();
    const owners = dealer.deal(new Map([...parameters].map(([name, { numel }]) => [name, numel])));
    for (const [name, owner] of owners) {
      const own = ["first", "second", "step"].flatMap((part) => state.get(`${name}.${part}`) ?? []);
      held[owner] = (held[owner] ?? 0) + own.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
    }
  }
  return Math.max(...held);
}
