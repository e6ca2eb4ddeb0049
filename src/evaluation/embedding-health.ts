/**
 * Whether embeddings still fill their space: effective rank and uniformity of a sample. Neither needs labels, and neither says that the right things are near. The trap: both depend on the sample's size, and the rank can't be
 * above the smaller of its sides; compare figures of one probe only.
 *
 * N embeddings, D dimension.
 */
import { scope } from "../engine/scope.js";
import { ops, type Tensor } from "../engine/tensor.js";

export interface EmbeddingHealth {
  /** RankMe: 1 if all lie on one line through the origin, min(N, D) if every direction is used alike. */
  readonly rank: number;
  /** ≤ 0; 0 if all are the same point, lower is more spread out. About −4 is the best that a sphere of many dimensions has. */
  readonly uniformity: number;
}

/** The kernel's width: Wang and Isola's t. */
const KERNEL = 2;

/**
 * Effective rank exp(−Σ_i p_i ln p_i), p_i = σ_i / Σσ, σ the singular values (RankMe, Garrido et al. 2023, arXiv 2210.02885, eq. 1), and uniformity ln mean_{i≠j} exp(−2‖x_i − x_j‖²) of the embeddings at unit length
 * (Wang & Isola 2020, arXiv 2005.10242, §4.1.2). Computed in float64.
 *
 * @param embeddings_ND N ≥ 2
 * @throws RangeError for fewer than two embeddings
 */
export function embeddingHealth(embeddings_ND: Tensor): EmbeddingHealth {
  const count = embeddings_ND.size(0);
  if (count < 2) throw new RangeError(`embedding health of ${count} embeddings`);
  return scope(() => {
    const x_ND = embeddings_ND.detach().toDevice("cpu", "f64");
    const sigma_R = ops.linalgSvdvals(x_ND);
    const p_R = sigma_R.div(sigma_R.sum().clampMin(Number.MIN_VALUE));
    const rank = p_R.mul(p_R.clampMin(Number.MIN_VALUE).log()).sum().neg().exp().item();
    const unit_ND = x_ND.div(x_ND.mul(x_ND).sum([1], true).sqrt().clampMin(Number.MIN_VALUE));
    const gram_NN = unit_ND.matmul(unit_ND.transpose(0, 1));
    // ‖x − y‖² = 2 − 2⟨x, y⟩ at unit length; the N pairs of a point with itself add exp(0) each.
    const pairs =
      gram_NN
        .rsub(1)
        .clampMin(0)
        .mul(-2 * KERNEL)
        .exp()
        .sum()
        .item() - count;
    return { rank, uniformity: Math.log(pairs / (count * (count - 1))) };
  });
}
