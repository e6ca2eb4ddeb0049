/**
 * The phases that train the generator, made from a run's config: on gold passages or on what an index found, on copying, and closed-book. How a step is computed is training/phases/generator.ts's. The trap: whatever
 * differs between two phases of one kind must come from the schedule's position and the state's artefacts, or a resumed run makes another one.
 */
import type { TandemConfig } from "../../config/schema.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import { integerBelow } from "../../training/counter-random.js";
import { copyingQuestions } from "../../training/copying-questions.js";
import {
  generatorExamples,
  type ContextFilter,
  type GeneratorExamples,
  type GeneratorQuestion,
} from "../../training/generator-examples.js";
import { inverseDocumentFrequency, type WordWeight } from "../../training/keywords.js";
import type { Phase } from "../../training/phase.js";
import type { PenaltyOptions } from "../../training/penalties/penalty-options.js";
import { generatorPhase } from "../../training/phases/generator.js";
import { twoEncoders } from "../../retrieval/two-encoders.js";
import type { RetrievedRows } from "../index/artefacts.js";
import { sentenceFilterOf } from "../models/context-filter.js";
import { answeredQuestion, CLOSED_BOOK, type PhaseParts } from "./phase-parts.js";
import { PromptLengths } from "./prompt-lengths.js";

/** Random passages that are looked at for a context without evidence: nearly all do, so a few are enough. */
const DRAWN_DISTRACTORS = 64;

/** Filtered contexts that are kept in memory: some tens of megabytes. */
const REMEMBERED = 20_000;

interface ReadingOptions {
  readonly filter?: ContextFilter | null;
  readonly penalties?: PenaltyOptions;
}

/** Makes the generator's phases and keeps what they share: word weights, lengths, copying questions. */
export class GeneratorPhases {
  readonly #parts: PhaseParts;
  readonly #goldRows: readonly (readonly number[])[];
  readonly #lengths: PromptLengths;
  #weight: WordWeight | undefined;
  #copying: readonly GeneratorQuestion[] | undefined;

  /** @param goldRows rows of each training question's gold passages */
  constructor(parts: PhaseParts, goldRows: readonly (readonly number[])[]) {
    this.#parts = parts;
    this.#goldRows = goldRows;
    this.#lengths = new PromptLengths({ ...parts, goldRows, tokenizer: parts.generator.tokenizer });
  }

  /**
   * The generator on what an index found, or else on gold passages.
   *
   * @param own `filter` null: none, whatever the config says; `penalties`: others than the config's
   */
  reading(retrieved: RetrievedRows | undefined, totalSteps: number, own: ReadingOptions = {}): Phase {
    const { config, store, renaming } = this.#parts;
    const { filter = this.contextFilter(true), penalties = penaltyOptions(config) } = own;
    const { generator } = config.train;
    const k = generator.passages ?? config.prompt.passages;
    const usable = this.#usable((question) => retrieved !== undefined || (this.#goldRows[question]?.length ?? 0) > 0);
    const rowsOf = (question: number): readonly number[] =>
      (retrieved === undefined ? (this.#goldRows[question] ?? []) : retrieved.rowsOf(question)).slice(0, k);
    const examples = generatorExamples({
      seed: config.seed,
      questions: usable.map((question) => this.#generatorQuestion(question)),
      contexts: (example) => rowsOf(usable[example] ?? 0),
      passage: (row) => store.get(row),
      questionsPerContext: generator.questions_per_context,
      otherQuestions: generator.other_questions,
      dropGold: generator.drop_gold,
      distractors: (example, step) => this.#distractors(usable[example] ?? 0, step, retrieved),
      unknownAnswer: generator.unknown_answer ?? undefined,
      keepGold: retrieved === undefined ? 0 : generator.keep_gold,
      varyPassages: retrieved === undefined ? 0 : generator.vary_passages,
      shufflePassages: retrieved === undefined ? 0 : generator.shuffle_passages,
      ...(retrieved === undefined && generator.curriculum.share > 0 ? { curriculum: generator.curriculum } : {}),
      totalSteps,
      filter: filter ?? undefined,
      ...(renaming === undefined ? {} : { transform: (context, step) => renaming.context(originals(context, usable), step) }),
    });
    const length = (example: number, step: number): number =>
      this.#lengths.open(examples, usable[example] ?? 0, step, rowsOf(usable[example] ?? 0));
    return this.#generatorPhase(this.#parts.generator.model, examples, length, "open", penalties);
  }

  /** The generator on training passages that are asked for their own words. Nothing is renamed there: what is copied needn't be new. */
  copying(totalSteps: number): Phase {
    const { config, store, heldOut, generator } = this.#parts;
    const { curriculum, questions_per_context: most } = config.train.generator;
    this.#copying ??= copyingQuestions({
      seed: config.seed,
      rows: Array.from({ length: store.size }, (_, row) => row).filter((row) => !heldOut.has(store.field(row, "document"))),
      text: (row) => store.field(row, "text"),
    });
    const questions = this.#copying;
    const examples = generatorExamples({
      seed: config.seed,
      questions,
      contexts: (example) => questions[example]?.goldRows ?? [],
      passage: (row) => store.get(row),
      questionsPerContext: most,
      ...(curriculum.share > 0 ? { curriculum } : {}),
      totalSteps,
    });
    const askedOf = new Map<number, number>();
    for (const { goldRows } of questions) for (const row of goldRows) askedOf.set(row, (askedOf.get(row) ?? 0) + 1);
    const length = (example: number, step: number): number =>
      this.#lengths.copying(examples, questions[example], step, askedOf.get(questions[example]?.goldRows[0] ?? 0) ?? 1);
    return this.#generatorPhase(generator.model, examples, length, "open", {});
  }

  /** The same kind of generator, taught to answer without contexts: the closed-book row's. */
  closedBook(): Phase {
    const { questions, closedBook } = this.#parts;
    if (closedBook === undefined) throw new Error("no closed-book generator was made");
    const examples: GeneratorExamples = {
      size: questions.length,
      at: (lead) => {
        const { history = [] } = questions[lead] ?? {};
        return { passages: [], questions: [{ index: lead, ...answeredQuestion(questions[lead]) }], history };
      },
      shareShown: () => 1,
    };
    const length = (example: number): number => this.#lengths.closed(questions[example]);
    return { ...this.#generatorPhase(closedBook, examples, length, "closed", {}), name: CLOSED_BOOK };
  }

  #generatorPhase(
    model: Gpt2,
    examples: GeneratorExamples,
    length: (example: number, step: number) => number,
    kind: "open" | "closed",
    penalties: PenaltyOptions,
  ): Phase {
    const { config, generator, precision, device } = this.#parts;
    const options = config.train.generator;
    return generatorPhase({
      model,
      tokenizer: generator.tokenizer,
      format: generator.format[kind],
      maxTokens: generator.maxTokens,
      eosId: generator.eosId,
      examples,
      length,
      seed: config.seed,
      batchTokens: options.batch_tokens ?? undefined,
      batch: options.batch ?? undefined,
      accumulate: options.accumulate,
      labelSmoothing: options.label_smoothing,
      copyWeight: kind === "open" ? options.copy_weight : 0,
      penalties,
      keywordSource: config.train.penalties.keyword.source,
      wordWeight: this.#wordWeight(),
      dropout: config.generator.dropout > 0,
      precision,
      device,
    });
  }

  /** The config's sentence filter by the retriever as it is now. @param isStill whether the phase leaves the retriever alone; if not, what was chosen once is chosen anew, or a resumed run would choose otherwise */
  contextFilter(isStill: boolean): ContextFilter | null {
    const { config, encoder, passages: own, generator, renaming } = this.#parts;
    const embedder = twoEncoders(encoder, own);
    const filter = sentenceFilterOf(config.prompt, config.data.corpus.title_template, embedder, generator.tokenizer);
    if (filter === undefined) return null;
    const choose: ContextFilter = (passages, question) => filter.filter([{ question, passages }])[0] ?? [];
    // Renamed texts are new in every step; others come again in every epoch.
    return isStill && renaming === undefined ? remembered(choose) : choose;
  }

  /** What was found beyond the context; without an index, passages drawn at random of documents that training may see. */
  *#distractors(question: number, step: number, retrieved: RetrievedRows | undefined): Generator<number> {
    if (retrieved !== undefined) return yield* Array.from(retrieved.rowsOf(question));
    const { store, heldOut, config } = this.#parts;
    for (let draw = 0; draw < DRAWN_DISTRACTORS; draw += 1) {
      const row = integerBelow(store.size, config.seed, step, question, draw, 0x646973);
      if (!config.data.questions.hold_out_passages || !heldOut.has(store.field(row, "document"))) yield row;
    }
  }

