/**
 * The passage store of a config, alone: what a run would build in its `corpus/`, in a folder of one's own. Nothing is trained but, for a retriever from scratch, the tokenizer that passages are
 * measured with. The trap: a store replaces what stands at its place when it is complete, so a folder that isn't a store is refused, not replaced.
 */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import type { TandemConfig } from "../../config/schema.js";
import { buildCorpus, type CorpusReport } from "../../corpus/build-corpus.js";
import { MANIFEST_FILE } from "../../corpus/passage-manifest.js";
import { UserError } from "../../errors.js";
import { Encoder } from "../../retrieval/encoder.js";
import { aboutFile } from "../../storage/file-fault.js";
import { corpusJob, corpusTexts } from "./data.js";
import { encoderOverrides, prepareStart } from "../models/models.js";
import { pretrainedFolder } from "../models/pretrained.js";
import type { Report } from "../reporter.js";
import { scratchFolder } from "../../storage/scratch-folder.js";

/** Builds the store in `output`. @throws UserError for whatever is wrong with corpus, retriever or output */
export async function buildStore(config: TandemConfig, output: string, report: Report): Promise<CorpusReport> {
  requireReplaceable(output);
  const temporary = scratchFolder("corpus");
  try {
    const named = config.retriever.path;
    const retriever =
      named === null ? await scratchRetriever(config, temporary, report) : (await pretrainedFolder("retriever", named, { report })).folder;
    return await buildCorpus(corpusJob(config.data, output, retriever, longestInput(config, retriever), report));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The retriever that a run of this config would start with: it has the tokenizer. */
async function scratchRetriever(config: TandemConfig, temporary: string, report: Report): Promise<string> {
  const retriever = path.join(temporary, "retriever");
  // A generator folder that is there is left alone: none is made.
  await prepareStart(
    config,
    { retriever, generator: temporary },
    () => corpusTexts(config.data),
    () => [],
    report,
  );
  return retriever;
}

/** Tokens that the retriever reads of a passage. */
function longestInput(config: TandemConfig, folder: string): number {
  const encoder = Encoder.load(folder, encoderOverrides(config.retriever));
  const { maxTokens } = encoder.settings;
  encoder.dispose();
  return maxTokens;
}

function requireReplaceable(output: string): void {
  if (!existsSync(output)) return;
  const entries = aboutFile(output, () => (statSync(output).isDirectory() ? readdirSync(output) : undefined));
  if (entries?.length === 0 || entries?.includes(MANIFEST_FILE) === true) return;
  throw new UserError({
    where: output,
    what: "is something else than a passage store",
    expected: "a new folder or a store",
    got: entries === undefined ? "a file" : entries.slice(0, 3).join(", "),
    remedy: "choose another --output",
  });
}
