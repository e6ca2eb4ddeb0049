/**
 * NumPy's `.npy` files: a header in the syntax of a Python dictionary, then the elements, row-major and little-endian.
 * Reading maps the file; writing streams rows and fills in their number at the end. Reference: NumPy's format description, NEP 1.
 * The trap: the elements begin behind the header, whose length differs from file to file; an array of objects is a pickle and is refused.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../errors.js";
import { AtomicFile } from "./atomic-file.js";
import { aboutFile } from "./file-fault.js";
import { mapFile, mapRange } from "./memory-map.js";
import { formatNpyHeader, npyElementBytes, type NpyDtype, parseNpyHeader, preambleBytes } from "./npy-header.js";

export type { NpyDtype };

/** An array in memory. `data` starts at a multiple of its element's size. */
export interface NpyArray {
  readonly dtype: NpyDtype;
  readonly shape: number[];
  readonly data: Uint8Array;
}

/** An array on disk, of any length, whose rows (entries along the first axis) are mapped as they are asked for. */
export interface NpyFile {
  readonly path: string;
  readonly dtype: NpyDtype;
  readonly shape: number[];
  /** Where the elements begin in the file. */
  readonly dataOffset: number;
  readonly rowBytes: number;
  /** Maps rows `start` to `start + count - 1`. */
  rows(start: number, count: number): Uint8Array;
}

/**
 * The whole array as a view into a memory map; copied only when its elements aren't aligned in the file.
 *
 * @throws UserError naming the file: missing, not a .npy, truncated, too long, objects (a pickle), column order, another element type
 */
export function readNpy(path: string): NpyArray {
  const { dtype, shape, dataOffset } = openNpy(path);
  return { dtype, shape, data: aligned(mapFile(path).subarray(dataOffset), dataOffset, dtype) };
}

/**
 * Reads the header and checks it against the file's length. Maps nothing yet.
 *
 * @throws UserError as {@link readNpy}
 */
export function openNpy(path: string): NpyFile {
  const { head, size } = fileHead(path);
  const { dtype, shape, dataOffset } = parseNpyHeader(head, path);
  const elements = shape.reduce((product, length) => product * length, 1);
  const expected = dataOffset + elements * npyElementBytes[dtype];
  if (!Number.isSafeInteger(elements) || expected !== size) {
    throw new UserError({
      where: path,
      what: size < expected ? "is cut short" : "holds more than its header says",
      expected: `${expected} bytes for ${dtype} [${shape.join(", ")}]`,
      got: `${size}`,
      remedy: "make or fetch it again",
    });
  }
  const count = shape[0] ?? 1;
  const rowBytes = shape.slice(1).reduce((product, length) => product * length, npyElementBytes[dtype]);
  const rows = (start: number, wanted: number): Uint8Array => {
    if (!(start >= 0 && wanted >= 0 && start + wanted <= count)) {
      throw new RangeError(`rows ${start} to ${start + wanted} of ${count}`);
    }
    const offset = dataOffset + start * rowBytes;
    return aligned(mapRange(path, offset, wanted * rowBytes), offset, dtype);
  };
  return { path, dtype, shape, dataOffset, rowBytes, rows };
}

/**
 * Writes a matrix whose number of rows is known only at the end (or a vector, without `columns`). The file appears at `commit`.
 *
 * @throws UserError when the file can't be written
 */
export class NpyWriter {
  private readonly file: AtomicFile;
  private readonly dtype: NpyDtype;
  private readonly columns: number | undefined;
  private readonly headerBytes: number;
  private readonly rowBytes: number;

  constructor(path: string, { columns, dtype }: { columns?: number; dtype: NpyDtype }) {
    if (columns !== undefined && !(Number.isSafeInteger(columns) && columns > 0)) throw new Error(`a matrix can't have ${columns} columns`);
    this.dtype = dtype;
    this.columns = columns;
    this.rowBytes = (columns ?? 1) * npyElementBytes[dtype];
    this.file = new AtomicFile(path);
    const header = this.header(0);
    this.headerBytes = header.length;
    this.file.write(header);
  }

  /** How many rows have been appended. */
  get rows(): number {
    return (this.file.position - this.headerBytes) / this.rowBytes;
  }

  /** Appends the bytes of whole rows; they may be reused after the call. */
  append(rows: Uint8Array): void {
    if (rows.length % this.rowBytes !== 0) throw new Error(`${rows.length} bytes are not whole rows of ${this.rowBytes}`);
    this.file.write(rows);
  }

  commit(): void {
    this.file.patch(0, this.header(this.rows));
    this.file.commit();
  }

  /** Throws everything away. Does nothing after `commit`, so it can stand in a `finally`. */
  abort(): void {
    this.file.abort();
  }

  [Symbol.dispose](): void {
    this.abort();
  }

  private header(rows: number): Uint8Array {
    return formatNpyHeader(this.dtype, this.columns === undefined ? [rows] : [rows, this.columns]);
  }
}

function aligned(data: Uint8Array, offset: number, dtype: NpyDtype): Uint8Array {
  return offset % npyElementBytes[dtype] === 0 ? data : data.slice();
}

/** The first bytes of the file, enough for any header that is read, and its length. */
function fileHead(path: string): { head: Uint8Array; size: number } {
  return aboutFile(path, () => {
    const descriptor = openSync(path, "r");
    try {
      const status = fstatSync(descriptor);
      if (status.isDirectory()) throw Object.assign(new Error("a folder"), { code: "EISDIR" });
      if (!status.isFile()) throw Object.assign(new Error("a device"), { code: "ENOTREG" });
      const head = Buffer.alloc(Math.min(preambleBytes, status.size));
      readSync(descriptor, head, 0, head.length, 0);
      return { head, size: status.size };
    } finally {
      closeSync(descriptor);
    }
  });
}
