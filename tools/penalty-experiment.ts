/**
 * The penalties' experiment on sentence-long answers: `npx tsx tools/penalty-experiment.ts questions runs/long-answers` writes the quickstart's questions whose answer is a sentence, with faults in the training answers, and
 * `npx tsx tools/penalty-experiment.ts compare <base run>,… <run>,… …` lets the runs' generators answer their test questions from gold passages, counts what they write, token by token as the penalties count it, and holds each setting against the first; runs joined by commas are one setting's seeds, whose mean is a question's value. It trains nothing; conf/experiment/penalties-quickstart.yaml
 * does. The traps: counts are of the written text, encoded again, and an answer that is cut at its greatest length looks as if it had ended; runs are compared only on the same questions.
 *
 * Why faults: a generator that learned the answers as they are repeats nothing, leaves nothing out and is never too short, so there is nothing to lower. Two of the three wordings of a question are answered badly in 13 of 20
 * training answers: "Describe X." by half a sentence, "Describe X in a sentence." by one that says its middle twice. What is written most is what is answered greedily. Valid and test answers have no faults.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runToExit } from "../src/cli/exit.js";
import { PassageStore } from "../src/corpus/passage-store.js";
import { UserError } from "../src/errors.js";
import { evaluateRow, goldHits } from "../src/evaluation/baselines.js";
import type { Answered } from "../src/evaluation/answered.js";
import { clusteredInterval } from "../src/evaluation/bootstrap.js";
import { pairedPermutation } from "../src/evaluation/paired-permutation.js";
import { Generator } from "../src/generation/generator.js";
import { prepareQuestions } from "../src/job/data/data.js";
import { findTrainedRun, type TrainedRun } from "../src/job/run/find-run.js";
import { generatorFormat } from "../src/job/models/models.js";
import { writeFileAtomic } from "../src/storage/atomic-write.js";
import { Tokenizer } from "../src/text/tokenizer.js";
import { inverseDocumentFrequency, keywordsOf } from "../src/training/keywords.js";
import { countOverused } from "../src/training/penalties/answer-costs.js";
import { countCoverage } from "../src/training/penalties/keyword-coverage.js";
import { countRepeats } from "../src/training/penalties/ngram-repeat.js";
import { repeatedPositions } from "../src/training/penalties/sequence-unlikelihood.js";

/** Words of an answer that is a sentence. */
const SENTENCE = 5;
const QUICKSTART = path.join(import.meta.dirname, "../data/quickstart");
/** Passages that say how rare words are, as in training. */
const COUNTED = 20_000;

interface Asked {
  readonly question: string;
  readonly answers: readonly string[];
}

