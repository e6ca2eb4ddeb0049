/**
 * Top-k among the passages that are allowed: training must not be shown what belongs to validation and test. It asks any index for more than k and leaves out the rest, deeper until there are k, so it
 * needs nothing of the index. The traps: what is found then depends on the whole corpus only through the order, so the index itself stays the one that validation searches; and an approximate index
 * may end before there are k, so such a question is searched through every passage.
 *
 * Q questions, K results.
 */
import { UserError } from "../errors.js";
import type { SearchResult } from "./index-contract.js";

/** What is searched: {@link Retriever} is one. */
export interface RowSearcher {
  readonly store: { readonly size: number };
  searchRows(questions: readonly string[], k: number): Promise<SearchResult>;
  /** As `searchRows`, over every passage, where that one is approximate. */
  searchAllRows?(questions: readonly string[], k: number): Promise<SearchResult>;
}

/** What a search among allowed passages gives. */
export interface AllowedRows {
  /** At most the k that was asked for, the same for all questions. */
  readonly k: number;
  /** Row-major (Q, K), best first. */
  readonly rows_QK: Int32Array;
  /** Their scores by the index's metric, row-major (Q, K). */
  readonly scores_QK: Float32Array;
  /** Questions for which the index ended before there were k allowed rows; they were searched through every passage. */
  readonly exhausted: number;
}

/**
 * The `k` best allowed rows for each question, best first; fewer when fewer are allowed in all.
 *
 * @throws UserError when no passage is allowed
 */
export async function searchAllowed(
  searcher: RowSearcher,
  questions: readonly string[],
  k: number,
  isAllowed: (row: number) => boolean,
): Promise<AllowedRows> {
  const { size } = searcher.store;
  const kept: Found[][] = questions.map(() => []);
  const exhausted = new Set<number>();
  const search: Deepening = async (asked, find) => {
    let open = asked;
    for (let depth = Math.min(size, 2 * k); open.length > 0; depth = Math.min(size, 4 * depth)) {
      const found = await find(
        open.map((q) => questions[q] ?? ""),
        depth,
      );
      open.forEach((q, place) => (kept[q] = allowedRows(found, place, k, isAllowed)));
      const lacking = open.map((q, place) => ({ q, place })).filter(({ q }) => (kept[q]?.length ?? 0) < k);
      for (const { q, place } of lacking) if (hasEnded(found, place)) exhausted.add(q);
      open = depth < size ? lacking.map(({ q }) => q).filter((q) => !exhausted.has(q)) : [];
    }
  };
  await search([...questions.keys()], (texts, depth) => searcher.searchRows(texts, depth));
  const again = [...exhausted].sort((a, b) => a - b);
  exhausted.clear();
  await search(again, (texts, depth) => (searcher.searchAllRows ?? searcher.searchRows).call(searcher, texts, depth));
  const fewest = kept.reduce((least, rows) => Math.min(least, rows.length), k);
  if (fewest === 0 && questions.length > 0)
    throw new UserError({
      where: "training: retrieval",
      what: "every passage of the corpus belongs to a validation or test document",
      expected: "passages of other documents",
      remedy: "add training documents to the corpus, or set data.questions.hold_out_passages=false",
    });
  const best = kept.flatMap((rows) => rows.slice(0, fewest));
  return {
    k: fewest,
    rows_QK: Int32Array.from(best, ({ row }) => row),
    scores_QK: Float32Array.from(best, ({ score }) => score),
    exhausted: again.length,
  };
}

interface Found {
  readonly row: number;
  readonly score: number;
}

/** Searches these questions deeper and deeper by `find`. */
type Deepening = (asked: number[], find: (texts: readonly string[], depth: number) => Promise<SearchResult>) => Promise<void>;

/** Whether the index found fewer rows than were asked for. */
function hasEnded(found: SearchResult, question: number): boolean {
  return found.k > 0 && found.ids_QK[(question + 1) * found.k - 1] === -1;
}

function allowedRows(found: SearchResult, question: number, k: number, isAllowed: (row: number) => boolean): Found[] {
  const rows: Found[] = [];
  for (let rank = 0; rank < found.k && rows.length < k; rank++) {
    const at = question * found.k + rank;
    const row = found.ids_QK[at] ?? -1;
    if (row >= 0 && isAllowed(row)) rows.push({ row, score: found.scores_QK[at] ?? NaN });
  }
  return rows;
}
