/**
 * Turns QA_bot's text (`Q: …`, `A: …`, a blank line; one record an answer) into a question file: `npx tsx tools/convert-qa-bot.ts custom_qa_dataset_dev.txt dev.jsonl`. A `.jsonl` has a question a line with all
 * its answers, a `.tsv` question<TAB>answer lines. Records that follow each other with the same question are one question. What can't be used is listed with its line, and no file is replaced.
 * The traps: line breaks and tabs inside a text would tear the lines of the output, so they become spaces; and equal questions further apart stay apart, for each may be about its own paragraph.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runToExit } from "../src/cli/exit.js";
import { UserError } from "../src/errors.js";
import { writeFileAtomic } from "../src/storage/atomic-write.js";
import { readLines, type Line } from "../src/storage/json-lines.js";

interface Converted {
  questions: { question: string; answers: string[] }[];
  rejected: { line: number; reason: string }[];
}

interface OpenRecord {
  line: number;
  question: string[];
  answers: string[][];
}

/** The questions of QA_bot's text in their order, each with its distinct answers. */
export function parseQaBot(lines: Iterable<Line>): Converted {
  const made: Converted = { questions: [], rejected: [] };
  let open: OpenRecord | undefined;
  const close = (): void => {
    if (open !== undefined) take(open, made);
    open = undefined;
  };
  for (const { line, number } of lines) {
    const [, mark, text = ""] = /^([QA]):(.*)$/s.exec(line) ?? [];
    if (line.trim() === "") close();
    else if (mark === "Q") {
      close();
      open = { line: number, question: [text], answers: [] };
    } else if (open === undefined) {
      made.rejected.push({ line: number, reason: mark === "A" ? "an answer without a question" : "neither Q: nor A:, outside a record" });
    } else if (mark === "A") open.answers.push([text]);
    else (open.answers.at(-1) ?? open.question).push(line);
  }
  close();
  return made;
}

function take({ line, question: parts, answers: given }: OpenRecord, made: Converted): void {
  const question = oneLine(parts);
  const answers = given.map(oneLine);
  const reason =
    question === ""
      ? "missing question"
      : answers.length === 0
        ? "a question without an answer"
        : answers.includes("")
          ? "empty answer"
          : undefined;
  if (reason !== undefined) {
    made.rejected.push({ line, reason });
    return;
  }
  const before = made.questions.at(-1);
  const same = before?.question === question ? before : undefined;
  const known = same?.answers ?? [];
  if (same === undefined) made.questions.push({ question, answers: known });
  for (const answer of answers) if (!known.includes(answer)) known.push(answer);
}

function oneLine(parts: readonly string[]): string {
  return parts.join(" ").replace(/\s+/g, " ").trim();
}

/** The output's text. @param name what the ids begin with: they are unique in one file only */
export function questionFile({ questions }: Converted, format: "jsonl" | "tsv", name: string, firstAnswer: boolean): string {
  const lines = questions.flatMap(({ question, answers }, i) => {
    const kept = firstAnswer ? answers.slice(0, 1) : answers;
    return format === "jsonl"
      ? [JSON.stringify({ id: `${name}-${i + 1}`, question, answers: kept })]
      : kept.map((answer) => `${question}\t${answer}`);
  });
  return lines.map((line) => `${line}\n`).join("");
}

const USAGE = "npx tsx tools/convert-qa-bot.ts [--first-answer] <QA_bot's .txt> <output .jsonl or .tsv>";

function main(words: string[]): void {
  const { input, output, firstAnswer } = argumentsOf(words);
  const format = /\.(jsonl|tsv)$/.exec(output)?.[1] as "jsonl" | "tsv" | undefined;
  if (format === undefined) throw new UserError({ where: output, what: "has no known ending", expected: ".jsonl or .tsv", remedy: USAGE });
  if (existsSync(output))
    throw new UserError({
      where: output,
      what: "is there already, and nothing is overwritten",
      remedy: "choose another name, or remove it",
    });
  const made = parseQaBot(readLines(input));
  const [first] = made.rejected;
  if (made.questions.length === 0)
    throw new UserError({
      where: first === undefined ? input : `${input}:${first.line}`,
      what: first === undefined ? "no question in this file" : `no usable record in this file; the first reason: ${first.reason}`,
      expected: "Q: question, A: answer, and a blank line",
      got: first === undefined ? "nothing" : `${made.rejected.length} places that can't be used`,
    });
  writeFileAtomic(output, questionFile(made, format, path.parse(input).name, firstAnswer));
  for (const { line, reason } of made.rejected) process.stderr.write(`warning: ${input}:${line}: left out: ${reason}\n`);
  process.stderr.write(`${output}: ${made.questions.length} questions, ${made.rejected.length} records left out\n`);
}

function argumentsOf(words: string[]): { input: string; output: string; firstAnswer: boolean } {
  try {
    const { values, positionals } = parseArgs({
      args: words,
      options: { "first-answer": { type: "boolean", default: false } },
      allowPositionals: true,
    });
    const [input, output, ...more] = positionals;
    if (input !== undefined && output !== undefined && more.length === 0) return { input, output, firstAnswer: values["first-answer"] };
  } catch (error) {
    throw new UserError({ where: "command line", what: (error as Error).message.split("\n")[0] ?? "", remedy: USAGE }, { cause: error });
  }
  throw new UserError({ where: "command line", what: "two files are needed", remedy: USAGE });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runToExit(
    () => "convert-qa-bot",
    () => {
      main(process.argv.slice(2));
      return Promise.resolve();
    },
  );
}
