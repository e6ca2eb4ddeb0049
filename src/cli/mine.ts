/**
 * `tandem mine`: hard negatives for questions, as a file: by a run's retriever over its corpus, by folders of one's own, or by BM25 alone, under the rules of `train.contrastive.mining`. It trains nothing;
 * training mines for itself. The trap: what validation and test ask about mustn't become a negative either, so a run's own questions are mined as in training, and other files may name what is held out.
 */
import { existsSync } from "node:fs";
import type { Argv, CommandModule } from "yargs";
import { requireOneProcess } from "../config/launch-environment.js";
import type { TandemConfig } from "../config/schema.js";
import type { Question } from "../corpus/question.js";
import { UserError } from "../errors.js";
import type { MineReport } from "../job/mining/mine-questions.js";
import type { MinedFormat } from "../job/mining/mined-file.js";
import type { OpenSearch, SearchFolders } from "../job/index/open-search.js";
import type { Report } from "../job/reporter.js";
import { jobDisplay } from "./job-display.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface MineArguments extends OverrideArguments {
  run: string | undefined;
  retriever: string | undefined;
  corpus: string | undefined;
  index: string | undefined;
  questions: string | undefined;
  holdOut: string[];
  negatives: number;
  format: MinedFormat;
  output: string;
  json: boolean;
  quiet: boolean;
}

