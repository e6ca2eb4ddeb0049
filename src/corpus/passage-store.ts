/**
 * A corpus of passages on disk, any of them by number or id. Arrow IPC shards, mapped into memory and read without a copy: the heap holds their
 * metadata only, whatever the corpus's size. It isn't searched here, and never changed: build-corpus.ts makes a new one. The trap: a row number means
 * something only together with {@link PassageStore.hash}; whatever stores rows must store the hash too.
 */
import { statSync } from "node:fs";
import path from "node:path";
import type { Field, Int32, Utf8, Vector } from "apache-arrow";
import { hashFile } from "../storage/content-hash.js";
import { aboutFile } from "../storage/file-fault.js";
import { mapFile } from "../storage/memory-map.js";
import { DataType, tableFromIPC } from "./arrow-reader.js";
import type { Passage } from "./passage.js";
import { broken, COLUMNS, PLACES, readManifest } from "./passage-manifest.js";
import type { PassageManifest, ShardFile, StoreFile } from "./passage-manifest.js";

/** The places are missing in stores of format version 1. */
type Columns = Record<(typeof COLUMNS)[number], Vector<Utf8>> & Partial<Record<(typeof PLACES)[number], Vector<Int32>>>;

/** Row ranges of a shard's record batches and their column views. */
interface OpenShard {
  /** First row of each batch within the shard, and the number of rows at the end. */
  readonly starts: readonly number[];
  readonly batches: readonly Columns[];
}

export class PassageStore {
  readonly folder: string;
  /** Passages. */
  readonly size: number;
  /** sha256 over the ids in row order; changes with any word of the corpus and with its order, not with shard sizes or threads. */
  readonly hash: string;
  readonly manifest: PassageManifest;
  private readonly shards: readonly ShardFile[];
  /** First row of each shard, and the number of rows at the end. */
  private readonly starts: readonly number[];
  private readonly opened: (OpenShard | undefined)[] = [];
  private rowsById: Uint32Array | undefined;

  private constructor(folder: string, manifest: PassageManifest) {
    this.folder = folder;
    this.manifest = manifest;
    this.shards = manifest.shards;
    this.starts = cumulative(manifest.shards.map(({ rows }) => rows));
    this.size = manifest.passages;
    this.hash = manifest.hash;
  }

  /** Reads the manifest and compares file sizes; shards are mapped when first used. @throws UserError for anything missing, cut off or foreign. */
  static open(folder: string): PassageStore {
    const manifest = readManifest(folder);
    for (const file of [...manifest.shards, manifest.rowsById]) checkSize(folder, file);
    return new PassageStore(folder, manifest);
  }

  /** @throws RangeError for a row that isn't there: a −1 of an index must never become a passage. */
  get(row: number): Passage {
    const [columns, at] = this.locate(row);
    const { id, title, text, document } = columns;
    const passage = { id: cell(id, at), title: cell(title, at), text: cell(text, at), document: cell(document, at) };
    const start = columns.start?.get(at);
    const end = columns.end?.get(at);
    return typeof start === "number" && typeof end === "number" ? { ...passage, start, end } : passage;
  }

  /** One field of a row, without decoding the others. */
  field(row: number, name: (typeof COLUMNS)[number]): string {
    const [columns, at] = this.locate(row);
    return cell(columns[name], at);
  }

