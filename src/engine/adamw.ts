/**
 * AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on libtorch's fused kernel, as torch.optim.AdamW(fused=True): decoupled decay, bias-corrected moments. Not a schedule: the rate
 * of a step is the caller's. The trap: a parameter without a gradient is left alone, moments and step count included.
 */
import { UserError } from "../errors.js";
import { noGrad } from "./grad-mode.js";
import { ops, zeroGrads, type Tensor } from "./tensor.js";
import { scope } from "./scope.js";

export interface ParameterGroup {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly weightDecay: number;
  /** Not by a step's own weight decay either. */
  readonly neverDecays?: true;
}

export interface AdamWOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
}

/** What a step has in place of what the optimiser was made with. */
export interface StepOptions extends AdamWOptions {
  /** Of every group that may decay. */
  readonly weightDecay?: number;
}

interface Moments {
  readonly parameter: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
  /** f32 (): a tensor, because the fused kernel reads it. */
  readonly step: Tensor;
}

export class AdamW {
  readonly #groups: readonly { weightDecay: number; neverDecays: boolean; entries: ReadonlyMap<string, Moments> }[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;

  /** @param groups parameter names are unique over all groups. */
  constructor(groups: readonly ParameterGroup[], options: AdamWOptions = {}) {
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    const seen = new Set<string>();
    this.#groups = groups.map((group) => {
      const entries = new Map<string, Moments>();
      for (const [name, parameter] of group.parameters) {
        if (seen.has(name)) throw new Error(`AdamW: parameter '${name}' stands in two groups`);
        seen.add(name);
        entries.set(name, {
          parameter,
          first: ops.zerosLike(parameter).keep(),
          second: ops.zerosLike(parameter).keep(),
          step: ops.zeros([], "f32", parameter.device).keep(),
        });
      }
      return { weightDecay: group.weightDecay, neverDecays: group.neverDecays ?? false, entries };
    });
  }

  /**
   * One update at rate `lr`. Other `betas` than in the steps before act as in PyTorch where they are changed between two steps: the moments go on, and are corrected as if these had held from the first step.
   *
   * @param own in place of what the constructor was given
   */
  step(lr: number, own: StepOptions = {}): void {
    const { betas = this.#betas, eps = this.#eps } = own;
    scope(() =>
      noGrad(() => {
        for (const { weightDecay, neverDecays, entries } of this.#groups) {
          const live = [...entries.values()].flatMap((entry) => {
            const gradient = entry.parameter.grad;
            return gradient === undefined ? [] : [{ ...entry, gradient }];
          });
          if (live.length === 0) continue;
          const steps = live.map((entry) => entry.step);
          ops.foreachAdd_(steps, 1);
          ops.fusedAdamw_(
            live.map((entry) => entry.parameter),
            live.map((entry) => entry.gradient),
            live.map((entry) => entry.first),
            live.map((entry) => entry.second),
            steps,
            lr,
            ...betas,
            neverDecays ? weightDecay : (own.weightDecay ?? weightDecay),
            eps,
          );
        }
      }),
    );
  }

  /** Drops every gradient. */
  zeroGrad(): void {
    zeroGrads(this.#all().map(([, entry]) => entry.parameter));
  }

  /** `<parameter>.first`, `.second` and `.step`, live: copy before keeping them. */
  state(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const [name, entry] of this.#all()) {
      state.set(`${name}.first`, entry.first);
      state.set(`${name}.second`, entry.second);
      state.set(`${name}.step`, entry.step);
    }
    return state;
  }

  /** Copies a {@link state} in. @throws UserError when a name is missing or has another shape. */
  load(state: ReadonlyMap<string, Tensor>): void {
    noGrad(() => {
      for (const [name, own] of this.state()) {
        const given = state.get(name);
        const [expected, got] = [own, given].map((entry) => (entry === undefined ? "nothing" : `${entry.dtype}[${entry.shape.join(",")}]`));
        if (given === undefined || expected !== got)
          throw new UserError({
            where: `optimiser state '${name}'`,
            what: "does not fit this model",
            expected: expected ?? "",
            got: got ?? "",
          });
        own.copy_(given);
      }
    });
  }

  dispose(): void {
    for (const entry of this.state().values()) entry.dispose();
  }

  #all(): [string, Moments][] {
    return this.#groups.flatMap((group) => [...group.entries]);
  }
}
