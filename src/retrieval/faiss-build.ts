/**
 * Builds a FAISS index file from an `.npy` of vectors: a seeded sample trains it, then all rows are added a block at a time, so memory grows with the index and not with the vectors. It opens nothing
 * for search. The traps: several threads building a graph (HNSW, NSG) race, so no two builds are equal; and FAISS trains on fewer vectors than it wants with a remark on standard error only.
 *
 * N vectors, S sampled vectors, D dimension.
 */
import { seededRandom } from "../corpus/seeded-random.js";
import { UserError } from "../errors.js";
import { NpyReader } from "../storage/npy-reader.js";
import { FaissError, type NativeIndex } from "./faiss-native.js";
import { emptyIndex, type FaissSettings } from "./faiss-settings.js";
import type { Metric } from "./index-contract.js";

export interface BuildFaissOptions {
  /** Where the index is written; only a path inside a folder that appears at once. */
  readonly file: string;
  /** float32 (N, D); for cosine of length one. */
  readonly vectors: string;
  readonly metric: Metric;
  readonly settings: FaissSettings;
  readonly progress?: (done: number, total: number) => void;
  readonly warn?: (text: string) => void;
}

const BLOCK_BYTES = 1 << 24;
/** FAISS's k-means uses no more vectors for each centroid, and complains below the other. */
const MOST_A_CENTROID = 256;
const LEAST_A_CENTROID = 39;
const LEAST_SAMPLE = 65536;

/**
 * Trains, adds and writes.
 *
 * @throws UserError when the vectors are no matrix of finite numbers, FAISS can't make such an index, or there are too few vectors to train it
 */
export async function buildFaissFile({ file, vectors, metric, settings, progress, warn }: BuildFaissOptions): Promise<void> {
  const npy = openVectors(vectors);
  const { shape, rowBytes } = npy.file;
  const [size, dimension] = [shape[0] ?? 0, shape[1] ?? 0];
  let index: NativeIndex | undefined;
  try {
    index = emptyIndex(settings, dimension, metric);
    const { hasGraph } = index.facts();
    const threads = hasGraph && settings.reproducible ? 1 : settings.threads;
    await train(index, npy, settings, threads, warn);
    const block = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
    const bytes = new Uint8Array(Math.min(block, size) * rowBytes);
    for (let row = 0; row < size; row += block) {
      const count = Math.min(block, size - row);
      // One memory for all blocks: the next is read when FAISS has copied this one.
      await index.add(floats(npy.read(row, count, bytes)), threads);
      progress?.(row + count, size);
    }
    await index.write(file);
  } catch (error) {
    if (!(error instanceof FaissError)) throw error;
    throw new UserError({ where: `index.factory "${settings.factory}"`, what: error.message, ...remedyFor(error) }, { cause: error });
  } finally {
    index?.dispose();
    npy.close();
  }
}

async function train(
  index: NativeIndex,
  npy: NpyReader,
  { factory, trainSample, sampleSeed }: FaissSettings,
  threads: number,
  warn: ((text: string) => void) | undefined,
): Promise<void> {
  const { isTrained, centroids } = index.facts();
  if (isTrained) return;
  const size = npy.file.shape[0] ?? 0;
  const wanted = Math.min(size, trainSample ?? Math.max(LEAST_SAMPLE, MOST_A_CENTROID * centroids));
  const rows = sampledRows(size, wanted, sampleSeed);
  if (wanted < LEAST_A_CENTROID * centroids)
    warn?.(
      `"${factory}" is trained on ${wanted} vectors for ${centroids} centroids; FAISS wants at least ${LEAST_A_CENTROID * centroids}: ` +
        (wanted < size ? "raise index.train_sample" : "choose fewer centroids, or index.factory=null for exact search"),
    );
  await index.train(gathered(npy, rows), threads);
}

/** `count` of `size` rows, each set equally likely, in rising order (Knuth's selection sampling, TAOCP 3.4.2, algorithm S). */
export function sampledRows(size: number, count: number, seed: number): Int32Array {
  const random = seededRandom(`${seed}/faiss/train`);
  const rows = new Int32Array(count);
  let taken = 0;
  for (let row = 0; row < size && taken < count; row++) if ((size - row) * random() < count - taken) rows[taken++] = row;
  return rows;
}

/** The rows' vectors; rows that follow each other are read at once. */
function gathered(npy: NpyReader, rows: Int32Array): Float32Array {
  const { rowBytes } = npy.file;
  const gathered_SD = new Uint8Array(rows.length * rowBytes);
  for (let place = 0; place < rows.length;) {
    const first = rows[place] ?? 0;
    let count = 1;
    while (rows[place + count] === first + count) count++;
    npy.read(first, count, gathered_SD.subarray(place * rowBytes));
    place += count;
  }
  return floats(gathered_SD);
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function openVectors(file: string): NpyReader {
  const npy = new NpyReader(file);
  const { dtype, shape } = npy.file;
  if (dtype === "float32" && shape.length === 2 && (shape[1] ?? 0) > 0) return npy;
  npy.close();
  throw new UserError({ where: file, what: "is no matrix of vectors", expected: "float32 (N, D)", got: `${dtype} (${shape.join(", ")})` });
}

/** Too few vectors is the one failure here that the user meets with sound data. */
function remedyFor(error: FaissError): { remedy?: string } {
  return /training (points|vectors)|number of clusters/i.test(error.message)
    ? { remedy: "choose fewer centroids, or index.factory=null for exact search" }
    : {};
}
