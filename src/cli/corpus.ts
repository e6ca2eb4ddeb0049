/**
 * `tandem corpus`: builds a passage store alone and reports what became of the text; checks question files; shows passages of a store; `corpus check` is corpus-check.ts. Training builds the same store by itself. The trap: a question file's
 * rejected lines are the report's most useful part, so all of them are printed, not the first few.
 */
import path from "node:path";
import type { Argv, CommandModule } from "yargs";
import { requireOneProcess } from "../config/launch-environment.js";
import type { CorpusReport } from "../corpus/build-corpus.js";
import type { PassageStore } from "../corpus/passage-store.js";
import type { RejectedQuestion } from "../corpus/question-set.js";
import { UserError } from "../errors.js";
import { check } from "./corpus-check.js";
import { plain } from "./hit-text.js";
import { jobDisplay } from "./job-display.js";
import { openNamedStore } from "./named-store.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface CorpusArguments extends OverrideArguments {
  output: string | undefined;
  questions: string[];
  json: boolean;
  quiet: boolean;
}

interface ShowArguments {
  store: string;
  passages: string[];
  json: boolean;
}

interface QuestionsReport {
  readonly file: string;
  readonly questions: number;
  readonly rejected: readonly RejectedQuestion[];
  readonly unanswerable: number;
}

const show: CommandModule<object, ShowArguments> = {
  command: "show <store> [passages..]",
  describe: "passages of a store, by row number or id",
  builder: (yargs) =>
    yargs
      .positional("store", { type: "string", demandOption: true, describe: "a passage store, or a run directory" })
      .positional("passages", {
        type: "string",
        array: true,
        default: [] as string[],
        describe: "row numbers from 0, or ids; none: what the store is",
      })
      .option("json", { type: "boolean", default: false, describe: "print one JSON object a line" })
      .example("$0 corpus show stores/wiki", "how many passages, made how")
      .example("$0 corpus show stores/wiki 0", "the first passage")
      .example("$0 corpus show runs/<run> 4f2c09a1b3d8e7560f1a2b3c4d5e6f70", "a passage that tandem search has named"),
  handler: async ({ store: folder, passages, json }) => {
    const store = await openNamedStore(folder);
    if (passages.length === 0) {
      const { shards, rowsById, ...facts } = store.manifest;
      const files = [...shards, rowsById].map(({ file }) => file);
      process.stdout.write(`${JSON.stringify({ ...facts, files }, null, json ? 0 : 2)}\n`);
      return;
    }
    const found = passages.map((wanted) => passageAt(store, wanted));
    const shown = found.map(({ row, passage: { id, title, text, document } }) =>
      json ? JSON.stringify({ row, id, title, text, document }) : `${row}  ${plain(title)}  [${id}]  of ${plain(document)}\n${text}\n`,
    );
    process.stdout.write(`${shown.join("\n")}\n`);
  },
};

/** Keeps these options from being offered by the commands below this one, where they mean nothing or are declared again. yargs knows the second argument, its types don't. */
function notBelow(yargs: Argv): Argv {
  const parser = yargs as unknown as { global: (names: readonly string[], isGlobal: boolean) => Argv };
  return parser.global(["overrides", "config-dir", "output", "questions", "quiet"], false);
}

