/**
 * A command, other than training, as one of several processes: each has a worker process that does its part, the first one's leads the others, and the first process shows what it says. What they do is the worker programs' own. The trap: a
 * result is printed once the bar is gone and the end is known, so that a pipe has it whole or not at all.
 */
import path from "node:path";
import { stopWithLauncher } from "../distributed/handed-server.js";
import type { LaunchPlace } from "../distributed/launch-environment.js";
import { catchSignals } from "../job/driver.js";
import { driveInTeam } from "../job/drive-in-team.js";
import { EXIT } from "../job/exit-codes.js";
import type { JobMessage } from "../job/reporter.js";
import { jobDisplay } from "./job-display.js";
import { hashOfAsked, inTeam } from "./team-command.js";

export interface TeamProgram {
  /** The command's name, whose worker program is `<name>-worker.ts` beside this file. */
  readonly name: string;
  /** What the worker is told, beside its place. */
  readonly order: object;
  /** What every process of the job must have been asked for: plain data. */
  readonly asked: object;
  /** What to do after a failure. */
  readonly goOn: string;
  /** Said when a signal ended it. */
  readonly stopped: string;
  readonly quiet: boolean;
}

/**
 * Does the command's work as one of the job's processes. Returns the exit code, the same on every rank.
 *
 * @param read what is wanted, read once signals are heeded
 * @throws UserError on every rank when one fails, naming it
 */
export async function programInTeam(place: LaunchPlace, read: () => Promise<TeamProgram>): Promise<number> {
  const signals = catchSignals();
  stopWithLauncher(process.env);
  const isFirst = place.rank === 0;
  const results: string[] = [];
  let finish = (): void => undefined;
  try {
    const { name, order, asked, goOn, stopped, quiet } = await read();
    const display = jobDisplay({ quiet });
    finish = () => display.finish();
    const show = (message: JobMessage): void => {
      if (message.type === "text") results.push(message.text);
      else display.report(message);
    };
    const code = await inTeam(hashOfAsked({ command: name, ...asked }), place, signals, (team) =>
      driveInTeam({
        team,
        run: `tandem ${name}`,
        program: { file: workerFile(name), order, goOn },
        localRank: place.localRank,
        localSize: place.localSize,
        cores: place.cpusPerTask,
        profile: false,
        signals,
        onMessage: isFirst ? show : () => undefined,
      }),
    );
    finish();
    process.stdout.write(results.join(""));
    if (isFirst && code === EXIT.requeue) process.stderr.write(stopped);
    return code;
  } finally {
    finish();
    signals.release();
  }
}

/** Compiled when this is compiled. */
function workerFile(name: string): string {
  return path.join(import.meta.dirname, `${name}-worker${path.extname(import.meta.filename)}`);
}
