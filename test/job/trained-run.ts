/** A run that was really trained, in seconds: thirty articles, a step or two of every phase, models of a few thousand parameters. It has learnt nothing and has everything that a run has. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { loadConfig } from "../../src/config/load-config.js";
import { renderYaml } from "../../src/config/render.js";
import { passageId } from "../../src/corpus/passage.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { trainJob } from "../../src/job/train-job.js";
import { createRunDirectory } from "../../src/tracking/run-directory.js";
import { collectVersions } from "../../src/tracking/versions.js";

export interface World {
  /** A folder that holds everything below and is removed by `remove`. */
  readonly folder: string;
  readonly run: string;
  readonly corpus: string;
  readonly questions: string;
  remove(): void;
}

const ONSETS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"];
const RHYMES = ["al", "en", "ir", "os", "um"];

/** A name for a number; no two have the same. */
const nameOf = (number: number): string => {
  const parts = [number % 14, Math.floor(number / 14) % 14].map((i) => `${ONSETS[i] ?? ""}${RHYMES[(number + i) % 5] ?? ""}`);
  return `${parts[0]?.charAt(0).toUpperCase() ?? ""}${parts[0]?.slice(1) ?? ""}${parts[1] ?? ""}`;
};

export const ARTICLES = Array.from({ length: 30 }, (_, i) => ({
  id: `article-${i}`,
  title: nameOf(i),
  text: `${nameOf(i)} is a town on the river ${nameOf(100 + i)}. Its mayor is ${nameOf(60 + i)}, who was elected in ${1800 + i}. The market of ${nameOf(i)} sells cheese and rope.`,
}));

/** The store's id of an article, which is one passage. */
export const idOf = (article: (typeof ARTICLES)[number]): string =>
  passageId({ title: article.title, text: article.text, document: article.title });

const QUESTIONS = ARTICLES.map((article, i) => ({
  id: `q${i}`,
  question: `Who is the mayor of ${article.title}?`,
  answers: [nameOf(60 + i)],
  passage_ids: [idOf(article)],
}));

export const jsonLines = (values: readonly object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join("");

/** The words that make the tiny experiment smaller still and give it these files. */
export function tinyWords(folder: string): string[] {
  return [
    "experiment=tiny",
    "device=cpu",
    `run.dir=${path.join(folder, "runs")}`,
    `data.corpus.path=${path.join(folder, "corpus.jsonl")}`,
    `data.questions.train=${path.join(folder, "train.jsonl")}`,
    `data.questions.valid=${path.join(folder, "valid.jsonl")}`,
    `data.questions.test=${path.join(folder, "test.jsonl")}`,
    "data.rename.enabled=false",
    "retriever.initialise.vocabulary=300",
    "retriever.initialise.width=16",
    "generator.initialise.vocabulary=300",
    "generator.initialise.width=16",
    "train.schedule=[{phase: generator, steps: 1}, {phase: contrastive, steps: 2}, {phase: refresh}, {phase: generator, steps: 1}]",
    "train.generator.batch=2",
    "train.contrastive.batch=4",
    "train.contrastive.hard_negatives=0",
    "train.audit.every=null",
    "train.validate.after_each_phase=false",
    "eval.rows=[closed-book, trained-pair]",
    "eval.max_new_tokens=4",
    "eval.closed_book.steps=1",
  ];
}

/** Writes corpus and questions into a new folder. */
export function makeFiles(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-world-"));
  mkdirSync(path.join(folder, "runs"));
  writeFileSync(path.join(folder, "corpus.jsonl"), jsonLines(ARTICLES));
  writeFileSync(path.join(folder, "train.jsonl"), jsonLines(QUESTIONS.slice(0, 20)));
  writeFileSync(path.join(folder, "valid.jsonl"), jsonLines(QUESTIONS.slice(20, 25)));
  writeFileSync(path.join(folder, "test.jsonl"), jsonLines(QUESTIONS.slice(25)));
  return folder;
}

/** Trains. @param start decides which of several runs is the latest. @param said gets what the job reports */
export async function trainTiny(
  folder: string,
  start = new Date("2026-01-02T03:04:05Z"),
  more: readonly string[] = [],
  said: JobMessage[] = [],
): Promise<string> {
  const { config, overrides } = loadConfig({ overrides: [...tinyWords(folder), ...more] });
  const { path: run } = createRunDirectory(config.run.dir, {
    name: config.name,
    configYaml: renderYaml(config),
    overrides,
    versions: collectVersions(),
    start,
  });
  const outcome = await trainJob({
    config,
    run,
    report: (message) => said.push(message),
    stopRequested: () => false,
    unsaved: () => undefined,
  });
  if (outcome !== "finished") throw new Error(`the run ended as ${outcome}`);
  return run;
}

export async function trainedWorld(): Promise<World> {
  const folder = makeFiles();
  const run = await trainTiny(folder);
  return {
    folder,
    run,
    corpus: path.join(folder, "corpus.jsonl"),
    questions: path.join(folder, "test.jsonl"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
