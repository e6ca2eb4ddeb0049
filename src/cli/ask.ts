/**
 * `tandem ask`: answers of a run's pair, with the passages they were taken from. It scores nothing; `tandem eval` does. The trap: a question without retrieval is asked with the closed-book
 * prompt, and no index is opened for it.
 */
import type { CommandModule } from "yargs";
import type { AskedQuestion } from "../corpus/asked-questions.js";
import { UserError } from "../errors.js";
import type { TrainedRun } from "../job/run/find-run.js";
import type { AskOptions, Pair, PairAnswer } from "../job/run/open-pair.js";
import { converse } from "./conversation.js";
import { decodingOverrides, inOptions, withDecoding, type DecodingArguments } from "./decoding-words.js";
import { hitJson, hitLines, plain } from "./hit-text.js";
import {
  askedQuestions,
  beginLoading,
  checkedK,
  questionWords,
  warn,
  warnOfLimits,
  withQuestions,
  type QuestionArguments,
} from "./question-words.js";

interface AskArguments extends QuestionArguments, DecodingArguments {
  run: string;
  retrieval: boolean;
  interactive: boolean;
}

/** Questions that are answered before the first of them is printed. */
const AT_ONCE = 64;

export const command: CommandModule<object, AskArguments> = {
  command: "ask <run> [question..]",
  describe: "ask a finished run: answer, passages, scores, titles",
  builder: (yargs) =>
    withDecoding(
      withQuestions(
        yargs.positional("run", {
          type: "string",
          demandOption: true,
          describe: "a run directory, or latest: the newest finished one in runs/",
        }),
        "how many passages the generator reads; the run's prompt.passages unless said otherwise",
      ),
    )
      .option("retrieval", {
        type: "boolean",
        default: true,
        describe: "look passages up first; --no-retrieval: answer from what the generator knows",
      })
      .option("interactive", {
        alias: "i",
        type: "boolean",
        default: false,
        describe: "a question a line from standard input, each with what was said before it; /new forgets",
      })
      .example('$0 ask runs/<run> "Who designed Hirpum?"', "the answer and what it was taken from")
      .example('$0 ask latest "Who designed Hirpum?" --no-retrieval', "what the generator says without passages")
      .example(
        "$0 ask latest --questions questions.txt --json > answers.jsonl",
        "many questions; text lines, question<TAB>answer, or JSON lines",
      )
      .example(
        "$0 ask latest --interactive",
        "a conversation: follow-ups are asked with what was said before, where the run's prompt has {history}",
      )
      .example('$0 ask latest "Who designed Hirpum?" --strategy sample --temperature 0.6 --answers 4', "four drawn answers, A1 to A4")
      .example('$0 ask latest "Who designed Hirpum?" --strategy beam --beams 8 --answers 3', "the three likeliest of eight beams")
      .example("cut -f1 qa.tsv | $0 ask latest -", "questions from standard input")
      .epilogue(
        "Results go to standard output, everything else to standard error. A stale index is refused with the command that rebuilds it.",
      ),
  handler: async (given) => {
    const k = checkedK(given.k);
    const asked = await questionsOf(given);
    await beginLoading(given.run);
    const { startEncoding } = await import("../text/encoding-thread.js");
    startEncoding();
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { openPair } = await import("../job/run/open-pair.js");
    const pair = openPair(runOf(given, findTrainedRun));
    try {
      if (given.retrieval && asked.length > 0) warnOfLimits(pair, asked, k ?? pair.folders.prompt.passages);
      warnOfHistory(pair, given, asked);
      const options = { retrieval: given.retrieval, ...(k === undefined ? {} : { k }) };
      if (given.interactive)
        await converse({ first: asked, ask: async (question) => (await print(pair, [question], options, given))[0] ?? "" });
      else
        for (let start = 0; start < asked.length; start += AT_ONCE) await print(pair, asked.slice(start, start + AT_ONCE), options, given);
    } finally {
      pair.dispose();
    }
  },
};

/** The run with the options over its config. @throws UserError that speaks of the options */
function runOf(given: AskArguments, find: (name: string, overrides: readonly string[]) => TrainedRun): TrainedRun {
  const overrides = decodingOverrides(given);
  try {
    return find(given.run, overrides);
  } catch (error) {
    throw overrides.length > 0 ? inOptions(error) : error;
  }
}

/** Asks, prints, and gives the first answers back. */
async function print(pair: Pair, asked: readonly AskedQuestion[], options: AskOptions, { json }: AskArguments): Promise<string[]> {
  const answers = await pair.answer(
    asked.map(({ question, history = [] }) => ({ question, history })),
    options,
  );
  const render = json ? asJson : asText;
  process.stdout.write(asked.map((question, i) => (answers[i] === undefined ? "" : render(answers[i], question))).join(""));
  return answers.map(({ answer }) => answer);
}

async function questionsOf(given: AskArguments): Promise<AskedQuestion[]> {
  if (!given.interactive) return askedQuestions(given);
  if (given.questions === undefined && !given.question.includes("-")) return questionWords(given);
  throw new UserError({
    where: "--interactive",
    what: "reads questions from standard input already",
    got: given.questions === undefined ? "-" : `--questions ${given.questions}`,
    remedy: "leave one of them out",
  });
}

function warnOfHistory(pair: Pair, { interactive, retrieval }: AskArguments, asked: readonly AskedQuestion[]): void {
  const { open, closed } = pair.showsHistory;
  if ((retrieval ? open : closed) || !(interactive || asked.some(({ history = [] }) => history.length > 0))) return;
  const key = retrieval ? "prompt.template" : "prompt.closed_book_template";
  warn(`the run's ${key} has no {history}: each question is asked as if it were the first`);
}

function asJson({ question, answer, answers, hits }: PairAnswer, { id, answers: gold }: AskedQuestion): string {
  const own = { ...(id === undefined ? {} : { id }), question, answer, answers };
  return `${JSON.stringify({ ...own, ...(gold === undefined ? {} : { gold }), passages: hits.map(hitJson) })}\n`;
}

function asText({ question, answers, hits }: PairAnswer, { answers: wanted }: AskedQuestion): string {
  const gold = wanted === undefined ? [] : [`gold: ${wanted.map(plain).join(" / ")}`];
  const given = answers.map((answer, i) => `A${answers.length > 1 ? i + 1 : ""}: ${plain(answer)}`);
  return [`Q: ${plain(question)}`, ...given, ...gold, ...hitLines(hits), "", ""].join("\n");
}
