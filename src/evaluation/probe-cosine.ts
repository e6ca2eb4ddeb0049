/**
 * How far an encoder has turned since an index was built: the mean cosine of the same passages' vectors then and now. It embeds nothing. The trap: vectors may all turn together, which changes no search; what a search
 * finds is top-overlap.ts's.
 *
 * P passages, D dimension.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";

/** As PyTorch's cosine_similarity. */
const LEAST_LENGTH = 1e-8;

/**
 * (1/P) Σ_p ⟨a_p, b_p⟩ / (max(‖a_p‖, 1e-8) · max(‖b_p‖, 1e-8)), in f64: in [−1, 1]; 1 where nothing has turned, whatever the lengths.
 *
 * @param stale_PD vectors of the index, P ≥ 1
 * @param fresh_PD the same passages by the present encoder
 * @throws Error for other shapes
 */
export function meanCosine(stale_PD: Tensor, fresh_PD: Tensor): number {
  if (stale_PD.shape.length !== 2 || stale_PD.size(0) === 0 || stale_PD.shape.join() !== fresh_PD.shape.join())
    throw new Error(`mean cosine of (${stale_PD.shape.join(", ")}) and (${fresh_PD.shape.join(", ")})`);
  return scope(() =>
    noGrad(() => {
      const [a_PD, b_PD] = [stale_PD, fresh_PD].map((vectors_PD) => {
        const double_PD = vectors_PD.toDtype("f64");
        return double_PD.div(double_PD.linalgVectorNorm(2, [1], true).clampMin(LEAST_LENGTH));
      });
      if (a_PD === undefined || b_PD === undefined) throw new Error("two matrices");
      return a_PD.mul(b_PD).sum(1).mean().item();
    }),
  );
}
