/**
 * From a corpus on disk to a passage store: read, chunk in worker threads, drop duplicates, write. One pass, streamed: the reader waits for the threads, the
 * threads for the writer. The result is the same bytes for any number of threads. The trap: rows follow the order of the source, so sorting or
 * shuffling the input files gives another store (the ids stay).
 */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Piscina } from "piscina";
import { UserError } from "../errors.js";
import { writeFileAtomic, writeFolderAtomic } from "../storage/atomic-write.js";
import { hashJson } from "../storage/content-hash.js";
import type { Article, ArticleSource } from "./article.js";
import { checkChunkOptions } from "./chunk-options.js";
import type { ChunkOptions } from "./chunk-options.js";
import type { ChunkFacts } from "./chunk-paragraphs.js";
import chunkGroup, { openTokenizer } from "./chunk-worker.js";
import type { ChunkedGroup, ChunkTask } from "./chunk-worker.js";
import { openArticles } from "./article-formats.js";
import { orderedMap } from "./ordered-map.js";
import { makeManifest, MANIFEST_FILE } from "./passage-manifest.js";
import type { SourceFacts } from "./passage-manifest.js";
import { hashSourceFiles } from "./source-files.js";
import { StoreWriter } from "./store-writer.js";
import type { WrittenStore } from "./store-writer.js";

export interface CorpusSpec {
  source: { format: ArticleSource["format"]; path: string; /** The first so many articles only. */ limit?: number };
  chunk: ChunkOptions;
  /** The encoder's tokenizer: a folder, or a tokenizer.json. */
  tokenizer: string;
}

export interface BuildCorpusOptions extends CorpusSpec {
  /** The folder to make; one that is there is replaced when the new one is complete. */
  output: string;
  /** Worker threads; 0 chunks in the calling thread. */
  threads: number;
  shardBytes?: number;
  onProgress?: (progress: CorpusProgress) => void;
  signal?: AbortSignal;
}

export interface CorpusProgress {
  articles: number;
  passages: number;
  /** Of the source's files, as they lie on the disk. */
  bytesRead: number;
  bytes: number;
}

/** What happened. Everything but the first four is in the store's manifest, the same on every machine. */
export interface CorpusReport {
  folder: string;
  seconds: number;
  /** Where the chunking ran: `in-process` when asked for, or when Tandem runs from its TypeScript sources. */
  execution: "threads" | "in-process";
  threads: number;
  hash: string;
  passages: number;
  documents: number;
  /** Passages dropped because title and text had come before. */
  duplicates: number;
  source: SourceFacts;
  text: ChunkFacts;
}

/** Articles are handed to threads in groups of about this many UTF-16 units: a message costs little beside its work, and memory stays small. */
const GROUP_LENGTH = 1 << 18;
const GROUP_ARTICLES = 256;

/**
 * Builds the store. Nothing stands at `output` before everything is written and synced; on any error what stood there stays.
 * @throws UserError for bad input, options, tokenizer or output; the reason of `signal` when it was aborted.
 */