/** Keys that mean something here. */
const OPEN = ["train.contrastive.mining", "train.contrastive.positives", "train.contrastive.hard_negatives", "seed", "device", "threads"];

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
  handler: async (given) => {
    requireOneProcess(process.env);
    if (!(Number.isSafeInteger(given.negatives) && given.negatives > 0))
      throw new UserError({ where: "--negatives", what: "is no number of negatives", expected: "1 or more", got: String(given.negatives) });
    requirePaths(given);
    const { isTabSeparated } = await import("../job/mining/mined-file.js");
    isTabSeparated(given.output, given.format);
    const display = jobDisplay({ quiet: given.quiet });
    try {
      const { config, folders } = await sourcesOf(given);
      if (config.threads !== null) (await import("../engine/info.js")).setThreads(config.threads);
      const { search, store } = await opened(config, folders);
      const { questions, heldOut } = await asked(given, config, store, display.report);
      const { mineQuestions } = await import("../job/mining/mine-questions.js");
      const { output, format } = given;
      const template = folders.template ?? store.manifest.chunking.titleTemplate;
      const metric = search?.provenance.metric ?? "inner-product";
      const { device = "cpu" } = folders;
      const made = await mineQuestions({
        config,
        store,
        questions,
        heldOut,
        search,
        metric,
        template,
        device,
        output,
        format,
        report: display.report,
      });
      search?.retriever.index.dispose();
      search?.encoder.dispose();
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(made, null, 2)}\n` : reportText(made, given));
    } finally {
      display.finish();
    }
  },
};

/** Before the configuration is read, which has less to do with such a mistake. */
function requirePaths({ retriever, corpus, index, questions, holdOut }: MineArguments): void {
  const named = Object.entries({ retriever, corpus, index, questions }).concat(holdOut.map((file) => ["hold-out", file]));
  for (const [option, place] of named)
    if (place !== undefined && !existsSync(place))
      throw new UserError({ where: `--${option} ${place}`, what: "no such file or folder", remedy: "check the path" });
}

type Folders = Pick<SearchFolders, "corpus" | "template" | "device"> & { readonly search: SearchFolders | undefined };

/** The configuration and the folders. */
async function sourcesOf(given: MineArguments): Promise<{ config: TandemConfig; folders: Folders }> {
  const { runDevice } = await import("../job/hardware.js");
  const overrides = [...given.overrides, `train.contrastive.hard_negatives=${given.negatives}`];
  if (given.run !== undefined) {
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { searchFolders } = await import("../job/run/open-pair.js");
    const { refuseSettledKeys } = await import("../job/run/settled-keys.js");
    const run = findTrainedRun(given.run, overrides);
    // The run's own questions have their gold passages; other questions may have others.
    refuseSettledKeys(run.sources, given.questions === undefined ? OPEN : [...OPEN, "data.questions.gold_passages"]);
    const search = searchFolders(run, runDevice(run.config.device));
    return { config: run.config, folders: { ...search, search } };
  }
  const { config, warnings } = configOf({ ...given, overrides }, { needed: [...OPEN, "data.questions.gold_passages"] }, true);
  // The default schedule is nobody's here: nothing is trained.
  for (const warning of warnings) if (!warning.includes(" of the schedule")) process.stderr.write(`warning: ${warning}\n`);
  const { retriever, corpus, index } = given;
  const isLexical = config.train.contrastive.mining.source === "bm25";
  if (corpus === undefined || given.questions === undefined || (!isLexical && (retriever === undefined || index === undefined)))
    throw new UserError({
      where: "command line",
      what: "doesn't say whose negatives of which questions",
      expected: "--run RUN, or --questions, --corpus and, unless train.contrastive.mining.source=bm25, --retriever and --index",
      remedy: "see tandem mine --help",
    });
  const device = runDevice(config.device);
  const command = `tandem index --retriever ${retriever ?? ""} --corpus ${corpus} --output ${index ?? ""}`;
  const search =
    isLexical || retriever === undefined || index === undefined
      ? undefined
      : { retriever, corpus, index: { folder: index }, device, command };
  return { config, folders: { corpus, device, search } };
}

/** Store and, unless BM25 is asked alone, retriever and index. */
async function opened(
  config: TandemConfig,
  { corpus, search: folders }: Folders,
): Promise<{ search: OpenSearch | undefined; store: OpenSearch["store"] }> {
  if (config.train.contrastive.mining.source === "bm25" || folders === undefined) {
    const { openNamedStore } = await import("./named-store.js");
    return { search: undefined, store: await openNamedStore(corpus) };
  }
  const { openSearch } = await import("../job/index/open-search.js");
  const search = openSearch(folders);
  return { search, store: search.store };
}

/** The questions, aligned to the store by the run's gold passages or those that the command line names, and the documents that give no negatives. */
async function asked(
  { questions: file, holdOut }: MineArguments,
  config: TandemConfig,
  store: OpenSearch["store"],
  report: Report,
): Promise<{ questions: readonly Question[]; heldOut: Set<string> }> {
  const { aligned, heldOutDocuments, namedGold, prepareQuestions, readReported } = await import("../job/data/data.js");
  const gold = await namedGold(config.data);
  const read = (from: string): Question[] => aligned(readReported(from, report), gold, store, from, report);
  const others = heldOutDocuments({ valid: holdOut.flatMap(read), test: [] }, store);
  if (file !== undefined) return { questions: read(file), heldOut: others };
  const sets = await prepareQuestions(config.data, store, report, true);
  const held = config.data.questions.hold_out_passages ? heldOutDocuments(sets, store) : new Set<string>();
  return { questions: sets.train, heldOut: new Set([...others, ...held]) };
}

function reportText(made: MineReport, { output, format, negatives }: MineArguments): string {
  const number = (count: number): string => count.toLocaleString("en-US");
  const unit = { triplet: "triplets", "n-tuple": `tuples of ${negatives} negatives`, dpr: "questions" }[format];
  const rules = Object.entries(made.rules).filter(([, count]) => count > 0);
  const named = (key: string): string =>
    key
      .slice("dropped".length)
      .replace(/(?!^)[A-Z]/g, " $&")
      .toLowerCase();
  const lines = [
    `${number(made.questions)} questions: ${number(made.withoutPositives)} without a positive, ${number(made.withoutNegatives)} lost all negatives, ${number(made.withFewer)} have fewer than ${negatives}`,
    ...(rules.length === 0 ? [] : ["dropped by rule:", ...rules.map(([key, count]) => `  ${named(key).padEnd(16)} ${number(count)}`)]),
    ...scoreLines(made.scores),
    `${output}: ${number(made.written)} ${unit}`,
  ];
  return `${lines.join("\n")}\n`;
}

function scoreLines(scores: MineReport["scores"]): string[] {
  if (scores === null) return ["scores: of two searches, whose scales differ; not summed up"];
  const cell = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : value.toFixed(4)).padStart(10);
  const head = ["scores", "count", "mean", "std", "min", "25%", "50%", "75%", "max"];
  const rows = Object.entries(scores).map(([name, { count, mean, deviation, minimum, quartiles, maximum }]) => {
    const values = [mean, deviation, minimum, ...(quartiles ?? [null, null, null]), maximum];
    return `${name.padEnd(10)}${String(count).padStart(10)}${values.map(cell).join("")}`;
  });
  return [
    `${head[0]?.padEnd(10) ?? ""}${head
      .slice(1)
      .map((word) => word.padStart(10))
      .join("")}`,
    ...rows,
  ];
}
