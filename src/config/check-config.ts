/**
 * What one key alone can't say: lengths that must fit each other, a weight that needs a direction, a schedule that trains nothing. Each mistake is
 * one fault naming the key and who set it; what is only doubtful becomes a warning. Nothing stops at a mistake: a check goes on with the values as they stand. The trap: the lengths of a model that comes from a folder
 * are in that folder's config.json; a folder that isn't there yet is left to the loader.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { type Fault, UserError } from "../errors.js";
import type { Check } from "./check-context.js";
import { withMore } from "./check-tree.js";
import { checkEvidence } from "./check-evidence.js";
import { checkPrerequisites } from "./check-prerequisites.js";
import { checkPenalties } from "./check-penalties.js";
import { schemaDefault } from "./compose.js";
import { checkLookups, checkMining } from "./check-mining.js";
import { checkDrift, checkFixedIndex, checkRefresh } from "./check-refresh.js";
import { isMarginal } from "./phase-settings.js";
import type { TandemConfig } from "./schema.js";
import { checkSchedule } from "./check-schedule.js";
import { checkUnread } from "./check-unread.js";

/** Who set a key, by its dotted name. */
export type Sources = Readonly<Record<string, string>>;

/**
 * @param missing keys that are still to be given
 * @returns warnings, one line each
 * @throws UserError for the first contradiction, saying how many more there are
 */
export function crossCheck(config: TandemConfig, sources: Sources, missing: readonly string[]): string[] {
  const { warnings, faults } = crossFaults(config, sources, missing);
  const [first, ...more] = faults;
  if (first === undefined) return warnings;
  throw new UserError(withMore(first, more.length));
}

/** Warnings, and every contradiction. */
export function crossFaults(config: TandemConfig, sources: Sources, missing: readonly string[]): { warnings: string[]; faults: Fault[] } {
  const warnings: string[] = [];
  const faults: Fault[] = [];
  const check: Check = {
    config,
    missing,
    refuse: (key, what, remedy) => faults.push({ where: sourceOf(key, sources), what: `'${key}' ${what}`, remedy }),
    warn: (key, what) => warnings.push(`'${key}' ${what} (${sourceOf(key, sources)})`),
  };
  for (const look of CHECKS) look(check);
  return { warnings, faults };
}

/** What an entry's own settings may offend as well. */
const CHECKS_OF_PHASES: readonly ((check: Check) => void)[] = [
  checkWorkers,
  checkBatches,
  checkReader,
  checkMining,
  checkPenalties,
  checkEvidence,
  checkDimensions,
];

const CHECKS: readonly ((check: Check) => void)[] = [
  checkModels,
  checkIndex,
  checkLengths,
  checkData,
  (check) => checkSchedule(check, CHECKS_OF_PHASES),
  checkPrerequisites,
  ...CHECKS_OF_PHASES,
  checkDrift,
  checkRefresh,
  checkFixedIndex,
  checkLookups,
  checkUnread,
  checkEvaluation,
  checkGeneration,
];

/** Who set a key; a key of a record that has its default there is owed to whoever wrote the record, and an entry of the schedule to whoever wrote its phase. */
function sourceOf(key: string, sources: Sources): string {
  const own = sources[key] ?? sources[`${key}.phase`];
  const parent = key.slice(0, Math.max(0, key.lastIndexOf(".")));
  if (own !== undefined && (own !== schemaDefault || !/\.\d+\./.test(key))) return own;
  return parent === "" ? key : sourceOf(parent, sources);
}

function checkModels({ config, refuse, warn }: Check): void {
  const { layers, width: wide, heads: many, induction } = config.generator.initialise;
  if (induction && config.generator.path !== null) warn("generator.initialise.induction", "has no effect with generator.path");
  else if (induction && (layers < 2 || many < 3 || (wide / many) % 2 !== 0))
    refuse(
      "generator.initialise.induction",
      `needs at least 2 layers, 3 heads and an even width of a head, not ${layers}, ${many} and ${wide / many}`,
      "change generator.initialise, or set it to false",
    );
  for (const model of ["retriever", "generator"] as const) {
    const { width, heads } = config[model].initialise;
    if (config[model].path === null && width % heads !== 0) {
      refuse(
        `${model}.initialise.width`,
        `is ${width}, not a multiple of ${model}.initialise.heads (${heads})`,
        `set it to ${Math.ceil(width / heads) * heads}`,
      );
    }
  }
}

