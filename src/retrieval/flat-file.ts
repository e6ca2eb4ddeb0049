/**
 * FAISS's flat index file, written from and read into a matrix of vectors without libfaiss. Only the two flat kinds that matter: inner product (`IxFI`) and squared L2 (`IxF2`); every
 * other kind is libfaiss's own business. The trap: the vectors begin at byte 45, so no typed array can be laid over the map; they are copied.
 *
 * Layout (faiss/impl/index_write.cpp): fourcc, i32 d, i64 ntotal, two i64 of 2^20, u8 is_trained, i32 metric_type, u64 count, then f32 values.
 */
import { AtomicFile } from "../storage/atomic-write.js";
import { mapFile } from "../storage/memory-map.js";
import { openNpy } from "../storage/npy.js";
import { UserError } from "../errors.js";
import type { Metric } from "./index-contract.js";

const HEADER_BYTES = 45;
const ROWS_AT_ONCE = 16384;

/** A flat index's vectors, row-major (N, D). */
export interface FlatIndex {
  readonly metric: "inner-product" | "l2";
  readonly size: number;
  readonly dimension: number;
  /** N · D f32 values, little-endian, copied out of the file. */
  readonly vectors_ND: Uint8Array;
}

/** Writes the vectors of an `.npy` (float32, N × D) as `IndexFlatIP` or `IndexFlatL2`; for cosine the rows are of length one already. */
export function writeFlatFile(path: string, vectorsPath: string, metric: Metric): void {
  const vectors = openNpy(vectorsPath);
  const [size, dimension] = vectors.shape;
  if (vectors.dtype !== "float32" || size === undefined || dimension === undefined || vectors.shape.length !== 2)
    throw new UserError({
      where: vectorsPath,
      what: "is no matrix of vectors",
      expected: "float32 (N, D)",
      got: `${vectors.dtype} (${vectors.shape.join(", ")})`,
    });
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(metric === "l2" ? "IxF2" : "IxFI", 0, "latin1");
  header.writeInt32LE(dimension, 4);
  header.writeBigInt64LE(BigInt(size), 8);
  header.writeBigInt64LE(1048576n, 16);
  header.writeBigInt64LE(1048576n, 24);
  header.writeUInt8(1, 32);
  header.writeInt32LE(metric === "l2" ? 1 : 0, 33);
  header.writeBigUInt64LE(BigInt(size) * BigInt(dimension), 37);
  const file = new AtomicFile(path);
  try {
    file.write(header);
    for (let row = 0; row < size; row += ROWS_AT_ONCE) file.write(vectors.rows(row, Math.min(ROWS_AT_ONCE, size - row)));
    file.commit();
  } finally {
    file.abort();
  }
}

/** Reads a flat index. @throws UserError when the file is another kind of index, cut short or longer than it says */
export function readFlatFile(path: string): FlatIndex {
  const bytes = mapFile(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = bytes.length < HEADER_BYTES ? "" : Buffer.from(bytes.subarray(0, 4)).toString("latin1");
  if (kind !== "IxFI" && kind !== "IxF2")
    throw new UserError({
      where: path,
      what: "is no flat FAISS index",
      expected: "IxFI or IxF2",
      got: JSON.stringify(kind),
      remedy: "rebuild it: tandem index",
    });
  const dimension = view.getInt32(4, true);
  const size = Number(view.getBigInt64(8, true));
  const values = Number(view.getBigUint64(37, true));
  const expected = HEADER_BYTES + 4 * size * dimension;
  const sound = dimension > 0 && size >= 0 && values === size * dimension && Number.isSafeInteger(expected);
  if (!sound || expected !== bytes.length || view.getInt32(33, true) !== (kind === "IxF2" ? 1 : 0))
    throw new UserError({
      where: path,
      what: "its header does not fit its size",
      expected: `${expected} bytes for ${size} × ${dimension}`,
      got: String(bytes.length),
      remedy: "rebuild it: tandem index",
    });
  return { metric: kind === "IxF2" ? "l2" : "inner-product", size, dimension, vectors_ND: bytes.slice(HEADER_BYTES) };
}
