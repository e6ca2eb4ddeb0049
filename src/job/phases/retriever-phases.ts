/**
 * The phases that train the retriever, made from a run's config: contrastive, and by what the reader makes of found passages. How a step is computed is training/phases/'s. The trap: what BM25 finds doesn't change in
 * a run, so it is searched once; what the index finds does, with every refresh.
 */
import { passageText } from "../../corpus/passage.js";
import { twoEncoders } from "../../retrieval/two-encoders.js";
import { choosePositives, type MinedQuestion } from "../../training/hard-negatives.js";
import type { Phase } from "../../training/phase.js";
import { contrastivePhase } from "../../training/phases/contrastive.js";
import { readerPhase, type ReaderBatch, type ReaderTexts } from "../../training/phases/reader-distillation.js";
import type { MiningArtefacts } from "../../training/run-state.js";
import type { Renaming } from "../data/rename.js";
import type { RetrievedRows } from "../index/artefacts.js";
import { runMining, type RunNegatives } from "../mining/run-mining.js";
import { sentenceFilterOf } from "../models/context-filter.js";
import { answeredQuestion, type PhaseParts } from "./phase-parts.js";

/** What a contrastive phase is made from. */
export interface ContrastiveSources {
  /** What the index found, with the artefact's name; undefined before there is one. */
  readonly retrieved?: { readonly name: string; readonly rows: RetrievedRows } | undefined;
  /** Negatives that a `mine` of the schedule chose: then none are mined here. */
  readonly kept?: RetrievedRows;
  /** Told which artefacts mining made. */
  readonly mined?: (artefacts: MiningArtefacts) => void;
  /** Where only gradients are looked at: any rows as negatives, and, where no question has a gold passage, as positives. */
  readonly anyRows?: { readonly negatives: RetrievedRows; readonly positives?: RetrievedRows | undefined } | undefined;
}

/** Makes the retriever's phases. */
export class RetrieverPhases {
  readonly #parts: PhaseParts;
  readonly #goldRows: readonly (readonly number[])[];

  readonly #textOf = (row: number): string => passageText(this.#parts.store.get(row), this.#parts.config.data.corpus.title_template);

  /** @param goldRows rows of each training question's gold passages */
  constructor(parts: PhaseParts, goldRows: readonly (readonly number[])[]) {
    this.#parts = parts;
    this.#goldRows = goldRows;
  }

  /** The retriever on gold passages, with negatives. */
  contrastive({ retrieved, kept, mined: noteMined, anyRows }: ContrastiveSources): Phase {
    const { config, store, questions, encoder, renaming, precision, device } = this.#parts;
    const { contrastive } = config.train;
    const textOf = this.#textOf;
    const positives = this.#positives(retrieved, anyRows?.positives);
    const usable = [...questions.keys()].filter((question) => (positives[question]?.length ?? 0) > 0);
    const wanted = contrastive.hard_negatives > 0;
    const negatives = anyRows?.negatives ?? (wanted ? (kept ?? this.#mined(positives, retrieved)) : undefined);
    if (negatives !== undefined && "artefacts" in negatives) noteMined?.(negatives.artefacts);
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
      batches: contrastive.batches,
      temperature: contrastive.temperature,
      symmetric: contrastive.symmetric,
      matryoshka: contrastive.matryoshka,
      hardNegatives: negatives === undefined ? 0 : contrastive.hard_negatives,
      sampling: contrastive.mining.sampling,
      negativesOf: (example) => negatives?.rowsOf(usable[example] ?? 0) ?? [],
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

  /** Hard negatives by the config as it is here. @throws Error without an index, where it alone is asked */
  mine(retrieved: ContrastiveSources["retrieved"]): MiningArtefacts {
    const negatives = this.#mined(this.#positives(retrieved), retrieved);
    if (negatives === undefined) throw new Error("a mine needs an index, and there is none");
    return negatives.artefacts;
  }

  /** Rows of each question's positives: gold ones, or the best of what was found. */
  #positives(retrieved: ContrastiveSources["retrieved"], any?: RetrievedRows): (readonly number[])[] {
    const { config, questions } = this.#parts;
    const isAnswer = config.train.contrastive.positives === "answer";
    return questions.map(
      ({ answers }, i) =>
        any?.rowsOf(i) ??
        choosePositives({ goldRows: this.#goldRows[i] ?? [], answers }, retrieved?.rows.rowsOf(i) ?? [], this.#textOf, isAnswer),
    );
  }

  #mined(positives: readonly (readonly number[])[], retrieved: ContrastiveSources["retrieved"]): RunNegatives | undefined {
    const { config, store, questions, retrievalFolder, device, scorePairs, report } = this.#parts;
    return runMining({
      settings: config.train.contrastive.mining,
      questions: questions.map(({ question }) => question),
      mined: questions.map(({ answers }, i): MinedQuestion => ({ goldRows: positives[i] ?? [], answers })),
      store,
      textOf: this.#textOf,
      template: config.data.corpus.title_template,
      heldOut: config.data.questions.hold_out_passages ? this.#parts.heldOut : new Set(),
      retrieved,
      retrievalFolder,
      device,
      scorePairs,
      report,
    });
  }

  /** The retriever on what the reader makes of the passages that an index found. @param trainsReader whether the loss may train the reader too */
  reader(retrieved: RetrievedRows, trainsReader: boolean): Phase<ReaderBatch> {
    const { config, store, questions, encoder, passages, generator, renaming, precision, device } = this.#parts;
    const { reader } = config.train;
    const template = config.data.corpus.title_template;
    const filter = sentenceFilterOf(config.prompt, template, twoEncoders(encoder, passages), generator.tokenizer);
    const candidates = reader.candidates ?? reader.passages;
    return readerPhase({
      encoder,
      ...(passages === undefined ? {} : { passageEncoder: passages }),
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
        candidates: retrieved.rowsOf(i).slice(0, candidates),
      })),
      passage: (row) => store.get(row),
      textOf: this.#textOf,
      ...(renaming === undefined || !reader.rename ? {} : { transform: (texts, step) => renamedTexts(renaming, texts, step, template) }),
      ...(filter === undefined ? {} : { filter: (items) => filter.filter(items) }),
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
}

/** A question, its answer and all its candidates as one context: a name is the same for retriever and reader. */
function renamedTexts(renaming: Renaming, { index, question, answer, passages }: ReaderTexts, step: number, template: string): ReaderTexts {
  const renamed = renaming.context({ passages, questions: [{ index, question, answer }] }, step);
  const [asked] = renamed.questions;
  return {
    index,
    question: asked?.question ?? question,
    answer: asked?.answer ?? answer,
    passages: renamed.passages.map(({ row, title, text }) => ({ row, title, text, embedded: passageText({ title, text }, template) })),
  };
}
