/**
 * `tandem ask`: answers of a run's pair, with the passages they were taken from. It scores nothing; `tandem eval` does. The trap: a question without retrieval is asked with the closed-book
 * prompt, and no index is opened for it.
 */
import type { CommandModule } from "yargs";
import type { AskedQuestion } from "../corpus/asked-questions.js";
import type { PairAnswer } from "../job/open-pair.js";
import { hitJson, hitLines, plain } from "./hit-text.js";
import { askedQuestions, checkedK, warnOfLimits, withQuestions, type QuestionArguments } from "./question-words.js";

interface AskArguments extends QuestionArguments {
  run: string;
  retrieval: boolean;
}

/** Questions that are answered before the first of them is printed. */
const AT_ONCE = 64;

export const command: CommandModule<object, AskArguments> = {
  command: "ask <run> [question..]",
  describe: "ask a finished run: answer, passages, scores, titles",
  builder: (yargs) =>
    withQuestions(
      yargs.positional("run", {
        type: "string",
        demandOption: true,
        describe: "a run directory, or latest: the newest finished one in runs/",
      }),
      "how many passages the generator reads; the run's prompt.passages unless said otherwise",
    )
      .option("retrieval", {
        type: "boolean",
        default: true,
        describe: "look passages up first; --no-retrieval: answer from what the generator knows",
      })
      .example('$0 ask runs/<run> "Who founded Kaldom?"', "the answer and what it was taken from")
      .example('$0 ask latest "Who founded Kaldom?" --no-retrieval', "what the generator says without passages")
      .example(
        "$0 ask latest --questions questions.txt --json > answers.jsonl",
        "many questions; text lines, question<TAB>answer, or JSON lines",
      )
      .example("cut -f1 qa.tsv | $0 ask latest -", "questions from standard input")
      .epilogue(
        "Results go to standard output, everything else to standard error. A stale index is refused with the command that rebuilds it.",
      ),
  handler: async (given) => {
    const k = checkedK(given.k);
    const asked = await askedQuestions(given);
    const { openPair } = await import("../job/open-pair.js");
    const pair = openPair(given.run);
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
    pair.dispose();
  },
};

function asJson({ question, answer, hits }: PairAnswer, { id, answers }: AskedQuestion): string {
  const own = { ...(id === undefined ? {} : { id }), question, answer };
  return `${JSON.stringify({ ...own, ...(answers === undefined ? {} : { gold: answers }), passages: hits.map(hitJson) })}\n`;
}

function asText({ question, answer, hits }: PairAnswer, { answers }: AskedQuestion): string {
  const gold = answers === undefined ? [] : [`gold: ${answers.map(plain).join(" / ")}`];
  return [`Q: ${plain(question)}`, `A: ${plain(answer)}`, ...gold, ...hitLines(hits), "", ""].join("\n");
}
