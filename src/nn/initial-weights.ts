/**
 * Weights of a model that starts from scratch, drawn from libtorch's generator under one seed. What each parameter starts as is the model's affair (gpt2.ts, bert.ts); this
 * file fills. The trap: draws come in the order of the list, so a new parameter in the middle changes every later one.
 */
import { UserError } from "../errors.js";
import type { Dtype } from "../engine/dtype.js";
import { noGrad } from "../engine/grad-mode.js";
import { manualSeed } from "../engine/random.js";
import { scope } from "../engine/scope.js";
import { ops, type Tensor } from "../engine/tensor.js";
import type { ParameterShapes } from "./model-family.js";

/** What a parameter holds at the start. */
export type Fill =
  | { readonly kind: "constant"; readonly value: number }
  /** N(0, std²); the row `zeroRow` is zero (padding's embedding). */
  | { readonly kind: "normal"; readonly std: number; readonly zeroRow?: number }
  /** Sine waves of root mean square `rms` along the rows. */
  | { readonly kind: "sinusoid"; readonly rms: number };

export interface WeightOptions {
  readonly device?: string;
  readonly dtype?: Dtype;
}

/**
 * A tensor for each shape, out of every scope and recording gradients. The same seed gives the same weights on a device of the same kind.
 *
 * @throws UserError when `seed` is not a whole number from 0 to 2^53 − 1
 */
export function initialWeights(
  shapes: ParameterShapes,
  fillOf: (name: string) => Fill,
  seed: number,
  options: WeightOptions = {},
): Map<string, Tensor> {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new UserError({ where: "initial weights", what: "bad seed", expected: "a whole number from 0 to 2^53 - 1", got: String(seed) });
  }
  const { device = "cpu", dtype = "f32" } = options;
  const weights = new Map<string, Tensor>();
  noGrad(() => {
    manualSeed(seed);
    for (const [name, shape] of shapes) {
      const filled = scope(() => {
        const cpu = fill(shape, fillOf(name));
        return device === "cpu" && dtype === "f32" ? cpu : cpu.toDevice(device, dtype);
      });
      weights.set(name, filled.keep().setRequiresGrad());
    }
  });
  return weights;
}

function fill(shape: readonly number[], how: Fill): Tensor {
  if (how.kind === "constant") return ops.full(shape, how.value, "f32");
  if (how.kind === "sinusoid") return sinusoids(shape[0] ?? 0, shape[1] ?? 0).mul(how.rms * Math.SQRT2);
  const drawn = ops.zeros(shape, "f32").normal_(0, how.std);
  if (how.zeroRow !== undefined) drawn.select(0, how.zeroRow).zero_();
  return drawn;
}

/**
 * PE[p, 2i] = sin(p / 10000^(2i/E)), PE[p, 2i+1] = cos of the same: (P, E), values in [−1, 1]. Vaswani et al. 2017, §3.5.
 */
function sinusoids(positions: number, width: number): Tensor {
  const pairs = Math.ceil(width / 2);
  const rate_F = ops
    .arange(0, pairs, 1, "f32")
    .mul((-2 * Math.log(10_000)) / width)
    .exp();
  const angle_PF = ops.arange(0, positions, 1, "f32").unsqueeze(1).mul(rate_F);
  const waves = ops.stack([angle_PF.sin(), angle_PF.cos()], 2).reshape([positions, 2 * pairs]);
  return waves.narrow(1, 0, width).contiguous();
}
