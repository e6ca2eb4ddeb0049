/**
 * A generator that answers: language model, tokenizer, prompt and decoding together. It neither retrieves nor trains. The trap: a question without passages is asked with the closed-book
 * prompt, which has no empty context in it; that is the prompt a closed-book generator is trained with.
 */
import type { Passage } from "../corpus/passage.js";
import type { HistoryTurn } from "../corpus/question.js";
import { span } from "../engine/profiler.js";
import { UserError } from "../errors.js";
import { loadCausalModel } from "../nn/registry.js";
import type { Gpt2 } from "../nn/gpt2.js";
import { Tokenizer } from "../text/tokenizer.js";
import { decode, GREEDY, type Decoding } from "./decoding.js";
import type { BatchOptions } from "./decoding-batch.js";
import { buildPrompts, type PromptFormat } from "./prompt.js";
import { cutAtStop, endsAtStop } from "./stop-strings.js";

export interface GeneratorFormat {
  /** With passages. */
  readonly open: PromptFormat;
  /** Without: the template has no `{context}`. */
  readonly closed: PromptFormat;
}

/** A question with what it may read, best passage first; no passages: closed book. */
export interface AnswerItem {
  readonly question: string;
  /** What was asked and answered before, oldest first; for templates with `{history}`. */
  readonly history?: readonly HistoryTurn[];
  readonly passages: readonly Pick<Passage, "title" | "text">[];
}

export interface AnswerOptions {
  readonly maxNewTokens: number;
  /** Default: greedy. */
  readonly decoding?: Decoding;
  /** Rows decoded at once, beams and answers counted. Default 64. */
  readonly batch?: number;
  readonly progress?: (done: number, total: number) => void;
}

/** What is to be decoded: plain data, the same for whoever does it. */
export interface DecodeOrder extends Pick<AnswerOptions, "maxNewTokens" | "batch"> {
  readonly prompts: readonly Int32Array[];
  readonly decoding: Decoding;
  /** What a prompt's draws depend on. */
  readonly keys: readonly string[];
}

export type DecodeProgress = NonNullable<BatchOptions["progress"]>;

/** New tokens of each prompt's answers, `[prompt][answer]`. */
type DecodePrompts = (order: DecodeOrder, progress: DecodeProgress | undefined) => Promise<Int32Array[][]>;

export class Generator {
  readonly #eosId: number;
  /** How prompts are decoded: by this process, unless others do it with it. */
  readonly #decode: DecodePrompts;

  /** @param maxTokens prompt and answer together; at most the model's positions. */
  constructor(
    readonly model: Gpt2,
    readonly tokenizer: Tokenizer,
    readonly format: GeneratorFormat,
    readonly maxTokens: number = model.config.nPositions,
    decodePrompts?: DecodePrompts,
  ) {
    const eosId = model.config.eosTokenId ?? tokenizer.eosId;
    if (eosId === undefined)
      throw new UserError({ where: "generator", what: "has no end-of-text token", remedy: "give eos_token_id in its config.json" });
    this.#eosId = eosId;
    this.#decode = decodePrompts ?? ((order, progress) => this.decodeHere(order, { progress }));
  }

  /** From a Hugging Face folder. @throws UserError as the loaders of model and tokenizer */
  static load(folder: string, format: GeneratorFormat, options: { maxTokens?: number; device?: string; dropout?: number } = {}): Generator {
    const { maxTokens, ...loading } = options;
    const model = loadCausalModel(folder, loading);
    return new Generator(model, Tokenizer.fromFolder(folder), format, maxTokens ?? model.config.nPositions);
  }

  get eosId(): number {
    return this.#eosId;
  }

  /** This generator, over the same model, whose prompts are decoded in another way. */
  decodedBy(decodePrompts: DecodePrompts): Generator {
    return new Generator(this.model, this.tokenizer, this.format, this.maxTokens, decodePrompts);
  }

  /** Decodes in this process: everything, or its own batches. */
  async decodeHere({ prompts, maxNewTokens, decoding, keys, batch }: DecodeOrder, options: BatchOptions): Promise<Int32Array[][]> {
    const settings = {
      ...options,
      maxNewTokens,
      eosId: this.#eosId,
      ends: endsAtStop(this.tokenizer, decoding.stop ?? []),
      keys,
      ...(batch === undefined ? {} : { batch }),
    };
    return decode(this.model, prompts, decoding, settings);
  }

  /** The first of each item's {@link answers}. */
  async answer(items: readonly AnswerItem[], options: AnswerOptions): Promise<string[]> {
    return (await this.answers(items, options)).map(([first = ""]) => first);
  }

  /**
   * The answers to each item, `[item][answer]`, in the items' order: only new tokens decoded, cut at the first stop string, white space at the ends taken off, nothing else. Sampled ones are
   * drawn by seed, question, answer and position: the same question gets the same answers beside whatever others, unless its passages change.
   *
   * @throws UserError when a question alone doesn't fit
   */
  async answers(items: readonly AnswerItem[], options: AnswerOptions): Promise<string[][]> {
    const budget = this.maxTokens - options.maxNewTokens;
    if (budget < 1)
      throw new UserError({
        where: "eval.max_new_tokens",
        what: "leaves no room for the question",
        expected: `below ${this.maxTokens}`,
        got: String(options.maxNewTokens),
      });
    const prompts: Int32Array[] = items.map(() => new Int32Array());
    for (const [format, isOpen] of [[this.format.open, true] as const, [this.format.closed, false] as const]) {
      const places = items.flatMap((item, place) => (item.passages.length > 0 === isOpen ? [place] : []));
      const chosen = places.map((place) => items[place]).filter((item) => item !== undefined);
      const built = buildPrompts(this.tokenizer, format, chosen, budget);
      places.forEach((place, i) => (prompts[place] = built[i]?.ids ?? new Int32Array()));
    }
    const { maxNewTokens, decoding = GREEDY, batch, progress } = options;
    const order = {
      prompts,
      maxNewTokens,
      decoding,
      keys: items.map(({ question }) => question.trim()),
      ...(batch === undefined ? {} : { batch }),
    };
    const ids = await span("generate", () => this.#decode(order, progress));
    const stop = decoding.stop ?? [];
    return ids.map((own) => this.tokenizer.decodeBatch(own).map((text) => cutAtStop(text, stop).trim()));
  }
}
