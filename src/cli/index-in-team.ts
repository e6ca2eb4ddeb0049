/**
 * `tandem index` as one of several processes: each has a worker process (index-worker.ts) that embeds its parts of the corpus; the first one's makes the index of them, and the first process shows it. What is made is what one process
 * makes. The trap: the folders must be the same for all, on a file system that all nodes share; parts that others can't see would be missing.
 */
import path from "node:path";
import { stopWithLauncher } from "../distributed/handed-server.js";
import type { LaunchPlace } from "../distributed/launch-environment.js";
import { catchSignals } from "../job/driver.js";
import { driveInTeam } from "../job/drive-in-team.js";
import { EXIT } from "../job/exit-codes.js";
import type { JobMessage } from "../job/reporter.js";
import { wantedIndex, type IndexArguments } from "./index-folders.js";
import { STOPPED } from "./index-text.js";
import { jobDisplay } from "./job-display.js";
import { hashOfAsked, inTeam } from "./team-command.js";

/**
 * Makes the index as one of the job's processes. Returns the exit code, the same on every rank.
 *
 * @throws UserError on every rank when one fails, naming it
 */
export async function indexInTeam(given: IndexArguments, place: LaunchPlace): Promise<number> {
  const signals = catchSignals();
  stopWithLauncher(process.env);
  const isFirst = place.rank === 0;
  const display = jobDisplay({ quiet: given.quiet });
  const results: string[] = [];
  const show = (message: JobMessage): void => {
    if (message.type === "text") results.push(message.text);
    else display.report(message);
  };
  try {
    const asked = await wantedIndex(given, !isFirst);
    const code = await inTeam(hashOfAsked({ command: "index", ...asked }), place, signals, (team) =>
      driveInTeam({
        team,
        run: "tandem index",
        program: { file: workerFile(), order: { given }, goOn: "run the same command again: what is embedded is kept" },
        localRank: place.localRank,
        localSize: place.localSize,
        cores: place.cpusPerTask,
        profile: false,
        signals,
        onMessage: isFirst ? show : () => undefined,
      }),
    );
    display.finish();
    process.stdout.write(results.join(""));
    if (isFirst && code === EXIT.requeue) process.stderr.write(STOPPED);
    return code;
  } finally {
    display.finish();
    signals.release();
  }
}

/** The worker's file beside this one: compiled when this is compiled. */
function workerFile(): string {
  return path.join(import.meta.dirname, `index-worker${path.extname(import.meta.filename)}`);
}