export const command: CommandModule<object, CorpusArguments> = {
  command: "corpus [overrides..]",
  describe: "build a passage store alone, check question files and what they share, show passages",
  builder: (yargs: Argv) =>
    withOverrides(notBelow(yargs.command(show).command(check)))
      .option("output", { type: "string", requiresArg: true, describe: "the store's folder; a store that is there is replaced" })
      .option("questions", {
        type: "string",
        array: true,
        requiresArg: true,
        default: [] as string[],
        describe: "question files to check: every line that can't be used, and why",
      })
      .option("json", { type: "boolean", default: false, describe: "print {corpus, questions} as JSON" })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .example("$0 corpus experiment=quickstart --output stores/quickstart", "the quickstart's passages")
      .example(
        "$0 corpus data.corpus.format=wikiextractor data.corpus.path=extracted retriever.path=models/all-MiniLM-L6-v2 --output stores/wiki",
        "a wiki, measured in MiniLM's tokens",
      )
      .example("$0 corpus --questions qa.tsv", "which lines of a question file can't be used")
      .example("$0 corpus show stores/wiki 17", "passage 17")
      .example("$0 corpus check experiment=quickstart", "what training, validation and test questions share")
      .epilogue(
        "Passages are measured in tokens of retriever.path; without one, a tokenizer is trained on the corpus, as tandem train does.",
      ),
  handler: async (given) => {
    requireOneProcess(process.env);
    const { output, json, quiet } = given;
    if (output === undefined && given.questions.length === 0)
      throw new UserError({
        where: "command line",
        what: "there is nothing to do",
        expected: "--output or --questions",
        remedy: "see tandem corpus --help",
      });
    // Bad question files are cheap to find; a corpus may take hours.
    const { readQuestions } = await import("../corpus/questions.js");
    const { placeOf } = await import("../corpus/question-set.js");
    const questions = given.questions.map((file): QuestionsReport => {
      const { questions: usable, rejected, unanswerable } = readQuestions(file);
      return { file, questions: usable.length, rejected, unanswerable };
    });
    const corpus = output === undefined ? undefined : await build(given, output, quiet);
    process.stdout.write(
      json ? `${JSON.stringify({ corpus: corpus ?? null, questions }, null, 2)}\n` : reportText(corpus, questions, placeOf),
    );
  },
};

async function build(given: OverrideArguments, output: string, quiet: boolean): Promise<CorpusReport> {
  const { config } = configOf(given, { needed: ["data.corpus", "retriever"] });
  const display = jobDisplay({ quiet });
  try {
    const { buildStore } = await import("../job/data/build-store.js");
    return await buildStore(config, path.normalize(output), display.report);
  } finally {
    display.finish();
  }
}

function reportText(
  corpus: CorpusReport | undefined,
  questions: readonly QuestionsReport[],
  placeOf: (file: string, rejected: RejectedQuestion) => string,
): string {
  const checked = questions.flatMap(({ file, questions: usable, rejected, unanswerable }) => [
    `${file}: ${usable} questions, ${rejected.length} ${rejected[0]?.place === undefined ? "lines" : "bad ones"} left out${unanswerable === 0 ? "" : `, ${unanswerable} unanswerable left out`}`,
    ...rejected.map((each) => `${placeOf(file, each)}: ${each.reason}`),
  ]);
  return [...(corpus === undefined ? [] : corpusLines(corpus)), ...checked, ""].join("\n");
}

function corpusLines({ folder, passages, documents, duplicates, source, text, seconds }: CorpusReport): string[] {
  const { skipped, ignoredFiles } = source;
  return [
    `${folder}: ${passages} passages from ${documents} documents in ${source.files} files (${seconds.toFixed(1)} s)`,
    `  exact duplicates left out: ${duplicates}`,
    `  documents without text: ${skipped.empty}, redirects: ${skipped.redirects}, files of another format: ${ignoredFiles}`,
    // Windows know no paragraphs.
    ...(text.paragraphs === 0
      ? [`  passages that begin inside a sentence: ${text.cutSentences}`]
      : [
          `  short paragraphs joined to a neighbour: ${text.mergedParagraphs}`,
          `  long paragraphs split: ${text.splitParagraphs} into ${text.splitPassages} passages, ${text.cutSentences} cuts inside a sentence, ${text.tokensSaved} tokens saved from truncation`,
        ]),
    `  passages still too long for the retriever: ${text.truncatedPassages} (${text.truncatedTokens} tokens unread)`,
    `  tokens: ${text.tokens}, longest passage ${text.longestPassage}`,
  ];
}

/** A passage by row number or id. @throws UserError when there is none */
function passageAt(store: PassageStore, wanted: string): { row: number; passage: ReturnType<PassageStore["get"]> } {
  const isRow = /^\d{1,15}$/.test(wanted);
  const row = isRow ? Number(wanted) : store.rowOf(wanted.toLowerCase());
  if (row !== undefined && row < store.size) return { row, passage: store.get(row) };
  throw new UserError({
    where: store.folder,
    what: isRow ? `has no passage ${wanted}` : `has no passage with id ${JSON.stringify(wanted)}`,
    expected: isRow
      ? store.size === 0
        ? "nothing: the store is empty"
        : `0 to ${store.size - 1}`
      : "an id of 32 hexadecimal digits that is in this store",
    remedy: "tandem search prints ids",
  });
}
