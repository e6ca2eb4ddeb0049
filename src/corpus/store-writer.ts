/**
 * Takes chunked passages in order, drops those that came before, and writes the files of a store: shards and the id table. Not the manifest, which
 * needs facts of the source. The trap: whether a passage is a duplicate depends on what came before it, so this runs in one thread, in order.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import { UserError } from "../errors.js";
import { AtomicFile } from "../storage/atomic-write.js";
import { hashBytes } from "../storage/content-hash.js";
import { addFacts, noFacts } from "./chunk-paragraphs.js";
import type { ChunkedPassage, ChunkFacts } from "./chunk-paragraphs.js";
import { DigestSet } from "./digest-set.js";
import type { PassageManifest, StoreFile } from "./passage-manifest.js";
import { PassageShards } from "./passage-shards.js";
import { idKey } from "./passage-store.js";

const ID_TABLE_FILE = "rows-by-id.bin";

export type WrittenStore = Pick<PassageManifest, "hash" | "passages" | "documents" | "duplicates" | "shards" | "rowsById" | "text">;

export class StoreWriter {
  readonly text: ChunkFacts = noFacts();
  passages = 0;
  private duplicates = 0;
  private lastDocument: string | undefined;
  private idKeys = new Uint32Array(1024);
  private readonly seen = new DigestSet();
  private readonly documents = new DigestSet();
  private readonly hash = createHash("sha256");
  private readonly folder: string;
  private readonly shards: PassageShards;

  constructor(folder: string, shardBytes?: number) {
    this.folder = folder;
    this.shards = new PassageShards(folder, shardBytes);
  }

  /** The next passages. Of two with the same title and text the first stays; the other is counted. */
  add(group: { passages: readonly ChunkedPassage[]; facts: ChunkFacts }): void {
    addFacts(this.text, group.facts);
    for (const passage of group.passages) {
      if (this.seen.add(passage.contentKey)) this.append(passage);
      else this.duplicates += 1;
    }
  }

  /** @throws UserError if no passage came; `where` names the source. */
  finish(where: string): WrittenStore {
    if (this.passages === 0) {
      throw new UserError({
        where,
        what: "no text in this corpus",
        expected: "articles with a body",
        got: `${this.text.articles} articles, 0 passages`,
      });
    }
    return {
      hash: this.hash.digest("hex"),
      passages: this.passages,
      documents: this.documents.size,
      duplicates: this.duplicates,
      shards: this.shards.finish(),
      rowsById: this.writeIdTable(),
      text: this.text,
    };
  }

  /** Closes what is open; does nothing after {@link finish}. */
  abort(): void {
    this.shards.abort();
  }

  private append(passage: ChunkedPassage): void {
    this.shards.append(passage);
    this.hash.update(passage.id);
    if (passage.document !== this.lastDocument) {
      this.documents.add(hashBytes(passage.document).slice(0, 32));
      this.lastDocument = passage.document;
    }
    if (this.passages === this.idKeys.length) {
      const grown = new Uint32Array(this.idKeys.length * 2);
      grown.set(this.idKeys);
      this.idKeys = grown;
    }
    this.idKeys[this.passages] = idKey(passage.id);
    this.passages += 1;
  }

  /** Sorts (key, row) as one 64-bit number each: the key in the upper half, since the machines Tandem runs on are little-endian. */
  private writeIdTable(): StoreFile {
    const table = new Uint32Array(this.passages * 2);
    for (let row = 0; row < this.passages; row++) {
      table[2 * row] = row;
      table[2 * row + 1] = this.idKeys[row] ?? 0;
    }
    new BigUint64Array(table.buffer).sort();
    const bytes = new Uint8Array(table.buffer);
    const file = new AtomicFile(path.join(this.folder, ID_TABLE_FILE));
    try {
      file.write(bytes);
      file.commit();
    } finally {
      file.abort();
    }
    return { file: ID_TABLE_FILE, bytes: bytes.length, hash: hashBytes(bytes) };
  }
}
