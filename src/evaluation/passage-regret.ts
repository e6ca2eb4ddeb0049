/**
 * What reading an old index costs the generator: its loss on the same questions with the passages that it is shown, minus that with those it would be shown. It computes no loss. The trap: it may be negative; a retriever
 * that has learnt something else than what this generator wants finds passages that are worse for it.
 */

/** Negative log-likelihoods of answers, in nats, with the number of their tokens: sums, so that parts can be added. */
export interface AnswerLoss {
  readonly sum: number;
  /** Above 0. */
  readonly tokens: number;
}

/** Σ_stale/N_stale − Σ_fresh/N_fresh, nats a token; 0 where both are shown the same. @throws Error without tokens */
export function passageRegret(stale: AnswerLoss, fresh: AnswerLoss): number {
  if (!(stale.tokens > 0 && fresh.tokens > 0)) throw new Error(`regret over ${stale.tokens} and ${fresh.tokens} tokens`);
  return stale.sum / stale.tokens - fresh.sum / fresh.tokens;
}
