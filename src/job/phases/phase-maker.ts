/**
 * The phases of a run, made from its config: generator on gold or retrieved contexts, contrastive with positives and mined negatives, the two in which the reader
 * teaches the retriever, and the closed-book generator. A phase is a function of the schedule's position and the state's artefacts, so a resumed run makes the same one. The trap: whatever differs between two phases of one kind must come from these two.
 */
import { configOfEntry, takesPenalties, trainsByAnswers } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import { rateAt } from "../../training/optimiser.js";
import type { Phase } from "../../training/phase.js";
import type { GeneratorBatch } from "../../training/phases/generator.js";
import { jointPhase } from "../../training/phases/joint.js";
import { teachesReader } from "../../training/phases/reader-distillation.js";
import type { CurrentArtefacts, MiningArtefacts, Progress, RunState } from "../../training/run-state.js";
import type { SchedulePosition } from "../../training/schedule.js";
import type { TrainedPhase } from "../../training/trainer.js";
import { openRetrieved, type RetrievedRows } from "../index/artefacts.js";
import { GeneratorPhases } from "./generator-phases.js";
import { CLOSED_BOOK, type PhaseParts } from "./phase-parts.js";
import { RetrieverPhases } from "./retriever-phases.js";

/** Phases that the schedule may name. */
export const PHASES = ["generator", "contrastive", "reader-distillation", "joint", "refresh", "mine"] as const;

/** Chooses the phase for a place in the schedule. */
export class PhaseMaker {
  readonly #parts: PhaseParts;
  readonly #goldRows: readonly (readonly number[])[];
  readonly generator: GeneratorPhases;
  readonly retriever: RetrieverPhases;
  readonly #open: (name: string) => RetrievedRows;
  /** Makers for entries with settings of their own, by those settings. */
  readonly #others = new Map<string, PhaseMaker>();

