/**
 * Memory that a node needs: exact bytes for what the config decides, measured bytes for the rest. Pages of mapped files stand apart: the system takes them back when it must, and reads them again. The trap: the first worker holds more than
 * the others, FAISS's index and BM25 among it, and both grow with the corpus whatever the number of workers.
 */
import { getHeapStatistics } from "node:v8";
import { exactBytes, largestShard } from "../../retrieval/index-bytes.js";
import { gradientBytes, type ForecastFacts } from "./forecast-facts.js";

/** Bytes of one thing in the first worker and in each of the others. */
interface MemoryRow {
  readonly what: string;
  readonly first: number;
  readonly other: number;
  readonly source: "arithmetic" | "measured";
}

export interface MemoryForecast {
  readonly rows: readonly MemoryRow[];
  /** Files' pages: not counted below. */
  readonly mapped: readonly MemoryRow[];
  readonly first: number;
  readonly other: number;
  readonly driver: number;
  /** Driver, first worker and the others of the first node. */
  readonly node: number;
  /** JavaScript's heap in the first worker, which has a limit of its own. */
  readonly heap: number;
  readonly heap_limit: number;
}

/** @param total workers on all nodes */
export function forecastMemory(facts: ForecastFacts, passages: number, total: number): MemoryForecast {
  const { config, states, measured, lexical, dimension, questions, store, workers, driver } = facts;
  const rows: MemoryRow[] = [];
  const arithmetic = (what: string, first: number, other = first): void => void rows.push({ what, first, other, source: "arithmetic" });
  const moments = states.momentsOf(total);
  const gradients = measured === undefined ? states.weights : gradientBytes(measured);
  arithmetic("weights", states.weights);
  arithmetic("gradients", gradients);
  arithmetic(config.train.shard_optimiser && total > 1 ? "moments (shared out)" : "moments", moments);
  const vectors = exactBytes(dimension, config.index.dtype);
  const isMapped = config.index.dtype === "f32" && facts.faiss === null;
  const shard = largestShard(vectors, passages, total);
  if (facts.faiss === null && !isMapped) arithmetic(`vectors in ${config.index.dtype}`, shard);
  if (facts.faiss !== null && facts.faiss !== undefined) {
    const { each, fixed, trained } = facts.faiss;
    arithmetic("FAISS's index", each * passages + fixed, 0);
    arithmetic("FAISS's training sample", 4 * dimension * Math.min(trained, passages), 0);
  }
  arithmetic("training questions' vectors", 4 * dimension * questions.learned, 0);
  if (lexical !== undefined) arithmetic("BM25", (lexical.heap + lexical.outside) * passages, 0);
  if (measured?.held !== undefined) {
    const { opened, all } = measured.held;
    const own = states.weights + states.moments;
    const program = opened - own;
    const beyond = (peak: number): number => Math.max(0, peak - opened - gradients);
    rows.unshift({ what: "program, libraries, questions", first: program, other: program, source: "measured" });
    // The others answer some of validation's batches; that they neither audit nor save isn't told apart.
    rows.push({ what: "activations and answers at their peak", first: beyond(all), other: beyond(all), source: "measured" });
  }
  const mapped: MemoryRow[] = [
    { what: "corpus", ...same((store.bytes / store.size) * passages), source: "arithmetic" },
    ...(isMapped ? [{ what: "vectors", ...same(shard), source: "arithmetic" as const }] : []),
  ];
  const first = rows.reduce((sum, row) => sum + row.first, 0);
  const other = rows.reduce((sum, row) => sum + row.other, 0);
  return {
    rows,
    mapped,
    first,
    other,
    driver,
    node: driver + first + (workers - 1) * other,
    heap: (measured?.heap ?? 0) + (lexical?.heap ?? 0) * passages,
    heap_limit: getHeapStatistics().heap_size_limit,
  };
}

function same(bytes: number): { first: number; other: number } {
  return { first: bytes, other: bytes };
}
