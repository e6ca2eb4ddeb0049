/**
 * A trained pair, ready to search and to answer: a finished run, or folders put together by hand. Everything is opened when it is first needed and once: asking without retrieval loads no index,
 * searching loads no generator. It doesn't train. The trap: weights live outside JavaScript's heap, so a pair that is done with must be disposed.
 */
import type { PromptConfig } from "../../config/schema.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { HistoryTurn } from "../../corpus/question.js";
import { setThreads } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import type { Decoding } from "../../generation/decoding.js";
import { Generator } from "../../generation/generator.js";
import type { Encoder } from "../../retrieval/encoder.js";
import type { Hit, Retriever } from "../../retrieval/retriever.js";
import { sentenceFilterOf, shownHits } from "../models/context-filter.js";
import { decodingOf } from "../models/decoding-config.js";
import { findTrainedRun, type TrainedRun } from "./find-run.js";
import { runDevice } from "../hardware.js";
import { faissSettings } from "../index/index-settings.js";
import { generatorFormat } from "../models/models.js";
import { openSearch, type OpenSearch, type SearchFolders } from "../index/open-search.js";

/** What a pair is made of. */
export interface PairFolders {
  readonly search: SearchFolders;
  /** A Hugging Face folder. */
  readonly generator: string;
  readonly prompt: PromptConfig;
  /** How answers are chosen. Default: greedy. */
  readonly decoding?: Decoding;
  /** Longest answer, in tokens. */
  readonly maxNewTokens: number;
  /** Prompt and answer together. Default: the model's positions. */
  readonly maxTokens?: number;
  readonly device?: string;
}

/** A question, with what was said before it where it is a follow-up. */
export interface PairQuestion {
  readonly question: string;
  /** Oldest first. Shown where the run's template has `{history}`. */
  readonly history?: readonly HistoryTurn[];
}

/** An answer and what it was taken from. */
export interface PairAnswer {
  readonly question: string;
  /** The first of the answers. */
  readonly answer: string;
  /** As many as the decoding gives: the best first of beams, the first drawn first of samples. */
  readonly answers: readonly string[];
  /** What the generator was given, best first, only the kept sentences where the run filters them; empty without retrieval. */
  readonly hits: readonly Hit[];
}

export interface AskOptions {
  /** How many passages the generator reads. Default: the run's `prompt.passages`. */
  readonly k?: number;
  /** false: the generator answers from what it knows. */
  readonly retrieval?: boolean;
  /** Prompts decoded at once. */
  readonly batch?: number;
}

export class Pair {
  readonly folders: PairFolders;
  #search: OpenSearch | undefined;
  #generator: Generator | undefined;

  constructor(folders: PairFolders) {
    this.folders = folders;
  }

  get encoder(): Encoder {
    return this.#opened.encoder;
  }

  get store(): PassageStore {
    return this.#opened.store;
  }

  /** Encoder, index and store together. */
  get retriever(): Retriever {
    return this.#opened.retriever;
  }

