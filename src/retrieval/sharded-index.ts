/**
 * One index whose rows lie in several processes: each holds an index over its own range and searches it, and all of them get the merged best, equal to one process's search row for row. It sends no queries: every process of the group
 * makes the same call with the same queries, as with any collective. The traps: equal scores stand in the order of rows only because ranges follow the ranks and the merge is stable; and what all processes find for all queries at
 * once may be more than memory, so queries are merged some at a time, in whole products of the exact index.
 *
 * Q queries, B queries of one merge, D dimension, K results, W the columns that every process sends.
 */
import type { ProcessGroup } from "../distributed/process-group.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, ops, toFloat32Array, toInt32Array, type Tensor } from "../engine/tensor.js";
import { mergedRows, QUERIES_AT_ONCE, type Ranked } from "./exact-index.js";
import { requireSearchable, type Index, type Metric, type SearchResult } from "./index-contract.js";

/** Bytes of scores and ids, of all processes together, that are merged at once. */
const MERGED_BYTES = 1 << 26;
/** A score in f32 and a row in i32. */
const CANDIDATE_BYTES = 8;

export class ShardedIndex implements Index {
  readonly size: number;
  readonly dimension: number;
  readonly metric: Metric;
  readonly #shard: Index;
  readonly #start: number;
  readonly #group: Pick<ProcessGroup, "gather" | "size">;

  /**
   * @param shard the rows from `start` on, whose own ids begin at 0; it is taken over. A process may have none
   * @param size of all processes together
   */
  constructor(
    shard: Index,
    { start, size }: { readonly start: number; readonly size: number },
    group: Pick<ProcessGroup, "gather" | "size">,
  ) {
    this.size = size;
    this.dimension = shard.dimension;
    this.metric = shard.metric;
    this.#shard = shard;
    this.#start = start;
    this.#group = group;
  }

  /** As {@link Index.search}, by all processes of the group at once. */
  async search(queries_QD: Tensor, k: number): Promise<SearchResult> {
    return this.#together(queries_QD, k, (queries_BD) => this.#shard.search(queries_BD, k));
  }

  async searchAll(queries_QD: Tensor, k: number): Promise<SearchResult> {
    const shard = this.#shard;
    return this.#together(queries_QD, k, (queries_BD) => shard.searchAll?.(queries_BD, k) ?? shard.search(queries_BD, k));
  }

  dispose(): void {
    this.#shard.dispose();
  }

  async #together(queries_QD: Tensor, k: number, searchOwn: (queries_BD: Tensor) => Promise<SearchResult>): Promise<SearchResult> {
    // Before anything is sent: all processes throw, or none.
    requireSearchable(this, queries_QD, k);
    const count = queries_QD.size(0);
    const kept = Math.min(k, this.size);
    const scores_QK = new Float32Array(count * kept);
    const ids_QK = new Int32Array(count * kept);
    const atOnce = this.#queriesAtOnce(kept);
    for (let start = 0; start < count && kept > 0; start += atOnce) {
      const queries_BD = scope(() => queries_QD.narrow(0, start, Math.min(atOnce, count - start))).keep();
      try {
        const found = this.#merged(await searchOwn(queries_BD), queries_BD.size(0), kept);
        scores_QK.set(found.scores, start * kept);
        ids_QK.set(found.ids, start * kept);
      } finally {
        queries_BD.dispose();
      }
    }
    return { k: kept, scores_QK, ids_QK };
  }

  #queriesAtOnce(k: number): number {
    const products = Math.floor(MERGED_BYTES / (CANDIDATE_BYTES * k * this.#group.size * QUERIES_AT_ONCE));
    return QUERIES_AT_ONCE * Math.max(1, products);
  }

  #merged(own: SearchResult, queries: number, k: number): { scores: Float32Array; ids: Int32Array } {
    // The larger the better, for the time of the merge.
    const turned = (scores: Tensor): Tensor => (this.metric === "l2" ? ops.full([], 0, "f32").sub(scores) : scores);
    return scope(() =>
      noGrad(() => {
        const { scores_BW, ids_BW } = this.#sent(own, queries, k);
        const scores = this.#group.gather(turned(scores_BW));
        const ids = this.#group.gather(ids_BW);
        const best = mergedRows(
          scores.map((scores_QK, rank): Ranked => ({ scores_QK, ids_QK: ids[rank] ?? ids_BW })),
          k,
        );
        return { scores: toFloat32Array(turned(best.scores_QK)), ids: toInt32Array(best.ids_QK) };
      }),
    );
  }

  /** What this process found, by the corpus's rows, filled up to K columns: gloo gathers equal shapes only. */
  #sent({ k: found, scores_QK, ids_QK }: SearchResult, queries: number, k: number): { scores_BW: Tensor; ids_BW: Tensor } {
    const ids = fromBytes(ids_QK, "i32", [queries, found]);
    const missing = [0, k - found];
    return {
      scores_BW: fromBytes(scores_QK, "f32", [queries, found]).constantPadNd(missing, this.metric === "l2" ? Infinity : -Infinity),
      // What a shard lacked is -1 already and stays so.
      ids_BW: ids.add(ids.ge(0).mul(this.#start)).toDtype("i32").constantPadNd(missing, -1),
    };
  }
}
