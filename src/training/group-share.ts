/**
 * A worker's share of a step among the processes of a group. Gradients are summed by libtorch's reducer while the last backward pass runs, counts and terms before and after it. It deals by turns and knows no loss.
 * The trap: sums of floating numbers depend on their order, so terms are added in the order of ranks, everywhere: every worker then decides alike on what it has read.
 *
 * Shape letters: N rows of all workers, n of this one, W the most of any worker, D dimension.
 */
import { backwardSummed, type GradientSum, type ProcessGroup } from "../distributed/process-group.js";
import { noGrad } from "../engine/grad-mode.js";
import { indices, ops, type Tensor } from "../engine/tensor.js";
import { sumOf, type LossTerm, type LossTerms } from "./loss-terms.js";
import type { Parameters, Share } from "./share.js";

/** A share, with what it holds open for each model. */
export interface GroupShare extends Share {
  close(): void;
}

/** The share of this process. All members of the group make one. */
export function groupShare(group: ProcessGroup): GroupShare {
  const { rank, size } = group;
  const sums = new Map<Parameters, GradientSum>();
  const sumFor = (model: Parameters): GradientSum => {
    const open = sums.get(model) ?? group.gradientSum([...model.values()]);
    sums.set(model, open);
    return open;
  };
  return {
    rank,
    size,
    own: (members) => members.filter((_, place) => place % size === rank),
    counts: (own) => addedUp(group.gatherValues("counts", own)),
    terms: (own) => mergedTerms(group.gatherValues("loss terms", asNumbers(own))),
    same: (whole) => group.gatherValues("whole terms", rank === 0 ? asNumbers(whole) : {})[0] ?? {},
    rows: (own_nD, count) => gatheredRows(group, own_nD, count),
    // A loss over the others' rows alone has no graph here.
    backward: (models, loss, gradient) => backwardSummed(models.map(sumFor), loss?.requiresGrad === true ? loss : undefined, gradient),
    total: (own) => group.gatherValues("total", own).reduce((sum, value) => sum + value, 0),
    ofFirst: <Value>(own: Value): Value => group.gatherValues("value of the first", rank === 0 ? { value: own } : {})[0]?.value as Value,
    close: () => {
      for (const sum of sums.values()) sum.close();
      sums.clear();
    },
  };
}

function addedUp(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const own of all) for (const [name, count] of Object.entries(own)) total[name] = (total[name] ?? 0) + count;
  return total;
}

type NumberTerms = Readonly<Record<string, LossTerm & { readonly sum: number }>>;

function asNumbers(terms: LossTerms): NumberTerms {
  return Object.fromEntries(Object.entries(terms).map(([name, term]) => [name, { ...term, sum: sumOf(term) }]));
}

/** A term stays inactive only if it is so in every worker that has it. */
function mergedTerms(all: readonly NumberTerms[]): NumberTerms {
  const merged: Record<string, LossTerm & { readonly sum: number }> = {};
  for (const own of all) {
    for (const [name, { inactive, ...term }] of Object.entries(own)) {
      const known = merged[name];
      const isInactive = inactive !== undefined && (known === undefined || known.inactive !== undefined);
      merged[name] = {
        ...term,
        sum: (known?.sum ?? 0) + term.sum,
        count: (known?.count ?? 0) + term.count,
        ...(isInactive ? { inactive } : {}),
      };
    }
  }
  return merged;
}

/** All rows; row i is the (i div size)th of worker i mod size. */
function gatheredRows(group: ProcessGroup, own_nD: Tensor, count: number): Tensor {
  const { rank, size } = group;
  const width = Math.ceil(count / size);
  const own_WD = padded(own_nD, width);
  const others = noGrad(() => group.gather(own_WD.detach()));
  const joined = ops.cat(
    others.map((rows_WD, other) => (other === rank ? own_WD : rows_WD)),
    0,
  );
  const places = Array.from({ length: count }, (_, i) => (i % size) * width + Math.floor(i / size));
  return joined.indexSelect(0, indices(places, undefined, own_nD.device));
}

/** gloo gathers equal shapes only. */
function padded(own_nD: Tensor, width: number): Tensor {
  const missing = width - own_nD.size(0);
  return missing === 0 ? own_nD : ops.cat([own_nD, ops.zeros([missing, own_nD.size(1)], own_nD.dtype, own_nD.device)], 0);
}
