/**
 * A run opened for work: data, models, optimisers and state, restored from the newest complete checkpoint when there is one. It computes nothing yet. The trap: corpus and
 * models come from the run directory, but question and entity files are read again from their own paths, so their content is compared with what the run began with (run-inputs.ts).
 */
import path from "node:path";
import { configOfEntry } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import type { CardUse } from "../../distributed/graphics-cards.js";
import { SINGLE_PROCESS, type ProcessGroup } from "../../distributed/process-group.js";
import { engineFacts, gemmRate, setThreads } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import { Generator } from "../../generation/generator.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import { loadCausalModel } from "../../nn/registry.js";
import { Encoder } from "../../retrieval/encoder.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import { openRunDirectory, runPlaces, type RunDirectory } from "../../tracking/run-directory.js";
import type { EpochSize } from "../../training/batches.js";
import { listCheckpoints, loadCheckpoint } from "../../training/checkpoint.js";
import { TensorDealer } from "../../training/deal-tensors.js";
import { parameterGroups } from "../../training/optimiser.js";
import { fingerprint, fingerprintDifferences, newRunState, trainable, type RunState, type Trainable } from "../../training/run-state.js";
import { plannedSteps, positionAt, readsIndex, totalSteps, type ScheduledPhase } from "../../training/schedule.js";
import type { ArtefactParts } from "../index/artefacts.js";
import {
  corpusTexts,
  guardFiles,
  heldOutDocuments,
  prepareQuestions,
  prepareStore,
  questionTexts,
  type QuestionSets,
} from "../data/data.js";
import { runDevice, runPrecision } from "../hardware.js";
import { requireIndexSettings } from "../index/index-settings.js";
import { ownThreads } from "../own-threads.js";
import { miningDepth } from "../mining/choose-negatives.js";
import { encoderOverrides, generatorFormat, prepareStart, startFolders } from "../models/models.js";
import { PhaseMaker } from "../phases/phase-maker.js";
import { CLOSED_BOOK } from "../phases/phase-parts.js";
import { requireNamedGold } from "./require-gold.js";
import { outlineOf, scheduleOf } from "./run-schedule.js";
import { renaming } from "../data/rename.js";
import type { Report } from "../reporter.js";
import { noteInputs, requireSameInputs } from "./run-inputs.js";

export interface OpenRun {
  readonly config: TandemConfig;
  readonly report: Report;
  readonly places: RunDirectory;
  readonly store: PassageStore;
  readonly sets: QuestionSets;
  readonly encoder: Encoder;
  readonly generator: Generator;
  readonly closedBook: Gpt2 | undefined;
  readonly artefacts: ArtefactParts;
  readonly phases: PhaseMaker;
  readonly schedule: readonly ScheduledPhase[];
  readonly state: RunState;
  /** Results kept of each training question: enough for contexts and for mining. */
  readonly depth: number;
  /** The threads that the first worker has when those beside it are done. */
  readonly freedThreads: number | undefined;
  /** GFLOP/s of this machine's matrix products in the run's precision, for the logged share. */
  readonly gemmRate: number;
}

/** Which of a run's workers opens it. */
export interface OpenedBy {
  readonly workers: number;
  /** Workers on this machine, which share its cores. */
  readonly localWorkers: number;
  /** Cores that a launcher gave to this worker alone. */
  readonly cores?: number | undefined;
  /** The first makes and notes what isn't there yet. */
  readonly isFirst: boolean;
  /** What the workers do together. */
  readonly group: ProcessGroup;
  /** Its device, if that is chosen already. */
  readonly device?: string;
  /** How the workers' graphics cards are used, where there are several workers with some. */
  readonly cards?: CardUse | undefined;
}

const ONE_WORKER: OpenedBy = { workers: 1, localWorkers: 1, isFirst: true, group: SINGLE_PROCESS };

