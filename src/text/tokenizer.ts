/**
 * Text to token ids and back, by Hugging Face's own Rust library from a `tokenizer.json`. It adds no padding and cuts nothing: whoever makes
 * batches does that.
 * The traps: the file's own truncation and padding blocks are switched off (all-MiniLM-L6-v2's would cut at 128 and fill up to 128); the
 * library counts offsets in code points, JavaScript in UTF-16 units, and what leaves here counts as JavaScript does.
 * Works in worker threads; nothing here loads libtorch.
 */
import path from "node:path";
import { Tokenizer as Library, type Decoder } from "tokenizers";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { encodeInThread, type EncodeReply } from "./encoding-thread.js";
import { WordCache } from "./word-cache.js";
import { readTokenizerFile, readTokenizerFolder, type SpecialToken, type TokenizerFile } from "./tokenizer-file.js";

export interface EncodeOptions {
  /** Add what the tokenizer's post-processor adds (`[CLS] … [SEP]`; GPT-2's adds nothing). Default true, as in Hugging Face's library. */
  readonly specialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default true. */
  readonly skipSpecial?: boolean;
}

/** Texts go to the library in pieces of about this many UTF-16 units: enough for all its threads, and memory stays flat. */
const PIECE_LENGTH = 1 << 20;

export class Tokenizer {
  /** Number of tokens, added ones included. Ids are below it unless the file leaves gaps. */
  readonly vocabSize: number;
  /** The token that ends a text, if the folder names one. */
  readonly eosId?: number;
  readonly padId?: number;
  /** SHA-256 (hex) of everything that decides the ids; names the tokenizer in provenance and caches. */
  readonly hash: string;
  readonly #file: TokenizerFile;
  readonly #library: Library;
  readonly #decoder: Decoder | null;
  readonly #special: Set<string>;
  readonly #words: WordCache | undefined;

  private constructor(file: TokenizerFile) {
    this.#file = file;
    this.#library = open(file);
    this.#decoder = this.#library.getDecoder();
    this.#special = specialContents(file.json);
    this.#words = WordCache.of(file, (words) => [...pieces(words)].flatMap((piece) => this.#encodePiece(piece, {})));
    this.vocabSize = this.#library.getVocabSize(true);
    this.hash = file.hash;
    const eosId = this.#idOf(file.eos);
    const padId = this.#idOf(file.pad);
    if (eosId !== undefined) this.eosId = eosId;
    if (padId !== undefined) this.padId = padId;
  }

  /** Opens a Hugging Face folder. Throws {@link UserError} if its `tokenizer.json` is missing or broken. */
  static fromFolder(folder: string): Tokenizer {
    return new Tokenizer(readTokenizerFolder(folder));
  }

  /** Opens one `tokenizer.json` without its neighbours (so `eosId` and `padId` are known only by the usual names). */
  static fromFile(file: string): Tokenizer {
    return new Tokenizer(readTokenizerFile(file));
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    return this.encodeBatch([text], options)[0] ?? new Int32Array(0);
  }

  /** Ids of many texts at once, by all the library's threads. Blocks the calling thread; {@link encodeBatchAsync} doesn't. */
  encodeBatch(texts: readonly string[], options: EncodeOptions = {}): Int32Array[] {
    return this.#words?.encodeBatch(texts) ?? [...pieces(texts)].flatMap((piece) => this.#encodePiece(piece, options));
  }

  /** {@link encodeBatch} without blocking: the event loop runs meanwhile. */
  async encodeBatchAsync(texts: readonly string[], options: EncodeOptions = {}): Promise<Int32Array[]> {
    const ids: Int32Array[] = [];
    for (const piece of pieces(texts)) {
      const encodings = await this.#library.encodeBatch(piece, { addSpecialTokens: options.specialTokens ?? true });
      for (const encoding of encodings) ids.push(Int32Array.from(encoding.getIds()));
    }
    return ids;
  }

  /** Two texts as one input (`[CLS] first [SEP] second [SEP]`) with the type ids that tell them apart. */
  encodePair(first: string, second: string): { ids: Int32Array; typeIds: Int32Array } {
    const reply = this.#inThread({ first: [first], second: [second], specialTokens: true, details: true });
    return { ids: reply.ids, typeIds: reply.typeIds ?? new Int32Array(reply.ids.length) };
  }

