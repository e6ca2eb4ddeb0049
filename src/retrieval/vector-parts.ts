/**
 * Vectors that several processes embed together: the corpus in parts, each a file of its own below the folder of the build's vectors (`<name>.partial/<first row>.partial/`), resumable like that one (partial-vectors.ts), and joined by
 * one process in the end. Where parts end depends on the corpus alone, so whole parts are found again by any number of processes, or by one. It shares nothing out and knows no index.
 * The trap: who holds the lock of the build's folder has all parts for itself and its helpers, and nobody else may touch them; a part's own lock only keeps out a helper of a run that was killed and isn't quite dead.
 */
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.js";
import { NpyReader } from "../storage/npy-reader.js";
import { embedRows, PASSAGES_AT_ONCE, type EmbeddingParts } from "./embed-passages.js";
import type { RowRange } from "./exact-index.js";
import { PARTIAL, PartialVectors, type PartialShape } from "./partial-vectors.js";

/** The most parts of a corpus: each costs a file, and a process that goes on in the middle of one wastes less than one. */
const MOST_PARTS = 256;
/** Rows that are read at once when parts are joined. */
const JOINED_AT_ONCE = 16384;
/** Seconds that a process waits for what another one holds: one that was killed gives its locks back when the system has cleared it away. */
const PATIENCE = 15;
/** Milliseconds between two tries. */
const PAUSE = 250;

/** What a process must know to embed parts: plain data. */
export interface PartsPlace {
  /** The build's folder. */
  readonly folder: string;
  readonly shape: PartialShape;
}

/** All parts of a corpus, in the order of rows. */
function partsOf(rows: number): RowRange[] {
  const each = PASSAGES_AT_ONCE * Math.max(1, Math.ceil(rows / (PASSAGES_AT_ONCE * MOST_PARTS)));
  return Array.from({ length: Math.ceil(rows / each) }, (_, i) => ({ start: i * each, count: Math.min(each, rows - i * each) }));
}

/** Parts with rows from `from` on that aren't whole. */
export function missingParts({ folder, shape }: PartsPlace, from: number): RowRange[] {
  return partsOf(shape.rows).filter(
    (part) => part.start + part.count > from && PartialVectors.whole(folder, nameOf(part), shapeOf(part, shape)) === undefined,
  );
}

/** Embeds parts, or what is left of them. @param embedded told how many rows of these parts are there @throws UserError when another process keeps one, or nothing can be written */
export async function embedParts(
  { folder, shape }: PartsPlace,
  ranges: readonly RowRange[],
  parts: EmbeddingParts,
  embedded?: (done: number) => void,
): Promise<void> {
  let before = 0;
  for (const range of ranges) {
    const rows = await opened(folder, range, shape);
    try {
      await embedRows(rows, range, parts, (done) => embedded?.(before + done));
    } finally {
      rows.leave();
    }
    before += range.count;
  }
}

/** Moves the whole parts that come next into the build's own vectors. */
export function joinParts(vectors: PartialVectors, shape: PartialShape): void {
  const { folder } = vectors;
  for (const part of partsOf(shape.rows)) {
    if (part.start + part.count <= vectors.rows) continue;
    const file = PartialVectors.whole(folder, nameOf(part), shapeOf(part, shape));
    if (file === undefined) return;
    appendFile(vectors, file, vectors.rows - part.start);
    // On the disk before the part is gone: two copies of a corpus's vectors at once would be much.
    vectors.finished();
    rmSync(path.dirname(file), { recursive: true, force: true });
  }
}

/** Whether there is some part, whole or not. */
export function hasParts(folder: string): boolean {
  return readdirSync(folder).some((name) => name.endsWith(PARTIAL));
}

function appendFile(vectors: PartialVectors, file: string, from: number): void {
  const reader = new NpyReader(file);
  try {
    const { shape, rowBytes } = reader.file;
    const size = shape[0] ?? 0;
    const bytes = new Uint8Array(Math.min(JOINED_AT_ONCE, size) * rowBytes);
    for (let row = from; row < size; row += JOINED_AT_ONCE) vectors.append(reader.read(row, Math.min(JOINED_AT_ONCE, size - row), bytes));
  } finally {
    reader.close();
  }
}

/** As {@link PartialVectors.open}, for builds of several processes: one that is dying is waited for. */
export async function openSoon(parent: string, name: string, shape: PartialShape): Promise<PartialVectors | undefined> {
  for (let waited = 0; ; waited += PAUSE) {
    const rows = PartialVectors.open(parent, name, shape);
    if (rows !== undefined || waited >= 1000 * PATIENCE) return rows;
    await sleep(PAUSE);
  }
}

async function opened(folder: string, part: RowRange, shape: PartialShape): Promise<PartialVectors> {
  const rows = await openSoon(folder, nameOf(part), shapeOf(part, shape));
  if (rows !== undefined) return rows;
  throw new UserError({
    where: path.join(folder, nameOf(part) + PARTIAL),
    what: "another process is embedding these passages",
    remedy: "end it (the file lock says which it is) and resume the run",
  });
}

function nameOf({ start }: RowRange): string {
  return String(start).padStart(10, "0");
}

function shapeOf({ count }: RowRange, { columns }: PartialShape): PartialShape {
  return { rows: count, columns };
}
