/**
 * The phases that train the retriever, made from a run's config: contrastive, and by what the reader makes of found passages. How a step is computed is training/phases/'s. The trap: what BM25 finds doesn't change in
 * a run, so it is searched once; what the index finds does, with every refresh.
 */
import { passageText } from "../../corpus/passage.js";
import { choosePositives, type MinedQuestion } from "../../training/hard-negatives.js";
import type { Phase } from "../../training/phase.js";
import { contrastivePhase } from "../../training/phases/contrastive.js";
import { readerPhase, type ReaderBatch } from "../../training/phases/reader-distillation.js";
import type { RetrievedRows } from "../artefacts.js";
import { hardNegatives } from "./negatives.js";
import { answeredQuestion, type PhaseParts } from "./phase-parts.js";

/** Makes the retriever's phases. */
export class RetrieverPhases {
  readonly #parts: PhaseParts;
  readonly #goldRows: readonly (readonly number[])[];

  /** @param goldRows rows of each training question's gold passages */
  constructor(parts: PhaseParts, goldRows: readonly (readonly number[])[]) {
    this.#parts = parts;
    this.#goldRows = goldRows;
  }

  /**
   * The retriever on gold passages, with negatives.
   *
   * @param retrieved what the index found; undefined before there is one
   * @param anyRows positives instead of true ones, where only gradients are looked at
   */
  contrastive(retrieved: RetrievedRows | undefined, anyRows?: RetrievedRows): Phase {
    const { config, store, questions, encoder, renaming, precision, device } = this.#parts;
    const { contrastive } = config.train;
    const textOf = (row: number): string => passageText(store.get(row), config.data.corpus.title_template);
    const mined = questions.map(({ answers }, i): MinedQuestion => ({ goldRows: this.#goldRows[i] ?? [], answers }));
    const positives = mined.map(
      (question, i) =>
        anyRows?.rowsOf(i) ?? choosePositives(question, retrieved?.rowsOf(i) ?? [], textOf, contrastive.positives === "answer"),
    );
    const usable = [...questions.keys()].filter((question) => (positives[question]?.length ?? 0) > 0);
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
    const { config, store, questions, encoder, passages, generator, precision, device } = this.#parts;
    const { reader } = config.train;
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
}
