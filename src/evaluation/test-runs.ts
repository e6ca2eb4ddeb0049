/**
 * Finished runs of one setting against those of another, on the questions that all of them answered: reads their `validation/final.jsonl` and tests the differences. The statistics are compare-rows.ts's. The trap: answers of two runs can
 * be paired only if both answered the same questions of the same documents; anything else is refused, not matched as far as it goes.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { UserError } from "../errors.js";
import type { Answered } from "./answered.js";
import { compareSystems, type RowComparison } from "./compare-rows.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { readJsonLines } from "../storage/json-lines.js";

/** The answers of one run. */
export interface AnsweredRun {
  readonly run: string;
  readonly answered: readonly Answered[];
  /** Which questions, as its report says. */
  readonly split?: string | undefined;
}

export interface RunsTest {
  readonly runs: readonly string[];
  readonly against: readonly string[];
  readonly comparison: RowComparison;
}

export interface RunsTestOptions {
  /** Resamples of the interval, and permutations. */
  readonly samples: number;
  /** Only these metrics. */
  readonly metrics?: readonly string[];
}

const CONFIDENCE = 0.95;
const FIGURES = ["em", "f1", "rougeL", "answerInContext"] as const;

/** The answers to a finished run's test questions. @throws UserError naming file and line, and where the run isn't finished */
export function readAnswered(run: string): AnsweredRun {
  const file = path.join(run, "validation", "final.jsonl");
  if (!existsSync(file))
    throw new UserError({
      where: run,
      what: "the run hasn't finished",
      expected: "validation/final.jsonl, which a run writes at its end",
      remedy: `wait for it, or go on with it where it was stopped: tandem train --resume ${run}`,
    });
  return { run, answered: linesOf(file, FIGURES, "let the run finish: tandem train --resume"), split: splitOf(run) };
}

/** Undefined where the report is gone. */
function splitOf(run: string): string | undefined {
  const file = path.join(run, "report.json");
  if (!existsSync(file)) return undefined;
  const { split } = expectObject(readJson(file), file);
  return typeof split === "string" ? split : undefined;
}

/**
 * What another system answered or found: JSON lines like those of a run, with `id`, `document`, and any of the figures; those that a line lacks are left out of the comparison.
 *
 * @throws UserError naming file and line
 */
export function readOthersAnswers(file: string): AnsweredRun {
  return { run: file, answered: linesOf(file, [], "give another file") };
}

function linesOf(file: string, needed: readonly string[], remedy: string): Answered[] {
  const answered = [...readJsonLines(file, (value, where) => answeredOf(value, where, needed))];
  if (answered.length === 0) throw new UserError({ where: file, what: "holds no answers", remedy });
  return answered;
}

/** @throws UserError when the runs answered other questions, or for a metric that they don't have */
export function testRuns(runs: readonly AnsweredRun[], against: readonly AnsweredRun[], { samples, metrics }: RunsTestOptions): RunsTest {
  const [first] = runs;
  if (first === undefined || against.length === 0) throw new Error("a test needs runs on both sides");
  const questions = questionsOf(first);
  for (const other of [...runs, ...against])
    if (questionsOf(other) !== questions)
      throw new UserError({
        where: other.run,
        what: "answered other questions",
        expected: `the ${countOf(first)} questions of ${first.run}, in their order`,
        got: `${countOf(other)} questions${other.answered.length === first.answered.length && other.split === first.split ? ", other ones" : ""}`,
        remedy:
          "score it on the same questions: tandem eval, with eval.split or eval.questions; the answers.jsonl that it writes may stand for the run here",
      });
  const ks = Object.keys(first.answered.find(({ retrieval }) => retrieval !== undefined)?.retrieval?.recall ?? {}).map(Number);
  const all = compareSystems(
    runs.map(({ answered }) => answered),
    against.map(({ answered }) => answered),
    { recallKs: ks, samples, confidence: CONFIDENCE, permutations: samples },
  );
  const missing = metrics?.find((name) => all[name] === undefined);
  if (missing !== undefined)
    throw new UserError({ where: "--metric", what: "no such figure", expected: `one of ${Object.keys(all).join(", ")}`, got: missing });
  const comparison = Object.fromEntries(Object.entries(all).filter(([name]) => metrics?.includes(name) ?? true));
  return { runs: runs.map(({ run }) => run), against: against.map(({ run }) => run), comparison };
}

function countOf({ answered, split }: AnsweredRun): string {
  return split === undefined ? String(answered.length) : `${answered.length} ${split}`;
}

function questionsOf({ answered }: AnsweredRun): string {
  return JSON.stringify(answered.map(({ id, document }) => [id, document]));
}

/** @param needed figures that every line must have */
function answeredOf(value: unknown, where: string, needed: readonly string[]): Answered {
  const entry = expectObject(value, where);
  const wrong = (["id", "document"] as const).find((key) => typeof entry[key] !== "string");
  const odd = wrong ?? FIGURES.find((key) => (entry[key] !== undefined || needed.includes(key)) && !Number.isFinite(entry[key]));
  if (odd !== undefined)
    throw new UserError({ where, what: `'${odd}' is missing or of another kind`, expected: "a line of answers as a run writes them" });
  if (entry["retrieval"] !== undefined) {
    const retrieval = expectObject(entry["retrieval"], `${where}, retrieval`);
    for (const name of ["recall", "ndcg"]) expectObject(retrieval[name], `${where}, retrieval.${name}`);
  }
  return entry as unknown as Answered;
}
