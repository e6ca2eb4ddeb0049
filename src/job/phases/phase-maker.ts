/**
 * The phases of a run, made from its config: generator on gold or retrieved contexts, contrastive with positives and mined negatives, the two in which the reader
 * teaches the retriever, and the closed-book generator. A phase is a function of the schedule's position and the state's artefacts, so a resumed run makes the same one. The trap: whatever differs between two phases of one kind must come from these two.
 */
import type { TandemConfig } from "../../config/schema.js";
import { rateAt } from "../../training/optimiser.js";
import type { Phase } from "../../training/phase.js";
import type { GeneratorBatch } from "../../training/phases/generator.js";
import { jointPhase } from "../../training/phases/joint.js";
import { teachesReader } from "../../training/phases/reader-distillation.js";
import type { CurrentArtefacts, RunState } from "../../training/run-state.js";
import type { SchedulePosition } from "../../training/schedule.js";
import type { TrainedPhase } from "../../training/trainer.js";
import { openRetrieved, type RetrievedRows } from "../artefacts.js";
import { GeneratorPhases } from "./generator-phases.js";
import { CLOSED_BOOK, type PhaseParts } from "./phase-parts.js";
import { RetrieverPhases } from "./retriever-phases.js";

/** Phases that the schedule may name. */
export const PHASES = ["generator", "contrastive", "reader-distillation", "joint", "refresh"] as const;

/** Chooses the phase for a place in the schedule. */
export class PhaseMaker {
  readonly #parts: PhaseParts;
  readonly #goldRows: readonly (readonly number[])[];
  readonly generator: GeneratorPhases;
  readonly retriever: RetrieverPhases;

  constructor(parts: PhaseParts) {
    this.#parts = parts;
    this.#goldRows = parts.questions.map(({ passageIds }) =>
      passageIds.map((id) => parts.store.rowOf(id)).filter((row) => row !== undefined),
    );
    this.generator = new GeneratorPhases(parts, this.#goldRows);
    this.retriever = new RetrieverPhases(parts, this.#goldRows);
  }

  /** The phase at a place in the schedule; the negatives that it mines are noted in the state. @throws UserError when the data can't feed it */
  at(position: SchedulePosition, state: RunState): TrainedPhase {
    const { generator, contrastive, reader } = this.#parts.config.train;
    const { artefacts } = state.progress;
    if (position.phase === "reader-distillation")
      return trained(this.retriever.reader(this.#retrieved(artefacts), false), "retriever", reader);
    if (position.phase === "joint") {
      const { updates, phase } = trained(this.#joint(this.#retrieved(artefacts), position.stepsOfKind), "retriever", reader);
      const own = trained(phase, "generator", { ...reader, lr: reader.generator_lr ?? generator.lr, clip: generator.clip });
      return { phase, updates: [...updates, ...own.updates] };
    }
    if (position.phase === "contrastive")
      return trained(
        this.retriever.contrastive({
          retrieved: artefacts.retrieval === undefined ? undefined : { name: artefacts.retrieval, rows: this.#retrieved(artefacts) },
          mined: (mining) => (state.progress.artefacts = { ...artefacts, mining }),
        }),
        "retriever",
        contrastive,
      );
    if (position.phase === CLOSED_BOOK) return trained(this.generator.closedBook(), CLOSED_BOOK, generator);
    if (position.contexts === "copying") return trained(this.generator.copying(position.stepsOfKind), "generator", generator);
    const retrieved = position.contexts === "retrieved" ? this.#retrieved(artefacts) : undefined;
    return trained(this.generator.reading(retrieved, position.stepsOfKind), "generator", generator);
  }

  /** A phase of each kind without an index, for audit and probe: gold passages, or any where no question has one. What is measured there doesn't depend on a passage being right. */
  samples(): { generator: (totalSteps: number) => Phase; contrastive: () => Phase; reader: () => Phase; joint: () => Phase } {
    const { store, config } = this.#parts;
    const anyRows: RetrievedRows = { k: 1, rowsOf: (question) => [question % store.size] };
    const nextRows: RetrievedRows = {
      k: 1,
      rowsOf: (question) => (config.train.contrastive.hard_negatives === 0 ? [] : [(question + 1) % store.size]),
    };
    const k = Math.min(store.size, config.train.reader.passages);
    const someRows: RetrievedRows = { k, rowsOf: (question) => Array.from({ length: k }, (_, i) => (question + i) % store.size) };
    return {
      reader: () => this.retriever.reader(someRows, false),
      joint: () => this.#joint(someRows, 1),
      generator: (totalSteps) => this.generator.reading(this.goldCount > 0 ? undefined : anyRows, totalSteps, null),
      contrastive: () =>
        this.retriever.contrastive({ anyRows: { negatives: nextRows, positives: this.goldCount > 1 ? undefined : anyRows } }),
    };
  }

  /** Rows of each training question's gold passages. */
  get goldRows(): readonly (readonly number[])[] {
    return this.#goldRows;
  }

  /** Training questions with a gold passage in the corpus. */
  get goldCount(): number {
    return this.#goldRows.filter(({ length }) => length > 0).length;
  }

  /** Both models at once: the generator by its own loss on what was found, or by the reader's where that trains both. */
  #joint(retrieved: RetrievedRows, totalSteps: number): Phase {
    const { loss } = this.#parts.config.train.reader;
    if (teachesReader(loss)) return jointPhase(this.retriever.reader(retrieved, true), undefined);
    return jointPhase(this.retriever.reader(retrieved, false), this.generator.reading(retrieved, totalSteps) as Phase<GeneratorBatch>);
  }

  #retrieved(artefacts: CurrentArtefacts): RetrievedRows {
    if (artefacts.retrieval === undefined) throw new Error("a phase needs retrieved contexts before the first refresh");
    return openRetrieved(this.#parts, artefacts.retrieval, this.#parts.questions.length);
  }
}

type CourseConfig = Pick<TandemConfig["train"]["generator"], "lr" | "warmup" | "flat" | "decay" | "floor" | "clip">;

function trained(phase: Phase, model: string, options: CourseConfig): TrainedPhase {
  const course = { peak: options.lr, warmup: options.warmup, flat: options.flat, decay: options.decay, floor: options.floor };
  return { phase, updates: [{ model, rate: (step, total) => rateAt(course, step, total), clip: options.clip ?? undefined }] };
}
