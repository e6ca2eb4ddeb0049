/**
 * The chunkers by the names that the config knows them by (`data.corpus.chunker`). A new one is a file and a line here, and test/corpus/chunkers.test.ts
 * holds it to what all promise. The trap: units differ. `size` and `overlap` are sentences for `sentences`, tokens of the text for `tokens` and `recursive`.
 */
import type { Article } from "./article.js";
import type { ChunkerName, ChunkOptions, ChunkTokenizer } from "./chunk-options.js";
import { chunkArticles as chunkParagraphs } from "./chunk-paragraphs.js";
import type { ChunkedPassage, ChunkFacts } from "./chunk-paragraphs.js";
import { chunkWindows } from "./chunk-windows.js";
import { recursiveSplit, sentenceWindows, tokenWindows, type WindowPlan } from "./window-plans.js";

type Chunker = (
  articles: readonly Article[],
  options: ChunkOptions,
  tokenizer: ChunkTokenizer,
) => Promise<{ passages: ChunkedPassage[]; facts: ChunkFacts }>;

const windows =
  (plan: WindowPlan): Chunker =>
  (articles, options, tokenizer) =>
    chunkWindows(articles, options, tokenizer, plan);

export const CHUNKERS: Readonly<Record<ChunkerName, Chunker>> = {
  paragraphs: chunkParagraphs,
  sentences: windows(sentenceWindows),
  tokens: windows(tokenWindows),
  recursive: windows(recursiveSplit),
};
