/**
 * A cross-encoder: question and passage go through one transformer together, and its head gives one score; equal to sentence-transformers' `CrossEncoder.predict` on the same folder. Far slower than an encoder
 * (nothing is embedded once for all), so it judges candidates and searches nothing. The traps: what is too long is cut as transformers' `longest_first` does, and the cut decides the score; and a tokenizer's
 * folder says, by a list or by its class, whether the model is told which text a token is of.
 *
 * Letters: B pairs of one batch, T tokens.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { noGrad } from "../engine/grad-mode.js";
import { span } from "../engine/profiler.js";
import { scope } from "../engine/scope.js";
import { indices, toFloat32Array } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import { BertClassifier } from "../nn/bert-classifier.js";
import type { LoadOptions } from "../nn/hugging-face-folder.js";
import { tokenBatch } from "../nn/token-batch.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { Tokenizer } from "../text/tokenizer.js";
import { TOKENS_AT_ONCE } from "./encoder.js";
import type { Pair, PairScorer } from "./pair-scores.js";

interface PairTokens {
  readonly ids: Int32Array;
  /** Tokens of the first text with its special tokens. */
  readonly first: number;
}

interface PairSettings {
  /** Longest input, special tokens included. */
  readonly maxTokens: number;
  /** Whether the model is told which of the two texts a token is of. */
  readonly typed: boolean;
}

export class CrossEncoder implements PairScorer {
  readonly #model: BertClassifier;
  readonly #tokenizer: Tokenizer;
  readonly #settings: PairSettings;
  readonly #open: Int32Array;
  readonly #close: Int32Array;

  constructor(model: BertClassifier, tokenizer: Tokenizer, settings: PairSettings) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#settings = settings;
    [this.#open, this.#close] = aroundText(tokenizer);
  }

  /** Opens a folder of a sequence-classification model with one label. @throws UserError naming what is missing, broken or another kind of model */
  static load(folder: string, options: LoadOptions = {}): CrossEncoder {
    const tokenizer = Tokenizer.fromFolder(folder);
    const model = BertClassifier.load(folder, options);
    const { vocabSize, maxPositionEmbeddings } = model.config;
    if (tokenizer.vocabSize > vocabSize)
      throw new UserError({
        where: folder,
        what: "the tokenizer doesn't belong to the model",
        expected: `at most ${vocabSize} tokens, as the model has embeddings`,
        got: String(tokenizer.vocabSize),
        remedy: "put the model's own tokenizer.json into its folder",
      });
    const settings = readSettings(folder);
    return new CrossEncoder(model, tokenizer, { ...settings, maxTokens: Math.min(maxPositionEmbeddings, settings.maxTokens) });
  }

  /**
   * Scores of pairs in their order, in batches of like length.
   *
   * @param isOwn says which batches are scored, by their number; the pairs of the others have 0. Default: all
   */
  score(
    questions: readonly string[],
    passages: readonly string[],
    pairs: readonly Pair[],
    done?: (pairs: number) => void,
    isOwn: (batch: number) => boolean = () => true,
  ): Float32Array {
    const scores = new Float32Array(pairs.length);
    const [first, second] = [questions, passages].map((texts) => this.#tokenizer.encodeBatch(texts, { specialTokens: false }));
    const none = new Int32Array(0);
    const lengthOf = ({ question, passage }: Pair): number =>
      Math.min(this.#settings.maxTokens, (first?.[question]?.length ?? 0) + (second?.[passage]?.length ?? 0) + this.#special);
    const order = Array.from(pairs, (pair, place) => ({ place, pair, length: lengthOf(pair) })).sort((a, b) => b.length - a.length);
    for (let start = 0, number = 0; start < order.length; number++) {
      const count = Math.max(1, Math.floor(TOKENS_AT_ONCE / (order[start]?.length ?? 1)));
      const batch = order.slice(start, start + count);
      start += batch.length;
      if (isOwn(number)) {
        const tokens = batch.map(({ pair }) => this.#joined(first?.[pair.question] ?? none, second?.[pair.passage] ?? none));
        this.#scoreBatch(tokens).forEach((score, i) => (scores[batch[i]?.place ?? 0] = score));
      }
      done?.(start);
    }
    return scores;
  }

  /** Frees the weights. */
  dispose(): void {
    for (const weight of this.#model.parameters.values()) weight.dispose();
  }

  get #special(): number {
    return this.#open.length + 2 * this.#close.length;
  }

  #joined(first: Int32Array, second: Int32Array): PairTokens {
    const [one, two] = cutLongest(first.length, second.length, this.#settings.maxTokens - this.#special);
    const ids = [...this.#open, ...first.subarray(0, one), ...this.#close, ...second.subarray(0, two), ...this.#close];
    return { ids: Int32Array.from(ids), first: this.#open.length + one + this.#close.length };
  }

  #scoreBatch(rows: readonly PairTokens[]): Float32Array {
    const device = [...this.#model.parameters.values()][0]?.device ?? "cpu";
    return span("cross-encoder", () =>
      noGrad(() =>
        scope(() => {
          const { ids_BT, mask_BT } = tokenBatch(
            rows.map(({ ids }) => ids),
            { padId: this.#model.config.padTokenId, device },
          );
          const typeIds = this.#settings.typed ? indices(typesOf(rows, ids_BT.size(1)), ids_BT.shape, device) : undefined;
          return toFloat32Array(this.#model.score({ ids_BT, mask_BT, typeIds }).toDtype("f32"));
        }),
      ),
    );
  }
}

/** 1 for the tokens of the second text, row-major. */
function typesOf(rows: readonly PairTokens[], length: number): Int32Array {
  const types = new Int32Array(rows.length * length);
  rows.forEach(({ ids, first }, row) => types.fill(1, row * length + first, row * length + ids.length));
  return types;
}

/**
 * How many tokens of each text stay when together they may have `most`: the longer one gives first, then both have about half (`longest_first` of Hugging Face's tokenizers).
 */
export function cutLongest(first: number, second: number, most: number): [number, number] {
  if (first + second <= most) return [first, second];
  const isSwapped = first > second;
  const short = Math.min(first, second);
  const [less, more] = 2 * short > most ? [Math.floor(most / 2), Math.ceil(most / 2)] : [short, most - short];
  return isSwapped ? [more, less] : [less, more];
}

/** What the tokenizer puts before and after a text (`[CLS]`, `[SEP]`). */
function aroundText(tokenizer: Tokenizer): [Int32Array, Int32Array] {
  const [whole, bare] = [tokenizer.encode("a"), tokenizer.encode("a", { specialTokens: false })];
  for (let start = 0; start + bare.length <= whole.length; start++)
    if (bare.every((id, place) => whole[start + place] === id)) return [whole.slice(0, start), whole.slice(start + bare.length)];
  return [new Int32Array(0), new Int32Array(0)];
}

/** transformers 5 gives no token types with these classes, and does with BERT's own. */
const GENERIC: readonly unknown[] = ["TokenizersBackend", "PreTrainedTokenizerFast"];

/** What the tokenizer's own file says; without it inputs are as long as the model has positions, and typed. */
function readSettings(folder: string): PairSettings {
  const file = path.join(folder, "tokenizer_config.json");
  if (!existsSync(file)) return { maxTokens: Infinity, typed: true };
  const { model_max_length: longest, model_input_names: names, tokenizer_class: kind } = expectObject(readJson(file), file);
  return {
    maxTokens: typeof longest === "number" && longest >= 8 ? longest : Infinity,
    typed: Array.isArray(names) ? names.includes("token_type_ids") : !GENERIC.includes(kind),
  };
}
