/**
 * The phases of a run, made from its config: generator on gold or retrieved contexts, contrastive with positives and mined negatives, the two in which the reader teaches the retriever, and the closed-book generator. A phase is a function
 * of the schedule's position and the state's artefacts, so a resumed run makes the same one. The trap: whatever differs between two phases of one kind must come from these two.
 */
import type { TandemConfig } from "../config/schema.js";
import { passageText } from "../corpus/passage.js";
import type { PassageStore } from "../corpus/passage-store.js";
import type { Question } from "../corpus/questions.js";
import type { Generator } from "../generation/generator.js";
import type { Gpt2 } from "../nn/gpt2.js";
import type { Encoder } from "../retrieval/encoder.js";
import { copyingQuestions } from "../training/copying-questions.js";
import { generatorExamples, type ContextFilter, type GeneratorExamples, type GeneratorQuestion } from "../training/generator-examples.js";
import { choosePositives, type MinedQuestion } from "../training/hard-negatives.js";
import { inverseDocumentFrequency, type WordWeight } from "../training/keywords.js";
import { rateAt } from "../training/optimiser.js";
import type { Phase } from "../training/phase.js";
import { contrastivePhase } from "../training/phases/contrastive.js";
import { generatorPhase, type GeneratorBatch } from "../training/phases/generator.js";
import { jointPhase } from "../training/phases/joint.js";
import { readerPhase, teachesReader, type ReaderBatch } from "../training/phases/reader-distillation.js";
import type { PenaltyOptions } from "../training/penalties/penalty-terms.js";
import type { CurrentArtefacts, RunState } from "../training/run-state.js";
import type { SchedulePosition } from "../training/schedule.js";
import type { TrainedPhase } from "../training/trainer.js";
import { openRetrieved, type RetrievedRows } from "./artefacts.js";
import { sentenceFilterOf } from "./context-filter.js";
import { hardNegatives } from "./negatives.js";
import { PromptLengths } from "./prompt-lengths.js";
import type { Renaming } from "./rename.js";

/** Phases that the schedule may name, and the closed-book one that the report needs. */
export const PHASES = ["generator", "contrastive", "reader-distillation", "joint", "refresh"] as const;
export const CLOSED_BOOK = "closed-book";

export interface PhaseParts {
  readonly config: TandemConfig;
  readonly store: PassageStore;
  readonly questions: readonly Question[];
  readonly generator: Generator;
  readonly closedBook: Gpt2 | undefined;
  readonly encoder: Encoder;
  /** Documents of validation and test questions; their passages teach no copying. */
  readonly heldOut: ReadonlySet<string>;
  readonly renaming: Renaming | undefined;
  readonly retrievalFolder: string;
  readonly precision: "bf16" | undefined;
  readonly device: string;
}

/** Filtered contexts that are kept in memory: some tens of megabytes. */
const REMEMBERED = 20_000;

/** Makes phases and keeps what all of them share: word weights, lengths, gold rows. */
export class PhaseMaker {
  readonly #parts: PhaseParts;
  readonly #goldRows: readonly (readonly number[])[];
  readonly #lengths: PromptLengths;
  #weight: WordWeight | undefined;
  #copying: readonly GeneratorQuestion[] | undefined;

