/**
 * Bytes of an index by arithmetic: exact search's rows, and FAISS's codes by the name that index_factory reads. It builds nothing and needs no libfaiss. Source: FAISS's index classes (IndexFlat, IndexScalarQuantizer, ProductQuantizer,
 * InvertedLists, HNSW, as of 1.7 to 1.12); a test compares with the files that libfaiss writes. The trap: names are a language of their own; one that isn't known here gives undefined, never a guess.
 *
 * N vectors, D dimension.
 */
import { VECTORS_AT_ONCE } from "./exact-index.js";
import { ownRows } from "./shard-rows.js";

/** What an index takes: fixed + each · N bytes, in memory and in its file alike. */
export interface IndexBytes {
  /** For a vector. */
  readonly each: number;
  /** Centroids, rotations, code books. */
  readonly fixed: number;
  /** Vectors that FAISS is trained on beside it, at most. */
  readonly trained: number;
}

const FLOAT = 4;
/** Of a row's number in an inverted list. */
const ID = 8;
/** FAISS's k-means looks at no more vectors for each centroid (faiss-build.ts). */
const MOST_A_CENTROID = 256;
const LEAST_SAMPLE = 65536;

/** Of exact search, which holds its vectors so. */
export function exactBytes(dimension: number, dtype: "f32" | "f16" | "bf16"): IndexBytes {
  return { each: dimension * (dtype === "f32" ? 4 : 2), fixed: 0, trained: 0 };
}

/** Bytes of the rows that the fullest of some workers holds of an exact index: whole blocks of {@link VECTORS_AT_ONCE}. */
export function largestShard({ each }: IndexBytes, size: number, workers: number): number {
  const counts = Array.from({ length: workers }, (_, rank) => ownRows(size, VECTORS_AT_ONCE, { rank, size: workers }).count);
  return each * Math.max(...counts);
}

/** Of an index by its factory name; undefined: this file doesn't know it. */
export function faissBytes(factory: string, dimension: number): IndexBytes | undefined {
  let width = dimension;
  let [each, fixed, centroids] = [0, 0, 0];
  const parts = factory.split(",");
  const last = parts.pop() ?? "";
  for (const part of parts) {
    const turned = /^(?:OPQ\d+|PCAR?|RR|ITQ)(?:_(\d+)|(\d+))?$/.exec(part);
    const listed = /^IVF(\d+)(?:_HNSW(\d+))?$/.exec(part);
    if (turned !== null) {
      const target = Number(turned[1] ?? turned[2] ?? width);
      // A principal-component analysis keeps all of its components, their weights and the mean beside the matrix that is used.
      fixed += FLOAT * (width * target + target + (part.startsWith("PCA") ? width * (width + 2) : 0));
      width = target;
    } else if (listed !== null) {
      const lists = Number(listed[1]);
      centroids = Math.max(centroids, lists);
      each += ID;
      fixed += lists * (FLOAT * width + (listed[2] === undefined ? 0 : graphBytes(Number(listed[2]))));
    } else if (part !== "L2norm") return undefined;
  }
  const stored = storedBytes(last, width);
  if (stored === undefined) return undefined;
  centroids = Math.max(centroids, stored.centroids);
  const trained = centroids === 0 ? 0 : Math.max(LEAST_SAMPLE, MOST_A_CENTROID * centroids);
  return { each: each + stored.each, fixed: fixed + stored.fixed, trained };
}

interface Stored {
  readonly each: number;
  readonly fixed: number;
  readonly centroids: number;
}

/** What the last word of a factory name keeps of a vector. */
function storedBytes(name: string, width: number): Stored | undefined {
  const graph = /^HNSW(\d+)(?:_(.+))?$/.exec(name);
  if (graph !== null) {
    const inner = storedBytes(graph[2] ?? "Flat", width);
    return inner === undefined ? undefined : { ...inner, each: inner.each + graphBytes(Number(graph[1])) };
  }
  if (name === "Flat") return { each: FLOAT * width, fixed: 0, centroids: 0 };
  const bits = { SQ8: 8, SQ6: 6, SQ4: 4, SQfp16: 16, SQbf16: 16 }[name];
  // Least and widest of each place, for what isn't just a shorter number.
  if (bits !== undefined) return { each: Math.ceil((bits * width) / 8), fixed: bits === 16 ? 0 : 2 * FLOAT * width, centroids: 0 };
  const product = /^PQ(\d+)(?:x(\d+)(?:fs)?)?(?:np)?$/.exec(name);
  if (product === null) return undefined;
  const codes = Number(product[1]);
  const each = Number(product[2] ?? 8);
  return { each: Math.ceil((codes * each) / 8), fixed: FLOAT * width * 2 ** each, centroids: 2 ** each };
}

/**
 * Of a vector's links in a graph of m neighbours: 2m on the lowest level, m on each above; a vector reaches level l with a chance of m^−l, so Σ m · m^−l = m / (m − 1) more on average. With its level and where its links begin.
 * Malkov & Yashunin 2018, arXiv 1603.09320.
 */
function graphBytes(m: number): number {
  const [link, level, start] = [4, 4, 8];
  return link * (2 * m + m / (m - 1)) + level + start;
}
