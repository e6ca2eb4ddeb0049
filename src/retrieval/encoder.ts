/**
 * A text encoder: tokenizer, transformer, pooling and normalisation together, equal to sentence-transformers' `encode` on the same folder. It neither searches nor trains; training gets
 * its gradients through `embedIds`.
 * Traps: questions and passages may have prompts before them, and an index is only as good as the prompt it was built with; `hash` is computed anew on each reading (about a second for
 * 200 MB), since training changes the weights.
 *
 * Letters: N texts, B texts of one batch, T tokens, D dimension.
 */
import { UserError } from "../errors.js";
import type { DropoutContext } from "../engine/dropout.js";
import { noGrad } from "../engine/grad-mode.js";
import { span } from "../engine/profiler.js";
import { scope } from "../engine/scope.js";
import { indices, ops, type Tensor } from "../engine/tensor.js";
import { Bert, bertConfig, type BertConfig, type BertInitialOptions } from "../nn/bert.js";
import { type LoadOptions, writeModelFiles } from "../nn/hugging-face-folder.js";
import { pool, type Pooling, unitVectors } from "../nn/pooling.js";
import { loadEncoderModel } from "../nn/registry.js";
import { readSentenceTransformers, writeSentenceTransformers } from "../nn/sentence-transformers-folder.js";
import { tokenBatch } from "../nn/token-batch.js";
import { writeFolderAtomic } from "../storage/atomic-write.js";
import { hashBytes, hashJson } from "../storage/content-hash.js";
import { Tokenizer } from "../text/tokenizer.js";

/** What a text is to the search; it decides the prefix. */
export type Role = "query" | "passage";

export interface EncoderSettings {
  readonly pooling: Pooling;
  /** Vectors of length one. */
  readonly normalise: boolean;
  /** Texts are cut here, special tokens included. */
  readonly maxTokens: number;
  readonly queryPrefix: string;
  readonly passagePrefix: string;
  readonly lowerCase: boolean;
}

/** What may be set over a folder's own settings. */
export type EncoderOverrides = Partial<Omit<EncoderSettings, "lowerCase">>;

/** Tokens of one batch, padding included: enough for full matrix products, small enough for the processor's caches. */
export const TOKENS_AT_ONCE = 4096;

export class Encoder {
  /** The special tokens after a text, which cutting keeps. */
  #closing: Int32Array | undefined;

  constructor(
    readonly model: Bert,
    readonly tokenizer: Tokenizer,
    readonly settings: EncoderSettings,
  ) {
    const { vocabSize } = model.config;
    if (tokenizer.vocabSize > vocabSize) {
      throw new UserError({
        where: "encoder",
        what: "the tokenizer doesn't belong to the model",
        expected: `at most ${vocabSize} tokens, as the model has embeddings`,
        got: `${tokenizer.vocabSize}`,
        remedy: "put the model's own tokenizer.json into its folder",
      });
    }
  }

  /**
   * Opens a sentence-transformers folder, or a plain Hugging Face encoder (mean pooling then).
   *
   * @throws UserError naming the file that is missing, broken or unsupported
   */
  static load(folder: string, options: LoadOptions & EncoderOverrides = {}): Encoder {
    const found = readSentenceTransformers(folder);
    const tokenizer = Tokenizer.fromFolder(found.modelFolder);
    const model = loadEncoderModel(found.modelFolder, options);
    const { prompts } = found;
    const passagePrompt = prompts["document"] ?? prompts["passage"] ?? prompts["corpus"] ?? "";
    return new Encoder(model, tokenizer, {
      pooling: options.pooling ?? found.pooling,
      normalise: options.normalise ?? found.normalise,
      maxTokens: checkedLength(options.maxTokens ?? Math.min(found.maxSeqLength ?? Infinity, model.config.maxPositionEmbeddings), model),
      queryPrefix: options.queryPrefix ?? prompts["query"] ?? "",
      passagePrefix: options.passagePrefix ?? passagePrompt,
      lowerCase: found.lowerCase,
    });
  }

  /**
   * An encoder from scratch: the model has as many embeddings as the tokenizer has tokens. Mean pooling and vectors of length one unless said otherwise.
   *
   * @throws UserError for sizes that don't go together
   */
  static initialise(
    config: Partial<BertConfig>,
    tokenizer: Tokenizer,
    seed: number,
    options: BertInitialOptions & EncoderOverrides = {},
  ): Encoder {
    const padTokenId = tokenizer.padId ?? 0;
    const model = Bert.initialise(bertConfig({ vocabSize: tokenizer.vocabSize, padTokenId, ...config }), seed, options);
    return new Encoder(model, tokenizer, {
      pooling: options.pooling ?? "mean",
      normalise: options.normalise ?? true,
      maxTokens: checkedLength(options.maxTokens ?? model.config.maxPositionEmbeddings, model),
      queryPrefix: options.queryPrefix ?? "",
      passagePrefix: options.passagePrefix ?? "",
      lowerCase: false,
    });
  }

  /** Length of the vectors. */
  get dimension(): number {
    return this.model.config.hiddenSize;
  }

  /** What is trained, by name. */
  get parameters(): ReadonlyMap<string, Tensor> {
    return this.model.parameters;
  }

  get queryPrefix(): string {
    return this.settings.queryPrefix;
  }

  get passagePrefix(): string {
    return this.settings.passagePrefix;
  }

  /** SHA-256 (hex) of everything that changes a vector: weights, architecture, tokenizer, pooling, normalisation, longest input, prefixes. */
  get hash(): string {
    const { numAttentionHeads, hiddenAct, layerNormEps } = this.model.config;
    const weights = Object.fromEntries([...this.parameters].map(([name, weight]) => [name, hashBytes(weight.toBytes())]));
    return hashJson({ weights, numAttentionHeads, hiddenAct, layerNormEps, tokenizer: this.tokenizer.hash, ...this.settings });
  }

