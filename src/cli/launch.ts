/**
 * `tandem launch`: starts another command of this same Tandem as several processes of this machine, each with its place in the environment as torchrun would set it, and waits for them. It computes nothing itself. The traps: what a
 * launcher around it says contradicts it and is refused; and Ctrl-C on a terminal reaches the processes too, so that what it is passed on as isn't counted there as another one.
 */
import type { CommandModule } from "yargs";
import { requireOneProcess } from "../config/launch-environment.js";
import { didYouMean, nearestNames } from "../config/nearest.js";
import { launchPlace } from "../distributed/launch-environment.js";
import { launchProcesses, type LaunchEnd } from "../distributed/launch-processes.js";
import { UserError } from "../errors.js";
import { catchSignals, isStoppedEarly, lossOf, type CaughtSignals } from "../job/driver.js";
import { EXIT } from "../job/exit-codes.js";
import { LAUNCHED } from "./launch-words.js";

interface LaunchArguments {
  readonly workers: string | undefined;
  readonly verb: string;
  /** What was typed behind the command's name; see launch-words.ts. */
  readonly "--"?: string[];
}

/** The most processes of a launch, as `train.workers` has it. */
const MOST = 1024;

export const command: CommandModule<object, LaunchArguments> = {
  command: "launch <verb> [words..]",
  describe: "start another command as several processes of this machine",
  builder: (yargs) =>
    yargs
      .parserConfiguration({ "parse-positional-numbers": false, "dot-notation": false, "populate--": true })
      .positional("verb", { type: "string", demandOption: true, describe: `the command: ${LAUNCHED.join(", ")}` })
      .positional("words", { type: "string", array: true, describe: "its own options and key=value words" })
      .option("workers", { type: "string", requiresArg: true, describe: "how many processes" })
      .example(
        "$0 launch --workers 2 train experiment=quickstart",
        "as train.workers=2, with a process of its own for each worker's driver",
      )
      .example("$0 launch --workers 4 index --run latest --rebuild", "the passages' embedding in four parts")
      .example(
        "$0 launch --workers 4 index --retriever models/all-MiniLM-L6-v2 --corpus stores/wiki --output indexes/wiki",
        "any retriever",
      )
      .example("$0 launch --workers 4 eval latest", "the answers in four parts")
      .epilogue(
        "The processes share this machine's cores. The first has the terminal; what the others print is tagged by their rank. SIGTERM, SIGUSR2 and Ctrl-C are passed on; the third Ctrl-C kills. On several machines: torchrun, or srun (docs/hpc.md).",
      ),
  handler: async ({ workers, verb, "--": words = [] }) => {
    requireLaunched(verb);
    const size = sizeOf(workers);
    requireNoLauncher(process.env);
    requireNoOtherNumber(words);
    const signals = catchSignals();
    try {
      process.exitCode = await launched(size, [verb, ...words], signals);
    } finally {
      signals.release();
    }
  },
};

async function launched(size: number, words: readonly string[], signals: CaughtSignals): Promise<number> {
  const end = await launchProcesses({
    size,
    words: [...process.execArgv, process.argv[1] ?? "", ...words],
    environment: process.env,
    inOrder: [EXIT.finished, EXIT.requeue],
    onStart: (child) => {
      signals.passTo(child);
      if (signals.asked()) child.kill("SIGTERM");
    },
  });
  return exitCodeOf(end, size, signals);
}

/** @throws UserError when a signal ended a process that nobody asked to stop */
function exitCodeOf(end: LaunchEnd, size: number, signals: CaughtSignals): number {
  const { rank, pid, code, signal, lastLine } = end;
  if (isStoppedEarly(end, signals)) return EXIT.requeue;
  const name = `rank ${rank} of ${size} (process ${pid ?? "?"})`;
  if (signal !== null) throw new UserError({ where: name, what: lossOf({ signal, isSilent: false }, signals) });
  // The first one's own line stands on the terminal as it is.
  if (rank !== 0 && code !== EXIT.finished)
    process.stderr.write(`tandem launch: ${name}: ${lastLine ?? `ended with exit code ${code ?? "?"}`}\n`);
  return code ?? EXIT.bug;
}

/** @throws UserError for a command that isn't there, or that is one process */
function requireLaunched(verb: string): void {
  const names: readonly string[] = LAUNCHED;
  if (names.includes(verb)) return;
  throw new UserError({
    where: "command line",
    what: `'${verb}' isn't done by several processes together`,
    expected: names.join(", "),
    remedy: didYouMean(nearestNames(verb, names), "start it by itself; tandem --help lists the commands"),
  });
}

/** @throws UserError unless it is a whole number from 1 on */
function sizeOf(workers: string | undefined): number {
  const size = /^\d{1,15}$/.test(workers ?? "") ? Number(workers) : 0;
  if (size >= 1 && size <= MOST) return size;
  throw new UserError({
    where: "--workers",
    what: workers === undefined ? "isn't given" : "is no number of processes",
    expected: `1 to ${MOST}`,
    ...(workers === undefined ? {} : { got: `'${workers}'` }),
    remedy: "tandem launch --workers 2 train …: it stands before the command's name",
  });
}

/** @throws UserError inside of another launcher's process */
function requireNoLauncher(environment: NodeJS.ProcessEnv): void {
  requireOneProcess(environment);
  const place = launchPlace(environment);
  if (place === undefined) return;
  const launcher = { torchrun: "torchrun", slurm: "srun", tandem: "another tandem launch", script: "a script" }[place.launcher];
  throw new UserError({
    where: `RANK=${place.rank}, WORLD_SIZE=${place.size}`,
    what: `${launcher} has given this process its place among others already`,
    expected: "one launcher",
    remedy: "start the command itself here, without launch, or unset RANK and WORLD_SIZE",
  });
}

/** @throws UserError for words that ask for another number of processes */
function requireNoOtherNumber(words: readonly string[]): void {
  const workers = words.find((word) => /^[+~]*train\.workers(=|$)/.test(word));
  if (workers !== undefined)
    throw new UserError({
      where: workers,
      what: "--workers says how many processes train, each with one worker",
      remedy: "leave one of the two out",
    });
  const sweep = words.find((word) => word === "-m" || /^--multirun(=|$)/.test(word));
  if (sweep !== undefined)
    throw new UserError({
      where: sweep,
      what: "a sweep is one process, whose runs go one after another",
      remedy: "leave launch out, and set train.workers",
    });
}
