/**
 * How much two searches agree: the mean share of their k best results that both have. Ranks inside the k don't count. It searches nothing. The trap: both must have searched the same rows, or what one could not find looks like
 * drift.
 *
 * Q questions, K results.
 */

/**
 * (1/Q) Σ_q |A_q ∩ B_q| / max(|A_q|, |B_q|), in [0, 1], with the rows found for each question; −1, where nothing was found, is no row. A question for which neither found anything agrees.
 *
 * @throws Error for other numbers of questions, or none
 */
export function meanOverlap(stale: readonly ArrayLike<number>[], fresh: readonly ArrayLike<number>[]): number {
  if (stale.length === 0 || stale.length !== fresh.length) throw new Error(`overlap of ${stale.length} and ${fresh.length} questions`);
  const shares = stale.map((rows, q) => {
    const [before, now] = [foundIn(rows), foundIn(fresh[q] ?? [])];
    const most = Math.max(before.size, now.size);
    return most === 0 ? 1 : [...before].filter((row) => now.has(row)).length / most;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function foundIn(rows: ArrayLike<number>): Set<number> {
  return new Set(Array.from(rows).filter((row) => row >= 0));
}