  /**
   * Ids with the stretch of `text` that each came from: `text.slice(start, end)`, UTF-16 units.
   * Special tokens come from nowhere in the text, so here they are left out unless asked for; then theirs is [0, 0].
   * Several byte-level tokens of one character share its stretch.
   */
  encodeWithOffsets(text: string, options: EncodeOptions = {}): { ids: Int32Array; offsets: [number, number][] } {
    const reply = this.#inThread({ first: [text], specialTokens: options.specialTokens ?? false, details: true });
    const flat = reply.offsets ?? new Int32Array(0);
    const unitOf = utf16Positions(text);
    const offsets = Array.from(reply.ids, (_, i): [number, number] => [unitOf(flat[2 * i] ?? 0), unitOf(flat[2 * i + 1] ?? 0)]);
    return { ids: reply.ids, offsets };
  }

  /** The text of some ids. Unknown ids are left out, as the library does. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const skip = options.skipSpecial ?? true;
    const tokens: string[] = [];
    for (const id of Array.from(ids)) {
      const token = this.#library.idToToken(id);
      if (token !== null && !(skip && this.#special.has(token))) tokens.push(token);
    }
    return this.#decoder === null ? tokens.join(" ") : this.#decoder.decode(tokens);
  }

  decodeBatch(lists: readonly ArrayLike<number>[], options: DecodeOptions = {}): string[] {
    return lists.map((ids) => this.decode(ids, options));
  }

  tokenId(token: string): number | undefined {
    return this.#library.tokenToId(token) ?? undefined;
  }

  /** The token of an id, as it stands in the vocabulary (`##ing`, `Ġthe`). */
  token(id: number): string | undefined {
    return this.#library.idToToken(id) ?? undefined;
  }

  /** Writes `tokenizer.json` and what came with it into a folder, byte for byte as read. The folder is made if need be. */
  save(folder: string): void {
    writeFileAtomic(path.join(folder, "tokenizer.json"), this.#file.json);
    for (const [name, text] of this.#file.companions) writeFileAtomic(path.join(folder, name), text);
  }

  #encodePiece(texts: readonly string[], options: EncodeOptions): Int32Array[] {
    if (texts.length === 0) return [];
    const { ids, lengths } = this.#inThread({ first: texts, specialTokens: options.specialTokens ?? true, details: false });
    let end = 0;
    // Copies, not views: a view would hold the whole batch's memory, and transferring one to a thread would empty the others.
    return Array.from(lengths, (length) => ids.slice(end, (end += length)));
  }

  #inThread(request: Parameters<typeof encodeInThread>[2]): EncodeReply {
    return encodeInThread(this.hash, this.#file.json, request);
  }

  #idOf(special: SpecialToken | undefined): number | undefined {
    if (special === undefined) return undefined;
    return "id" in special ? special.id : this.tokenId(special.content);
  }
}

function open(file: TokenizerFile): Library {
  try {
    const library = Library.fromString(file.json);
    library.disableTruncation();
    library.disablePadding();
    return library;
  } catch (error) {
    const what = `the tokenizer library refuses it: ${(error as Error).message}`;
    throw new UserError({ where: file.where, what, remedy: "save it again with tokenizer.save_pretrained of transformers" });
  }
}

function specialContents(json: string): Set<string> {
  const { added_tokens: added } = JSON.parse(json) as { added_tokens?: { content: string; special?: boolean }[] };
  return new Set((added ?? []).filter((token) => token.special === true).map((token) => token.content));
}

function* pieces(texts: readonly string[]): Generator<string[]> {
  let piece: string[] = [];
  let length = 0;
  for (const text of texts) {
    piece.push(text);
    length += text.length;
    if (length < PIECE_LENGTH) continue;
    yield piece;
    piece = [];
    length = 0;
  }
  if (piece.length > 0) yield piece;
}

/** Code-point positions of a text as UTF-16 positions. They differ only after a character outside the basic plane. */
function utf16Positions(text: string): (position: number) => number {
  if (!/[\u{10000}-\u{10ffff}]/u.test(text)) return (position) => position;
  const units = new Int32Array(text.length + 1);
  let points = 0;
  let unit = 0;
  for (const character of text) {
    units[points++] = unit;
    unit += character.length;
  }
  units[points] = unit;
  return (position) => units[position] ?? text.length;
}
