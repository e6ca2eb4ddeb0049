/**
 * Top-k among the passages that are allowed: training must not be shown what belongs to validation and test. It asks any index for more than k and leaves out the rest, deeper until there are k, so it
 * needs nothing of the index. The trap: what is found then depends on the whole corpus only through the order, so the index itself stays the one that validation searches.
 *
 * Q questions, K results.
 */
import { UserError } from "../errors.js";
import type { SearchResult } from "./index-contract.js";

/** What is searched: {@link Retriever} is one. */
export interface RowSearcher {
  readonly store: { readonly size: number };
  searchRows(questions: readonly string[], k: number): Promise<SearchResult>;
}

/**
 * The `k` best allowed rows for each question, best first; fewer when fewer are allowed in all.
 *
 * @returns rows (Q,K) with K ≤ k, the same for all questions
 * @throws UserError when no passage is allowed
 */
export async function searchAllowed(
  searcher: RowSearcher,
  questions: readonly string[],
  k: number,
  isAllowed: (row: number) => boolean,
): Promise<{ k: number; rows_QK: Int32Array }> {
  const { size } = searcher.store;
  const kept: number[][] = questions.map(() => []);
  let open = questions.map((_, q) => q);
  for (let depth = Math.min(size, 2 * k); open.length > 0; depth = Math.min(size, 4 * depth)) {
    const found = await searcher.searchRows(
      open.map((q) => questions[q] ?? ""),
      depth,
    );
    open.forEach((q, place) => (kept[q] = allowedRows(found, place, k, isAllowed)));
    open = depth < size ? open.filter((q) => (kept[q]?.length ?? 0) < k) : [];
  }
  const fewest = kept.reduce((least, rows) => Math.min(least, rows.length), k);
  if (fewest === 0 && questions.length > 0)
    throw new UserError({
      where: "training: retrieval",
      what: "every passage of the corpus belongs to a validation or test document",
      expected: "passages of other documents",
      remedy: "add training documents to the corpus, or set data.questions.hold_out_passages=false",
    });
  return { k: fewest, rows_QK: Int32Array.from(kept.flatMap((rows) => rows.slice(0, fewest))) };
}

function allowedRows(found: SearchResult, question: number, k: number, isAllowed: (row: number) => boolean): number[] {
  const rows: number[] = [];
  for (let rank = 0; rank < found.k && rows.length < k; rank++) {
    const row = found.ids_QK[question * found.k + rank] ?? -1;
    if (row >= 0 && isAllowed(row)) rows.push(row);
  }
  return rows;
}
