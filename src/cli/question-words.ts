/**
 * The questions that `search` and `ask` share: words of the command line, a file, or standard input. It parses and warns; answering is the pair's. The trap: with nothing on the command line and a
 * terminal on standard input there is nothing to wait for, so that is a mistake, not a pause.
 */
import { existsSync } from "node:fs";
import type { Argv } from "yargs";
import { askedQuestionsOf, readAskedQuestions, type AskedQuestion } from "../corpus/asked-questions.js";
import { UserError } from "../errors.js";
import type { Pair } from "../job/run/open-pair.js";

/** What {@link withQuestions} adds to a command's arguments. */
export interface QuestionArguments {
  /** The words after the run. */
  question: string[];
  /** A file of questions, or `-`. */
  questions: string | undefined;
  k: number | undefined;
  json: boolean;
}

/** Declares the questions, `--questions`, `-k` and `--json`; the command's string must hold `[question..]`. */
export function withQuestions<Arguments>(yargs: Argv<Arguments>, k: string): Argv<Arguments & QuestionArguments> {
  return yargs
    .positional("question", {
      type: "string",
      array: true,
      default: [] as string[],
      describe: "questions in quotes; - reads standard input",
    })
    .option("questions", {
      type: "string",
      requiresArg: true,
      describe: "a file of questions: a line each, question<TAB>answer, or JSON lines; - is standard input",
    })
    .option("k", { type: "number", requiresArg: true, describe: k })
    .option("json", { type: "boolean", default: false, describe: "print one JSON object a line for each question" });
}

/** Begins to load libtorch beside what comes next, if there is a run at all: a mistyped name mustn't wait for it. */
export async function beginLoading(run: string): Promise<void> {
  if (!existsSync(run === "latest" ? "runs" : run)) return;
  const { loadNativeAhead } = await import("../engine/native.js");
  loadNativeAhead();
}

/** The questions on the command line alone. @throws UserError for an empty one */
export function questionWords({ question: words }: Pick<QuestionArguments, "question">): AskedQuestion[] {
  for (const word of words)
    if (/^[a-z_]+(\.[a-z_]+)+=/.test(word)) warn(`${word} is asked as a question: settings are options here, see --help`);
  return words.filter((word) => word !== "-").map((question) => ({ question: checkedQuestion(question) }));
}

/** The questions that are asked. @throws UserError when there is none, or a file can't be used */
export async function askedQuestions({ question: words, questions: file }: QuestionArguments): Promise<AskedQuestion[]> {
  const given = questionWords({ question: words });
  const isStdin = file === "-" || words.includes("-") || (file === undefined && words.length === 0 && !process.stdin.isTTY);
  const read = file === undefined || file === "-" ? [] : readAskedQuestions(file);
  const piped = isStdin ? askedQuestionsOf(await standardInput(), "standard input") : [];
  const all = [...given, ...read, ...piped];
  if (all.length > 0) return all;
  throw new UserError({ where: "command line", what: "no question", remedy: 'put one in quotes after the run: "Who designed Hirpum?"' });
}

/** `-k`, checked. @throws UserError unless it is a positive whole number */
export function checkedK(k: number | undefined): number | undefined {
  if (k === undefined || (Number.isSafeInteger(k) && k > 0)) return k;
  throw new UserError({ where: "-k", what: "is no number of passages", expected: "a whole number from 1", got: String(k) });
}

/** Says on stderr what isn't an error and yet changes what is found: a k above the corpus, questions that the retriever doesn't read to their end. */
export function warnOfLimits(pair: Pick<Pair, "store" | "tokensUnread" | "encoder">, questions: readonly AskedQuestion[], k: number): void {
  if (k > pair.store.size) warn(`k is ${k}, but the corpus has ${pair.store.size} passages: all of them are taken`);
  const long = questions.filter(({ question }) => pair.tokensUnread(question) > 0);
  const [first] = long;
  if (first !== undefined) {
    const which = long.length === 1 ? `the question "${shortened(first.question)}" is` : `${long.length} questions are`;
    warn(
      `${which} longer than the ${pair.encoder.settings.maxTokens} tokens that the retriever reads: what comes after isn't searched for`,
    );
  }
}

function shortened(text: string, most = 60): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

export function warn(text: string): void {
  process.stderr.write(`warning: ${text}\n`);
}

function checkedQuestion(question: string): string {
  if (question.trim() !== "") return question.trim();
  throw new UserError({ where: "command line", what: "a question is empty", expected: "words", remedy: "write it in quotes" });
}

/** Pipes between processes can't be opened as a file again, so the stream is read. */
async function standardInput(): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