export async function buildCorpus(options: BuildCorpusOptions): Promise<CorpusReport> {
  const started = performance.now();
  checkChunkOptions(options.chunk, "data.corpus");
  const source = openSource(options.source);
  const tokenizer = openTokenizer(options.tokenizer).hash;
  const sourceHash = hashSourceFiles(source.files);
  const pool = await startThreads(options.threads);
  try {
    const manifest = await writeFolderAtomic(options.output, async (folder) => {
      const written = await writePassages(folder, source, options, pool);
      const sourceFacts = describeSource(source, sourceHash, options.source.limit);
      const manifest = makeManifest({ ...written, source: sourceFacts, chunking: { ...options.chunk, tokenizer } });
      writeFileAtomic(path.join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
      return manifest;
    });
    const execution = pool === undefined ? "in-process" : "threads";
    const { hash, passages, documents, duplicates, text } = manifest;
    const ran = {
      folder: options.output,
      seconds: (performance.now() - started) / 1000,
      execution,
      threads: pool === undefined ? 0 : options.threads,
    } as const;
    return { ...ran, hash, passages, documents, duplicates, source: manifest.source, text };
  } finally {
    await pool?.destroy();
  }
}

/**
 * Names a store by what it is made of: sources' contents, chunking and tokenizer. The same key, the same store; so a finished folder of that name
 * need not be built again. Reads the source once, chunks nothing. 64 hex digits.
 */
export function corpusKey(spec: CorpusSpec): string {
  const source = hashSourceFiles(openSource(spec.source).files);
  const tokenizer = openTokenizer(spec.tokenizer).hash;
  return hashJson({ version: 2, format: spec.source.format, limit: spec.source.limit ?? null, source, chunk: spec.chunk, tokenizer });
}

function openSource({ format, path: root, limit }: CorpusSpec["source"]): ArticleSource {
  if (limit !== undefined && (!Number.isInteger(limit) || limit < 1)) {
    throw new UserError({
      where: "data.corpus.limit",
      what: "not a number of articles",
      expected: "a whole number ≥ 1",
      got: String(limit),
    });
  }
  return openArticles(format, root);
}

function describeSource(source: ArticleSource, hash: string, limit: number | undefined): SourceFacts {
  return {
    format: source.format,
    files: source.files.length,
    bytes: source.bytes,
    hash,
    ignoredFiles: source.ignoredFiles.length,
    skipped: { ...source.skipped },
    limit: limit ?? null,
  };
}

/** Threads run compiled JavaScript; from TypeScript sources there is none, and the calling thread does the work. */
async function startThreads(threads: number): Promise<Piscina<ChunkTask, ChunkedGroup> | undefined> {
  if (!Number.isInteger(threads) || threads < 0) {
    throw new UserError({
      where: "data.corpus.threads",
      what: "not a number of threads",
      expected: "a whole number ≥ 0",
      got: String(threads),
    });
  }
  const own = fileURLToPath(import.meta.url);
  if (threads === 0 || !own.endsWith(".js")) return undefined;
  const { Piscina } = await import("piscina");
  return new Piscina({ filename: path.join(path.dirname(own), "chunk-worker.js"), minThreads: threads, maxThreads: threads });
}

async function writePassages(
  folder: string,
  source: ArticleSource,
  options: BuildCorpusOptions,
  pool: Piscina<ChunkTask, ChunkedGroup> | undefined,
): Promise<WrittenStore> {
  const work = (articles: Article[]): Promise<ChunkedGroup> => {
    const task = { articles, options: options.chunk, tokenizer: options.tokenizer };
    return pool === undefined ? chunkGroup(task) : pool.run(task);
  };
  const writer = new StoreWriter(folder, options.shardBytes);
  try {
    const groups = orderedMap(groupArticles(source, options.source.limit), work, 2 * options.threads + 1);
    for await (const group of groups) {
      options.signal?.throwIfAborted();
      writer.add(group);
      options.onProgress?.({
        articles: writer.text.articles,
        passages: writer.passages,
        bytesRead: source.bytesRead(),
        bytes: source.bytes,
      });
    }
    return writer.finish(options.source.path);
  } finally {
    writer.abort();
  }
}

/** Groups of articles in reading order. How they fall doesn't show in the result. */
async function* groupArticles(source: ArticleSource, limit = Infinity): AsyncGenerator<Article[]> {
  let group: Article[] = [];
  let length = 0;
  let taken = 0;
  for await (const article of source.articles()) {
    group.push(article);
    length += article.text.length;
    taken += 1;
    if (length >= GROUP_LENGTH || group.length >= GROUP_ARTICLES || taken === limit) {
      yield group;
      group = [];
      length = 0;
    }
    if (taken === limit) return;
  }
  if (group.length > 0) yield group;
}