  constructor(parts: PhaseParts) {
    this.#parts = parts;
    this.#goldRows = parts.questions.map(({ passageIds }) =>
      passageIds.map((id) => parts.store.rowOf(id)).filter((row) => row !== undefined),
    );
    this.#lengths = new PromptLengths({ ...parts, goldRows: this.#goldRows, tokenizer: parts.generator.tokenizer });
  }

  /** The phase at a place in the schedule. @throws UserError when the data can't feed it */
  at(position: SchedulePosition, state: RunState): TrainedPhase {
    const { generator, contrastive, reader } = this.#parts.config.train;
    const { artefacts } = state.progress;
    if (position.phase === "reader-distillation") return trained(this.reader(this.#retrieved(artefacts), false), "retriever", reader);
    if (position.phase === "joint") {
      const { updates, phase } = trained(this.joint(this.#retrieved(artefacts), position.stepsOfKind), "retriever", reader);
      const own = trained(phase, "generator", { ...reader, lr: reader.generator_lr ?? generator.lr, clip: generator.clip });
      return { phase, updates: [...updates, ...own.updates] };
    }
    if (position.phase === "contrastive") return trained(this.contrastive(artefacts), "retriever", contrastive);
    if (position.phase === CLOSED_BOOK) return trained(this.closedBook(), CLOSED_BOOK, generator);
    if (position.contexts === "copying") return trained(this.copying(position.stepsOfKind), "generator", generator);
    const retrieved = position.contexts === "retrieved" ? this.#retrieved(artefacts) : undefined;
    return trained(this.generator(retrieved, position.stepsOfKind), "generator", generator);
  }

  /** A phase of each kind without an index, for audit and probe: gold passages, or any where no question has one. What is measured there doesn't depend on a passage being right. */
  samples(): { generator: (totalSteps: number) => Phase; contrastive: () => Phase; reader: () => Phase; joint: () => Phase } {
    const { store, config } = this.#parts;
    const anyRows: RetrievedRows = { k: 1, rowsOf: (question) => [question % store.size] };
    const k = Math.min(store.size, config.train.reader.passages);
    const someRows: RetrievedRows = { k, rowsOf: (question) => Array.from({ length: k }, (_, i) => (question + i) % store.size) };
    return {
      reader: () => this.reader(someRows, false),
      joint: () => this.joint(someRows, 1),
      generator: (totalSteps) => this.generator(this.goldCount > 0 ? undefined : anyRows, totalSteps, null),
      contrastive: () => (this.goldCount > 1 ? this.contrastive({}) : this.contrastive({}, anyRows)),
    };
  }

  /** Training questions with a gold passage in the corpus. */
  get goldCount(): number {
    return this.#goldRows.filter(({ length }) => length > 0).length;
  }

  /**
   * The generator on what an index found, or else on gold passages.
   *
   * @param filter null: none, whatever the config says; audit and probe measure the same batch before and after the retriever changes
   */
  generator(retrieved: RetrievedRows | undefined, totalSteps: number, filter = this.#contextFilter()): Phase {
    const { config, store, renaming } = this.#parts;
    const { generator, penalties } = config.train;
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
    return this.#generatorPhase(this.#parts.generator.model, examples, length, "open", penaltyOptions(penalties));
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

  /** @param anyRows positives instead of true ones, where only gradients are looked at */
  contrastive(artefacts: CurrentArtefacts, anyRows?: RetrievedRows): Phase {
    const { config, store, questions, encoder, renaming, precision, device } = this.#parts;
    const { contrastive } = config.train;
    const textOf = (row: number): string => passageText(store.get(row), config.data.corpus.title_template);
    const retrieved = artefacts.retrieval === undefined ? undefined : this.#retrieved(artefacts);
    const mined = questions.map(({ answers }, i): MinedQuestion => ({ goldRows: this.#goldRows[i] ?? [], answers }));
    const positives = mined.map(
      (question, i) =>
        anyRows?.rowsOf(i) ?? choosePositives(question, retrieved?.rowsOf(i) ?? [], textOf, contrastive.positives === "answer"),
    );
    const usable = this.#usable((question) => (positives[question]?.length ?? 0) > 0);
    const negatives =
      contrastive.hard_negatives === 0
        ? undefined
        : hardNegatives({
            source: contrastive.mining.source,
            window: contrastive.mining,
            questions: questions.map(({ question }) => question),
            mined,
            store,
            textOf,
            heldOut: config.data.questions.hold_out_passages ? this.#parts.heldOut : new Set(),
            retrieved: retrieved === undefined ? undefined : (question) => retrieved.rowsOf(question),
          });
    return contrastivePhase({
      encoder,
      questions: usable.map((question) => ({
        question: questions[question]?.question ?? "",
        answers: questions[question]?.answers ?? [],
        positives: positives[question] ?? [],
        document: store.field(positives[question]?.[0] ?? 0, "document"),
      })),
      textOf,
      seed: config.seed,
      batch: contrastive.batch,
      byDocument: contrastive.batches === "document",
      temperature: contrastive.temperature,
      symmetric: contrastive.symmetric,
      matryoshka: contrastive.matryoshka,
      hardNegatives: negatives === undefined ? 0 : contrastive.hard_negatives,
      negativesOf: (example) => negatives?.[usable[example] ?? 0] ?? [],
      accumulate: contrastive.accumulate,
      dropout: config.retriever.dropout > 0,
      ...(renaming === undefined
        ? {}
        : {
            transform: (texts, step) =>
              renaming.texts(
                { ...texts, questions: texts.questions.map((question) => ({ ...question, index: usable[question.index] ?? 0 })) },
                step,
              ),
          }),
      precision,
      device,
    });
  }

  /** The retriever on what the reader makes of the passages that an index found. @param trainsReader whether the loss may train the reader too */
  reader(retrieved: RetrievedRows, trainsReader: boolean): Phase<ReaderBatch> {
    const { config, store, questions, encoder, generator, precision, device } = this.#parts;
    const { reader } = config.train;
    const candidates = reader.candidates ?? reader.passages;
    return readerPhase({
      encoder,
      reader: {
        model: generator.model,
        tokenizer: generator.tokenizer,
        format: generator.format.open,
        maxTokens: generator.maxTokens,
        eosId: generator.eosId,
      },
      questions: questions.map((question, i) => ({
        ...answeredQuestion(question),
        history: question.history,
        // An index of fewer passages fills up with −1.
        candidates: retrieved
          .rowsOf(i)
          .filter((row) => row >= 0)
          .slice(0, candidates),
      })),
      passage: (row) => store.get(row),
      textOf: (row) => passageText(store.get(row), config.data.corpus.title_template),
      seed: config.seed,
      batch: reader.batch,
      passages: reader.passages,
      loss: reader.loss,
      temperature: reader.temperature,
      readerTemperature: reader.reader_temperature,
      normaliseLength: reader.normalise_length,
      trainsPassages: reader.train_passages,
      trainsReader,
      tokensAtOnce: reader.tokens_at_once,
      accumulate: reader.accumulate,
      dropout: config.retriever.dropout > 0 || (trainsReader && config.generator.dropout > 0),
      precision,
      device,
    });
  }

  /** Both models at once: the generator by its own loss on what was found, or by the reader's where that trains both. */
  joint(retrieved: RetrievedRows, totalSteps: number): Phase {
    const { loss } = this.#parts.config.train.reader;
    if (teachesReader(loss)) return jointPhase(this.reader(retrieved, true), undefined);
    return jointPhase(this.reader(retrieved, false), this.generator(retrieved, totalSteps) as Phase<GeneratorBatch>);
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

  #retrieved(artefacts: CurrentArtefacts): RetrievedRows {
    if (artefacts.retrieval === undefined) throw new Error("a phase needs retrieved contexts before the first refresh");
    return openRetrieved(this.#parts, artefacts.retrieval, this.#parts.questions.length);
  }

  /** The config's sentence filter by the retriever as it is now; the phases that train the generator leave it alone. */
  #contextFilter(): ContextFilter | null {
    const { config, encoder, generator, renaming } = this.#parts;
    const filter = sentenceFilterOf(config.prompt, config.data.corpus.title_template, encoder, generator.tokenizer);
    if (filter === undefined) return null;
    const choose: ContextFilter = (passages, question) => filter.filter([{ question, passages }])[0] ?? [];
    // Renamed texts are new in every step; others come again in every epoch.
    return renaming === undefined ? remembered(choose) : choose;
  }

  #usable(keep: (question: number) => boolean): number[] {
    return this.#parts.questions.flatMap((_, question) => (keep(question) ? [question] : []));
  }

  #generatorQuestion(question: number): GeneratorQuestion {
    const asked = this.#parts.questions[question];
    return { ...answeredQuestion(asked), goldRows: this.#goldRows[question] ?? [], history: asked?.history };
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

function answeredQuestion(question: Question | undefined): { question: string; answer: string } {
  return { question: question?.question ?? "", answer: question?.answers[0] ?? "" };
}

/** The renaming looks questions up by their number in the data set; a phase numbers only those it can use. */
function originals<Context extends { readonly questions: readonly { readonly index: number }[] }>(
  context: Context,
  usable: readonly number[],
): Context {
  return { ...context, questions: context.questions.map((question) => ({ ...question, index: usable[question.index] ?? 0 })) };
}

type CourseConfig = Pick<TandemConfig["train"]["generator"], "lr" | "warmup" | "flat" | "decay" | "floor" | "clip">;

function trained(phase: Phase, model: string, options: CourseConfig): TrainedPhase {
  const course = { peak: options.lr, warmup: options.warmup, flat: options.flat, decay: options.decay, floor: options.floor };
  return { phase, updates: [{ model, rate: (step, total) => rateAt(course, step, total), clip: options.clip ?? undefined }] };
}

/** The config's penalties as the phase takes them. */
function penaltyOptions(penalties: TandemConfig["train"]["penalties"]): PenaltyOptions {
  const { ngram_repeat: ngramRepeat, keyword, short_answer: short, unlikelihood } = penalties;
  return {
    ngramRepeat,
    unlikelihood,
    ...(keyword.direction === null ? {} : { keyword: { ...keyword, direction: keyword.direction } }),
    shortAnswer: { weight: short.weight, temperature: short.temperature, minTokens: short.min_tokens },
  };
}
