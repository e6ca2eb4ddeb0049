/**
 * Whether the way a step is computed leaves its gradient alone: in parts, accumulated or cached (GradCache), or packed into other forward passes, it must be the gradient of the whole batch's loss taken at once. It says nothing of whether that loss
 * is right. The trap: the whole batch's graph is in memory once, which is what cutting avoids; so this is for an audit's batch, not for every step.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { gradients, zeroGrads, type Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import { totalLoss, type LossTerms } from "./loss-terms.js";
import { ofEntries } from "./gradient-audit.js";
import type { Phase } from "./phase.js";

/** `parts`: a step in parts against the batch in one piece; `packed`: a batch's prompts one a forward pass against all in one. */
type CutWay = "parts" | "packed";

/** One phase's comparison. */
export interface CutRow {
  readonly phase: string;
  /** Entries of train.schedule that run this very phase; left out where it stands in none. */
  readonly entries?: readonly number[];
  readonly way: CutWay;
  /** ‖g_step − g_whole‖₂ / ‖g_whole‖₂ over all parameters. */
  readonly difference: number;
  /** Largest difference that passes. */
  readonly tolerance: number;
  /** |L_step − L_whole| / max(1, |L_whole|). */
  readonly lossDifference: number;
}

export interface CutOptions {
  readonly entries?: readonly number[];
  /** Default `parts`. */
  readonly way?: CutWay;
  /** The same phase as it computes a batch in one piece. Default: the phase's own `losses`. */
  readonly whole?: Phase;
}

/**
 * Compares a step's gradient on a batch with that of the loss in one piece. Gradients that parameters have are cleared; nothing else changes.
 *
 * @param tolerance f32: rounding in another order gives about 1e-6
 * @throws UserError when they differ by more
 */
export function auditCut(phase: Phase, tolerance: number, { entries, way = "parts", whole = phase }: CutOptions = {}): CutRow {
  return scope(() => {
    const parameters = [...phase.parameters.values()].filter(({ requiresGrad }) => requiresGrad);
    const batch = phase.batch(0);
    zeroGrads(parameters);
    const stepLoss = totalLoss(phase.step(batch));
    const cut = parameters.map((parameter) => parameter.grad);
    const terms = whole.losses(batch);
    const found = gradients([lossOf(terms)], parameters);
    const wholeLoss = totalLoss(terms);
    const { difference, norm } = compared(cut, found);
    zeroGrads(parameters);
    const row: CutRow = {
      phase: phase.name,
      ...(entries === undefined ? {} : { entries }),
      way,
      difference: norm === 0 ? difference : difference / norm,
      tolerance,
      lossDifference: Math.abs(stepLoss - wholeLoss) / Math.max(1, Math.abs(wholeLoss)),
    };
    if (row.difference <= tolerance && row.lossDifference <= tolerance) return row;
    throw new UserError({
      where: `gradient audit, phase ${phase.name}${ofEntries(entries)}`,
      what: `the gradient of ${SAID[way].step} is not that of ${SAID[way].whole}`,
      expected: `a relative difference of at most ${tolerance}`,
      got: `${row.difference.toExponential(1)} (of the loss ${row.lossDifference.toExponential(1)})`,
      remedy: "report it: this is a bug in Tandem, or arithmetic of too few bits (precision=f32)",
    });
  });
}

const SAID = {
  parts: { step: "a step in parts", whole: "the whole batch" },
  packed: { step: "a step of one prompt a forward pass", whole: "all prompts in one" },
} as const;

/** One line a comparison. */
export function cutTable(rows: readonly CutRow[]): string {
  return rows
    .map(
      ({ phase, entries, way, difference }) =>
        `${phase}${ofEntries(entries)}: ${SAID[way].step} has the gradient of ${SAID[way].whole} (relative difference ${difference.toExponential(1)})`,
    )
    .join("\n");
}

function lossOf(terms: LossTerms): Tensor {
  const parts = Object.values(terms).flatMap(({ sum, count, weight }) =>
    typeof sum === "number" || count === 0 || weight === 0 || !sum.requiresGrad ? [] : [sum.mul(weight / count)],
  );
  const [first, ...rest] = parts;
  if (first === undefined) throw new Error("a loss without a graph");
  return rest.reduce((total, part) => total.add(part), first);
}

/** ‖a − b‖₂ and ‖b‖₂ over all tensors; one that isn't there is 0. */
function compared(a: readonly (Tensor | undefined)[], b: readonly (Tensor | undefined)[]): { difference: number; norm: number } {
  return noGrad(() => {
    let [difference, norm] = [0, 0];
    for (const [i, own] of a.entries()) {
      const other = b[i];
      const apart = own === undefined ? other : other === undefined ? own : own.sub(other);
      difference += apart === undefined ? 0 : apart.linalgVectorNorm(2).item() ** 2;
      norm += other === undefined ? 0 : other.linalgVectorNorm(2).item() ** 2;
    }
    return { difference: Math.sqrt(difference), norm: Math.sqrt(norm) };
  });
}
