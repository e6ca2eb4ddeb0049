/** What each kind of index takes for a number of passages, in one worker and in each of several: arithmetic alone (index-bytes.ts). Exact search is shared out by rows; an index of FAISS's is whole in the first worker. */
import { exactBytes, faissBytes, largestShard } from "../../retrieval/index-bytes.js";

export interface IndexRow {
  readonly kind: string;
  /** Bytes of a passage. */
  readonly each: number;
  /** Bytes of all. */
  readonly bytes: number;
  /** Bytes in the worker that has most, for each number of workers that was asked for. */
  readonly worker: readonly number[];
  readonly held: "pages of the file" | "memory" | "memory of the first worker";
}

/** FAISS's kinds that are shown beside the config's own. */
function factories(dimension: number, passages: number): string[] {
  // FAISS's own advice: between 4 and 16 times √N lists.
  const lists = 2 ** Math.max(2, Math.round(Math.log2(8 * Math.sqrt(passages))));
  const codes = Math.max(1, Math.floor(dimension / 8));
  return ["Flat", "SQ8", "HNSW32", `IVF${lists},Flat`, `IVF${lists},SQ8`, `IVF${lists},PQ${codes}np`];
}

/**
 * @param factory the config's own index of FAISS's
 * @param workers numbers of workers
 */
export function forecastIndexes(dimension: number, passages: number, factory: string | null, workers: readonly number[]): IndexRow[] {
  const exact = (["f32", "f16"] as const).map((dtype): IndexRow => {
    const bytes = exactBytes(dimension, dtype);
    return {
      kind: `exact ${dtype}`,
      each: bytes.each,
      bytes: bytes.each * passages,
      worker: workers.map((count) => largestShard(bytes, passages, count)),
      held: dtype === "f32" ? "pages of the file" : "memory",
    };
  });
  const names = [...new Set([...(factory === null ? [] : [factory]), ...factories(dimension, passages)])];
  const approximate = names.flatMap((kind): IndexRow[] => {
    const known = faissBytes(kind, dimension);
    if (known === undefined) return [];
    const bytes = known.each * passages + known.fixed;
    return [{ kind: `FAISS ${kind}`, each: known.each, bytes, worker: workers.map(() => bytes), held: "memory of the first worker" }];
  });
  return [...exact, ...approximate];
}
