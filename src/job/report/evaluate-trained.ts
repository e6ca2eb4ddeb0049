/**
 * Scores a finished run again: on its own questions, or on other questions and other passages, with the rows of its own report. The stores and indexes that this needs are built once and kept in
 * the run directory's `eval-cache/`, named by content. It changes nothing of the run. The trap: gold ids of a question file belong to the passages it was made with; they are mapped to the passages
 * that are searched, and what can't be mapped is said.
 */
import { existsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TandemConfig } from "../../config/schema.js";
import { buildCorpus, corpusKey, type CorpusSpec } from "../../corpus/build-corpus.js";
import { alignGold, readGoldPassages } from "../../corpus/gold-alignment.js";
import { MANIFEST_FILE } from "../../corpus/passage-manifest.js";
import { PassageStore } from "../../corpus/passage-store.js";
import type { Question } from "../../corpus/question.js";
import type { QuestionSet } from "../../corpus/question-set.js";
import { setDevice, setThreads } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import { requireOneKind } from "../../distributed/graphics-cards.js";
import type { LedGroup } from "../../distributed/led-group.js";
import { Generator } from "../../generation/generator.js";
import { shareAnswers } from "../../generation/shared-answers.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import { loadCausalModel } from "../../nn/registry.js";
import { reportText } from "../../report/report-text.js";
import { Encoder } from "../../retrieval/encoder.js";
import { hashJson } from "../../storage/content-hash.js";
import type { RunDirectory } from "../../tracking/run-directory.js";
import { describeCorpus, prepareQuestions, readReported } from "../data/data.js";
import { makeReport, ofClosedBook, writeReport, type MadeReport, type ReportParts } from "./evaluate-run.js";
import type { TrainedRun } from "../run/find-run.js";
import { requireSameModels } from "../run/weight-hash.js";
import { runDevice } from "../hardware.js";
import { lostHistory } from "../data/lost-history.js";
import { generatorFormat } from "../models/models.js";
import { readSchedule } from "../run/run-schedule.js";
import type { PageRun } from "./report-page.js";
import type { Report } from "../reporter.js";

export interface EvaluateTrainedOptions {
  /** Where report.json, report.txt, report.html and the answers go. Default: `<run>/eval-<hash of what was scored>`. */
  readonly output?: string;
  readonly report: Report;
  /** This process's place among several that answer together: the first leads, {@link helpEvaluate} is the others' part. Default: it is alone. */
  readonly place?: EvaluationPlace | undefined;
}

export interface EvaluationPlace {
  readonly led: LedGroup;
  /** Its number among those on this machine, which its graphics card goes by. */
  readonly localRank: number;
}

export interface TrainedEvaluation {
  readonly made: MadeReport;
  readonly text: string;
  /** Where it was written. */
  readonly folder: string;
}

/** Scores and writes. @throws UserError for whatever is wrong with the run, the questions or the passages */
export async function evaluateTrained(run: TrainedRun, options: EvaluateTrainedOptions): Promise<TrainedEvaluation> {
  if (run.config.threads !== null) setThreads(run.config.threads);
  const device = runDevice(run.config.device, options.place);
  if (options.place !== undefined) setDevice(device);
  const encoder = Encoder.load(run.places.retriever, { device, dropout: 0 });
  const passages = run.config.train.reader.fixed_index ? Encoder.load(run.places.passageRetriever, { device, dropout: 0 }) : undefined;
  let answering: Answering | undefined;
  try {
    const store = await searchedStore(run, encoder, options.report);
    const questions = await scoredQuestions(run.config, store, options.report);
    const config = withPossibleRows(run.config, questions, options.report);
    for (const text of lostHistory(config.prompt, questions)) options.report({ type: "warning", text });
    answering = openAnswering(run, device, options.place);
    return await score(run, { config, encoder, passages, ...answering, store, questions, device }, options);
  } finally {
    encoder.dispose();
    passages?.dispose();
    disposeModels(answering);
  }
}

/** {@link evaluateTrained} by another member of the group: answers what the leader asks for, until it has no more to ask. @throws UserError where this member's models aren't the leader's */
export async function helpEvaluate(run: TrainedRun, place: EvaluationPlace): Promise<void> {
  if (run.config.threads !== null) setThreads(run.config.threads);
  const device = runDevice(run.config.device, place);
  setDevice(device);
  const answering = openAnswering(run, device, place);
  try {
    await place.led.follow();
  } finally {
    disposeModels(answering);
  }
}

