/**
 * The `train.contrastive.mining` section: which found passages are hard negatives, and what judges them. Only keys stand here; the rules are src/training/hard-negatives.ts. The trap: scores of the index, of BM25
 * and of a teacher have different scales, so thresholds belong to one of them.
 */
import { choice, integer, number, path, section } from "./leaf.js";

export const mining = section("Where hard negatives come from, and which are taken.", {
  source: choice(["dense", "bm25", "both"], {
    doc: "dense: the current index's own results, so none before the first refresh; bm25: what shares most with the question's words, from the first step on; both: either.",
    default: "dense",
  }),
  from: integer({ doc: "First rank that is taken.", default: 1, minimum: 1 }),
  to: integer({ doc: "Last rank that is taken.", default: 50, minimum: 1 }),
  ranks: choice(["found", "kept"], {
    doc: "found: from and to count what a search found; kept: what is left of it once every rule has dropped its own, as sentence-transformers counts.",
    default: "found",
  }),
  absolute_margin: number({
    doc: "A negative's score is at least this much below the lowest of its question's positives. null: no such rule.",
    default: null,
  }),
  relative_margin: number({
    doc: "A negative's score is at least this share of the positive's below it (NV-Retriever's TopK-PercPos, arXiv 2407.15831: 0.05). null: no such rule.",
    default: null,
    maximum: 1,
  }),
  max_score: number({ doc: "No negative's score is above. null: no such rule.", default: null }),
  min_score: number({ doc: "No negative's score is below. null: no such rule.", default: null }),
  near_positive: number({
    doc: "A passage that shares this much of its neighbouring word pairs with a positive is no negative (Jaccard similarity). null: only the same text isn't.",
    default: null,
    minimum: 0,
    exclusiveMinimum: true,
    maximum: 1,
  }),
  sampling: choice(["random", "top"], {
    doc: "Which of a question's mined negatives a batch has. random: others each time, by seed and step; top: always the best-ranked.",
    default: "random",
  }),
  teacher: section("Whose scores the margins and bounds read. Without a teacher: those of the search that found the passage.", {
    path: path({ doc: "A folder: sentence-transformers' or Hugging Face's. null: no teacher.", default: null }),
    kind: choice(["encoder", "cross-encoder"], {
      doc: "encoder: cosine of its embeddings; cross-encoder: BERT with a head of one label, which reads question and passage together.",
      default: "cross-encoder",
    }),
  }),
});
