/**
 * A step in parts: forward and backward part by part, sums added, everything divided by the counts of the whole step. The gradient is that of the whole
 * batch for any number of parts and workers. Not for in-batch contrastive losses, whose terms need all embeddings at once (see contrastive.ts).
 */
import { scope } from "../../engine/scope.js";
import { ops, type Tensor } from "../../engine/tensor.js";
import type { LossCounts, LossTerm, LossTerms } from "../loss-terms.js";

/**
 * Back-propagates Σ weight·sum/count for each part, with the counts of the whole step, and returns the terms over all parts without a graph.
 * @param counts by name, over all parts (and workers)
 * @param lossesOf forward over a part
 * @param last takes the last backward pass, also that of no part at all, whose loss is undefined
 */
export function accumulate<Part>(
  parts: readonly Part[],
  counts: LossCounts,
  lossesOf: (part: Part) => LossTerms,
  last: (loss: Tensor | undefined) => void = (loss) => loss?.backward(),
): LossTerms {
  return scope(() => {
    let total: Record<string, LossTerm> = {};
    if (parts.length === 0) last(undefined);
    for (const [index, part] of parts.entries()) {
      total = scope(() => {
        const terms = lossesOf(part);
        const loss = totalOf(terms, counts);
        if (index === parts.length - 1) last(loss);
        else loss?.backward();
        return mergeTerms(total, terms);
      });
    }
    return total;
  });
}

/** Σ weight·sum/count as a tensor with the graph; undefined if no term has one. */
function totalOf(terms: LossTerms, counts: LossCounts): Tensor | undefined {
  let total: Tensor | undefined;
  for (const [name, term] of Object.entries(terms)) {
    const count = counts[name] ?? term.count;
    if (typeof term.sum === "number" || term.weight === 0 || count === 0 || !term.sum.requiresGrad) continue;
    const part = term.sum.mul(term.weight / count);
    total = total === undefined ? part : total.add(part);
  }
  return total;
}

/** Sums and counts added; a term stays inactive only if it is so in every part. */
function mergeTerms(before: LossTerms, added: LossTerms): Record<string, LossTerm> {
  const merged: Record<string, LossTerm> = { ...before };
  for (const [name, term] of Object.entries(added)) {
    const known = before[name];
    const sum = typeof term.sum === "number" ? term.sum : term.sum.detach();
    if (known === undefined) {
      merged[name] = { ...term, sum };
      continue;
    }
    const inactive = known.inactive !== undefined && term.inactive !== undefined ? { inactive: term.inactive } : {};
    merged[name] = { sum: plus(known.sum, sum), count: known.count + term.count, weight: term.weight, ...inactive };
  }
  return merged;
}

function plus(a: Tensor | number, b: Tensor | number): Tensor | number {
  if (typeof a === "number") return typeof b === "number" ? a + b : ops.add(b, a);
  return ops.add(a, b);
}
