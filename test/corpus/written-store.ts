/** A passage store written as buildCorpus writes one, from passages instead of a corpus: for tests that need a store and no reader. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { noFacts } from "../../src/corpus/chunk-paragraphs.js";
import { passageContentKey, passageId, type Passage } from "../../src/corpus/passage.js";
import { makeManifest, MANIFEST_FILE } from "../../src/corpus/passage-manifest.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import { StoreWriter } from "../../src/corpus/store-writer.js";

/** Writes the passages, each with an id made from its content, into `folder` and opens the store. */
export function writtenStore(folder: string, bodies: readonly Omit<Passage, "id">[]): PassageStore {
  mkdirSync(folder, { recursive: true });
  const writer = new StoreWriter(folder);
  for (const body of bodies) {
    writer.add({ passages: [{ id: passageId(body), ...body, contentKey: passageContentKey(body) }], facts: noFacts() });
  }
  const hash = "0".repeat(64);
  const source = {
    format: "jsonl",
    files: 1,
    bytes: 1,
    hash,
    ignoredFiles: 0,
    skipped: { empty: 0, redirects: 0 },
    limit: null,
  };
  const chunking = { split: "blank", maxTokens: 64, minCharacters: 30, titleTemplate: "{title}. {text}", tokenizer: hash } as const;
  writeFileSync(path.join(folder, MANIFEST_FILE), JSON.stringify(makeManifest({ ...writer.finish(folder), source, chunking })));
  return PassageStore.open(folder);
}
