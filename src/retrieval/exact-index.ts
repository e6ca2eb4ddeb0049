/**
 * Exact search on the engine: one matrix product a block of vectors and a running top-k. Not approximate and not compressed: cost grows with queries × vectors. The vectors
 * are an `.npy` file that stays mapped, block by block, so memory doesn't grow with the index while it is held as f32. The traps: topk leaves the order of equal scores open; here the lower row always
 * comes first, so that results are the same on every machine; and a product's last digits depend on its shape, so whoever searches a part of the rows takes whole blocks.
 *
 * Q queries, N vectors, D dimension, K results, C candidates.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, fromMapped, ops, toFloat32Array, toInt32Array, type Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import { openNpy } from "../storage/npy.js";
import { requireSearchable, type Index, type Metric, type SearchResult } from "./index-contract.js";

export interface ExactIndexOptions {
  readonly metric: Metric;
  /** How vectors are held while they are searched; products are f32 whatever this is, a block at a time. Default f32, over the file's own memory. */
  readonly dtype?: "f32" | "f16" | "bf16";
  readonly device?: string;
  /** Vectors in one product. Default {@link VECTORS_AT_ONCE}. */
  readonly block?: number;
}

/** Some of an index's rows, next to each other. */
export interface RowRange {
  readonly start: number;
  readonly count: number;
}

/** Queries in one product. */
export const QUERIES_AT_ONCE = 256;
/** Vectors in one product. */
export const VECTORS_AT_ONCE = 65536;

export class ExactIndex implements Index {
  readonly size: number;
  readonly dimension: number;
  readonly metric: Metric;
  /** One a block. */
  readonly #vectors_ND: readonly Tensor[];
  /** |v|² of every row, where the metric needs them. */
  readonly #norms_N: readonly Tensor[] | undefined;

  private constructor(vectors_ND: readonly Tensor[], shape: { size: number; dimension: number }, { metric }: ExactIndexOptions) {
    this.size = shape.size;
    this.dimension = shape.dimension;
    this.metric = metric;
    this.#vectors_ND = vectors_ND;
    this.#norms_N = metric === "l2" ? vectors_ND.map((block_ND) => norms(block_ND)) : undefined;
  }

  /**
   * Opens an `.npy` of float32 (N, D), or some of its rows, which are then the index's rows from 0 on. For `cosine` rows are of length one, as `buildIndex` writes them.
   *
   * @throws UserError when the file isn't such a matrix
   */
  static open(path: string, options: ExactIndexOptions, range?: RowRange): ExactIndex {
    const file = openNpy(path);
    const { dtype, shape, dataOffset } = file;
    const [size, dimension] = shape;
    if (dtype !== "float32" || shape.length !== 2 || size === undefined || dimension === undefined || dimension === 0)
      throw new UserError({
        where: path,
        what: "is no matrix of vectors",
        expected: "float32 (N, D)",
        got: `${dtype} (${shape.join(", ")})`,
        remedy: "rebuild it: tandem index",
      });
    const { start, count } = range ?? { start: 0, count: size };
    const blocks = blockwise(count, options, (row, length) => {
      const data = file.rows(start + row, length);
      // One map a block: no view of JavaScript's holds more than 4 GiB.
      return dataOffset % 4 === 0 ? fromMapped(data, "f32", [length, dimension]) : fromBytes(data, "f32", [length, dimension]);
    });
    return new ExactIndex(blocks, { size: count, dimension }, options);
  }

  /** An index over vectors in memory, f32 (N, D), which it takes over. */
  static over(vectors_ND: Tensor, options: ExactIndexOptions): ExactIndex {
    const [size, dimension] = [vectors_ND.size(0), vectors_ND.size(1)];
    const blocks = blockwise(size, options, (row, length) => vectors_ND.narrow(0, row, length));
    vectors_ND.dispose();
    return new ExactIndex(blocks, { size, dimension }, options);
  }

  async search(queries_QD: Tensor, k: number): Promise<SearchResult> {
    requireSearchable(this, queries_QD, k);
    const count = queries_QD.size(0);
    const kept = Math.min(k, this.size);
    const scores_QK = new Float32Array(count * kept);
    const ids_QK = new Int32Array(count * kept);
    for (let start = 0; start < count && kept > 0; start += QUERIES_AT_ONCE) {
      const length = Math.min(QUERIES_AT_ONCE, count - start);
      const found = await this.#searchBlockwise(queries_QD, start, length, kept);
      scores_QK.set(found.scores, start * kept);
      ids_QK.set(found.ids, start * kept);
    }
    return { k: kept, scores_QK, ids_QK };
  }

