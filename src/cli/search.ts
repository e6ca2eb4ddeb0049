/**
 * `tandem search`: what a run's retriever finds for questions, or what any retriever folder finds over a store. It answers nothing; `tandem ask` does. The trap: scores are those of the index's
 * metric; with l2 the smaller is the better one.
 */
import type { CommandModule } from "yargs";
import { hitJson, hitLines, plain } from "./hit-text.js";
import { askedQuestions, beginLoading, checkedK, warnOfLimits, withQuestions, type QuestionArguments } from "./question-words.js";

interface SearchArguments extends QuestionArguments {
  run: string;
}

const DEFAULT_K = 5;
/** Questions that are searched before the first of them is printed. */
const AT_ONCE = 256;

export const command: CommandModule<object, SearchArguments> = {
  command: "search <run> [question..]",
  describe: "the passages that a run's retriever finds, with their scores",
  builder: (yargs) =>
    withQuestions(
      yargs.positional("run", {
        type: "string",
        demandOption: true,
        describe: "a run directory, or latest: the newest finished one in runs/",
      }),
      `how many passages; ${DEFAULT_K} unless said otherwise`,
    )
      .example('$0 search runs/<run> "Who designed Hirpum?"', "score, title, id and text of the best passages")
      .example('$0 search latest "Who designed Hirpum?" -k 20 --json | jq ".hits[].title"', "titles only")
      .example("$0 search latest --questions questions.tsv --json > found.jsonl", "many questions, searched together")
      .example("cut -f1 qa.tsv | $0 search latest -", "questions from standard input")
      .epilogue(
        "Results go to standard output, everything else to standard error. A stale index is refused with the command that rebuilds it.",
      ),
  handler: async (given) => {
    const k = checkedK(given.k) ?? DEFAULT_K;
    const asked = await askedQuestions(given);
    await beginLoading(given.run);
    const { openPair } = await import("../job/run/open-pair.js");
    const pair = openPair(given.run);
    warnOfLimits(pair, asked, k);
    for (let start = 0; start < asked.length; start += AT_ONCE) {
      const part = asked.slice(start, start + AT_ONCE);
      const found = await pair.search(
        part.map(({ question }) => question),
        k,
      );
      const shown = part.map(({ question, id }, i) => {
        const hits = found[i] ?? [];
        if (given.json) return `${JSON.stringify({ ...(id === undefined ? {} : { id }), question, hits: hits.map(hitJson) })}\n`;
        return `${[...(asked.length === 1 ? [] : [plain(question)]), ...hitLines(hits)].join("\n")}\n`;
      });
      process.stdout.write(shown.join(given.json || asked.length === 1 ? "" : "\n"));
    }
    pair.dispose();
  },
};