function checkIndex({ config, warn }: Check): void {
  const { factory, search, build, train_sample: sample, threads, dtype } = config.index;
  if (factory === null) {
    if (search !== "") warn("index.search", "has no effect without index.factory: search is exact");
    if (build !== "") warn("index.build", "has no effect without index.factory: search is exact");
    if (sample !== null) warn("index.train_sample", "has no effect without index.factory: search is exact");
    if (threads !== null) warn("index.threads", "has no effect without index.factory: search is exact");
  } else if (dtype !== "f32") warn("index.dtype", "has no effect with index.factory, which says how vectors are held");
}

function checkLengths({ config, refuse, warn }: Check): void {
  const retrieverPositions = positionsOf(config.retriever.path, config.retriever.initialise.positions);
  const generatorPositions = positionsOf(config.generator.path, config.generator.initialise.positions);
  for (const [model, positions] of [
    ["retriever", retrieverPositions],
    ["generator", generatorPositions],
  ] as const) {
    const cut = config[model].max_tokens;
    if (cut !== null && positions !== undefined && cut > positions) {
      refuse(`${model}.max_tokens`, `is ${cut}, but the model has ${positions} positions`, `set it to at most ${positions}`);
    }
  }
  const room = config.generator.max_tokens ?? generatorPositions;
  const answer = config.eval.max_new_tokens;
  if (room !== undefined && answer >= room) {
    refuse(
      "eval.max_new_tokens",
      `is ${answer} and leaves nothing of the generator's ${room} tokens for the prompt`,
      `set it well below ${room}`,
    );
  }
  const cut = config.retriever.max_tokens ?? retrieverPositions;
  const passage = config.data.corpus.max_tokens;
  if (cut !== undefined && passage !== null && passage > cut) {
    warn(
      "data.corpus.max_tokens",
      `is ${passage}, but the retriever reads only ${cut} tokens of a passage: what comes after is never found`,
    );
  }
}

/** The positions of the model in a folder, undefined where the folder doesn't say or isn't there. */
function positionsOf(folder: string | null, initialised: number): number | undefined {
  return folder === null ? initialised : numberIn(folder, ["n_positions", "max_position_embeddings"]);
}

/** The first of these that a model folder's config.json has, undefined where none is a number. */
function numberIn(folder: string, names: readonly string[]): number | undefined {
  try {
    const file = JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8")) as Record<string, unknown> | null;
    const value = names.map((name) => file?.[name]).find((found) => found !== undefined && found !== null);
    return typeof value === "number" ? value : undefined;
  } catch {
    // A missing or broken folder is the loader's to report, with its own line.
    return undefined;
  }
}

/** Dimensions that the embeddings don't have, before the corpus is read for nothing. */
function checkDimensions({ config, refuse }: Check): void {
  const { path: folder, initialise } = config.retriever;
  const width = folder === null ? initialise.width : numberIn(folder, ["hidden_size"]);
  if (width === undefined || !config.train.schedule.some(({ phase }) => phase === "contrastive")) return;
  const wrong = config.train.contrastive.matryoshka.find((dimensions) => dimensions > width);
  if (wrong !== undefined)
    refuse(
      "train.contrastive.matryoshka",
      `names ${wrong} dimensions, but the retriever's embeddings have ${width}`,
      `name at most ${width}`,
    );
}

function checkData({ config, refuse }: Check): void {
  const { valid, test } = config.data.questions.split;
  if (valid + test >= 1)
    refuse("data.questions.split.valid", `and test take ${valid + test} of the documents and leave none to train on`, "lower one");
}

/** A batch is dealt out whole questions, passages and contexts at a time; a contrastive one embeds passages beside its questions. */
function checkWorkers({ config: { train }, warn }: Check): void {
  for (const section of ["generator", "contrastive", "reader"] as const) {
    const { batch } = train[section];
    const isUsed = train.schedule.some(({ phase }) => PHASES_OF[section].includes(phase));
    const dealt = batch === null || section !== "contrastive" ? batch : batch * (1 + train.contrastive.hard_negatives);
    if (isUsed && dealt !== null && dealt < train.workers)
      warn(`train.${section}.batch`, `is ${batch}: of ${train.workers} workers some have nothing to do in its steps`);
  }
}

