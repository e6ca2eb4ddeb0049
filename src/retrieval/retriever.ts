/**
 * A retriever: encoder, index and passage store together, answering many questions at once. It neither trains nor builds. The trap: it is only as true as its index; construct it
 * through {@link openRetriever}, which refuses an index of another encoder or corpus.
 *
 * Q questions, D dimension, K results.
 */
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import type { Passage } from "../corpus/passage.js";
import type { PassageStore } from "../corpus/passage-store.js";
import { openIndex, provenanceOf, type PassageEmbedder } from "./build-index.js";
import type { Index, Metric, SearchResult } from "./index-contract.js";
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

  /** The rows and scores of the `k` best passages for each question. */
  async searchRows(questions: readonly string[], k: number): Promise<SearchResult> {
    if (questions.length === 0) return { k, scores_QK: new Float32Array(), ids_QK: new Int32Array() };
    const queries_QD = scope(() => this.encoder.embedQueries(questions)).keep();
    try {
      return await this.index.search(queries_QD, k);
    } finally {
      queries_QD.dispose();
    }
  }

  /** The `k` best passages for each question, best first. */
  async search(questions: readonly string[], k: number): Promise<Hit[][]> {
    const found = await this.searchRows(questions, k);
    return questions.map((_, q) =>
      Array.from({ length: found.k }, (_, rank) => {
        const row = found.ids_QK[q * found.k + rank] ?? -1;
        return { row, rank: rank + 1, score: found.scores_QK[q * found.k + rank] ?? NaN, passage: this.store.get(row) };
      }),
    );
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
    dtype?: "f32" | "f16" | "bf16";
    device?: string;
  },
  rebuild = "tandem index",
): Retriever {
  requireProvenance(folder, provenanceOf(parts), rebuild);
  const held = {
    ...(parts.dtype === undefined ? {} : { dtype: parts.dtype }),
    ...(parts.device === undefined ? {} : { device: parts.device }),
  };
  return new Retriever(parts.encoder, openIndex(folder, held), parts.store);
}
