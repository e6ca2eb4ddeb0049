/**
 * Exact search on the engine: one matrix product a block of vectors and a running top-k. Not approximate and not compressed: cost grows with queries × vectors. The vectors
 * are an `.npy` file that stays mapped, so memory doesn't grow with the index while it is held as f32. The trap: topk leaves the order of equal scores open; here the lower row always
 * comes first, so that results are the same on every machine.
 *
 * Q queries, N vectors, D dimension, K results, C candidates.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import type { Dtype } from "../engine/dtype.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, fromMapped, ops, toFloat32Array, toInt32Array, type Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import { readNpy } from "../storage/npy.js";
import { requireSearchable, type Index, type Metric, type SearchResult } from "./index-contract.js";

export interface ExactIndexOptions {
  readonly metric: Metric;
  /** How vectors are held while they are searched; products are f32 whatever this is, a block at a time. Default f32, over the file's own memory. */
  readonly dtype?: "f32" | "f16" | "bf16";
  readonly device?: string;
  /** Vectors in one product. Default 65,536. */
  readonly block?: number;
}

const QUERIES_AT_ONCE = 256;

export class ExactIndex implements Index {
  readonly size: number;
  readonly dimension: number;
  readonly metric: Metric;
  readonly #vectors_ND: Tensor;
  readonly #norms_N: Tensor | undefined;
  readonly #block: number;

  private constructor(vectors_ND: Tensor, options: ExactIndexOptions) {
    this.size = vectors_ND.size(0);
    this.dimension = vectors_ND.size(1);
    this.metric = options.metric;
    this.#vectors_ND = vectors_ND;
    this.#block = options.block ?? 65536;
    this.#norms_N = options.metric === "l2" ? scope(() => noGrad(() => this.#norms())).keep() : undefined;
  }

  /**
   * Opens an `.npy` of float32 (N, D). For `cosine` its rows are of length one, as `buildIndex` writes them.
   *
   * @throws UserError when the file isn't such a matrix
   */
  static open(path: string, options: ExactIndexOptions): ExactIndex {
    const { dtype, shape, data } = readNpy(path);
    if (dtype !== "float32" || shape.length !== 2 || shape[1] === 0)
      throw new UserError({
        where: path,
        what: "is no matrix of vectors",
        expected: "float32 (N, D)",
        got: `${dtype} (${shape.join(", ")})`,
        remedy: "rebuild it: tandem index",
      });
    const mapped = data.byteOffset % 4 === 0 ? fromMapped(data, "f32", shape) : fromBytes(data, "f32", shape);
    return ExactIndex.over(mapped, options);
  }

  /** An index over vectors in memory, f32 (N, D), which it takes over. */
  static over(vectors_ND: Tensor, options: ExactIndexOptions): ExactIndex {
    const held: Dtype = options.dtype ?? "f32";
    const device = options.device ?? "cpu";
    const moved = held === vectors_ND.dtype && device === vectors_ND.device ? vectors_ND : noGrad(() => vectors_ND.toDevice(device, held));
    if (moved !== vectors_ND) vectors_ND.dispose();
    return new ExactIndex(moved.keep(), options);
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
    this.#vectors_ND.dispose();
    this.#norms_N?.dispose();
  }

  async #searchBlockwise(queries_QD: Tensor, start: number, length: number, k: number): Promise<{ scores: Float32Array; ids: Int32Array }> {
    let best: { scores_QK: Tensor; ids_QK: Tensor } | undefined;
    for (let row = 0; row < this.size; row += this.#block) {
      const previous = best;
      best = scope(() => noGrad(() => this.#mergeBlock(queries_QD.narrow(0, start, length), row, k, previous)));
      best.scores_QK.keep();
      best.ids_QK.keep();
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

  /** |v|² of every row, in blocks: the squares of a whole index would need its memory again. */
  #norms(): Tensor {
    const parts = [ops.zeros([0], "f32", this.#vectors_ND.device)];
    for (let row = 0; row < this.size; row += this.#block) parts.push(scope(() => this.#block_ND(row).square().sum(1)));
    return ops.cat(parts);
  }

  #block_ND(row: number): Tensor {
    return this.#vectors_ND.narrow(0, row, Math.min(this.#block, this.size - row)).toDtype("f32");
  }

  #mergeBlock(
    queries_QD: Tensor,
    row: number,
    k: number,
    previous: { scores_QK: Tensor; ids_QK: Tensor } | undefined,
  ): { scores_QK: Tensor; ids_QK: Tensor } {
    const length = Math.min(this.#block, this.size - row);
    const scores_QN = this.#scores(queries_QD, row);
    const block = topRows(scores_QN, Math.min(k, length));
    const ids_QK = block.ids_QK.add(row);
    if (previous === undefined) return { scores_QK: block.scores_QK, ids_QK };
    // Earlier rows first, then a stable sort: equal scores stay in the order of their rows.
    const scores_QC = ops.cat([previous.scores_QK, block.scores_QK], 1);
    const [, order_QC] = scores_QC.sort(true, 1, true);
    const order_QK = order_QC.narrow(1, 0, Math.min(k, scores_QC.size(1)));
    return { scores_QK: scores_QC.gather(1, order_QK), ids_QK: ops.cat([previous.ids_QK, ids_QK], 1).gather(1, order_QK) };
  }

  /** Scores by which larger is better: inner product, or minus the squared distance |q|² + |v|² − 2⟨q, v⟩. */
  #scores(queries_QD: Tensor, row: number): Tensor {
    const vectors_ND = this.#block_ND(row);
    const wanted_QD = this.metric === "cosine" ? unitRows(queries_QD) : queries_QD;
    const products_QN = wanted_QD.toDevice(vectors_ND.device, "f32").mm(vectors_ND.t());
    if (this.#norms_N === undefined) return products_QN;
    const norms_Q1 = queries_QD.toDevice(vectors_ND.device, "f32").square().sum(1, true);
    return norms_Q1
      .add(this.#norms_N.narrow(0, row, vectors_ND.size(0)))
      .sub(products_QN, 2)
      .clampMin(0)
      .neg();
  }
}

/** x / max(‖x‖₂, 1e-12) for each row, as sentence-transformers' Normalize. */
export function unitRows(vectors_ND: Tensor): Tensor {
  return vectors_ND.div(vectors_ND.linalgVectorNorm(2, [1], true).clampMin(1e-12));
}

/** The k largest of each row, largest first, equal ones by column. */
function topRows(scores_QN: Tensor, k: number): { scores_QK: Tensor; ids_QK: Tensor } {
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