  get generator(): Generator {
    const { generator, prompt, device, maxTokens } = this.folders;
    this.#generator ??= Generator.load(generator, generatorFormat(prompt), {
      dropout: 0,
      ...(device === undefined ? {} : { device }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    });
    return this.#generator;
  }

  /**
   * The `k` best passages for each question, best first; all of them when the corpus is smaller.
   *
   * @throws UserError for an empty question, or an index that isn't this retriever's
   */
  async search(questions: readonly string[], k: number = this.folders.prompt.passages): Promise<Hit[][]> {
    requireQuestions(questions);
    return this.retriever.search(questions, k);
  }

  /**
   * Answers with the passages that were found.
   *
   * @throws UserError for an empty question, or one that alone is longer than the generator's input
   */
  async answer(asked: readonly (string | PairQuestion)[], options: AskOptions = {}): Promise<PairAnswer[]> {
    const histories = asked.map((one) => (typeof one === "string" ? [] : (one.history ?? [])));
    const questions = asked.map((one) => (typeof one === "string" ? one : one.question));
    requireQuestions(questions);
    const found = options.retrieval === false ? questions.map(() => []) : await this.search(questions, options.k);
    const hits = options.retrieval === false ? found : await this.#shown(questions, found);
    const items = questions.map((question, i) => ({
      question,
      history: histories[i] ?? [],
      passages: (hits[i] ?? []).map(({ passage }) => passage),
    }));
    const { maxNewTokens, decoding } = this.folders;
    const answers = await this.generator.answers(items, {
      maxNewTokens,
      ...(decoding === undefined ? {} : { decoding }),
      ...(options.batch === undefined ? {} : { batch: options.batch }),
    });
    return questions.map((question, i) => {
      const own = answers[i] ?? [];
      return { question, answer: own[0] ?? "", answers: own, hits: hits[i] ?? [] };
    });
  }

  /** Whether the run's prompt shows what was said before; without, follow-ups are asked as if they were the first. */
  get showsHistory(): { readonly open: boolean; readonly closed: boolean } {
    const { template, closed_book_template: closed } = this.folders.prompt;
    return { open: template.includes("{history}"), closed: closed.includes("{history}") };
  }

  /** The tokens of a question that the retriever doesn't read because it is too long; 0 for nearly all. */
  tokensUnread(question: string): number {
    const { encoder } = this;
    const whole = encoder.tokenizer.encode(encoder.queryPrefix + question).length;
    return Math.max(0, whole - encoder.settings.maxTokens);
  }

  /** Frees the weights and the index. */
  dispose(): void {
    this.#search?.retriever.index.dispose();
    this.#search?.encoder.dispose();
    this.#search?.passages?.dispose();
    for (const weight of this.#generator?.model.parameters.values() ?? []) weight.dispose();
    this.#search = undefined;
    this.#generator = undefined;
  }

  #shown(questions: readonly string[], found: readonly (readonly Hit[])[]): Promise<readonly (readonly Hit[])[]> {
    const { prompt, search } = this.folders;
    const filter = sentenceFilterOf(prompt, search.template, this.#opened.embedder, this.generator.tokenizer);
    return shownHits(
      filter,
      questions.map((question) => ({ question })),
      found,
      Infinity,
    );
  }

  get #opened(): OpenSearch {
    this.#search ??= openSearch(this.folders.search);
    return this.#search;
  }
}

/**
 * The pair of a finished run.
 *
 * @param run a run directory, or `latest`
 * @param options.device instead of the run's
 * @throws UserError when there is no such run, or it isn't finished
 */
export function openPair(run: string | TrainedRun, options: { device?: string } = {}): Pair {
  return new Pair(pairFolders(typeof run === "string" ? findTrainedRun(run) : run, options.device));
}

/** The folders of a run's pair. Sets the run's number of threads. */
function pairFolders(run: TrainedRun, wanted: string | undefined): PairFolders {
  const { config, places } = run;
  if (config.threads !== null) setThreads(config.threads);
  const device = runDevice(wanted ?? config.device);
  const { max_tokens: maxTokens } = config.generator;
  return {
    search: searchFolders(run, device),
    generator: places.generator,
    prompt: config.prompt,
    decoding: decodingOf(config.generation, config.seed),
    maxNewTokens: config.eval.max_new_tokens,
    ...(maxTokens === null ? {} : { maxTokens }),
    device,
  };
}

/** The folders of a run's search. @param threads FAISS's, where the config says none */
export function searchFolders({ places, corpus, config, name }: TrainedRun, device: string, threads?: number): SearchFolders {
  const { metric, dtype } = config.index;
  return {
    retriever: places.retriever,
    ...(config.train.reader.fixed_index ? { passageRetriever: places.passageRetriever } : {}),
    corpus,
    index: { parent: places.index },
    metric,
    approximate: faissSettings(config.index, threads) ?? null,
    dtype,
    template: config.data.corpus.title_template,
    device,
    command: `tandem index --run ${name}`,
  };
}

function requireQuestions(questions: readonly string[]): void {
  const place = questions.findIndex((question) => question.trim() === "");
  if (place < 0) return;
  throw new UserError({
    where: questions.length === 1 ? "question" : `question ${place + 1}`,
    what: "is empty",
    expected: "words",
    remedy: "write it in quotes",
  });
}
