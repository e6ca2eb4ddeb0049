/**
 * `tandem index`: builds, verifies or rebuilds the index of a run's retriever, or of any retriever folder over any passage store. It embeds and writes; searching is `tandem search`. The trap: an
 * index that belongs to another retriever or corpus is never overwritten unless `--rebuild` says so.
 */
import path from "node:path";
import type { CommandModule } from "yargs";
import { modelPlace } from "../config/model-name.js";
import { requireOneProcess } from "../config/launch-environment.js";
import { UserError } from "../errors.js";
import type { MadeIndex } from "../job/index/make-index.js";
import type { SearchFolders } from "../job/index/open-search.js";
import type { Report } from "../job/reporter.js";
import { jobDisplay } from "./job-display.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface IndexArguments extends OverrideArguments {
  run: string | undefined;
  retriever: string | undefined;
  corpus: string | undefined;
  output: string | undefined;
  rebuild: boolean;
  json: boolean;
  quiet: boolean;
}

export const command: CommandModule<object, IndexArguments> = {
  command: "index [overrides..]",
  describe: "build, verify or rebuild the index of a retriever over a corpus",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("run", { type: "string", requiresArg: true, describe: "a finished run, or latest: its retriever over its corpus" })
      .option("retriever", {
        type: "string",
        requiresArg: true,
        describe: "a sentence-transformers or Hugging Face folder, or a model's name on the hub",
      })
      .option("corpus", { type: "string", requiresArg: true, describe: "a passage store, made by tandem corpus" })
      .option("output", { type: "string", requiresArg: true, describe: "the index folder to make, with --retriever and --corpus" })
      .option("rebuild", { type: "boolean", default: false, describe: "build anew, whatever stands there" })
      .option("json", { type: "boolean", default: false, describe: "print {folder, outcome, provenance, seconds}" })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .conflicts("run", ["retriever", "corpus", "output"])
      .example("$0 index --run runs/<run>", "the run's current retriever: built if missing, else verified")
      .example("$0 index --run latest --rebuild", "anew, after the files were damaged")
      .example("$0 index --retriever models/all-MiniLM-L6-v2 --corpus stores/wiki --output indexes/wiki", "folders of your own")
      .example(
        "$0 index --retriever sentence-transformers/all-MiniLM-L6-v2 --corpus stores/wiki --output indexes/wiki",
        "a model of the hub",
      )
      .example("$0 index --run latest index=ivf 'index.search=\"nprobe=8\"'", "another index beside it, by FAISS")
      .example("$0 index --run latest device=cpu threads=8", "on another device")
      .epilogue(
        "An index holds vectors.npy, provenance.json and FAISS's flat.faiss, or index.faiss with index.factory. Verifying compares hashes and embeds some passages again.",
      ),
  handler: async (given) => {
    requireOneProcess(process.env);
    const display = jobDisplay({ quiet: given.quiet });
    const { makeIndex } = await import("../job/index/make-index.js");
    try {
      const { folders, faiss } = await chosen(given, display.report);
      const made = await makeIndex({ ...folders, faiss, rebuild: given.rebuild, report: display.report });
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(made, null, 2)}\n` : describe(made));
    } finally {
      display.finish();
    }
  },
};

function describe({ folder, outcome, provenance, seconds }: MadeIndex): string {
  const { size, dimension, metric, faiss } = provenance;
  const kind = faiss === undefined ? "exact" : faiss.factory;
  return `${outcome}: ${folder} (${size} passages, ${dimension} dimensions, ${metric}, ${kind}, ${seconds.toFixed(1)} s)\n`;
}

/** The folders that the options name, and the settings of the run or of the configuration. */
async function chosen(given: IndexArguments, report: Report): Promise<{ folders: SearchFolders; faiss: boolean }> {
  const { run: name, retriever, corpus, output } = given;
  const { runDevice } = await import("../job/hardware.js");
  const { setThreads } = await import("../engine/info.js");
  if (name !== undefined) {
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { searchFolders } = await import("../job/run/open-pair.js");
    const { refuseSettledKeys } = await import("../job/run/settled-keys.js");
    const run = findTrainedRun(name, given.overrides);
    refuseSettledKeys(run.sources, ["index", "device", "threads"]);
    if (run.config.threads !== null) setThreads(run.config.threads);
    return { folders: searchFolders(run, runDevice(run.config.device)), faiss: run.config.index.faiss };
  }
  if (retriever === undefined || corpus === undefined || output === undefined)
    throw new UserError({
      where: "command line",
      what: "says neither which run nor which folders",
      expected: "--run RUN, or --retriever, --corpus and --output",
      remedy: "see tandem index --help",
    });
  const { config } = configOf(given, { needed: ["index", "device", "threads"] });
  if (config.threads !== null) setThreads(config.threads);
  const { faissSettings } = await import("../job/index/index-settings.js");
  const { metric, faiss } = config.index;
  const words = given.overrides.map((word) => ` ${quoted(word)}`).join("");
  return {
    folders: {
      retriever: await retrieverFolder(retriever, report),
      corpus,
      index: { folder: path.normalize(output) },
      metric,
      approximate: faissSettings(config.index) ?? null,
      device: runDevice(config.device),
      command: `tandem index --retriever ${quoted(retriever)} --corpus ${quoted(corpus)} --output ${quoted(output)}${words}`,
    },
    faiss,
  };
}

/** The folder as it was typed, or that of the hub's model. */
async function retrieverFolder(text: string, report: Report): Promise<string> {
  const place = modelPlace(text);
  const { pretrainedFolder } = await import("../job/models/pretrained.js");
  const found = await pretrainedFolder("retriever", place, { report, setting: "--retriever" });
  if (path.isAbsolute(place)) return text;
  report({ type: "note", text: `retriever: ${found.text}` });
  return found.folder;
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w./=:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