const PHASES_OF: Readonly<Record<"generator" | "contrastive" | "reader", readonly string[]>> = {
  generator: ["generator", "joint"],
  contrastive: ["contrastive"],
  reader: ["reader-distillation", "joint"],
};

function checkBatches({ config, refuse }: Check): void {
  const { batch, batch_tokens: tokens, accumulate, curriculum } = config.train.generator;
  if (batch === null && tokens === null) refuse("train.generator.batch", "is null, and so is batch_tokens", "set one");
  if (batch !== null && tokens !== null) {
    refuse("train.generator.batch_tokens", `is set beside train.generator.batch (${batch})`, "set train.generator.batch=null");
  }
  if (batch !== null && accumulate > batch)
    refuse("train.generator.accumulate", `is more than the batch of ${batch}`, `set it to at most ${batch}`);
  if (config.train.contrastive.accumulate > config.train.contrastive.batch) {
    refuse("train.contrastive.accumulate", `is more than the batch of ${config.train.contrastive.batch}`, "lower it");
  }
  const { template } = config.prompt;
  if (config.train.generator.questions_per_context > 1 && template.indexOf("{question}") < template.indexOf("{context}")) {
    refuse(
      "train.generator.questions_per_context",
      "is above 1, but prompt.template has {question} before {context}: questions can't share a context that follows them",
      "set it to 1",
    );
  }
  if (curriculum.share === 1) refuse("train.generator.curriculum.share", "is 1: full contexts would never be seen", "set it below 1");
}

function checkReader({ config, refuse }: Check): void {
  const { loss, passages, candidates, normalise_length: normalise, accumulate, batch } = config.train.reader;
  const phases = config.train.schedule.map(({ phase }) => phase);
  if (!phases.includes("reader-distillation") && !phases.includes("joint")) return;
  if (candidates !== null && candidates < passages)
    refuse(
      "train.reader.candidates",
      `is ${candidates}, fewer than the ${passages} passages that are chosen from them`,
      "raise it, or null",
    );
  if (accumulate > batch) refuse("train.reader.accumulate", `is more than the batch of ${batch}`, "lower it");
  if (isMarginal(loss) && normalise)
    refuse(
      "train.reader.normalise_length",
      `is set, but ${loss} is a likelihood and has no length to divide by`,
      "train.reader.normalise_length=false",
    );
}

function checkEvaluation({ config, refuse }: Check): void {
  const k = /^recall@(\d+)$/.exec(config.train.checkpoint.metric)?.[1];
  if (k !== undefined && !config.eval.recall_at.includes(Number(k))) {
    refuse(
      "train.checkpoint.metric",
      `is recall@${k}, which eval.recall_at (${config.eval.recall_at.join(", ")}) doesn't measure`,
      `add ${k} to eval.recall_at`,
    );
  }
  if (new Set(config.eval.rows).size < config.eval.rows.length) refuse("eval.rows", "names a row twice", "name each once");
}

/** The keys that only one strategy reads. */
const strategyKeys = {
  sample: ["temperature", "top_k", "top_p", "seed"],
  beam: ["beams", "length_penalty", "early_stopping"],
} as const;

/** `generation.beams` where it is null. The decoder's own default is elsewhere; this one is the config's. */
const defaultBeams = 4;

function checkGeneration({ config, refuse, warn }: Check): void {
  const { generation } = config;
  const { strategy, answers } = generation;
  for (const owner of ["sample", "beam"] as const) {
    if (owner === strategy) continue;
    for (const key of strategyKeys[owner].filter((own) => generation[own] !== null)) {
      refuse(
        `generation.${key}`,
        `is set, but generation.strategy is ${strategy}`,
        `set generation.strategy=${owner}, or generation.${key}=null`,
      );
    }
  }
  if (strategy === "greedy" && answers > 1)
    refuse("generation.answers", `is ${answers}, but greedy decoding has one answer`, "set generation.strategy=sample or beam");
  const beams = generation.beams ?? defaultBeams;
  if (strategy === "beam" && answers > beams)
    refuse("generation.answers", `is ${answers}, more than generation.beams (${beams})`, `set generation.beams=${answers}`);
  if (strategy === "beam" && beams > config.eval.batch)
    warn("eval.batch", `is ${config.eval.batch} rows, and a question has ${beams} beams: one question is decoded at a time`);
}
