/**
 * Ids of words that were encoded before. A byte-level BPE splits a text into words by a regular expression and encodes each by itself, so a word's ids never change; training asks for the same few thousand
 * words in every batch. Not a tokenizer: words it doesn't know go to the library. The trap: it is exact only for GPT-2's splitting and only where JavaScript's and the library's ideas of letters can't
 * differ, so anything else is left to the library.
 */
import type { TokenizerFile } from "./tokenizer-file.js";

/** Printable Latin, tab and line breaks: no white space or letter on which two versions of Unicode disagree. */
const PLAIN = /^[\t\n\r\x20-\x7e\u00a1-\u024f]*$/u;

/** GPT-2's pre-tokenizer (encoder.py of the released model), as the library's ByteLevel has it. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Words kept; a corpus of more distinct ones starts anew. */
const MOST_WORDS = 200_000;

export class WordCache {
  readonly #known = new Map<string, Int32Array>();
  readonly #added: readonly string[];
  readonly #encode: (words: readonly string[]) => Int32Array[];

  private constructor(added: readonly string[], encode: (words: readonly string[]) => Int32Array[]) {
    this.#added = added;
    this.#encode = encode;
  }

  /** A cache for this tokenizer, or undefined when its words don't stand alone. @param encode the library's own encoding */
  static of(file: TokenizerFile, encode: (words: readonly string[]) => Int32Array[]): WordCache | undefined {
    const {
      normalizer,
      pre_tokenizer: splitter,
      post_processor: last,
      model,
      added_tokens: added,
    } = JSON.parse(file.json) as Record<string, unknown>;
    const { type, add_prefix_space: prefix, use_regex: regex } = fields(splitter);
    const { type: kind, dropout } = fields(model);
    const isGpt2 =
      normalizer === null && type === "ByteLevel" && prefix === false && regex !== false && kind === "BPE" && (dropout ?? null) === null;
    const addsNothing = last === null || fields(last)["type"] === "ByteLevel";
    if (!isGpt2 || !addsNothing) return undefined;
    const contents = (Array.isArray(added) ? added : []).map((token) => String(fields(token)["content"]));
    return new WordCache(contents, encode);
  }

  /** The ids of every text. */
  encodeBatch(texts: readonly string[]): Int32Array[] {
    const split = texts.map((text) => (this.#isPlain(text) ? (text.match(WORDS) ?? []) : undefined));
    this.#learn(split);
    const strange = texts.filter((_, i) => split[i] === undefined);
    const encoded = strange.length === 0 ? [] : this.#encode(strange);
    let next = 0;
    return split.map((words) => (words === undefined ? (encoded[next++] ?? new Int32Array()) : this.#joined(words)));
  }

  #isPlain(text: string): boolean {
    return PLAIN.test(text) && !this.#added.some((token) => text.includes(token));
  }

  #learn(split: readonly (readonly string[] | undefined)[]): void {
    if (this.#known.size > MOST_WORDS) this.#known.clear();
    const fresh = [...new Set(split.flatMap((words) => words?.filter((word) => !this.#known.has(word)) ?? []))];
    if (fresh.length === 0) return;
    this.#encode(fresh).forEach((ids, i) => this.#known.set(fresh[i] ?? "", ids));
  }

  #joined(words: readonly string[]): Int32Array {
    const parts = words.map((word) => this.#known.get(word) ?? new Int32Array());
    const ids = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let end = 0;
    for (const part of parts) {
      ids.set(part, end);
      end += part.length;
    }
    return ids;
  }
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
