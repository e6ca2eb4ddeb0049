/**
 * Memory, disk and hours of a config, before it runs (`tandem plan`): opens the run as training would, in a temporary folder, measures it for about a minute, and puts the forecast together. It trains nothing that lasts. The trap: the corpus
 * is prepared as training would prepare it, which for a large one takes as long as there; plan with a part of it (`data.corpus.limit`) and the passages of the whole.
 */
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import type { TandemConfig } from "../../config/schema.js";
import { faissBytes } from "../../retrieval/index-bytes.js";
import { updatesNothing } from "../../training/schedule.js";
import { startFolders } from "../models/models.js";
import type { Report } from "../reporter.js";
import type { OpenRun } from "../run/open-run.js";
import { forecast, type Forecast, type Partition } from "./forecast.js";
import type { ForecastFacts, Measured, SteppedEntry } from "./forecast-facts.js";
import type { Link } from "./measure-link.js";
import { lexicalCosts } from "./measure-search.js";
import { lexicalSearches, minedEntries } from "./mined-entries.js";
import { measureRun } from "./measure-run.js";
import { withPlannedRun, type Opening } from "./open-plan.js";
import { planEntries, type EntryPlan } from "./plan-entries.js";
import { uncertain } from "./plan-run.js";
import { scheduleWork, type ScheduleWork } from "./schedule-work.js";
import { stateBytes } from "./state-bytes.js";
import { StepTimes, type Kind } from "./step-times.js";

export interface ForecastRunOptions {
  /** Of the measurement; undefined: nothing is measured. */
  readonly seconds: number | undefined;
  readonly nodes: readonly number[];
  /** Passages of the whole corpus; undefined: those that are read. */
  readonly passages: number | undefined;
  readonly partition: Partition;
  /** What is known of the link between nodes; the rest is measured on this machine. */
  readonly link: Partial<Link>;
  /** Bytes that a driver holds. */
  readonly driver: number;
}

/** @throws UserError for whatever training would refuse before its first step */
export function forecastRun(config: TandemConfig, report: Report, options: ForecastRunOptions): Promise<Forecast> {
  return withPlannedRun(config, report, config.train.workers, (run, opening) => forecastOf(run, opening, options));
}

async function forecastOf(run: OpenRun, opening: Opening, options: ForecastRunOptions): Promise<Forecast> {
  const { config, store } = run;
  const { workers } = config.train;
  const { nodes, seconds, partition } = options;
  const passages = options.passages ?? store.size;
  const times = new StepTimes(run);
  const plans = await planEntries(run, times, () => Promise.resolve(null));
  const kinds = [...new Map(plans.flatMap(({ kind }) => (kind === undefined ? [] : [[kind.key, kind] as const]))).values()];
  const others = nodes.map((count) => count * workers);
  const measured = seconds === undefined ? undefined : await measureRun(run, times, { seconds, workers, others, kinds, passages, opening });
  const facts = factsOf(run, plans, measured, options.driver);
  const link = linkOf(options.link, measured?.link);
  return forecast(facts, { passages, nodes, partition, link }, leftOut(run, measured));
}

function linkOf({ bytesPerSecond, latency }: Partial<Link>, measured: Link | undefined): Parameters<typeof forecast>[1]["link"] {
  const [bytes, wait] = [bytesPerSecond ?? measured?.bytesPerSecond, latency ?? measured?.latency];
  if (bytes === undefined || wait === undefined) return null;
  return { bytesPerSecond: bytes, latency: wait, source: bytesPerSecond === undefined ? "loop-back" : "given" };
}

function factsOf(run: OpenRun, plans: readonly EntryPlan[], measured: Measured | undefined, driver: number): ForecastFacts {
  const { config, store, sets, encoder, places, state, depth } = run;
  const start = startFolders(places.path);
  const [retriever, generator] = [folderBytes(start.retriever), folderBytes(start.generator)];
  const closedBook = run.closedBook === undefined ? 0 : generator;
  const usesLexical = config.eval.rows.includes("bm25") || lexicalSearches(config) > 0;
  const { factory } = config.index;
  return {
    config,
    workers: config.train.workers,
    store: { size: store.size, bytes: folderBytes(store.folder) },
    dimension: encoder.dimension,
    questions: {
      learned: sets.train.length,
      validated: Math.min(sets.valid.length, config.train.validate.questions ?? Infinity),
      tested: Math.min(sets[config.eval.split].length, config.eval.limit ?? Infinity),
    },
    depth,
    entries: plans.flatMap((plan) => steppedOf(run, plan)),
    work: workOf(run, plans),
    states: stateBytes(state, config.train.shard_optimiser),
    models: { start: retriever + generator, exported: retriever * (config.train.reader.fixed_index ? 2 : 1) + generator + closedBook },
    faiss: factory === null ? null : faissBytes(factory, encoder.dimension),
    lexical: usesLexical ? lexicalCosts(run) : undefined,
    driver,
    measured,
  };
}

function steppedOf({ schedule }: OpenRun, { kind, planned }: EntryPlan): SteppedEntry[] {
  const entry = schedule[planned.entry];
  return kind === undefined || entry === undefined ? [] : [{ kind: kind.key, steps: entry.steps, minutes: entry.minutes }];
}

function workOf({ config }: OpenRun, plans: readonly EntryPlan[]): ScheduleWork {
  const { checkpoint, reader } = config.train;
  const mined = minedEntries(config);
  const entries = plans.map(({ planned: { entry, phase, validations, checkpoints }, kind }) => ({
    phase,
    trainsRetriever: kind !== undefined && isRetrievers(kind),
    validations: validations ?? 0,
    checkpoints: checkpoints ?? 1,
    mines: mined.has(entry),
  }));
  return scheduleWork(entries, {
    keepLast: checkpoint.keep_last,
    keepsBest: checkpoint.keep_best && entries.some(({ validations }) => validations > 0),
    hasBaseRow: config.eval.rows.includes("base-pair"),
    hasTrainedRow: config.eval.rows.includes("trained-pair"),
    isFixed: reader.fixed_index,
  });
}

function isRetrievers({ phase, trained }: Kind): boolean {
  return !updatesNothing(phase) && trained.updates.some(({ model }) => model === "retriever");
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(path.join(entry.parentPath, entry.name)).size : 0),
    0,
  );
}

function leftOut(run: OpenRun, measured: Measured | undefined): string[] {
  const { config } = run;
  if (measured === undefined) return ["time and memory of the program and of activations: nothing was measured"];
  const { mining } = config.train.contrastive;
  const { drift, refresh } = config.train;
  const { sentences, tokens } = config.prompt.sentence_filter;
  const isFiltered = sentences !== null || tokens !== null;
  const isMined = minedEntries(config).size > 0;
  return [
    "starting the processes, the log, the report's page, the penalties' probe, an MLflow server",
    ...(config.index.factory === null ? [] : ["FAISS: training its index, adding to it, searching it"]),
    ...(isMined ? ["choosing hard negatives among what was found"] : []),
    ...(isMined && mining.teacher.path !== null ? ["the teacher's scores"] : []),
    ...(isFiltered ? ["choosing sentences for each question"] : []),
    ...(drift.every === null ? [] : ["measuring drift, and refreshes that it asks for"]),
    ...(refresh.at_least_every === null ? [] : ["refreshes by age (train.refresh.at_least_every)"]),
    ...(refresh.asynchronous ? ["a second process beside training: its memory, and what it takes from the cores"] : []),
    ...uncertain(run),
  ];
}
