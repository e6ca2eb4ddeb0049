/**
 * What a piscina thread runs: chunks groups of articles. Nothing here or below it may load libtorch, whose state belongs to one thread. The trap:
 * a thread can't start from a TypeScript file, so this runs as compiled JavaScript only; from sources build-corpus.ts calls {@link chunkGroup}
 * in its own thread.
 */
import type { ChunkOptions } from "./chunk-options.js";
import type { ChunkedPassage, ChunkFacts } from "./chunk-paragraphs.js";
import { CHUNKERS } from "./chunkers.js";
import type { Article } from "./article.js";
import { Tokenizer } from "../text/tokenizer.js";

export interface ChunkTask {
  articles: Article[];
  options: ChunkOptions;
  /** Folder or tokenizer.json. */
  tokenizer: string;
}

export interface ChunkedGroup {
  passages: ChunkedPassage[];
  facts: ChunkFacts;
}

const tokenizers = new Map<string, Tokenizer>();

/** Loads the tokenizer once a thread. */
export default async function chunkGroup(task: ChunkTask): Promise<ChunkedGroup> {
  let tokenizer = tokenizers.get(task.tokenizer);
  if (tokenizer === undefined) {
    tokenizer = openTokenizer(task.tokenizer);
    tokenizers.set(task.tokenizer, tokenizer);
  }
  return CHUNKERS[task.options.chunker ?? "paragraphs"](task.articles, task.options, tokenizer);
}

/** A folder with a tokenizer.json, or the file itself. */
export function openTokenizer(path: string): Tokenizer {
  return path.endsWith(".json") ? Tokenizer.fromFile(path) : Tokenizer.fromFolder(path);
}
