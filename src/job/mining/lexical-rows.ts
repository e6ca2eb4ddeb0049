/**
 * What BM25 finds for the training questions among the passages that training may see, as an artefact: it doesn't follow the retriever, so a run searches it once. The trap: BM25 holds the corpus's words in
 * memory, which a corpus of many millions of passages doesn't fit.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { PassageStore } from "../../corpus/passage-store.js";
import { UserError } from "../../errors.js";
import { Bm25 } from "../../retrieval/bm25.js";
import { hashJson } from "../../storage/content-hash.js";
import { writeRetrieved, type FoundRows } from "../index/artefacts.js";

export interface LexicalParts {
  readonly questions: readonly string[];
  /** Rows of each question's positives, whose lowest score is kept too. */
  readonly goldRows: readonly (readonly number[])[];
  readonly store: Pick<PassageStore, "size" | "field" | "hash">;
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
  /** How title and text are joined. */
  readonly template: string;
  /** Documents whose passages training never sees. */
  readonly heldOut: ReadonlySet<string>;
  readonly k: number;
}

/** BM25 in memory: about a gigabyte. */
const MOST_PASSAGES = 2_000_000;

/** Searches unless the artefact is in `folder` already, and says its name. @throws UserError for a corpus that BM25 can't hold */
export function lexicalArtefact(parts: LexicalParts, folder: string): string {
  const { questions, goldRows, store, template, heldOut, k } = parts;
  const about = { bm25: 1, corpus: store.hash, template, questions, goldRows, heldOut: [...heldOut].sort(), k };
  const name = hashJson(about).slice(0, 16);
  if (!existsSync(path.join(folder, name))) writeRetrieved(path.join(folder, name), lexicalRows(parts));
  return name;
}

/** The rows that share most with each question's words, the held-out ones aside; −1 behind the last. @throws UserError for a corpus that BM25 can't hold */
export function lexicalRows({ questions, goldRows, store, textOf, heldOut, k }: Omit<LexicalParts, "template">): Required<FoundRows> {
  if (store.size > MOST_PASSAGES)
    throw new UserError({
      where: "train.contrastive.mining.source",
      what: "asks BM25 for negatives, which holds the corpus's words in memory",
      expected: `at most ${MOST_PASSAGES} passages`,
      got: String(store.size),
      remedy: "train.contrastive.mining.source=dense",
    });
  const rows = Array.from({ length: store.size }, (_, row) => row).filter((row) => !heldOut.has(store.field(row, "document")));
  const placeOf = new Map(rows.map((row, place) => [row, place]));
  const bm25 = new Bm25(rows.map(textOf));
  const found = bm25.search(questions, k);
  const width = Math.max(1, Math.min(k, rows.length));
  const rows_QK = new Int32Array(questions.length * width).fill(-1);
  const scores_QK = new Float32Array(questions.length * width);
  found.forEach(({ ids, scores }, question) => {
    // Only rows with a word in common: the others fill BM25's places in their order and are no hard ones.
    for (let rank = 0; rank < width && (scores[rank] ?? 0) > 0; rank++) {
      rows_QK[question * width + rank] = rows[ids[rank] ?? -1] ?? -1;
      scores_QK[question * width + rank] = scores[rank] ?? 0;
    }
  });
  const positives = Float32Array.from(questions, (question, q) => {
    const places = (goldRows[q] ?? []).flatMap((row) => placeOf.get(row) ?? []);
    return places.length === 0 ? NaN : Math.min(...bm25.scoresOf(question, places));
  });
  return { k: width, rows_QK, scores_QK, positives };
}
