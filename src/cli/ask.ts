/**
 * `tandem ask`: answers of a run's pair, with the passages they were taken from. It scores nothing; `tandem eval` does. The trap: a question without retrieval is asked with the closed-book
 * prompt, and no index is opened for it.
 */
import type { CommandModule } from "yargs";
import type { AskedQuestion } from "../corpus/asked-questions.js";
import type { PairAnswer } from "../job/open-pair.js";
import { decodingOverrides, withDecoding, type DecodingArguments } from "./decoding-words.js";
import { hitJson, hitLines, plain } from "./hit-text.js";
import { askedQuestions, checkedK, warnOfLimits, withQuestions, type QuestionArguments } from "./question-words.js";

interface AskArguments extends QuestionArguments, DecodingArguments {
  run: string;
  retrieval: boolean;
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
      .option("retrieval", { type: "boolean", default: true, describe: "--no-retrieval: the generator answers from what it knows" })
      .example('$0 ask runs/<run> "Who founded Kaldom?"', "the answer and what it was taken from")
      .example('$0 ask latest "Who founded Kaldom?" --no-retrieval', "what the generator says without passages")
      .example(
        "$0 ask latest --questions questions.txt --json > answers.jsonl",
        "many questions; text lines, question<TAB>answer, or JSON lines",
      )
      .example('$0 ask latest "Who founded Kaldom?" --strategy sample --temperature 0.6 --answers 4', "four drawn answers, A1 to A4")
      .example('$0 ask latest "Who founded Kaldom?" --strategy beam --beams 8 --answers 3', "the three likeliest of eight beams")
      .example("cut -f1 qa.tsv | $0 ask latest -", "questions from standard input")
      .epilogue(
        "Results go to standard output, everything else to standard error. A stale index is refused with the command that rebuilds it.",
      ),
  handler: async (given) => {
    const k = checkedK(given.k);
    const asked = await askedQuestions(given);
    const { findTrainedRun } = await import("../job/find-run.js");
    const { openPair } = await import("../job/open-pair.js");
    const pair = openPair(findTrainedRun(given.run, decodingOverrides(given)));
    try {
      if (given.retrieval) warnOfLimits(pair, asked, k ?? pair.folders.prompt.passages);
      for (let start = 0; start < asked.length; start += AT_ONCE) {
        const part = asked.slice(start, start + AT_ONCE);
        const answers = await pair.answer(
          part.map(({ question }) => question),
          { retrieval: given.retrieval, ...(k === undefined ? {} : { k }) },
        );
        const render = given.json ? asJson : asText;
        process.stdout.write(part.map((question, i) => (answers[i] === undefined ? "" : render(answers[i], question))).join(""));
      }
    } finally {
      pair.dispose();
    }
  },
};

function asJson({ question, answer, answers, hits }: PairAnswer, { id, answers: gold }: AskedQuestion): string {
  const own = { ...(id === undefined ? {} : { id }), question, answer, answers };
  return `${JSON.stringify({ ...own, ...(gold === undefined ? {} : { gold }), passages: hits.map(hitJson) })}\n`;
}

function asText({ question, answers, hits }: PairAnswer, { answers: wanted }: AskedQuestion): string {
  const gold = wanted === undefined ? [] : [`gold: ${wanted.map(plain).join(" / ")}`];
  const given = answers.map((answer, i) => `A${answers.length > 1 ? i + 1 : ""}: ${plain(answer)}`);
  return [`Q: ${plain(question)}`, ...given, ...gold, ...hitLines(hits), "", ""].join("\n");
}
