/**
 * How long exact search and BM25 take, and what BM25 holds in memory, each for a question and a passage: both grow with the product. Exact search is measured over drawn vectors, since only their number matters; BM25 over the corpus. An
 * index of FAISS's isn't measured: how long its search takes depends on what it was built from.
 */
import { passageText } from "../../corpus/passage.js";
import { noGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { ops } from "../../engine/tensor.js";
import { Bm25, bm25Words } from "../../retrieval/bm25.js";
import { ExactIndex, QUERIES_AT_ONCE, VECTORS_AT_ONCE } from "../../retrieval/exact-index.js";
import type { OpenRun } from "../run/open-run.js";
import { ownSeconds } from "./own-clock.js";

/** Seconds that a question and a vector take. */
export async function comparisonSeconds({ encoder, depth, config }: OpenRun, passages: number, seconds: number): Promise<number> {
  const vectors = Math.min(VECTORS_AT_ONCE, passages);
  const drawn = (rows: number) => noGrad(() => scope(() => ops.randn([rows, encoder.dimension])).keep());
  const index = ExactIndex.over(drawn(vectors), { metric: config.index.metric, dtype: config.index.dtype });
  const queries_QD = drawn(QUERIES_AT_ONCE);
  try {
    await index.search(queries_QD, depth);
    const [began, own] = [performance.now(), ownSeconds()];
    let searches = 0;
    do {
      await index.search(queries_QD, depth);
      searches += 1;
    } while (performance.now() - began < 1000 * seconds);
    return (ownSeconds() - own) / (searches * QUERIES_AT_ONCE * vectors);
  } finally {
    queries_QD.dispose();
    index.dispose();
  }
}

export interface LexicalCosts {
  /** Seconds of a passage in the build. */
  readonly build: number;
  /** Seconds of a question and a passage. */
  readonly search: number;
  /** Bytes of JavaScript's heap for a passage: its text, which the build reads from memory. */
  readonly heap: number;
  /** Bytes of a passage outside the heap: 12 an occurrence in arrays that double (24 at most, 18 in the middle), 8 sorted. */
  readonly outside: number;
}

/** Passages that BM25 is measured on. */
const PASSAGES = 4096;
const QUESTIONS = 64;
const OCCURRENCE_BYTES = 18 + 8;
/** Of a string's header and its place in an array, and of a passage's length as a number. */
const STRING_BYTES = 16 + 8 + 8;

export function lexicalCosts({ store, sets, artefacts }: OpenRun): LexicalCosts {
  const count = Math.min(PASSAGES, store.size);
  const began = ownSeconds();
  const texts = Array.from({ length: count }, (_, row) => passageText(store.get(row), artefacts.template));
  const bm25 = new Bm25(texts);
  const built = ownSeconds();
  const questions = sets.train.slice(0, QUESTIONS).map(({ question }) => question);
  bm25.search(questions, 10);
  const searched = ownSeconds();
  // V8 takes a byte for a character of a text that is all Latin-1, and two otherwise.
  const heap = texts.reduce((sum, text) => sum + text.length * (/^[\0-\xff]*$/.test(text) ? 1 : 2), 0) / count + STRING_BYTES;
  const occurrences = texts.reduce((sum, text) => sum + new Set(bm25Words(text)).size, 0) / count;
  return {
    build: (built - began) / count,
    search: (searched - built) / Math.max(1, questions.length * count),
    heap,
    outside: OCCURRENCE_BYTES * occurrences,
  };
}
