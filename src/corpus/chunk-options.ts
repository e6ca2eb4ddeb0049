/**
 * What chunking is told, and what it needs of a tokenizer. Not the config: that has its own names and defaults and is turned into this by the
 * command. The trap: `titleTemplate` must be the one that the encoder uses later, or the maximum means nothing.
 */
import { UserError } from "../errors.js";
import { checkTitleTemplate } from "./passage.js";

export interface ChunkOptions {
  /** Paragraphs end at an empty line (`blank`) or at every line break (`line`: what today's wikiextractor writes). */
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
  checkTitleTemplate(options.titleTemplate, `${where}.title_template`);
}

/** Fewer code points than the minimum; counted only where the UTF-16 length leaves it open. */
export function isShort(text: string, minCharacters: number): boolean {
  if (text.length >= 2 * minCharacters) return false;
  return Array.from(text).length < minCharacters;
}
