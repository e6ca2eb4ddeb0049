/** Gradient clipping by global norm, as torch.nn.utils.clip_grad_norm_. */
import { noGrad } from "./grad-mode.js";
import { ops, type Tensor } from "./operators.generated.js";
import { scope } from "./scope.js";

/** ‖all gradients‖₂ over `parameters`; those without a gradient are left out. */
export function gradientNorm(parameters: Iterable<Tensor>): number {
  return scope(() =>
    noGrad(() => {
      const grads = gradientsOf(parameters);
      return grads.length === 0 ? 0 : totalNorm(grads).item();
    }),
  );
}

/**
 * Scales every gradient by min(1, maxNorm / (norm + 1e-6)) and returns the norm before. A norm of NaN or infinity is returned as it is and nothing is scaled: the caller must
 * look.
 */
export function clipGradientNorm(parameters: Iterable<Tensor>, maxNorm: number): number {
  return scope(() =>
    noGrad(() => {
      const grads = gradientsOf(parameters);
      if (grads.length === 0) return 0;
      const norm = totalNorm(grads).item();
      const factor = maxNorm / (norm + 1e-6);
      if (Number.isFinite(norm) && factor < 1) ops.foreachMulScalar_(grads, factor);
      return norm;
    }),
  );
}

function gradientsOf(parameters: Iterable<Tensor>): Tensor[] {
  return [...parameters].map((parameter) => parameter.grad).filter((gradient) => gradient !== undefined);
}

function totalNorm(grads: readonly Tensor[]): Tensor {
  return ops.stack(ops.foreachNorm(grads, 2)).linalgVectorNorm(2);
}
