/**
 * Matryoshka: the contrastive loss on the first dimensions of the embeddings as well, so that a vector may be cut and still be searched with (Kusupati et al. 2022, arXiv 2205.13147, §3). What is cut is
 * brought back to length one. It cuts no index.
 * The trap: half of a unit vector isn't one; without a new norm short prefixes would score lower than long ones, at the same temperature.
 *
 * Shape letters: Q questions, P passages of the batch, D dimension.
 */
import type { Tensor } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import { unitVectors } from "../../nn/pooling.js";
import type { SumAndCount } from "./answer-cross-entropy.js";
import { infoNce, type InfoNceOptions } from "./info-nce.js";

/** The first `dimensions` of the embeddings, and what their loss counts for. */
interface NestedDimensions {
  readonly dimensions: number;
  readonly weight: number;
}

export interface MatryoshkaOptions extends InfoNceOptions {
  readonly nested: readonly NestedDimensions[];
}

/**
 * Σ_m w_m · InfoNCE of the first m dimensions, at length one; count = Q. Nats, ≥ 0.
 *
 * @throws UserError for dimensions that the embeddings don't have
 */
export function matryoshka(queries_QD: Tensor, passages_PD: Tensor, { nested, ...options }: MatryoshkaOptions): SumAndCount {
  requireDimensions(nested, queries_QD.size(1));
  const sums = nested.map(({ dimensions, weight }) => {
    const [queries, passages] = [queries_QD, passages_PD].map((embedded) => unitVectors(embedded.narrow(1, 0, dimensions)));
    if (queries === undefined || passages === undefined) throw new Error("two sides give two tensors");
    return infoNce(queries, passages, options).sum.mul(weight);
  });
  return { sum: sums.reduce((total, sum) => total.add(sum)), count: queries_QD.size(0) };
}

function requireDimensions(nested: readonly NestedDimensions[], width: number): void {
  const wrong = nested.find(({ dimensions }) => !(Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= width));
  if (nested.length > 0 && wrong === undefined) return;
  throw new UserError({
    where: "train.contrastive.matryoshka",
    what: nested.length === 0 ? "names no dimensions" : "names dimensions that the embeddings don't have",
    expected: `whole numbers from 1 to ${width}`,
    got: String(wrong?.dimensions ?? "none"),
  });
}