  #usable(keep: (question: number) => boolean): number[] {
    return this.#parts.questions.flatMap((_, question) => (keep(question) ? [question] : []));
  }

  #generatorQuestion(question: number): GeneratorQuestion {
    const asked = this.#parts.questions[question];
    return {
      ...answeredQuestion(asked),
      ...(asked === undefined ? {} : { answers: asked.answers }),
      goldRows: this.#goldRows[question] ?? [],
      history: asked?.history,
    };
  }

  #wordWeight(): WordWeight {
    const { store, config } = this.#parts;
    if (config.train.penalties.keyword.weight === 0) return () => 1;
    this.#weight ??= inverseDocumentFrequency(Array.from({ length: Math.min(store.size, 20_000) }, (_, row) => store.field(row, "text")));
    return this.#weight;
  }
}

/** A filter that chooses once for each question and its passages. */
function remembered(choose: ContextFilter): ContextFilter {
  const known = new Map<string, ReturnType<ContextFilter>>();
  return (passages, question) => {
    const key = JSON.stringify([question, ...passages.map(({ row }) => row)]);
    let chosen = known.get(key);
    if (chosen === undefined) {
      if (known.size >= REMEMBERED) known.clear();
      chosen = choose(passages, question);
      known.set(key, chosen);
    }
    return chosen;
  };
}

/** The renaming looks questions up by their number in the data set; a phase numbers only those it can use. */
function originals<Context extends { readonly questions: readonly { readonly index: number }[] }>(
  context: Context,
  usable: readonly number[],
): Context {
  return { ...context, questions: context.questions.map((question) => ({ ...question, index: usable[question.index] ?? 0 })) };
}

/** The config's penalties as the phase takes them. */
function penaltyOptions({ train: { penalties }, eval: { max_new_tokens: longest } }: TandemConfig): PenaltyOptions {
  const { ngram_repeat: ngramRepeat, keyword, short_answer: short, unlikelihood, sequence_unlikelihood: sequenceUnlikelihood } = penalties;
  const { answers, temperature, max_new_tokens: own } = penalties.sampling;
  return {
    mode: penalties.mode,
    drawing: { answers, temperature, maxNewTokens: own ?? longest },
    ngramRepeat,
    unlikelihood,
    sequenceUnlikelihood,
    ...(keyword.direction === null ? {} : { keyword: { ...keyword, direction: keyword.direction } }),
    shortAnswer: { weight: short.weight, temperature: short.temperature, minTokens: short.min_tokens },
  };
}
