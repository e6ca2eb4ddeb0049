/**
 * AdamW whose moments several workers keep together: ZeRO stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054, §5.1). Every worker has all weights and, after the backward pass, all summed gradients; each updates the parameters that it owns and
 * sends them to the others. The same kernel on the same inputs, so the weights are those of the unsharded step, bit for bit; clipping needs nothing, since every worker has every gradient.
 * Memory: of 2·P elements of moments the worker with the largest share has about 2·P / workers (deal-tensors.ts says how far from it). Time: an update of P / workers, and a broadcast of P elements.
 * The trap: all parameters are sent in every step, also those without a gradient. Which have one is the same everywhere if all is well, and a worker that thought otherwise would leave the others waiting instead of being found out.
 */
import { AdamW, type AdamWOptions, type ParameterGroup, type StepOptions } from "../engine/adamw.js";
import { zeroGrads, type Tensor } from "../engine/tensor.js";
import type { ProcessGroup } from "../distributed/process-group.js";
import type { TensorDealer } from "./deal-tensors.js";
import type { Optimiser, StatePart } from "./optimiser.js";

/** Among whom, and by whom, the moments of a run's models are dealt out. */
export interface OptimiserShards {
  readonly group: Pick<ProcessGroup, "rank" | "size" | "copyFrom">;
  readonly dealer: TensorDealer;
}

export class ShardedAdamW implements Optimiser {
  readonly parts: readonly StatePart[];
  readonly #parameters: readonly Tensor[];
  /** The parameters of each rank, in the order in which they are sent. */
  readonly #ofRank: readonly (readonly Tensor[])[];
  readonly #group: OptimiserShards["group"];
  readonly #own: AdamW;

  /**
   * Every worker makes its optimisers for the same models in the same order, of parameters with equal values.
   *
   * @param groups parameter names are unique over all groups
   */
  constructor(groups: readonly ParameterGroup[], options: AdamWOptions, { group, dealer }: OptimiserShards) {
    const all = groups.flatMap(({ parameters }) => [...parameters]);
    const sizes = new Map(all.map(([name, { numel }]) => [name, numel]));
    if (sizes.size < all.length) throw new Error("ShardedAdamW: a parameter stands in two groups");
    const owners = dealer.deal(sizes);
    this.#group = group;
    this.#parameters = all.map(([, parameter]) => parameter);
    this.#ofRank = Array.from({ length: group.size }, (_, rank) =>
      all.filter(([name]) => owners.get(name) === rank).map(([, parameter]) => parameter),
    );
    this.parts = all.flatMap(([name, parameter]) => partsOf(name, parameter, owners.get(name) ?? 0));
    const own = groups.map((each) => ({
      ...each,
      parameters: new Map([...each.parameters].filter(([name]) => owners.get(name) === group.rank)),
    }));
    this.#own = new AdamW(own, options);
  }

  /** One update at rate `lr`; all workers call it together, and have the same weights when it returns. */
  step(lr: number, own?: StepOptions): void {
    this.#own.step(lr, own);
    for (const [rank, parameters] of this.#ofRank.entries()) if (parameters.length > 0) this.#group.copyFrom(rank, parameters);
  }

  /** Drops every gradient, of the others' parameters too. */
  zeroGrad(): void {
    zeroGrads(this.#parameters);
  }

  /** The moments of the parameters that this worker owns, as AdamW's. */
  state(): Map<string, Tensor> {
    return this.#own.state();
  }

  dispose(): void {
    this.#own.dispose();
  }
}

/** The state that AdamW keeps of a parameter. */
function partsOf(name: string, { dtype, shape, device }: Tensor, owner: number): StatePart[] {
  return [
    { name: `${name}.first`, dtype, shape, device, owner },
    { name: `${name}.second`, dtype, shape, device, owner },
    { name: `${name}.step`, dtype: "f32", shape: [], device, owner },
  ];
}
