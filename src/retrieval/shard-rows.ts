/**
 * Which rows of a corpus are whose, among the processes of a group: ranges next to each other, in the order of ranks, in whole units. It holds no rows. The trap: a unit is what one process computes at once (a block of vectors, a batch
 * of passages), because the last digits of a product depend on its shape; ranges that cut a unit would give other numbers than one process gives.
 */
import type { RowRange } from "./exact-index.js";

/** The rows of one rank: as many units as the others have, or one more; none where there are fewer units than ranks. */
export function ownRows(rows: number, unit: number, { rank, size }: { readonly rank: number; readonly size: number }): RowRange {
  const units = Math.ceil(rows / unit);
  const bound = (before: number): number => Math.min(rows, Math.floor((units * before) / size) * unit);
  const start = bound(rank);
  return { start, count: bound(rank + 1) - start };
}
