/**
 * What `tandem mine` is asked for, and what it does: the words read, the folders opened, the questions aligned, the report as text, in one process or as one of several. The rules are job/mining's. The trap: what validation and test ask about
 * mustn't become a negative either, so a run's own questions are mined as in training, and other files may name what is held out.
 */
import { existsSync } from "node:fs";
import type { TandemConfig } from "../config/schema.js";
import type { Question } from "../corpus/question.js";
import { UserError } from "../errors.js";
import type { OpenSearch, SearchFolders } from "../job/index/open-search.js";
import type { MineOptions, MineReport } from "../job/mining/mine-questions.js";
import type { MinedFormat } from "../job/mining/mined-file.js";
import type { Report } from "../job/reporter.js";
import type { Index } from "../retrieval/index-contract.js";
import { configOf, type OverrideArguments } from "./overrides.js";

export interface MineArguments extends OverrideArguments {
  run: string | undefined;
  retriever: string | undefined;
  corpus: string | undefined;
  index: string | undefined;
  questions: string | undefined;
  holdOut: string[];
  negatives: number;
  format: MinedFormat;
  output: string;
  json: boolean;
  quiet: boolean;
}

/** Keys that mean something here. */
const OPEN = ["train.contrastive.mining", "train.contrastive.positives", "train.contrastive.hard_negatives", "seed", "device", "threads"];

/** What can be refused before the configuration is read, which has less to do with such a mistake. @throws UserError for it */
export async function requireWords(given: MineArguments): Promise<void> {
  if (!(Number.isSafeInteger(given.negatives) && given.negatives > 0))
    throw new UserError({ where: "--negatives", what: "is no number of negatives", expected: "1 or more", got: String(given.negatives) });
  requirePaths(given);
  const { isTabSeparated } = await import("../job/mining/mined-file.js");
  isTabSeparated(given.output, given.format);
}

function requirePaths({ retriever, corpus, index, questions, holdOut }: MineArguments): void {
  const named = Object.entries({ retriever, corpus, index, questions }).concat(holdOut.map((file) => ["hold-out", file]));
  for (const [option, place] of named)
    if (place !== undefined && !existsSync(place))
      throw new UserError({ where: `--${option} ${place}`, what: "no such file or folder", remedy: "check the path" });
}

export interface MineSources {
  /** The run's folder, where it is a run's. */
  readonly run?: string;
  readonly config: TandemConfig;
  readonly folders: Pick<SearchFolders, "corpus" | "template" | "device"> & { readonly search: SearchFolders | undefined };
}

/** Where it is done. */
export interface MinePlace {
  /** Told what is odd in the words. */
  readonly warn: (text: string) => void;
  /** This process's number among those on this machine, which its graphics card goes by. */
  readonly localRank?: number;
}

/** What other processes do for this one. */
export type MineHelp = Pick<MineOptions, "scorePairs"> & { readonly openExact?: ((folder: string) => Index) | undefined };

/** Mines and writes. */
export async function mined(
  given: MineArguments,
  { config, folders }: MineSources,
  report: Report,
  { scorePairs, openExact }: MineHelp = {},
): Promise<MineReport> {
  const { search, store } = await opened(config, folders, openExact);
  try {
    const { questions, heldOut } = await asked(given, config, store, report);
    const { mineQuestions } = await import("../job/mining/mine-questions.js");
    const { output, format } = given;
    const template = folders.template ?? store.manifest.chunking.titleTemplate;
    const metric = search?.provenance.metric ?? "inner-product";
    const { device = "cpu" } = folders;
    const about = { config, store, questions, heldOut, search, metric, template, device, scorePairs };
    return await mineQuestions({ ...about, output, format, report });
  } finally {
    search?.retriever.index.dispose();
    search?.encoder.dispose();
  }
}

