/**
 * What chunking is told, and what it needs of a tokenizer. Not the config: that has its own names and defaults and is turned into this by the
 * command. The trap: `titleTemplate` must be the one that the encoder uses later, or the maximum means nothing.
 */
import { UserError } from "../errors.js";
import { checkTitleTemplate } from "./passage.js";

export type ChunkerName = "paragraphs" | "sentences" | "tokens" | "recursive";

export interface ChunkOptions {
  /** Absent: paragraphs, as all stores of format version 1. */
  chunker?: ChunkerName;
  /** What a window holds at most: sentences for `sentences`, tokens of the text (no title, no special tokens) for `tokens` and `recursive`. Absent: all that `maxTokens` leaves. */
  size?: number;
  /** What a window repeats of the one before it at most, in the unit of `size`. Absent: nothing. */
  overlap?: number;
  /** Chunker `paragraphs`: they end at an empty line (`blank`) or at every line break (`line`: what today's wikiextractor writes). */
  split: "blank" | "line";
  /** Upper limit in the encoder's tokens, title and special tokens included. At least 16. */
  maxTokens: number;
  /** Paragraphs with fewer characters (code points) join a neighbour. CoZyRAG's 30. */
  minCharacters: number;
  /** How the encoder will join title and text; see passage.ts. */
  titleTemplate: string;
}

/** The part of a tokenizer that chunking uses. Special tokens are asked for explicitly. */
export interface ChunkTokenizer {
  encodeBatchAsync(texts: readonly string[], options: { specialTokens: boolean }): Promise<Int32Array[]>;
  /** Without special tokens; offsets are UTF-16 positions. */
  encodeWithOffsets(text: string): { offsets: readonly (readonly [number, number])[] };
}

/** @throws UserError for a maximum that leaves no room, a negative minimum, a template without `{text}`; `where` is the config section. */
export function checkChunkOptions(options: ChunkOptions, where: string): void {
  if (!Number.isInteger(options.maxTokens) || options.maxTokens < 16) {
    throw new UserError({
      where: `${where}.max_tokens`,
      what: "no room for text",
      expected: "a whole number ≥ 16",
      got: String(options.maxTokens),
    });
  }
  if (!Number.isInteger(options.minCharacters) || options.minCharacters < 0) {
    throw new UserError({
      where: `${where}.min_characters`,
      what: "not a length",
      expected: "a whole number ≥ 0",
      got: String(options.minCharacters),
    });
  }
  checkWindow(options, where);
  checkTitleTemplate(options.titleTemplate, `${where}.title_template`);
}

function checkWindow({ chunker = "paragraphs", size, overlap = 0, maxTokens }: ChunkOptions, where: string): void {
  if (chunker === "paragraphs" && (size !== undefined || overlap !== 0)) {
    throw new UserError({
      where: `${where}.${overlap === 0 ? "size" : "overlap"}`,
      what: "means nothing to the chunker of paragraphs, which never overlap",
      expected: "size null and overlap 0",
      got: String(overlap === 0 ? size : overlap),
      remedy: "choose chunker sentences, tokens or recursive, or take it out",
    });
  }
  if (size !== undefined && (!Number.isInteger(size) || size < 1)) {
    throw new UserError({ where: `${where}.size`, what: "not a length", expected: "a whole number ≥ 1", got: String(size) });
  }
  // Tokens: no more than half a passage, or most of the store would be repetition.
  const most = chunker === "sentences" ? (size ?? Infinity) - 1 : Math.floor(Math.min(size ?? maxTokens, maxTokens) / 2);
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > most) {
    throw new UserError({
      where: `${where}.overlap`,
      what: "not an overlap",
      expected: `a whole number from 0${most === Infinity ? "" : ` to ${most} (${chunker === "sentences" ? "less than size" : "half of a passage"})`}`,
      got: String(overlap),
    });
  }
}

/** Fewer code points than the minimum; counted only where the UTF-16 length leaves it open. */
export function isShort(text: string, minCharacters: number): boolean {
  if (text.length >= 2 * minCharacters) return false;
  return Array.from(text).length < minCharacters;
}
