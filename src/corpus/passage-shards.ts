/**
 * Writes passages to Arrow IPC files: plain Utf8 columns id, title, text, document, Int32 columns start, end; uncompressed, so that a map of the file is the table. Reading
 * is passage-store.ts. The trap: `tableFromArrays` would dictionary-encode strings, and the library's writer keeps a whole file in memory; so
 * batches are built by hand and its sink is a file.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import { AsyncByteQueue, Field, Int32, makeData, RecordBatch, RecordBatchFileWriter, Schema, Struct, Utf8 } from "apache-arrow";
import type { Data } from "apache-arrow";
import { AtomicFile } from "../storage/atomic-write.js";
import type { Passage } from "./passage.js";
import { COLUMNS, PLACES, type ShardFile } from "./passage-manifest.js";

/** 256 MB, the design's limit for a shard. */
const DEFAULT_SHARD_BYTES = 256_000_000;
/** Below this a shard is mostly metadata. */
const SMALLEST_SHARD_BYTES = 65_536;

const BATCH_ROWS = 4096;
const BATCH_BYTES = 4_000_000;
/** Four bytes of the number and its share of the null bitmap. */
const PLACE_BYTES = 5;
/** Generous bounds of what the format adds to the text: offsets and headers for each batch, a place for it in the footer. */
const BATCH_OVERHEAD = 2048;
const FOOTER_OVERHEAD = 4096;

/** Sends what Arrow's writer makes into a file at once instead of queueing it. */
class FileSink extends AsyncByteQueue {
  readonly hash = createHash("sha256");
  readonly file: AtomicFile;
  bytes = 0;

  constructor(file: AtomicFile) {
    super();
    this.file = file;
  }

  override write(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return;
    this.file.write(chunk);
    this.hash.update(chunk);
    this.bytes += chunk.byteLength;
  }
}

interface OpenShard {
  readonly name: string;
  readonly sink: FileSink;
  readonly writer: RecordBatchFileWriter;
  rows: number;
  batches: number;
}

/**
 * A stream of passages into shards of at most `shardBytes`. Where batches and shards begin depends on the passages alone.
 * Call {@link finish}; after an error the folder is the caller's to remove, {@link abort} only closes files.
 */
export class PassageShards {
  readonly shards: ShardFile[] = [];
  private readonly folder: string;
  private readonly shardBytes: number;
  private readonly batchBytes: number;
  private readonly encoder = new TextEncoder();
  private readonly schema = new Schema([
    ...COLUMNS.map((name) => new Field(name, new Utf8(), false)),
    ...PLACES.map((name) => new Field(name, new Int32(), true)),
  ]);
  private columns: Uint8Array[][] = COLUMNS.map(() => []);
  private places: (number | undefined)[][] = PLACES.map(() => []);
  private pendingRows = 0;
  private pendingBytes = 0;
  private open: OpenShard | undefined;

  constructor(folder: string, shardBytes: number = DEFAULT_SHARD_BYTES) {
    this.folder = folder;
    this.shardBytes = Math.max(SMALLEST_SHARD_BYTES, shardBytes);
    this.batchBytes = Math.min(BATCH_BYTES, this.shardBytes / 8);
  }

  append(passage: Passage): void {
    const row = COLUMNS.map((name) => this.encoder.encode(passage[name]));
    const bytes = row.reduce((sum, cell) => sum + cell.length + 4, 0) + PLACES.length * PLACE_BYTES;
    if (this.pendingRows === BATCH_ROWS || this.pendingBytes + bytes > this.batchBytes) this.flush();
    row.forEach((cell, i) => this.columns[i]?.push(cell));
    PLACES.forEach((name, i) => this.places[i]?.push(passage[name]));
    this.pendingRows += 1;
    this.pendingBytes += bytes;
  }

  /** Writes what is left and closes the last shard. A store without passages has one empty shard, so that readers find the columns. */
  finish(): ShardFile[] {
    this.flush();
    if (this.shards.length === 0) this.open ??= this.startShard();
    this.closeShard();
    return this.shards;
  }

  abort(): void {
    this.open?.sink.file.abort();
    this.open = undefined;
  }

  private flush(): void {
    if (this.pendingRows === 0) return;
    const needed = this.pendingBytes + BATCH_OVERHEAD + FOOTER_OVERHEAD;
    if (this.open !== undefined && this.open.sink.bytes + needed + this.open.batches * 64 > this.shardBytes) this.closeShard();
    this.open ??= this.startShard();
    const children = [...this.columns.map((cells) => utf8Column(cells)), ...this.places.map((cells) => placeColumn(cells))];
    const struct = makeData({ type: new Struct(this.schema.fields), length: this.pendingRows, nullCount: 0, children });
    this.open.writer.write(new RecordBatch(this.schema, struct));
    this.open.rows += this.pendingRows;
    this.open.batches += 1;
    this.columns = COLUMNS.map(() => []);
    this.places = PLACES.map(() => []);
    this.pendingRows = 0;
    this.pendingBytes = 0;
  }

  private startShard(): OpenShard {
    const name = `passages-${String(this.shards.length).padStart(5, "0")}.arrow`;
    const sink = new FileSink(new AtomicFile(path.join(this.folder, name)));
    const writer = new RecordBatchFileWriter();
    writer.reset(sink, this.schema);
    return { name, sink, writer, rows: 0, batches: 0 };
  }

  private closeShard(): void {
    if (this.open === undefined) return;
    const { name, sink, writer, rows } = this.open;
    writer.finish();
    sink.file.commit();
    this.open = undefined;
    this.shards.push({ file: name, rows, bytes: sink.bytes, hash: sink.hash.digest("hex") });
  }
}

function utf8Column(cells: readonly Uint8Array[]): Data<Utf8> {
  const valueOffsets = new Int32Array(cells.length + 1);
  let end = 0;
  cells.forEach((cell, i) => {
    end += cell.length;
    valueOffsets[i + 1] = end;
  });
  const data = new Uint8Array(end);
  cells.forEach((cell, i) => data.set(cell, valueOffsets[i] ?? 0));
  return makeData({ type: new Utf8(), length: cells.length, nullCount: 0, valueOffsets, data });
}

function placeColumn(cells: readonly (number | undefined)[]): Data<Int32> {
  const data = Int32Array.from(cells, (place) => place ?? 0);
  const nullBitmap = new Uint8Array(Math.ceil(cells.length / 8));
  let nullCount = 0;
  cells.forEach((place, i) => {
    if (place === undefined) nullCount += 1;
    else nullBitmap[i >> 3] = (nullBitmap[i >> 3] ?? 0) | (1 << (i & 7));
  });
  return makeData({ type: new Int32(), length: cells.length, nullCount, data, nullBitmap: nullCount === 0 ? null : nullBitmap });
}
