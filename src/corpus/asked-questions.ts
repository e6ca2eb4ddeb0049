/**
 * Questions to search for or to ask, many at once: plain lines, `question<TAB>answer` lines or JSON lines. Not a question set: answers aren't needed (questions.ts reads sets and needs
 * them). The trap: one answer line is owed for every question, so a line that can't be used stops the reading; nothing is left out.
 */
import { UserError } from "../errors.js";
import { historyOf } from "./history.js";
import type { HistoryTurn } from "./question.js";
import { readLines, type Line } from "../storage/json-lines.js";

export interface AskedQuestion {
  readonly question: string;
  /** The file's own id. */
  readonly id?: string;
  /** Gold answers, where the file has them: shown, never used. */
  readonly answers?: readonly string[];
  /** What was asked and answered before, oldest first. */
  readonly history?: readonly HistoryTurn[];
}

/** @throws UserError naming file and line: missing, not UTF-8, an empty question, no question at all */
export function readAskedQuestions(file: string): AskedQuestion[] {
  return parseAskedQuestions(readLines(file), file);
}

/** The questions of text that came from elsewhere, such as standard input. @throws UserError as {@link readAskedQuestions} */
export function askedQuestionsOf(bytes: Uint8Array, where: string): AskedQuestion[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UserError({ where, what: "is not UTF-8", remedy: "convert it: iconv -t UTF-8" }, { cause: error });
  }
  const lines = text.split("\n").map((line, i) => ({ line: line.replace(/\r$/, ""), number: i + 1 }));
  return parseAskedQuestions(lines, where);
}

function parseAskedQuestions(lines: Iterable<Line>, where: string): AskedQuestion[] {
  const questions: AskedQuestion[] = [];
  for (const { line, number } of lines) if (line.trim() !== "") questions.push(parseLine(line, `${where}:${number}`));
  if (questions.length > 0) return questions;
  throw new UserError({
    where,
    what: "holds no question",
    expected: "a question a line, question<TAB>answer, or {question} as JSON",
    got: "nothing",
  });
}

function parseLine(line: string, where: string): AskedQuestion {
  if (line.trimStart().startsWith("{")) return parseObject(line, where);
  const [question = "", ...answers] = line.split("\t").map((field) => field.trim());
  if (question === "") throw emptyQuestion(where);
  return answers.length === 0 ? { question } : { question, answers };
}

function parseObject(line: string, where: string): AskedQuestion {
  let value: { question?: unknown; id?: unknown; answers?: unknown; history?: unknown };
  try {
    value = JSON.parse(line) as typeof value;
  } catch (error) {
    throw new UserError({ where, what: `is not JSON: ${(error as Error).message}`, remedy: "write one JSON object on each line" });
  }
  const { question, id, answers, history } = value;
  if (typeof question !== "string")
    throw new UserError({ where, what: "field 'question'", expected: "text", got: question === undefined ? "nothing" : typeof question });
  if (question.trim() === "") throw emptyQuestion(where);
  const isList = Array.isArray(answers) && answers.every((answer) => typeof answer === "string");
  return {
    question: question.trim(),
    ...(typeof id === "string" || typeof id === "number" ? { id: String(id) } : {}),
    ...(isList ? { answers: answers } : {}),
    ...(history === undefined || history === null ? {} : { history: historyOf(history, (what) => wrongHistory(what, where)) }),
  };
}

function wrongHistory(what: string, where: string): UserError {
  return new UserError({
    where,
    what,
    expected: "[{question, answer}, …], oldest first",
    remedy: "mend the line, or take the history out",
  });
}

function emptyQuestion(where: string): UserError {
  return new UserError({ where, what: "the question is empty", expected: "words", remedy: "take the line out" });
}