  dispose(): void {
    for (const block of [...this.#vectors_ND, ...(this.#norms_N ?? [])]) block.dispose();
  }

  async #searchBlockwise(queries_QD: Tensor, start: number, length: number, k: number): Promise<{ scores: Float32Array; ids: Int32Array }> {
    let best: Ranked | undefined;
    let row = 0;
    for (const [block, vectors_ND] of this.#vectors_ND.entries()) {
      const previous = best;
      best = scope(() => noGrad(() => this.#mergeBlock(queries_QD.narrow(0, start, length), { block, row }, k, previous)));
      best.scores_QK.keep();
      best.ids_QK.keep();
      row += vectors_ND.size(0);
      previous?.scores_QK.dispose();
      previous?.ids_QK.dispose();
      await yieldToEvents();
    }
    if (best === undefined) throw new Error("ExactIndex: an empty index was searched");
    const { scores_QK, ids_QK } = best;
    const scores = toFloat32Array(scores_QK);
    const ids = toInt32Array(ids_QK);
    scores_QK.dispose();
    ids_QK.dispose();
    // Inside, larger is better; l2 is handed out as the distance it is. `0 - s` keeps a zero distance from becoming -0.
    return { scores: this.metric === "l2" ? scores.map((score) => 0 - score) : scores, ids };
  }

  #mergeBlock(
    queries_QD: Tensor,
    { block, row }: { readonly block: number; readonly row: number },
    k: number,
    previous: Ranked | undefined,
  ): Ranked {
    const scores_QN = this.#scores(queries_QD, block);
    const top = topRows(scores_QN, Math.min(k, scores_QN.size(1)));
    const found = { scores_QK: top.scores_QK, ids_QK: top.ids_QK.add(row) };
    return previous === undefined ? found : mergedRows([previous, found], k);
  }

  /** Scores by which larger is better: inner product, or minus the squared distance |q|² + |v|² − 2⟨q, v⟩. */
  #scores(queries_QD: Tensor, block: number): Tensor {
    const held_ND = this.#vectors_ND[block];
    if (held_ND === undefined) throw new Error(`the index has no block ${block}`);
    const vectors_ND = held_ND.toDtype("f32");
    const wanted_QD = this.metric === "cosine" ? unitRows(queries_QD) : queries_QD;
    const products_QN = wanted_QD.toDevice(vectors_ND.device, "f32").mm(vectors_ND.t());
    const norms_N = this.#norms_N?.[block];
    if (norms_N === undefined) return products_QN;
    const norms_Q1 = queries_QD.toDevice(vectors_ND.device, "f32").square().sum(1, true);
    return norms_Q1.add(norms_N).sub(products_QN, 2).clampMin(0).neg();
  }
}

/** Candidates of each query, best first; larger scores are better. */
export interface Ranked {
  readonly scores_QK: Tensor;
  readonly ids_QK: Tensor;
}

/** The `k` best of all candidates. Those that come first in the list have the lower rows: a stable sort leaves equal scores in the order of their rows. */
export function mergedRows(parts: readonly Ranked[], k: number): Ranked {
  const scores_QC = ops.cat(
    parts.map(({ scores_QK }) => scores_QK),
    1,
  );
  const ids_QC = ops.cat(
    parts.map(({ ids_QK }) => ids_QK),
    1,
  );
  const [, order_QC] = scores_QC.sort(true, 1, true);
  const order_QK = order_QC.narrow(1, 0, Math.min(k, scores_QC.size(1)));
  return { scores_QK: scores_QC.gather(1, order_QK), ids_QK: ids_QC.gather(1, order_QK) };
}

/** Vectors a block at a time, as the options hold them. */
function blockwise(count: number, options: ExactIndexOptions, block_ND: (row: number, length: number) => Tensor): Tensor[] {
  const { dtype = "f32", device = "cpu", block = VECTORS_AT_ONCE } = options;
  const blocks: Tensor[] = [];
  for (let row = 0; row < count; row += block)
    blocks.push(scope(() => noGrad(() => block_ND(row, Math.min(block, count - row)).toDevice(device, dtype))).keep());
  return blocks;
}

function norms(vectors_ND: Tensor): Tensor {
  return scope(() => noGrad(() => vectors_ND.toDtype("f32").square().sum(1))).keep();
}

/** x / max(‖x‖₂, 1e-12) for each row, as sentence-transformers' Normalize. */
export function unitRows(vectors_ND: Tensor): Tensor {
  return vectors_ND.div(vectors_ND.linalgVectorNorm(2, [1], true).clampMin(1e-12));
}

/** The k largest of each row, largest first, equal ones by column. */
function topRows(scores_QN: Tensor, k: number): Ranked {
  const [top_QK, columns_QK] = scores_QN.topk(k, 1, true, true);
  const least_Q1 = top_QK.narrow(1, k - 1, 1);
  // More columns reach the k-th score than there is room for: topk may have taken any of them, so those rows are sorted in full.
  const tied_Q = scores_QN.ge(least_Q1).sum(1).gt(k);
  let ids_QK = columns_QK;
  if (tied_Q.any().item() !== 0) {
    const rows_R = tied_Q.nonzero().squeeze(1);
    const [, order_RN] = scores_QN.indexSelect(0, rows_R).sort(true, 1, true);
    ids_QK = columns_QK.indexPut([rows_R], order_RN.narrow(1, 0, k));
  }
  const [byColumn_QK] = ids_QK.sort(true, 1, false);
  const [, order_QK] = scores_QN.gather(1, byColumn_QK).sort(true, 1, true);
  const sorted_QK = byColumn_QK.gather(1, order_QK);
  return { scores_QK: scores_QN.gather(1, sorted_QK), ids_QK: sorted_QK };
}
