/**
 * `tandem index`: builds, verifies or rebuilds the index of a run's retriever, or of any retriever folder over any passage store. It embeds and writes; searching is `tandem search`. The trap: an
 * index that belongs to another retriever or corpus is never overwritten unless `--rebuild` says so. One process of several has index-worker.ts do its part.
 */
import type { CommandModule } from "yargs";
import { EXIT } from "../job/exit-codes.js";
import { aloneOrInTeam } from "./alone-or-in-team.js";
import { chosen, wantedIndex, type IndexArguments } from "./index-folders.js";
import { madeText, STOPPED } from "./index-text.js";
import { jobDisplay } from "./job-display.js";
import { withOverrides } from "./overrides.js";

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
  handler: (given) =>
    aloneOrInTeam(
      () => makeAlone(given),
      async ({ rank }) => ({
        name: "index",
        order: { given },
        asked: await wantedIndex(given, rank !== 0),
        goOn: "run the same command again: what is embedded is kept",
        stopped: STOPPED,
        quiet: given.quiet,
      }),
    ),
};

/** The exit code. */
async function makeAlone(given: IndexArguments): Promise<number> {
  const display = jobDisplay({ quiet: given.quiet });
  const { IndexStopped, makeIndex } = await import("../job/index/make-index.js");
  const stop = stopWhereItIsKept();
  try {
    const { folders, faiss } = await chosen(given, display.report);
    const index = await makeIndex({ ...folders, faiss, rebuild: given.rebuild, report: display.report, ...stop });
    display.finish();
    process.stdout.write(madeText(index, given));
    return EXIT.finished;
  } catch (error) {
    if (!(error instanceof IndexStopped)) throw error;
    display.finish();
    process.stderr.write(STOPPED);
    return EXIT.requeue;
  } finally {
    display.finish();
  }
}

/** SIGTERM and SIGUSR2 end the build after the next block of passages, with all vectors kept; Ctrl-C ends it at once, with those of some seconds ago. */
function stopWhereItIsKept(): { readonly stopRequested: () => boolean } {
  let isAsked = false;
  for (const signal of ["SIGTERM", "SIGUSR2"] as const) process.on(signal, () => (isAsked = true));
  return { stopRequested: () => isAsked };
}