  /** @param open opens what an index found, by the artefact's name */
  constructor(parts: PhaseParts, open: (name: string) => RetrievedRows = (name) => openRetrieved(parts, name, parts.questions.length)) {
    this.#parts = parts;
    this.#open = open;
    this.#goldRows = parts.questions.map(({ passageIds }) =>
      passageIds.map((id) => parts.store.rowOf(id)).filter((row) => row !== undefined),
    );
    this.generator = new GeneratorPhases(parts, this.#goldRows);
    this.retriever = new RetrieverPhases(parts, this.#goldRows);
  }

  /** This maker with another way for teachers to score pairs. */
  judgedBy(scorePairs: PhaseParts["scorePairs"]): PhaseMaker {
    return new PhaseMaker({ ...this.#parts, scorePairs }, this.#open);
  }

  /** The phase at a place in the schedule; the negatives that it mines are noted in the state. @throws UserError when the data can't feed it */
  at(position: SchedulePosition, state: RunState): TrainedPhase {
    return this.ofEntry(position.phaseIndex).#made(position, state);
  }

  /** The maker for an entry of the schedule: this one, unless the entry has settings of its own. */
  ofEntry(index: number): PhaseMaker {
    const { config } = this.#parts;
    const entry = config.train.schedule[index];
    if (entry === undefined || entry.with === null) return this;
    const key = JSON.stringify([entry.phase, entry.with]);
    const made = this.#others.get(key) ?? new PhaseMaker({ ...this.#parts, config: configOfEntry(config, index) });
    this.#others.set(key, made);
    return made;
  }

  #made(position: SchedulePosition, state: { readonly progress: Pick<Progress, "artefacts"> }): TrainedPhase {
    const { generator, contrastive, reader } = this.#parts.config.train;
    const { artefacts } = state.progress;
    if (position.phase === "reader-distillation")
      return trained(this.retriever.reader(this.#retrieved(artefacts), false), "retriever", this.#readersCourse());
    if (position.phase === "joint") {
      const { updates, phase } = trained(this.#joint(this.#retrieved(artefacts), position.stepsOfKind), "retriever", this.#readersCourse());
      const { betas, eps, weight_decay } = generator;
      const lr = reader.generator_lr ?? generator.lr;
      const own = trained(phase, "generator", { ...reader, lr, clip: generator.clip, betas, eps, weight_decay });
      return { phase, updates: [...updates, ...own.updates] };
    }
    if (position.phase === "contrastive") {
      const kept = artefacts.mining?.isKept === true ? artefacts.mining.mined : undefined;
      const phase = this.retriever.contrastive({
        retrieved: this.#named(artefacts),
        ...(kept === undefined ? {} : { kept: this.#open(kept) }),
        mined: (mining) => (state.progress.artefacts = { ...artefacts, mining: { ...searchedOf(artefacts), ...mining } }),
      });
      return trained(phase, "retriever", contrastive);
    }
    if (position.phase === CLOSED_BOOK) return trained(this.generator.closedBook(), CLOSED_BOOK, generator);
    if (position.contexts === "copying") return trained(this.generator.copying(position.stepsOfKind), "generator", generator);
    const retrieved = position.contexts === "retrieved" ? this.#retrieved(artefacts) : undefined;
    return trained(this.generator.reading(retrieved, position.stepsOfKind), "generator", generator);
  }

  /** A `mine` of the schedule: the negatives that contrastive phases have from here on, noted in the state. */
  mine({ phaseIndex }: SchedulePosition, state: RunState): void {
    const { artefacts } = state.progress;
    const mining = this.ofEntry(phaseIndex).retriever.mine(this.#named(artefacts));
    state.progress.artefacts = { ...artefacts, mining: { ...searchedOf(artefacts), ...mining, isKept: true } };
  }

  /**
   * The generator on gold passages, or any where no question has one, with an entry's own loss and penalties: for the probe, where nothing else may differ between two entries, or their figures couldn't be compared. No filter, since that follows the retriever.
   */
  probed(entry: number, totalSteps: number): Phase<GeneratorBatch> {
    const { config } = this.#parts;
    const { penalties, generator: own } = configOfEntry(config, entry).train;
    const isReading = trainsByAnswers(config, entry);
    const generator = {
      ...config.train.generator,
      copy_weight: isReading ? own.copy_weight : 0,
      label_smoothing: isReading ? own.label_smoothing : 0,
    };
    const maker = new PhaseMaker({ ...this.#parts, config: { ...config, train: { ...config.train, penalties, generator } } });
    const contexts = this.goldCount > 0 ? undefined : this.#anyRows(0);
    const none = takesPenalties(config, entry) ? {} : { penalties: {} };
    return maker.generator.reading(contexts, totalSteps, { filter: null, ...none }) as Phase<GeneratorBatch>;
  }

  /**
   * The phase at a place in the schedule before there is an index: what would be found is stood in for by as many passages, the gold ones first. For counting its epochs, for measuring its steps and for the audit; contexts have
   * their full length, so that batches that are planned for shorter ones hold more than their budget of tokens.
   *
   * @param stepsOfKind over which the curriculum runs, where steps are measured
   * @param change of the entry's own config
   */
  standIn(position: SchedulePosition, stepsOfKind = 1, change = (own: TandemConfig): TandemConfig => own): TrainedPhase {
    const { store, ...parts } = this.ofEntry(position.phaseIndex).#parts;
    const config = change(parts.config);
    const { train, prompt } = config;
    const k = Math.min(store.size, Math.max(train.generator.passages ?? prompt.passages, train.reader.candidates ?? train.reader.passages));
    const rowsOf = (question: number): number[] => {
      const any = Array.from({ length: k }, (_, i) => (question + i) % store.size);
      return [...new Set([...(this.#goldRows[question] ?? []), ...any])].slice(0, k);
    };
    const maker = new PhaseMaker({ ...this.#parts, config }, () => ({ k, rowsOf }));
    if (position.phase === "contrastive") return trained(maker.#contrastiveStandIn(), "retriever", train.contrastive);
    const artefacts: CurrentArtefacts = position.refreshes > 0 ? { retrieval: "standing in" } : {};
    return maker.#made({ ...position, stepsOfKind }, { progress: { artefacts } });
  }

  /** A contrastive phase that mines nothing: the next passage of the store is every question's negative. */
  #contrastiveStandIn(): Phase {
    const wantsNegatives = this.#parts.config.train.contrastive.hard_negatives > 0;
    const none: RetrievedRows = { k: 1, rowsOf: () => [] };
    return this.retriever.contrastive({
      anyRows: { negatives: wantsNegatives ? this.#anyRows(1) : none, positives: this.goldCount > 1 ? undefined : this.#anyRows(0) },
    });
  }

  /** One row a question, whatever it holds. */
  #anyRows(offset: number): RetrievedRows {
    const { size } = this.#parts.store;
    return { k: 1, rowsOf: (question) => [(question + offset) % size] };
  }

  /** Rows of each training question's gold passages. */
  get goldRows(): readonly (readonly number[])[] {
    return this.#goldRows;
  }

  /** Training questions with a gold passage in the corpus. */
  get goldCount(): number {
    return this.#goldRows.filter(({ length }) => length > 0).length;
  }

  /** Whether every training question has a gold passage in the corpus. */
  get hasAllGold(): boolean {
    return this.goldCount === this.#parts.questions.length;
  }

  /** Both models at once: the generator by its own loss on what was found, or by the reader's where that trains both. */
  #joint(retrieved: RetrievedRows, totalSteps: number): Phase {
    const { loss } = this.#parts.config.train.reader;
    if (teachesReader(loss)) return jointPhase(this.retriever.reader(retrieved, true), undefined);
    const generator = this.generator.reading(retrieved, totalSteps, {
      filter: this.generator.contextFilter(false),
    }) as Phase<GeneratorBatch>;
    return jointPhase(this.retriever.reader(retrieved, false), generator);
  }

  /** The retriever's course where the reader teaches it, with the optimiser's settings. */
  #readersCourse(): CourseConfig {
    const { reader, contrastive } = this.#parts.config.train;
    return {
      ...reader,
      betas: reader.betas ?? contrastive.betas,
      eps: reader.eps ?? contrastive.eps,
      weight_decay: reader.weight_decay ?? contrastive.weight_decay,
    };
  }

  #named(artefacts: CurrentArtefacts): { name: string; rows: RetrievedRows } | undefined {
    return artefacts.retrieval === undefined ? undefined : { name: artefacts.retrieval, rows: this.#retrieved(artefacts) };
  }

  #retrieved(artefacts: CurrentArtefacts): RetrievedRows {
    if (artefacts.retrieval === undefined) throw new Error("a phase needs retrieved contexts before the first refresh");
    return this.#open(artefacts.retrieval);
  }
}

/** What BM25 found last: it may be asked again, and would be searched anew. */
function searchedOf({ mining }: CurrentArtefacts): Pick<MiningArtefacts, "lexical"> {
  return mining?.lexical === undefined ? {} : { lexical: mining.lexical };
}

type OptimiserConfig = Pick<TandemConfig["train"]["generator"], "eps" | "weight_decay"> & { readonly betas: readonly number[] };
type CourseConfig = Pick<TandemConfig["train"]["generator"], "lr" | "warmup" | "flat" | "decay" | "floor" | "clip"> & OptimiserConfig;

function trained(phase: Phase, model: string, options: CourseConfig): TrainedPhase {
  const course = { peak: options.lr, warmup: options.warmup, flat: options.flat, decay: options.decay, floor: options.floor };
  const [beta1 = 0, beta2 = 0] = options.betas;
  const optimiser = { betas: [beta1, beta2], eps: options.eps, weightDecay: options.weight_decay } as const;
  return { phase, updates: [{ model, rate: (step, total) => rateAt(course, step, total), clip: options.clip ?? undefined, optimiser }] };
}
