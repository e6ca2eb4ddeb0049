/**
 * What `tandem index` is asked to make: the folders that its options name, and the settings of the run or of the configuration. It embeds nothing. The trap: a model of the hub may have to be fetched for it, which one process of
 * several does for all.
 */
import path from "node:path";
import { modelPlace } from "../config/model-name.js";
import { UserError } from "../errors.js";
import type { SearchFolders } from "../job/index/open-search.js";
import type { DeviceChoice } from "../job/hardware.js";
import { ownThreads } from "../job/own-threads.js";
import type { Report } from "../job/reporter.js";
import { configOf, type OverrideArguments } from "./overrides.js";

/** The part of a configuration that an index has. */
const NEEDED = { needed: ["index", "device", "threads"] };

export interface IndexArguments extends OverrideArguments {
  run: string | undefined;
  retriever: string | undefined;
  corpus: string | undefined;
  output: string | undefined;
  rebuild: boolean;
  json: boolean;
  quiet: boolean;
}

/** @param place of this process among several of its machine @throws UserError for whatever is wrong in a folder, a file or a word */
export async function chosen(
  given: IndexArguments,
  report: Report,
  place: Parameters<typeof ownThreads>[0] & Pick<DeviceChoice, "localRank"> & { readonly isQuiet?: boolean } = { localWorkers: 1 },
): Promise<{ folders: SearchFolders; faiss: boolean }> {
  const { run: name, retriever, corpus, output } = given;
  const { runDevice } = await import("../job/hardware.js");
  if (name !== undefined) {
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { searchFolders } = await import("../job/run/open-pair.js");
    const { refuseSettledKeys } = await import("../job/run/settled-keys.js");
    const run = findTrainedRun(name, given.overrides);
    refuseSettledKeys(run.sources, ["index", "device", "threads"]);
    const freed = await divideThreads(run.config.threads, place);
    return { folders: searchFolders(run, runDevice(run.config.device, place), freed), faiss: run.config.index.faiss };
  }
  if (retriever === undefined || corpus === undefined || output === undefined) throw nothingChosen();
  const { config } = configOf(given, NEEDED, place.isQuiet);
  const freed = await divideThreads(config.threads, place);
  const { faissSettings } = await import("../job/index/index-settings.js");
  const { metric, faiss } = config.index;
  const words = given.overrides.map((word) => ` ${quoted(word)}`).join("");
  return {
    folders: {
      retriever: await retrieverFolder(retriever, report),
      corpus,
      index: { folder: path.normalize(output) },
      metric,
      approximate: faissSettings(config.index, freed) ?? null,
      device: runDevice(config.device, place),
      command: `tandem index --retriever ${quoted(retriever)} --corpus ${quoted(corpus)} --output ${quoted(output)}${words}`,
    },
    faiss,
  };
}

/**
 * What the command asks for, read without making or loading anything: equal for processes that are to make one index together.
 *
 * @throws UserError for whatever is wrong in a file or a word
 */
export async function wantedIndex(given: IndexArguments, isQuiet: boolean): Promise<object> {
  const { run: name, retriever, corpus, output, rebuild } = given;
  const { renderYaml } = await import("../config/render.js");
  if (name !== undefined) {
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { places, config } = findTrainedRun(name, given.overrides);
    return { run: path.resolve(places.path), config: renderYaml(config), rebuild };
  }
  if (retriever === undefined || corpus === undefined || output === undefined) throw nothingChosen();
  const { config } = configOf(given, NEEDED, isQuiet);
  return { retriever, corpus: path.resolve(corpus), output: path.resolve(output), config: renderYaml(config), rebuild };
}

function nothingChosen(): UserError {
  return new UserError({
    where: "command line",
    what: "says neither which run nor which folders",
    expected: "--run RUN, or --retriever, --corpus and --output",
    remedy: "see tandem index --help",
  });
}

/** Takes this process's share of the threads. Returns those that it has again when the others of its machine only wait: for FAISS. */
async function divideThreads(wanted: number | null, place: Parameters<typeof ownThreads>[0]): Promise<number | undefined> {
  const { engineFacts, setThreads } = await import("../engine/info.js");
  const all = engineFacts().threads;
  const threads = wanted ?? ownThreads(place, all);
  if (threads !== undefined) setThreads(threads);
  return wanted === null && place.cores === undefined ? all : undefined;
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