/** Opens a run directory. @throws UserError for whatever is wrong with data, folders or checkpoints */
export async function openRun(config: TandemConfig, folder: string, report: Report, opener: OpenedBy = ONE_WORKER): Promise<OpenRun> {
  const places = openRunDirectory(folder);
  const { workers, isFirst, group } = opener;
  const allThreads = engineFacts().threads;
  const threads = config.threads ?? ownThreads(opener, allThreads);
  if (threads !== undefined) setThreads(threads);
  const device = opener.device ?? runDevice(config.device);
  const precision = runPrecision(config.precision, device);
  const { store, sets } = await sameData(config, places, report, isFirst);
  const { encoder, passages, generator, closedBook } = openModels(config, folder, device);
  const state = newRunState(
    trainables(config, { encoder, generator, closedBook }, group),
    fingerprint({ workers, device, precision: precision ?? "f32" }),
  );
  const freedThreads = config.threads === null && opener.cores === undefined && opener.localWorkers > 1 ? allThreads : undefined;
  // Only the first calls FAISS, and the others wait.
  const artefacts = artefactParts(config, folder, { store, passages, device, report, threads: freedThreads });
  const phases = new PhaseMaker({
    config,
    store,
    questions: sets.train,
    generator,
    closedBook,
    encoder,
    passages,
    heldOut: heldOutDocuments(sets, store),
    renaming: renaming(config.data, config.seed, store, sets, artefacts.template),
    retrievalFolder: artefacts.retrievalFolder,
    precision,
    device,
    report,
  });
  const schedule = scheduleOf(config, closedBook !== undefined, (entry) => epochOf(config, phases, entry));
  restore(state, places, schedule, report);
  const each = workers > 1 ? `${workers} workers, each with ` : "";
  report({ type: "note", text: `${each}${engineFacts().threads} threads, ${devicesText(device, opener.cards)}, ${precision ?? "f32"}` });
  return {
    config,
    report,
    places,
    store,
    sets,
    encoder,
    generator,
    closedBook,
    artefacts,
    phases,
    schedule,
    state,
    depth: searchDepth(config, store.size, phases.goldRows),
    freedThreads,
    gemmRate: gemmRate({ device, dtype: precision ?? "f32" }),
  };
}

function devicesText(device: string, cards: CardUse | undefined): string {
  return cards === undefined ? device : `${cards.devices.join(" or ")}, ${cards.backend}`;
}

function artefactParts(
  config: TandemConfig,
  folder: string,
  parts: Pick<ArtefactParts, "store" | "passages" | "device" | "report" | "threads">,
): ArtefactParts {
  const { index: indexFolder } = runPlaces(folder);
  const retrievalFolder = path.join(folder, "retrieval");
  return { ...parts, indexFolder, retrievalFolder, template: config.data.corpus.title_template, index: config.index };
}

/** As many results of each training question as any phase reads. */
function searchDepth(config: TandemConfig, passages: number, goldRows: readonly (readonly number[])[]): number {
  const depths = config.train.schedule.map(({ phase }, entry) => {
    const { prompt, train } = configOfEntry(config, entry);
    const forReader = readsIndex(phase) ? (train.reader.candidates ?? train.reader.passages) : 0;
    return Math.max(train.generator.passages ?? prompt.passages, miningDepth(train.contrastive.mining, goldRows), forReader);
  });
  return Math.min(passages, Math.max(...depths));
}

/** Whether it is known before there is an index which questions a contrastive entry trains on. */
export function knowsQuestions(config: TandemConfig, phases: PhaseMaker, entry: number): boolean {
  return configOfEntry(config, entry).train.contrastive.positives === "gold" || phases.hasAllGold;
}

/** An epoch of an entry, as a length in epochs is counted. @throws UserError where nobody can know yet which questions it uses */
export function epochOf(config: TandemConfig, phases: PhaseMaker, entry: number): EpochSize {
  // An entry that only minutes end has no number of steps, and here each only has to have its place.
  const outline = outlineOf(config).map((own) => (own.steps === Infinity ? { ...own, steps: 1 } : own));
  const position = positionAt(outline, plannedSteps(outline.slice(0, entry)));
  if (position?.phaseIndex !== entry) throw new Error(`the schedule has no entry ${entry}`);
  if (position.phase === "contrastive" && !knowsQuestions(config, phases, entry))
    throw new UserError({
      where: `train.schedule.${entry}.epochs`,
      what: "can't be counted: which questions have a passage that holds the answer shows only once an index is there",
      expected: "steps",
      remedy: "give the phase steps, or train.contrastive.positives=gold",
    });
  const epoch = phases.standIn(position).phase.epoch?.();
  if (epoch === undefined) throw new Error(`a ${position.phase} phase has no epochs`);
  return epoch;
}

/** Frees weights and moments. */
export function closeRun({ encoder, artefacts, generator, closedBook, state }: OpenRun): void {
  for (const { optimiser } of state.trainables.values()) optimiser.dispose();
  encoder.dispose();
  artefacts.passages?.dispose();
  for (const model of [generator.model, closedBook])
    for (const weight of [...(model?.parameters.values() ?? []), ...(model?.spare.values() ?? [])]) weight.dispose();
}

/** {@link prepareData}, from the very files that the run's checkpoints were trained on. */
async function sameData(config: TandemConfig, places: RunDirectory, report: Report, isFirst: boolean): ReturnType<typeof prepareData> {
  const hasCheckpoint = listCheckpoints(places.checkpoints).length > 0;
  if (hasCheckpoint) requireSameInputs(places.path, config);
  const prepared = await prepareData(config, places.path, report, hasCheckpoint);
  if (!hasCheckpoint && isFirst) noteInputs(places.path, config);
  return prepared;
}

