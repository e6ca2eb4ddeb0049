/**
 * A retriever: encoder, index and passage store together, answering many questions at once. It neither trains nor builds. The trap: it is only as true as its index; construct it
 * through {@link openRetriever}, which refuses an index of another encoder or corpus.
 *
 * Q questions, D dimension, K results.
 */
import { span } from "../engine/profiler.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import type { Passage } from "../corpus/passage.js";
import type { PassageStore } from "../corpus/passage-store.js";
import { provenanceOf } from "./build-index.js";
import type { PassageEmbedder } from "./embed-passages.js";
import type { FaissSettings } from "./faiss-settings.js";
import type { Index, Metric, SearchResult } from "./index-contract.js";
import { openIndex, type HeldAs } from "./open-index.js";
import { requireProvenance } from "./provenance.js";

/** A passage that was found, with why: its rank from 1 and its score by the index's metric. */
export interface Hit {
  readonly row: number;
  readonly rank: number;
  readonly score: number;
  readonly passage: Passage;
}

export interface QueryEmbedder {
  /** f32 (Q, D), without a graph. */
  embedQueries(texts: readonly string[]): Tensor;
}

export class Retriever {
  constructor(
    readonly encoder: QueryEmbedder,
    readonly index: Index,
    readonly store: PassageStore,
  ) {}

  /** The rows and scores of the `k` best passages for each question; -1 where an approximate index found no more. */
  searchRows(questions: readonly string[], k: number): Promise<SearchResult> {
    return this.#withQueries(questions, k, (queries_QD) => this.index.search(queries_QD, k));
  }

  /** As {@link searchRows}, over every passage, where the index is approximate. */
  searchAllRows(questions: readonly string[], k: number): Promise<SearchResult> {
    const { index } = this;
    return this.#withQueries(questions, k, (queries_QD) => index.searchAll?.(queries_QD, k) ?? index.search(queries_QD, k));
  }

  /** The `k` best passages for each question, best first; fewer where the index found fewer. */
  async search(questions: readonly string[], k: number): Promise<Hit[][]> {
    const found = await this.searchRows(questions, k);
    return questions.map((_, q) =>
      Array.from(found.ids_QK.subarray(q * found.k, (q + 1) * found.k))
        .filter((row) => row >= 0)
        .map((row, rank) => ({ row, rank: rank + 1, score: found.scores_QK[q * found.k + rank] ?? NaN, passage: this.store.get(row) })),
    );
  }

  async #withQueries(
    questions: readonly string[],
    k: number,
    search: (queries_QD: Tensor) => Promise<SearchResult>,
  ): Promise<SearchResult> {
    if (questions.length === 0) return { k, scores_QK: new Float32Array(), ids_QK: new Int32Array() };
    const queries_QD = scope(() => this.encoder.embedQueries(questions)).keep();
    try {
      return await span("search", () => search(queries_QD));
    } finally {
      queries_QD.dispose();
    }
  }
}

/**
 * A retriever over an index folder that must belong to this encoder and this store.
 *
 * @param rebuild the command that mends a stale index
 * @throws UserError when the index was made from something else
 */
export function openRetriever(
  folder: string,
  parts: {
    encoder: PassageEmbedder & QueryEmbedder;
    store: PassageStore;
    template: string;
    metric: Metric;
    /** What the index must have been built as; none for the exact one. */
    approximate?: FaissSettings;
    held?: HeldAs;
    /** Opens the index in another way than {@link openIndex}. */
    open?: (folder: string) => Index;
  },
  rebuild = "tandem index",
): Retriever {
  const { approximate, held, open } = parts;
  requireProvenance(folder, provenanceOf(parts), rebuild);
  const search = approximate === undefined ? {} : { search: approximate.search, threads: approximate.threads };
  return new Retriever(parts.encoder, open?.(folder) ?? openIndex(folder, { ...held, ...search, rebuild }), parts.store);
}