  /**
   * The tokens of each text with its prefix and the special tokens, at most `maxTokens`: what is too long loses tokens before the closing special token.
   *
   * @param role no role: no prefix
   */
  tokenise(texts: readonly string[], role?: Role): Int32Array[] {
    const { maxTokens, lowerCase } = this.settings;
    const prefix = role === "query" ? this.queryPrefix : role === "passage" ? this.passagePrefix : "";
    const prefixed = texts.map((text) => (lowerCase ? (prefix + text).toLowerCase() : prefix + text));
    const closing = (this.#closing ??= closingTokens(this.tokenizer));
    return this.tokenizer.encodeBatch(prefixed).map((ids) => {
      if (ids.length <= maxTokens) return ids;
      const cut = ids.slice(0, maxTokens);
      cut.set(closing, maxTokens - closing.length);
      return cut;
    });
  }

  /** f32 (N,D) without a graph, in the order of the texts. */
  embed(texts: readonly string[], role?: Role): Tensor {
    return this.embedTokens(this.tokenise(texts, role));
  }

  /** {@link embed} of questions, with their prefix. */
  embedQueries(texts: readonly string[]): Tensor {
    return this.embed(texts, "query");
  }

  /** {@link embed} of passages, with their prefix. */
  embedPassages(texts: readonly string[]): Tensor {
    return this.embed(texts, "passage");
  }

  /** f32 (N,D) without a graph, in the order of the rows. Rows of like length share a batch, so little is padded. */
  embedTokens(rows: readonly Int32Array[]): Tensor {
    const device = this.#device;
    if (rows.length === 0) return ops.zeros([0, this.dimension], "f32", device);
    return noGrad(() =>
      scope(() => {
        const order = Array.from(rows.keys()).sort((a, b) => lengthAt(rows, b) - lengthAt(rows, a));
        const parts = inBatches(order, rows).map((batch) =>
          span("embed", () => scope(() => this.embedIds(batch.map((row) => rows[row] ?? new Int32Array(0))).toDtype("f32"))),
        );
        const back = new Int32Array(order.length);
        order.forEach((row, place) => (back[row] = place));
        return ops.cat(parts).indexSelect(0, indices(back, [back.length], device));
      }),
    );
  }

  /**
   * (B,D) of token rows, with a graph: pooled, and of length one if the encoder normalises. One batch, padded to its longest row.
   *
   * @throws Error when there are no rows
   */
  embedIds(rows: readonly Int32Array[], options: { readonly dropout?: DropoutContext | undefined } = {}): Tensor {
    return scope(() => {
      const { ids_BT, mask_BT } = tokenBatch(rows, { padId: this.model.config.padTokenId, device: this.#device });
      const hidden_BTD = this.model.forward({ ids_BT, mask_BT, dropout: options.dropout });
      const pooled_BD = pool(hidden_BTD, mask_BT, this.settings.pooling);
      return this.settings.normalise ? unitVectors(pooled_BD) : pooled_BD;
    });
  }

  /** Writes a folder that sentence-transformers and transformers open, at once or not at all. @throws UserError when it can't be written */
  save(folder: string): void {
    writeFolderAtomic(folder, (temporary) => this.writeFiles(temporary));
  }

  /** {@link save} into a folder that exists and is being built. Not atomic. */
  writeFiles(folder: string): void {
    const { pooling, normalise, maxTokens, queryPrefix, passagePrefix, lowerCase } = this.settings;
    writeModelFiles(folder, this.model);
    this.tokenizer.save(folder);
    const prompts = { query: queryPrefix, document: passagePrefix };
    writeSentenceTransformers(folder, { pooling, normalise, maxSeqLength: maxTokens, prompts, lowerCase }, this.dimension);
  }

  /** Frees the weights. */
  dispose(): void {
    for (const weight of [...this.model.parameters.values(), ...this.model.spare.values()]) weight.dispose();
  }

  get #device(): string {
    return [...this.parameters.values()][0]?.device ?? "cpu";
  }
}

/** What the tokenizer puts after a text (`[SEP]`): what is left of a short text's tokens behind its own. */
function closingTokens(tokenizer: Tokenizer): Int32Array {
  const [whole, bare] = [tokenizer.encode("a"), tokenizer.encode("a", { specialTokens: false })];
  for (let start = 0; start + bare.length <= whole.length; start++) {
    if (bare.every((id, place) => whole[start + place] === id)) return whole.slice(start + bare.length);
  }
  return new Int32Array(0);
}

function checkedLength(maxTokens: number, model: Bert): number {
  const { maxPositionEmbeddings } = model.config;
  if (Number.isInteger(maxTokens) && maxTokens >= 3 && maxTokens <= maxPositionEmbeddings) return maxTokens;
  throw new UserError({
    where: "encoder: longest input",
    what: "does not fit the model",
    expected: `from 3 to ${maxPositionEmbeddings} tokens`,
    got: String(maxTokens),
  });
}

function lengthAt(rows: readonly Int32Array[], row: number): number {
  return rows[row]?.length ?? 0;
}

/** Rows in falling order of length, cut so that a batch's rectangle holds at most {@link TOKENS_AT_ONCE} tokens, but at least one row. */
function inBatches(order: readonly number[], rows: readonly Int32Array[]): number[][] {
  const batches: number[][] = [];
  let current: number[] = [];
  for (const row of order) {
    const longest = lengthAt(rows, current[0] ?? row);
    if (current.length > 0 && (current.length + 1) * longest > TOKENS_AT_ONCE) {
      batches.push(current);
      current = [];
    }
    current.push(row);
  }
  if (current.length > 0) batches.push(current);
  return batches;
}