type Answering = Pick<ReportParts, "generator" | "closedBook">;

/** The run's generators, which answer together with the group's other members where there are any. */
function openAnswering(run: TrainedRun, device: string, place: EvaluationPlace | undefined): Answering {
  const generator = openGenerator(run, device);
  const model = openClosedBook(run, device);
  const closedBook = model === undefined ? undefined : ofClosedBook(model, generator);
  if (place === undefined) return { generator, closedBook };
  try {
    return sharedAnswering({ generator, closedBook }, { run, device, led: place.led });
  } catch (error) {
    disposeModels({ generator, closedBook });
    throw error;
  }
}

/** @throws UserError where another member has other models, or a device of another kind */
function sharedAnswering(
  { generator, closedBook }: Answering,
  { run, device, led }: { readonly run: TrainedRun; readonly device: string; readonly led: LedGroup },
): Answering {
  requireOneKind(led.group.gatherValues("device", device));
  const models = new Map(
    Object.entries({ generator, "closed-book generator": closedBook }).flatMap(([name, own]) =>
      own === undefined ? [] : [[name, own.model.parameters.values()]],
    ),
  );
  requireSameModels(led.group, models, { where: run.places.path, remedy: "give a run directory that all nodes share" });
  return {
    generator: shareAnswers(led, "answers", generator),
    closedBook: closedBook === undefined ? undefined : shareAnswers(led, "closed-book answers", closedBook),
  };
}

function disposeModels(answering: Answering | undefined): void {
  for (const own of [answering?.generator, answering?.closedBook])
    for (const weight of own?.model.parameters.values() ?? []) weight.dispose();
}

type Scored = Answering &
  Pick<ReportParts, "config" | "encoder" | "store" | "questions"> & {
    readonly device: string;
    readonly passages: Encoder | undefined;
  };

async function score(run: TrainedRun, scored: Scored, { report, output, place }: EvaluateTrainedOptions): Promise<TrainedEvaluation> {
  const { places } = run;
  const { config, encoder, store, questions, device } = scored;
  const shared = place === undefined ? "" : `, answered by ${place.led.group.size} processes`;
  report({ type: "stage", name: "evaluation", detail: `${questions.length} questions, ${config.eval.rows.length} rows${shared}` });
  const made = await makeReport({
    ...scored,
    artefacts: {
      indexFolder: config.eval.passages === null ? places.index : path.join(cacheFolder(places.path), "index"),
      retrievalFolder: path.join(cacheFolder(places.path), "retrieval"),
      store,
      template: config.data.corpus.title_template,
      index: config.index,
      device,
      report,
      passages: scored.passages,
    },
    report,
    folder: places.path,
    name: config.name,
    split: config.eval.questions === null ? config.eval.split : path.basename(config.eval.questions),
  });
  const folder = output ?? path.join(places.path, `eval-${evaluationHash(config, encoder, store, questions)}`);
  const files = {
    json: path.join(folder, "report.json"),
    text: path.join(folder, "report.txt"),
    html: path.join(folder, "report.html"),
    answers: path.join(folder, "answers"),
  };
  await writeReport(made, files, pageRun(run), (text) => report({ type: "warning", text }));
  return { made, text: reportText(made.report), folder };
}

/** The run as its page shows it: its own log and schedule, with the overrides of this evaluation named. */
function pageRun({ places, config, sources }: TrainedRun): PageRun {
  const words = Object.values(sources).flatMap((source) => /^override \d+ '(.*)'$/s.exec(source)?.[1] ?? []);
  return {
    places,
    config,
    schedule: readSchedule(places.path, config, existsSync(closedBookFolder(places))),
    changes: [...new Set(words)],
  };
}

/** Stores and indexes of passages that aren't the run's own. */
function cacheFolder(run: string): string {
  return path.join(run, "eval-cache");
}

