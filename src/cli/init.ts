/**
 * `tandem init`: looks at somebody's corpus and questions, says what it found, and writes a commented config for them that `tandem train` runs as it stands. It trains nothing and changes no file that is
 * there. The trap: what is wrong with the files must come out here, not after an hour; so the same readers read them.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { Argv, CommandModule } from "yargs";
import { packageRoot } from "../config/search-path.js";
import { UserError } from "../errors.js";
import type { DataFindings } from "../job/data/look-at-data.js";
import { STARTER_MODELS, type StarterModel } from "../job/data/starter-config.js";

interface InitArguments {
  folder: string;
  corpus: string;
  questions: string;
  valid: string | undefined;
  test: string | undefined;
  goldPassages: string | undefined;
  model: StarterModel | undefined;
  json: boolean;
}

const FILE = "config.yaml";
const REJECTED_SHOWN = 5;

export const command: CommandModule<object, InitArguments> = {
  command: "init <folder>",
  describe: "write a config for your own corpus and questions",
  builder: (yargs) =>
    yargs
      .positional("folder", {
        type: "string",
        demandOption: true,
        describe: `the folder that gets ${FILE}; its name becomes the runs' name`,
      })
      .option("corpus", {
        type: "string",
        requiresArg: true,
        demandOption: true,
        describe: "a wikiextractor folder, {id, title, text} lines in a file or a folder of *.jsonl, or SQuAD's JSON",
      })
      .option("questions", {
        type: "string",
        requiresArg: true,
        demandOption: true,
        describe: "training questions: JSON lines {id, question, answers, passage_ids}, question<TAB>answer lines, or SQuAD's JSON",
      })
      .option("valid", { type: "string", requiresArg: true, describe: "validation questions; else a tenth of the documents" })
      .option("test", { type: "string", requiresArg: true, describe: "test questions; else a tenth of the documents" })
      .option("gold-passages", {
        type: "string",
        requiresArg: true,
        describe: "JSON lines of passages whose ids the questions use, where they aren't the corpus's",
      })
      .option("model", {
        choices: STARTER_MODELS,
        requiresArg: true,
        describe: "what to start from; else minilm-scratch where MiniLM's weights are, small where not",
      })
      .option("json", { type: "boolean", default: false, describe: "print {file, findings, next} as JSON" })
      .example("$0 init my-pair --corpus extracted --questions qa.tsv", "a wiki and question<TAB>answer lines")
      .example("$0 init my-pair --corpus passages.jsonl --questions train.jsonl --test test.jsonl", "questions that name their passages")
      .epilogue("docs/own-data.md leads from the files to a report.") as unknown as Argv<InitArguments>,
  handler: async (given) => {
    const file = path.join(given.folder, FILE);
    if (existsSync(file))
      throw new UserError({
        where: file,
        what: "is there already, and nothing is overwritten",
        remedy: "choose another folder, edit the file, or remove it",
      });
    const { lookAtData } = await import("../job/data/look-at-data.js");
    const { starterConfig } = await import("../job/data/starter-config.js");
    const { writeFileAtomic } = await import("../storage/atomic-write.js");
    const { aboutFile } = await import("../storage/file-fault.js");
    const { makeFolder } = await import("../storage/make-folder.js");
    const { corpus, questions, valid, test, goldPassages } = given;
    const findings = await lookAtData({
      corpus,
      questions,
      ...(valid === undefined ? {} : { valid }),
      ...(test === undefined ? {} : { test }),
      ...(goldPassages === undefined ? {} : { goldPassages }),
    });
    const next = `tandem train --config-dir ${quoted(given.folder)}`;
    const text = starterConfig(runName(given.folder), findings, given.model ?? foundModel(), next);
    aboutFile(given.folder, () => makeFolder(given.folder));
    writeFileAtomic(file, text);
    process.stdout.write(given.json ? `${JSON.stringify({ file, findings, next }, null, 2)}\n` : await described(file, findings, next));
  },
};

async function described(file: string, findings: DataFindings, next: string): Promise<string> {
  const { articles, questions } = await import("../job/data/starter-config.js");
  const { placeOf } = await import("../corpus/question-set.js");
  const { corpus, train, valid, test, gold } = findings;
  const sets = [train, valid, test].flatMap((set) => (set === undefined ? [] : [set]));
  const held =
    valid !== undefined && test !== undefined
      ? []
      : ["validation and test questions without a file of their own are taken from the training file, by document"];
  const rejected = sets.flatMap((set) => [
    ...set.rejected.slice(0, REJECTED_SHOWN).map((each) => `  ${placeOf(set.path, each)}: left out: ${each.reason}`),
    ...(set.rejected.length > REJECTED_SHOWN
      ? [`  and ${set.rejected.length - REJECTED_SHOWN} more; tandem corpus --questions lists them`]
      : []),
  ]);
  return [
    `corpus: ${corpus.format}, ${articles(findings)}; a paragraph ends at ${corpus.split === "blank" ? "a blank line" : "every line break"}`,
    ...sets.map((set) => `${set.path}: ${questions(set)}`),
    ...rejected,
    ...held,
    goldLine(gold),
    "",
    `written: ${file}`,
    `next: ${next}`,
    "",
  ].join("\n");
}

function goldLine(gold: DataFindings["gold"]): string {
  switch (gold.kind) {
    case "own":
      return "the questions stand beside the passages that answer them";
    case "file":
      return `passage ids lead to ${gold.path}`;
    case "store":
      return "passage ids are taken for content hashes of the corpus's own passages";
    case "lost":
      return `passage ids lead nowhere, for example ${JSON.stringify(gold.example)}: they are left unused; --gold-passages names the file that has them`;
    case "none":
      return "no question names its passage: the schedule trains on what is found, and the report has no recall";
  }
}

/** The folder's name, as far as a run may be called so. */
function runName(folder: string): string {
  const name = path
    .basename(path.resolve(folder))
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[.-]+/, "")
    .slice(0, 100);
  return name === "" ? "own" : name;
}

/** MiniLM's weights are read from where conf/model/minilm-scratch.yaml looks for them. */
function foundModel(): StarterModel {
  const folder = process.env["TANDEM_MINILM"] ?? path.join(packageRoot(), "models/all-MiniLM-L6-v2");
  return existsSync(path.join(folder, "config.json")) ? "minilm-scratch" : "small";
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w./=:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