/** The pair as the run began with it, and the generator that will be taught without contexts if the report wants one. */
function openModels(
  config: TandemConfig,
  folder: string,
  device: string,
): { encoder: Encoder; passages: Encoder | undefined; generator: Generator; closedBook: Gpt2 | undefined } {
  const start = startFolders(folder);
  const settings = { ...encoderOverrides(config.retriever), device };
  const encoder = Encoder.load(start.retriever, { ...settings, dropout: config.retriever.dropout });
  const passages = config.train.reader.fixed_index ? Encoder.load(start.retriever, { ...settings, dropout: 0 }) : undefined;
  const isClosedBookWanted = config.eval.closed_book.steps > 0 && config.eval.rows.includes("closed-book");
  const closedBook = isClosedBookWanted ? loadCausalModel(start.generator, { device, dropout: config.generator.dropout }) : undefined;
  return { encoder, passages, generator: openGenerator(config, start.generator, device), closedBook };
}

/** Corpus, start models and questions: what a second start finds done is not done again. */
async function prepareData(
  config: TandemConfig,
  folder: string,
  report: Report,
  isGoingOn: boolean,
): Promise<{ store: PassageStore; sets: QuestionSets }> {
  const start = startFolders(folder);
  if (!isGoingOn) {
    guardFiles(config.data, report);
    requireNamedGold(config);
  }
  report({ type: "stage", name: "models", detail: "tokenizers and first weights" });
  let texts: Promise<string[]> | undefined;
  await prepareStart(
    config,
    start,
    () => (texts ??= corpusTexts(config.data)),
    () => questionTexts(config.data),
    report,
  );
  const encoder = Encoder.load(start.retriever, encoderOverrides(config.retriever));
  const { maxTokens: longest } = encoder.settings;
  encoder.dispose();
  // Before hours are spent on a corpus.
  requireIndexSettings(config.index, encoder.dimension);
  report({ type: "stage", name: "corpus", detail: config.data.corpus.path ?? "" });
  const store = await prepareStore(config.data, path.join(folder, "corpus"), start.retriever, longest, report);
  return { store, sets: await prepareQuestions(config.data, store, report, isGoingOn) };
}

function openGenerator(config: TandemConfig, folder: string, device: string): Generator {
  const { max_tokens: maxTokens, dropout } = config.generator;
  const opened = Generator.load(folder, generatorFormat(config.prompt), { device, dropout, ...(maxTokens === null ? {} : { maxTokens }) });
  if (opened.maxTokens <= opened.model.config.nPositions) return opened;
  throw new UserError({
    where: "generator.max_tokens",
    what: "is more than the model's positions",
    expected: `at most ${opened.model.config.nPositions}`,
    got: String(opened.maxTokens),
  });
}

function trainables(
  config: TandemConfig,
  { encoder, generator, closedBook }: { encoder: Encoder; generator: Generator; closedBook: Gpt2 | undefined },
  group: ProcessGroup,
): Trainable[] {
  const { generator: forGenerator, contrastive, shard_optimiser: isSharded } = config.train;
  const shards = isSharded && group.size > 1 ? { group, dealer: new TensorDealer(group.size) } : undefined;
  const made = (
    name: string,
    parameters: Parameters<typeof parameterGroups>[0],
    options: typeof forGenerator | typeof contrastive,
  ): Trainable =>
    trainable(
      name,
      parameterGroups(parameters, options.weight_decay),
      { betas: [options.betas[0], options.betas[1]], eps: options.eps },
      shards,
    );
  const pair = [made("retriever", encoder.parameters, contrastive), made("generator", generator.model.parameters, forGenerator)];
  return closedBook === undefined ? pair : [...pair, made(CLOSED_BOOK, closedBook.parameters, forGenerator)];
}

function restore(state: RunState, places: RunDirectory, schedule: readonly ScheduledPhase[], report: Report): void {
  const newest = listCheckpoints(places.checkpoints).at(-1);
  if (newest === undefined) return;
  const saved = loadCheckpoint(newest.folder, state);
  const total = totalSteps(schedule, state.progress.transitions);
  report({ type: "note", text: `resumed at step ${newest.step}${total === Infinity ? "" : ` of ${total}`}` });
  const differences = fingerprintDifferences(saved, state.fingerprint);
  if (differences.length > 0)
    report({
      type: "warning",
      text: `the run goes on elsewhere than it began (${differences.join("; ")}): its figures will not equal the uninterrupted run's bit for bit`,
    });
}