  /** The row of an id, or undefined. A binary search in the mapped table, then a comparison with the id itself. */
  rowOf(id: string): number | undefined {
    if (!/^[0-9a-f]{32}$/.test(id)) return undefined;
    const key = idKey(id);
    const table = this.idTable();
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((table[2 * middle + 1] ?? 0) < key) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < this.size && table[2 * at + 1] === key; at++) {
      const row = table[2 * at] ?? 0;
      if (row >= this.size) throw this.foreign(this.manifest.rowsById.file, "a row beyond the last", `< ${this.size}`, String(row));
      if (this.field(row, "id") === id) return row;
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<Passage> {
    for (let row = 0; row < this.size; row++) yield this.get(row);
  }

  /** Reads everything and compares the hashes. @throws UserError naming the first file whose content isn't what was written. */
  verify(): void {
    for (const { file, hash } of [...this.manifest.shards, this.manifest.rowsById]) {
      const found = hashFile(path.join(this.folder, file));
      if (found !== hash)
        throw this.foreign(file, "the content changed since it was written", `sha256 ${hash.slice(0, 12)}…`, `${found.slice(0, 12)}…`);
    }
  }

  private locate(row: number): [Columns, number] {
    if (!Number.isInteger(row) || row < 0 || row >= this.size) throw new RangeError(`row ${row} of a store with ${this.size} passages`);
    const number = lastStart(this.starts, row);
    const shard = (this.opened[number] ??= this.openShard(number));
    const within = row - (this.starts[number] ?? 0);
    const batch = lastStart(shard.starts, within);
    const columns = shard.batches[batch];
    if (columns === undefined) throw new Error(`shard ${number} has no row ${within}`);
    return [columns, within - (shard.starts[batch] ?? 0)];
  }

  private openShard(number: number): OpenShard {
    const { file, rows } = this.shards[number] ?? { file: "", rows: 0 };
    const shard = mapShard(path.join(this.folder, file));
    const found = shard.starts.at(-1) ?? 0;
    if (found !== rows) throw this.foreign(file, "another number of rows than the manifest says", String(rows), String(found));
    return shard;
  }

  private idTable(): Uint32Array {
    if (this.rowsById === undefined) {
      const bytes = mapFile(path.join(this.folder, this.manifest.rowsById.file));
      this.rowsById = new Uint32Array(bytes.buffer, bytes.byteOffset, this.size * 2);
    }
    return this.rowsById;
  }

  private foreign(file: string, what: string, expected: string, got: string): Error {
    return broken(path.join(this.folder, file), what, expected, got);
  }
}

/** The first 32 bits of an id, what the id table is sorted by. */
export function idKey(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16);
}

/** Maps an Arrow file; the column vectors are views into the map. */
function mapShard(file: string): OpenShard {
  const bytes = mapFile(file);
  let table: ReturnType<typeof tableFromIPC>;
  try {
    table = tableFromIPC(bytes);
  } catch (error) {
    throw broken(file, "not an Arrow IPC file", "the columns id, title, text, document", (error as Error).message);
  }
  const { fields } = table.schema;
  if (!areColumns(fields)) {
    const expected = `plain Utf8 ${COLUMNS.join(", ")}, and since format version 2 Int32 ${PLACES.join(", ")}`;
    throw broken(file, "other columns", expected, fields.map(({ name }) => name).join(", "));
  }
  const names = fields.map(({ name }) => name as keyof Columns);
  const batches = table.batches.map((batch) => Object.fromEntries(names.map((name) => [name, batch.getChild(name)])) as Columns);
  return { starts: cumulative(table.batches.map((batch) => batch.numRows)), batches };
}

function areColumns(fields: readonly Field[]): boolean {
  const texts = COLUMNS.every((name, i) => fields[i]?.name === name && DataType.isUtf8(fields[i].type));
  const places = fields.slice(COLUMNS.length);
  const numbers = PLACES.every((name, i) => places[i]?.name === name && DataType.isInt(places[i].type) && places[i].type.bitWidth === 32);
  return texts && (places.length === 0 || (places.length === PLACES.length && numbers));
}

function checkSize(folder: string, { file, bytes }: StoreFile): void {
  const full = path.join(folder, file);
  const found = aboutFile(full, () => statSync(full)).size;
  if (found !== bytes) throw broken(full, "the file is cut off or replaced", `${bytes} bytes`, `${found}`);
}

function cell(column: Vector<Utf8>, at: number): string {
  return column.get(at) ?? "";
}

function cumulative(counts: readonly number[]): number[] {
  const starts = [0];
  for (const count of counts) starts.push((starts.at(-1) ?? 0) + count);
  return starts;
}

/** Index of the last start that is ≤ value. Empty shards and batches have equal starts; the last of them is the one with rows. */
function lastStart(starts: readonly number[], value: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