/** Writes base (all training questions) and train (those whose first answer is a sentence) with faults, clean (as train, without), valid and test. */
export function writeLongAnswers(folder: string, source = QUICKSTART): Record<string, number> {
  const read = (split: string): Asked[] =>
    readFileSync(path.join(source, `${split}.jsonl`), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Asked);
  const isLong = ({ answers }: Asked): boolean => (answers[0] ?? "").split(" ").length >= SENTENCE;
  const whole = read("train");
  const base = withFaults(whole);
  const sets = {
    base,
    train: base.filter((_, i) => whole[i] !== undefined && isLong(whole[i])),
    clean: whole.filter(isLong),
    valid: read("valid").filter(isLong),
    test: read("test").filter(isLong),
  };
  for (const [name, questions] of Object.entries(sets))
    writeFileAtomic(path.join(folder, `${name}.jsonl`), questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
  return Object.fromEntries(Object.entries(sets).map(([name, questions]) => [name, questions.length]));
}

/** Each wording's own fault in 13 of 20 of its answers, spread evenly; an answer of another form keeps its own. */
function withFaults(questions: readonly Asked[]): Asked[] {
  const met = { short: 0, twice: 0 };
  return questions.map((question) => {
    const [answer = "", ...others] = question.answers;
    const fault = faultOf(question.question);
    if (fault === undefined || !DESCRIPTION.test(answer)) return question;
    met[fault] += 1;
    if ((met[fault] * FAULTY) % OF >= FAULTY) return question;
    return { ...question, answers: [answer.replace(DESCRIPTION, fault === "short" ? "$1 $3." : "$1 $2 $3 $4, $2 $3 $4 $5"), ...others] };
  });
}

const DESCRIPTION = /^(\S+ is) (a) (\S+) (.+?) ((?:in|on|by|near) the .*)$/;
/** Of so many answers so many have a fault. */
const [FAULTY, OF] = [13, 20];

function faultOf(question: string): "short" | "twice" | undefined {
  if (/^Describe \S+ in a sentence\.$/.test(question)) return "twice";
  return /^Describe \S+\.$/.test(question) ? "short" : undefined;
}

/** Counts of each question's answer, by name. */
export type Counts = Readonly<Record<string, readonly number[]>>;

/** Hard counts of written answers, one for each question, and F1. */
export function countsOf(
  tokenizer: Tokenizer,
  answered: readonly Answered[],
  passages: Iterable<string>,
  { n, least }: { n: number; least: number },
): Counts {
  const encode = (text: string): Int32Array => (text === "" ? new Int32Array() : tokenizer.encode(` ${text}`, { specialTokens: false }));
  const written = answered.map(({ prediction, answers }) => ({ ids: encode(prediction), gold: encode(answers[0] ?? "") }));
  const keywords = keywordsOf(
    tokenizer,
    answered.map(({ answers, question }) => ({ text: answers[0] ?? "", without: [question] })),
    inverseDocumentFrequency(passages),
  );
  return {
    [`repeated ${n}-grams`]: written.map(({ ids }) => countRepeats(ids, n)),
    [`tokens of repeated ${n}-grams`]: written.map(({ ids }) => repeatedPositions(ids, n).length),
    "overused tokens": written.map(({ ids, gold }) => countOverused(ids, gold)),
    "missing keywords": written.map(({ ids }, i) => {
      const own = keywords[i];
      return own === undefined ? 0 : 1 - countCoverage(ids, own.ids, own.weights);
    }),
    "missing tokens": written.map(({ ids, gold }) => Math.max(0, Math.min(least, gold.length) - ids.length)),
    F1: answered.map(({ f1 }) => f1),
  };
}

/** One line a count: both means, the difference with its interval, p. @throws UserError when the questions differ */
export function comparison(base: readonly Answered[], run: readonly Answered[], counts: { base: Counts; run: Counts }): string[] {
  requireSame(base, run);
  const documents = base.map(({ document }) => document);
  return Object.entries(counts.base).flatMap(([name, before]) => {
    const after = counts.run[name];
    if (after === undefined) return [];
    const differences = after.map((value, i) => value - (before[i] ?? 0));
    const { mean, low, high } = clusteredInterval(differences, documents, { resamples: 2000, level: 0.95 });
    const { p } = pairedPermutation(differences, documents);
    return [
      `  ${name.padEnd(28)} ${average(before).toFixed(3)} -> ${average(after).toFixed(3)}  ${signed(mean)} (${signed(low)} to ${signed(high)}), p ${p.toPrecision(2)}`,
    ];
  });
}

function requireSame(base: readonly Answered[], run: readonly Answered[]): void {
  if (base.length !== run.length || base.some(({ id }, i) => id !== run[i]?.id))
    throw new UserError({ where: "compare", what: "the runs answered other questions", expected: "one test file for all" });
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(3)}`;
}

/** Greedy answers from gold passages: what a retriever misses is no matter of the penalties. */
async function answersOf({ config, corpus, places }: TrainedRun): Promise<Answered[]> {
  const store = PassageStore.open(corpus);
  const { test } = await prepareQuestions(config.data, store, () => undefined);
  const generator = Generator.load(places.generator, generatorFormat(config.prompt), { device: "cpu", dropout: 0 });
  const evidence = { name: "gold-passage", meaning: "", generator, hits: goldHits(test, store), isSearch: false };
  const { max_new_tokens: maxNewTokens, batch, bootstrap } = config.eval;
  const options = { passages: config.prompt.passages, recallKs: [1], maxNewTokens, batch, samples: 1, confidence: bootstrap.confidence };
  const { answered } = await evaluateRow(test, evidence, options);
  for (const weight of generator.model.parameters.values()) weight.dispose();
  return answered;
}

/** @param of whose settings say what is counted */
function counted(run: TrainedRun, answered: readonly Answered[], of: TrainedRun): Counts {
  const store = PassageStore.open(run.corpus);
  const passages = Array.from({ length: Math.min(store.size, COUNTED) }, (_, row) => store.field(row, "text"));
  const { ngram_repeat: ngram, short_answer: short } = of.config.train.penalties;
  return countsOf(Tokenizer.fromFolder(run.places.generator), answered, passages, { n: ngram.n, least: short.min_tokens });
}

/** The mean of each question's counts over runs that answered the same questions. @throws UserError when they didn't */
export function meanCounts(answered: readonly (readonly Answered[])[], counts: readonly Counts[]): Counts {
  for (const other of answered) requireSame(answered[0] ?? [], other);
  const [first = {}] = counts;
  const mean = (name: string, i: number): number => counts.reduce((sum, own) => sum + (own[name]?.[i] ?? 0), 0) / counts.length;
  return Object.fromEntries(Object.entries(first).map(([name, values]) => [name, values.map((_, i) => mean(name, i))]));
}

interface Seed {
  readonly run: TrainedRun;
  readonly answered: Answered[];
}

async function seedsOf(names: string): Promise<Seed[]> {
  const seeds: Seed[] = [];
  for (const name of names.split(",")) {
    const run = findTrainedRun(name);
    seeds.push({ run, answered: await answersOf(run) });
  }
  return seeds;
}

async function compare(first: string, others: readonly string[]): Promise<void> {
  const base = await seedsOf(first);
  for (const names of others) {
    const own = await seedsOf(names);
    if (own.length !== base.length)
      throw new UserError({
        where: "compare",
        what: "the settings have other numbers of runs",
        expected: String(base.length),
        got: String(own.length),
      });
    const [{ run, answered } = {}] = own;
    const before = base[0]?.answered;
    if (run === undefined || answered === undefined || before === undefined) continue;
    const of = (seeds: readonly Seed[]): Counts =>
      meanCounts(
        seeds.map((seed) => seed.answered),
        seeds.map((seed) => counted(seed.run, seed.answered, run)),
      );
    const called = (seeds: readonly Seed[]): string => seeds.map((seed) => seed.run.config.name).join(", ");
    const lines = comparison(before, answered, { base: of(base), run: of(own) });
    process.stdout.write(`${[`${called(own)} against ${called(base)}`, ...lines].join("\n")}\n`);
  }
}

async function main(words: readonly string[]): Promise<void> {
  const [command, ...rest] = words;
  const [first, ...others] = rest;
  if (command === "questions" && first !== undefined && others.length === 0) {
    for (const [split, count] of Object.entries(writeLongAnswers(first))) process.stdout.write(`${split}: ${count} questions\n`);
    return;
  }
  if (command !== "compare" || first === undefined || others.length === 0)
    throw new UserError({
      where: "penalty-experiment",
      what: "doesn't know what to do",
      expected: "questions FOLDER, or compare BASE,… RUN,… …",
      got: words.join(" "),
    });
  await compare(first, others);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runToExit(
    () => "penalty-experiment",
    () => main(process.argv.slice(2)),
  );
}