/** The run's own passages, or those of `eval.passages`, chunked only where the retriever couldn't read them whole. */
async function searchedStore({ config, corpus, places }: TrainedRun, encoder: Encoder, report: Report): Promise<PassageStore> {
  const { passages } = config.eval;
  if (passages === null) return PassageStore.open(corpus);
  const spec: CorpusSpec = {
    source: { format: "jsonl", path: passages },
    chunk: { split: "blank", maxTokens: encoder.settings.maxTokens, minCharacters: 0, titleTemplate: config.data.corpus.title_template },
    tokenizer: places.retriever,
  };
  const folder = path.join(cacheFolder(places.path), "corpus", corpusKey(spec).slice(0, 16));
  if (!existsSync(path.join(folder, MANIFEST_FILE))) {
    const threads = config.data.corpus.threads ?? os.availableParallelism();
    const built = await buildCorpus({ ...spec, output: folder, threads });
    report({ type: "note", text: `${passages}: ${describeCorpus(built)}` });
  }
  return PassageStore.open(folder);
}

/** The questions of `eval.questions`, or the run's own split, with gold ids of the store that is searched. */
async function scoredQuestions(config: TandemConfig, store: PassageStore, report: Report): Promise<readonly Question[]> {
  const { questions: file, passages, split, limit } = config.eval;
  const most = limit ?? undefined;
  if (file === null && passages === null) {
    const own = (await prepareQuestions(config.data, store, report, true))[split].slice(0, most);
    if (own.length > 0) return own;
    throw new UserError({
      where: "eval.split",
      what: `there are no ${split} questions`,
      remedy: "choose another split, or give eval.questions=…",
    });
  }
  const read = file === null ? ownQuestionFile(config, report) : readReported(file, report);
  const goldFile = passages ?? config.data.questions.gold_passages;
  const named = goldFile === null || !existsSync(goldFile) ? new Map<string, never>() : await readGoldPassages(goldFile);
  const { questions, report: alignment } = alignGold(read.questions.slice(0, most), new Map([...named, ...read.gold]), store);
  const [lost] = alignment.unmapped;
  if (lost !== undefined)
    report({
      type: "warning",
      text: `${alignment.unmapped.length} gold passages are not among the passages that are searched, for example ${lost.passageId} of question ${lost.question}: ${lost.reason}`,
    });
  return questions;
}

/** The run's questions over other passages: its split must be a file of its own. */
function ownQuestionFile(config: TandemConfig, report: Report): QuestionSet {
  const { split } = config.eval;
  const file = config.data.questions[split];
  if (file !== null) return readReported(file, report);
  throw new UserError({
    where: "eval.passages",
    what: `is set, but the run's ${split} questions have no file of their own`,
    remedy: "give eval.questions=… too",
  });
}

/** Without gold passages the gold row would be a closed-book row under another name. */
function withPossibleRows(config: TandemConfig, questions: readonly Question[], report: Report): TandemConfig {
  const hasGold = questions.some(({ passageIds }) => passageIds.length > 0);
  if (hasGold) return config;
  report({ type: "warning", text: "no question names a passage that is there: no gold-passage row, no recall and no MRR" });
  return { ...config, eval: { ...config.eval, rows: config.eval.rows.filter((row) => row !== "gold-passage") } };
}

function openGenerator({ config, places }: TrainedRun, device: string): Generator {
  const { max_tokens: maxTokens } = config.generator;
  return Generator.load(places.generator, generatorFormat(config.prompt), {
    device,
    dropout: 0,
    ...(maxTokens === null ? {} : { maxTokens }),
  });
}

/** The generator that was trained without contexts, if the run has one. */
function openClosedBook({ config, places }: TrainedRun, device: string): Gpt2 | undefined {
  const folder = closedBookFolder(places);
  if (!config.eval.rows.includes("closed-book") || !existsSync(folder)) return undefined;
  return loadCausalModel(folder, { device, dropout: 0 });
}

function closedBookFolder(places: RunDirectory): string {
  return path.join(places.path, "closed-book");
}

/** Names an evaluation by what was scored, so that the same one replaces itself and others stay. */
function evaluationHash(config: TandemConfig, encoder: Encoder, store: PassageStore, questions: readonly Question[]): string {
  // Where the files lie doesn't matter, what is in them does.
  const settings = { ...config.eval, questions: null, passages: null };
  const asked = questions.map(({ id, question, answers, passageIds }) => [id, question, answers, passageIds]);
  const { unknown_answer: unknown } = config.train.generator;
  const parts = {
    settings,
    ...(unknown === null ? {} : { unknown }),
    seed: config.seed,
    prompt: config.prompt,
    generation: config.generation,
    index: config.index,
    encoder: encoder.hash,
    corpus: store.hash,
    asked,
  };
  return hashJson(parts).slice(0, 12);
}
