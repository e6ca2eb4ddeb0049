/**
 * Where hard negatives come from: what the retriever's index found for a question, what BM25 finds for its words, or both. It only asks; what is a negative is hard-negatives.ts's to say. The traps: BM25's do not
 * follow the retriever, so a retriever that has learnt them needs its own; and they are searched in memory, which a corpus of millions of passages doesn't fit.
 */
import type { PassageStore } from "../../corpus/passage-store.js";
import { UserError } from "../../errors.js";
import { Bm25 } from "../../retrieval/bm25.js";
import { mineHardNegatives, type MinedQuestion, type RankWindow } from "../../training/hard-negatives.js";

type NegativeSource = "dense" | "bm25" | "both";

export interface NegativeParts {
  readonly source: NegativeSource;
  readonly window: RankWindow;
  readonly questions: readonly string[];
  readonly mined: readonly MinedQuestion[];
  readonly store: Pick<PassageStore, "size" | "field">;
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
  /** Documents whose passages training never sees. */
  readonly heldOut: ReadonlySet<string>;
  /** What the index found; undefined before there is one. */
  readonly retrieved: ((question: number) => ArrayLike<number>) | undefined;
}

/** BM25 in memory: about a gigabyte. */
const MOST_PASSAGES = 2_000_000;

/** Rows of each question's negatives, the index's before BM25's; undefined where there is nothing to ask yet. @throws UserError for a corpus that BM25 can't hold */
export function hardNegatives(parts: NegativeParts): readonly Int32Array[] | undefined {
  const { source, mined, textOf, window, retrieved } = parts;
  const dense = source === "bm25" || retrieved === undefined ? undefined : mineHardNegatives(mined, retrieved, textOf, window).rows;
  if (source === "dense") return dense;
  const lexical = mineHardNegatives(mined, lexicalRows(parts), textOf, window).rows;
  return lexical.map((rows, question) => Int32Array.from(new Set([...(dense?.[question] ?? []), ...rows])));
}

/** The rows that share most with a question's words, the held-out ones aside. */
function lexicalRows({ questions, store, textOf, heldOut, window }: NegativeParts): (question: number) => number[] {
  if (store.size > MOST_PASSAGES)
    throw new UserError({
      where: "train.contrastive.mining.source",
      what: "asks BM25 for negatives, which holds the corpus's words in memory",
      expected: `at most ${MOST_PASSAGES} passages`,
      got: String(store.size),
      remedy: "train.contrastive.mining.source=dense",
    });
  const rows = Array.from({ length: store.size }, (_, row) => row).filter((row) => !heldOut.has(store.field(row, "document")));
  const bm25 = new Bm25(rows.map(textOf));
  // Only rows with a word in common: the others fill BM25's places in their order and are no hard ones.
  const found = bm25.search(questions, window.to).map(({ ids, scores }) => [...ids].filter((_, rank) => (scores[rank] ?? 0) > 0));
  return (question) => (found[question] ?? []).map((place) => rows[place] ?? -1);
}
