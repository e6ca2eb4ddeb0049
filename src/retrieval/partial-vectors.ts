/**
 * The vectors of an index while passages are being embedded: `<name>.partial/` beside where the index will stand, kept when the process is killed, so that the next build of the same content goes on where it was.
 * It isn't an index: nothing reads it but the build that finishes it. The trap: after a power cut a file may be long and hold zeros, so only rows that `progress.json` counts, written after a sync, are believed.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { aboutFile } from "../storage/file-fault.js";
import { lockFile } from "../storage/file-lock.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { makeFolder } from "../storage/make-folder.js";
import { formatNpyHeader } from "../storage/npy-header.js";

/** What the folder's name ends with. */
export const PARTIAL = ".partial";

/** Milliseconds between two syncs: the work that a kill may cost. */
const SYNC_EVERY = 10_000;

export interface PartialShape {
  readonly rows: number;
  readonly columns: number;
}

export class PartialVectors {
  readonly #folder: string;
  readonly #file: number;
  readonly #unlock: () => void;
  readonly #syncEvery: number;
  readonly #headerBytes: number;
  readonly #rowBytes: number;
  #bytes: number;
  #synced = performance.now();

  private constructor(folder: string, unlock: () => void, shape: PartialShape, syncEvery: number) {
    const header = formatNpyHeader("float32", [shape.rows, shape.columns]);
    this.#folder = folder;
    this.#unlock = unlock;
    this.#syncEvery = syncEvery;
    this.#headerBytes = header.length;
    this.#rowBytes = 4 * shape.columns;
    const file = path.join(folder, "vectors.npy");
    this.#file = aboutFile(file, () => openSync(file, existsSync(file) ? "r+" : "w+"));
    this.#bytes = this.#headerBytes + this.#rowBytes * this.#rowsDone(header, shape.rows);
    aboutFile(file, () => ftruncateSync(this.#file, this.#bytes));
    if (this.#bytes === this.#headerBytes) aboutFile(file, () => writeSync(this.#file, header, 0, header.length, 0));
  }

  /** Opens or makes `<parent>/<name>.partial`; undefined where another process works in it or the file system has no locks. @throws UserError when nothing can be written there */
  static open(parent: string, name: string, shape: PartialShape, { syncEvery = SYNC_EVERY } = {}): PartialVectors | undefined {
    const folder = path.join(parent, name + PARTIAL);
    aboutFile(folder, () => makeFolder(folder));
    const unlock = lockOf(folder);
    return unlock === undefined ? undefined : new PartialVectors(folder, unlock, shape, syncEvery);
  }

  /** Removes `<parent>/<name>.partial`, unless another process works in it. */
  static discard(parent: string, name: string): void {
    const folder = path.join(parent, name + PARTIAL);
    if (!existsSync(folder)) return;
    const unlock = lockOf(folder);
    if (unlock === undefined) return;
    rmSync(folder, { recursive: true, force: true });
    unlock();
  }

  /** Removes what lies half-made below `parent`, whatever it is of, unless another process works in it. */
  static discardAll(parent: string): void {
    if (!existsSync(parent)) return;
    for (const name of aboutFile(parent, () => readdirSync(parent)))
      if (name.endsWith(PARTIAL)) PartialVectors.discard(parent, name.slice(0, -PARTIAL.length));
  }

  /** The file of `<parent>/<name>.partial` where all its rows are there, as a process left it that has ended its work; else undefined. */
  static whole(parent: string, name: string, { rows, columns }: PartialShape): string | undefined {
    const folder = path.join(parent, name + PARTIAL);
    const file = path.join(folder, "vectors.npy");
    if (!existsSync(file) || countedRows(path.join(folder, "progress.json")) !== rows) return undefined;
    return hasShape(file, formatNpyHeader("float32", [rows, columns]), 4 * rows * columns) ? file : undefined;
  }

  get folder(): string {
    return this.#folder;
  }

  /** How many rows are there. */
  get rows(): number {
    return (this.#bytes - this.#headerBytes) / this.#rowBytes;
  }

  /** Appends the bytes of whole rows. */
  append(rows: Uint8Array): void {
    if (rows.length % this.#rowBytes !== 0) throw new Error(`${rows.length} bytes are not whole rows of ${this.#rowBytes}`);
    aboutFile(this.#folder, () => {
      for (let written = 0; written < rows.length;)
        written += writeSync(this.#file, rows, written, rows.length - written, this.#bytes + written);
    });
    this.#bytes += rows.length;
    if (performance.now() - this.#synced >= this.#syncEvery) this.#sync();
  }

  /** Puts what is there on the disk and gives the file's path, for a second name of it. */
  finished(): string {
    this.#sync();
    return path.join(this.#folder, "vectors.npy");
  }

  /** Removes the folder: the vectors stand elsewhere, or aren't wanted. */
  remove(): void {
    closeSync(this.#file);
    rmSync(this.#folder, { recursive: true, force: true });
    this.#unlock();
  }

  /** Leaves the folder to the next build, with all rows that are there if the disk has room for their number. */
  leave(): void {
    try {
      this.#sync();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
    closeSync(this.#file);
    this.#unlock();
  }

  #sync(): void {
    aboutFile(this.#folder, () => fdatasyncSync(this.#file));
    writeFileAtomic(path.join(this.#folder, "progress.json"), `${JSON.stringify({ rows: this.rows })}\n`);
    this.#synced = performance.now();
  }

  /** The rows that can be believed: none when anything about them is odd, for embedding anew is always right. */
  #rowsDone(header: Uint8Array, most: number): number {
    const found = Buffer.alloc(header.length);
    const read = readSync(this.#file, found, 0, header.length, 0);
    if (read < header.length || found.compare(header) !== 0) return 0;
    const rows = countedRows(path.join(this.#folder, "progress.json"));
    const isThere = fstatSync(this.#file).size >= this.#headerBytes + rows * this.#rowBytes;
    return isThere && rows <= most ? rows : 0;
  }
}

/** Whether a file is this header and so many bytes. */
function hasShape(file: string, header: Uint8Array, bytes: number): boolean {
  const descriptor = aboutFile(file, () => openSync(file, "r"));
  try {
    const found = Buffer.alloc(header.length);
    const read = readSync(descriptor, found, 0, header.length, 0);
    return read === header.length && found.compare(header) === 0 && fstatSync(descriptor).size === header.length + bytes;
  } finally {
    closeSync(descriptor);
  }
}

/** Gives the folder's lock back; undefined where another process has it, or removed the folder meanwhile, or there are no locks. */
function lockOf(folder: string): (() => void) | undefined {
  const file = path.join(folder, "lock");
  let unlock: (() => void) | undefined;
  try {
    unlock = lockFile(file, `${process.pid}\n`);
  } catch (error) {
    const isGone = !existsSync(folder);
    if (isGone || ["ENOLCK", "EOPNOTSUPP", "ENOSYS"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
  if (unlock === undefined || existsSync(file)) return unlock;
  // Whoever held it before has removed the folder: this is the lock of a file that nobody else can see.
  unlock();
  return undefined;
}

/** What `progress.json` counts; 0 where it can't be read. */
function countedRows(file: string): number {
  try {
    const { rows } = expectObject(readJson(file), file);
    return Number.isSafeInteger(rows) && Number(rows) >= 0 ? Number(rows) : 0;
  } catch (error) {
    if (error instanceof UserError) return 0;
    throw error;
  }
}