/** The configuration and the folders. @param warn told what is odd in the words */
export async function sourcesOf(given: MineArguments, { warn, localRank = 0 }: MinePlace): Promise<MineSources> {
  const { runDevice } = await import("../job/hardware.js");
  const overrides = [...given.overrides, `train.contrastive.hard_negatives=${given.negatives}`];
  if (given.run !== undefined) {
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { searchFolders } = await import("../job/run/open-pair.js");
    const { refuseSettledKeys } = await import("../job/run/settled-keys.js");
    const run = findTrainedRun(given.run, overrides);
    // The run's own questions have their gold passages; other questions may have others.
    refuseSettledKeys(run.sources, given.questions === undefined ? OPEN : [...OPEN, "data.questions.gold_passages"]);
    const search = searchFolders(run, runDevice(run.config.device, { localRank }));
    return { run: run.places.path, config: run.config, folders: { ...search, search } };
  }
  const { config, warnings } = configOf({ ...given, overrides }, { needed: [...OPEN, "data.questions.gold_passages"] }, true);
  // The default schedule is nobody's here: nothing is trained.
  for (const warning of warnings) if (!warning.includes(" of the schedule")) warn(warning);
  const { retriever, corpus, index } = given;
  const isLexical = config.train.contrastive.mining.source === "bm25";
  if (corpus === undefined || given.questions === undefined || (!isLexical && (retriever === undefined || index === undefined)))
    throw new UserError({
      where: "command line",
      what: "doesn't say whose negatives of which questions",
      expected: "--run RUN, or --questions, --corpus and, unless train.contrastive.mining.source=bm25, --retriever and --index",
      remedy: "see tandem mine --help",
    });
  const device = runDevice(config.device, { localRank });
  const command = `tandem index --retriever ${retriever ?? ""} --corpus ${corpus} --output ${index ?? ""}`;
  const search =
    isLexical || retriever === undefined || index === undefined
      ? undefined
      : { retriever, corpus, index: { folder: index }, device, command };
  return { config, folders: { corpus, device, search } };
}

/** Store and, unless BM25 is asked alone, retriever and index. */
async function opened(
  config: TandemConfig,
  { corpus, search: folders }: MineSources["folders"],
  openExact: MineHelp["openExact"],
): Promise<{ search: OpenSearch | undefined; store: OpenSearch["store"] }> {
  if (config.train.contrastive.mining.source === "bm25" || folders === undefined) {
    const { openNamedStore } = await import("./named-store.js");
    return { search: undefined, store: await openNamedStore(corpus) };
  }
  const { openSearch } = await import("../job/index/open-search.js");
  const search = openSearch(folders, openExact);
  return { search, store: search.store };
}

/** The questions, aligned to the store by the run's gold passages or those that the command line names, and the documents that give no negatives. */
async function asked(
  { questions: file, holdOut }: MineArguments,
  config: TandemConfig,
  store: OpenSearch["store"],
  report: Report,
): Promise<{ questions: readonly Question[]; heldOut: Set<string> }> {
  const { aligned, heldOutDocuments, namedGold, prepareQuestions, readReported } = await import("../job/data/data.js");
  const gold = await namedGold(config.data);
  const read = (from: string): Question[] => aligned(readReported(from, report), gold, store, from, report);
  const others = heldOutDocuments({ valid: holdOut.flatMap(read), test: [] }, store);
  if (file !== undefined) return { questions: read(file), heldOut: others };
  const sets = await prepareQuestions(config.data, store, report, true);
  const held = config.data.questions.hold_out_passages ? heldOutDocuments(sets, store) : new Set<string>();
  return { questions: sets.train, heldOut: new Set([...others, ...held]) };
}

export function mineText(made: MineReport, { output, format, negatives, json }: MineArguments): string {
  if (json) return `${JSON.stringify(made, null, 2)}\n`;
  const number = (count: number): string => count.toLocaleString("en-US");
  const unit = { triplet: "triplets", "n-tuple": `tuples of ${negatives} negatives`, dpr: "questions" }[format];
  const rules = Object.entries(made.rules).filter(([, count]) => count > 0);
  const named = (key: string): string =>
    key
      .slice("dropped".length)
      .replace(/(?!^)[A-Z]/g, " $&")
      .toLowerCase();
  const lines = [
    `${number(made.questions)} questions: ${number(made.withoutPositives)} without a positive, ${number(made.withoutNegatives)} lost all negatives, ${number(made.withFewer)} have fewer than ${negatives}`,
    ...(rules.length === 0 ? [] : ["dropped by rule:", ...rules.map(([key, count]) => `  ${named(key).padEnd(16)} ${number(count)}`)]),
    ...scoreLines(made.scores),
    `${output}: ${number(made.written)} ${unit}`,
  ];
  return `${lines.join("\n")}\n`;
}

function scoreLines(scores: MineReport["scores"]): string[] {
  if (scores === null) return ["scores: of two searches, whose scales differ; not summed up"];
  const cell = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : value.toFixed(4)).padStart(10);
  const head = ["scores", "count", "mean", "std", "min", "25%", "50%", "75%", "max"];
  const rows = Object.entries(scores).map(([name, { count, mean, deviation, minimum, quartiles, maximum }]) => {
    const values = [mean, deviation, minimum, ...(quartiles ?? [null, null, null]), maximum];
    return `${name.padEnd(10)}${String(count).padStart(10)}${values.map(cell).join("")}`;
  });
  return [
    `${head[0]?.padEnd(10) ?? ""}${head
      .slice(1)
      .map((word) => word.padStart(10))
      .join("")}`,
    ...rows,
  ];
}
