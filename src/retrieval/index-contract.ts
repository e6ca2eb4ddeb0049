/**
 * What every index is to the rest of Tandem: `search(queries, k)`. Exact and approximate indexes satisfy one conformance suite. The trap: the score's direction is the metric's: inner
 * product and cosine grow with likeness, `l2` is FAISS's squared distance and shrinks with it. Results are best first in every case. An approximate index may find fewer than k rows: -1 fills the rest.
 *
 * Q queries, D dimension, K results.
 */
import type { Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";

export const METRICS = ["inner-product", "cosine", "l2"] as const;

export type Metric = (typeof METRICS)[number];

export interface SearchResult {
  /** min(k, size). */
  readonly k: number;
  /** Row-major (Q, K), best first; the metric's worst infinity where nothing was found. */
  readonly scores_QK: Float32Array;
  /** Rows of the passage store, row-major (Q, K); -1 behind the last where fewer than K were found. */
  readonly ids_QK: Int32Array;
}

export interface Index {
  readonly size: number;
  readonly dimension: number;
  readonly metric: Metric;
  /**
   * The `k` best rows of each query, all of them or, by an approximate index, those that it comes across. Equal scores stand in the order of their rows.
   *
   * @param queries_QD f32 (Q, D)
   * @throws UserError when the dimension differs or k is no positive whole number
   */
  search(queries_QD: Tensor, k: number): Promise<SearchResult>;
  /** As `search`, over every row: where `search` is approximate and may find too few. Slow. */
  searchAll?(queries_QD: Tensor, k: number): Promise<SearchResult>;
  dispose(): void;
}

/** What {@link Index.search} asks of its arguments. @throws UserError when the dimension differs or k is no positive whole number */
export function requireSearchable({ dimension }: Pick<Index, "dimension">, queries_QD: Tensor, k: number): void {
  const given = queries_QD.size(1);
  if (given !== dimension)
    throw new UserError({
      where: "search",
      what: "the queries have another dimension than the index",
      expected: String(dimension),
      got: String(given),
      remedy: "search with the encoder that built the index",
    });
  if (!Number.isSafeInteger(k) || k < 1) throw new UserError({ where: "search", what: "k is no positive whole number", got: String(k) });
}
