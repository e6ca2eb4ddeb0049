/**
 * `tandem mine`: hard negatives for questions, as a file: by a run's retriever over its corpus, by folders of one's own, or by BM25 alone, under the rules of `train.contrastive.mining`. It trains nothing;
 * training mines for itself. What is done stands in mine-run.ts. The trap: of several processes each has its own folder to stand in, so what they compare is what the file depends on, not the whole config.
 */
import path from "node:path";
import type { Argv, CommandModule } from "yargs";
import type { LaunchPlace } from "../distributed/launch-environment.js";
import { EXIT } from "../job/exit-codes.js";
import { aloneOrInTeam } from "./alone-or-in-team.js";
import { jobDisplay } from "./job-display.js";
import { mined, mineText, requireWords, sourcesOf, type MineArguments } from "./mine-run.js";
import { withOverrides } from "./overrides.js";
import type { TeamProgram } from "./program-in-team.js";

export const command: CommandModule<object, MineArguments> = {
  command: "mine [overrides..]",
  describe: "hard negatives for your questions, as a file that other trainers read",
  // yargs' types don't know that hold-out becomes holdOut.
  builder: (yargs) =>
    withOverrides(yargs)
      .option("run", { type: "string", requiresArg: true, describe: "a finished run, or latest: its retriever, index and corpus" })
      .option("retriever", { type: "string", requiresArg: true, describe: "a sentence-transformers or Hugging Face folder" })
      .option("corpus", { type: "string", requiresArg: true, describe: "a passage store, made by tandem corpus" })
      .option("index", { type: "string", requiresArg: true, describe: "the index of both, made by tandem index" })
      .option("questions", {
        type: "string",
        requiresArg: true,
        describe: "a question file; with --run the run's own training questions unless given",
      })
      .option("hold-out", {
        type: "string",
        array: true,
        // One each time: the words behind it are settings.
        nargs: 1,
        default: [] as string[],
        describe: "question files whose documents give no negatives, such as validation's",
      })
      .option("negatives", { type: "number", requiresArg: true, default: 3, describe: "how many a question gets at most" })
      .option("format", {
        choices: ["triplet", "n-tuple", "dpr"] as const,
        default: "triplet" as const,
        describe: "sentence-transformers' columns, one negative a line or all; or DPR's JSON",
      })
      .option("output", { type: "string", requiresArg: true, demandOption: true, describe: "the file: .jsonl, .tsv, or .json for dpr" })
      .option("json", { type: "boolean", default: false, describe: "print the report as JSON" })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .conflicts("run", ["retriever", "corpus", "index"])
      .example(
        "$0 mine --run latest --output negatives.jsonl train.contrastive.mining.relative_margin=0.05",
        "NV-Retriever's TopK-PercPos (95 %)",
      )
      .example(
        "$0 mine --corpus stores/wiki --questions train.jsonl --output dpr.json --format dpr train.contrastive.mining.source=bm25",
        "BM25's, for DPR",
      )
      .example(
        "$0 mine --run latest --output hard.tsv train.contrastive.mining.teacher.path=models/ms-marco-MiniLM-L6-v2 train.contrastive.mining.max_score=0.5",
        "judged by a cross-encoder",
      )
      .epilogue(
        "The rules are the keys of train.contrastive.mining; `tandem config schema train.contrastive.mining` lists them. The report goes to standard output.",
      ) as unknown as Argv<MineArguments>,
  handler: (given) =>
    aloneOrInTeam(
      () => mineAlone(given),
      (place) => miningInTeam(given, place),
    ),
};

const toStderr = (text: string): void => void process.stderr.write(`warning: ${text}\n`);

/** The exit code. */
async function mineAlone(given: MineArguments): Promise<number> {
  await requireWords(given);
  const display = jobDisplay({ quiet: given.quiet });
  try {
    const sources = await sourcesOf(given, { warn: toStderr });
    if (sources.config.threads !== null) (await import("../engine/info.js")).setThreads(sources.config.threads);
    const made = await mined(given, sources, display.report);
    display.finish();
    process.stdout.write(mineText(made, given));
    return EXIT.finished;
  } finally {
    display.finish();
  }
}

async function miningInTeam(given: MineArguments, { rank }: LaunchPlace): Promise<TeamProgram> {
  await requireWords(given);
  const { config, run } = await sourcesOf(given, { warn: rank === 0 ? toStderr : () => undefined });
  const { seed, data, train } = config;
  const { retriever, corpus, index, questions, holdOut, negatives, format, output } = given;
  return {
    name: "mine",
    // What is the latest now may not be when the worker looks.
    order: { given: { ...given, run } },
    // What the file depends on: the rest of a config differs with the folder that a process was started in.
    asked: {
      config: { seed, contrastive: train.contrastive, gold: data.questions.gold_passages },
      run: run === undefined ? null : path.resolve(run),
      words: [retriever, corpus, index, questions, holdOut, negatives, format, output],
    },
    goOn: "run the same command again",
    stopped: "stopped; run the same command again\n",
    quiet: given.quiet,
  };
}
