/**
 * What a run asks of its penalties: weights, the mode that all of them share, and how answers are drawn where a mode looks at those. No formulas: each penalty has its own file, each mode too.
 * The trap: a penalty's temperature softens the distributions that its gradient runs through; the temperature of drawing is another one.
 */

interface Weighted {
  /** Weight beside the cross-entropy; 0 switches the penalty off. */
  readonly weight: number;
  /** τ_p. Default 1. */
  readonly temperature?: number;
}

/**
 * `teacher_forced`: soft counts of the distributions at the gold answer's prefixes. `straight_through`: hard counts on drawn answers, with the gradient of the distributions that they were drawn from.
 * `sequence`: hard counts on drawn answers as a cost, with the likelihoods of the answers as the way to it.
 */
export const PENALTY_MODES = ["teacher_forced", "straight_through", "sequence"] as const;

export type PenaltyMode = (typeof PENALTY_MODES)[number];

export interface DrawingOptions {
  /** Answers drawn to each context. */
  readonly answers: number;
  /** Divides the logits that are drawn from; above 0. */
  readonly temperature: number;
  /** Most tokens of an answer, its end included. */
  readonly maxNewTokens: number;
}

export interface PenaltyOptions {
  /** Default `teacher_forced`. */
  readonly mode?: PenaltyMode;
  /** Needed by the modes that look at drawn answers, and by `sequenceUnlikelihood`. */
  readonly drawing?: DrawingOptions;
  readonly ngramRepeat?: Weighted & { readonly n: number };
  readonly keyword?: Weighted & { readonly direction: "coverage" | "overlap" };
  readonly shortAnswer?: Weighted & { readonly minTokens: number };
  readonly unlikelihood?: Weighted;
  /** Always on the model's own text, whatever the mode. */
  readonly sequenceUnlikelihood?: Weighted & { readonly n: number; readonly decoding: "greedy" | "sampled" };
}

/** Whether a penalty that has modes is switched on. */
export function hasPenalties(options: PenaltyOptions): boolean {
  return [options.ngramRepeat, options.keyword, options.shortAnswer, options.unlikelihood].some(isOn);
}

/** Whether it has a weight. */
export function isOn<Penalty extends Weighted>(penalty: Penalty | undefined): penalty is Penalty {
  return penalty !== undefined && penalty.weight > 0;
}
