/**
 * `tandem train`: makes or finds the run directory, drives the worker, shows what it says. Training itself is src/job and src/training; one process of several that a launcher started is train-in-team.ts. The trap: exit code 75 means
 * "saved, run me again", which a batch script turns into a requeue; every other code but 0 is final.
 */
import type { CommandModule } from "yargs";
import { requireOneProcess } from "../config/launch-environment.js";
import { stopWithLauncher } from "../distributed/handed-server.js";
import { launchPlace, tasksWithoutStep } from "../distributed/launch-environment.js";
import { tellTorchrun } from "../distributed/torchrun-error-file.js";
import { catchSignals, type CaughtSignals } from "../job/driver.js";
import { driveRun, leaveSoon } from "./drive-run.js";
import { namesSweep, trainSweep } from "./multirun.js";
import { withOverrides } from "./overrides.js";
import { openWanted, wantedRun, type TrainArguments } from "./run-to-train.js";
import { showEnd, shower } from "./show-training.js";
import { trainInTeam } from "./train-in-team.js";

export const command: CommandModule<object, TrainArguments> = {
  command: "train [overrides..]",
  describe: "train a retriever and a generator together, evaluate them, write the report",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("resume", {
        type: "string",
        requiresArg: true,
        describe: "go on with a run: a run directory, or auto, the last run of this name unless it is finished",
      })
      .option("multirun", {
        alias: "m",
        type: "boolean",
        default: false,
        describe: "a run of each combination of values: key=a,b, choice(a,b), range(3), range(0,1,0.25), glob(*)",
      })
      .option("profile", {
        type: "boolean",
        default: false,
        describe:
          "write <run>/profile/trace-<n>.json, where the time goes, for ui.perfetto.dev; operators of a few steps of each phase; other workers than the first write into rank-<r>/ there",
      })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .option("json", { type: "boolean", default: false, describe: "print the report as JSON, nothing else, to stdout" })
      .example("$0 train experiment=quickstart", "the encyclopaedia that comes with Tandem, minutes on two cores")
      .example("$0 train experiment=quickstart seed=1 train.generator.lr=1e-3", "other values")
      .example("$0 train experiment=squad data.root=data/squad", "real text, from a folder with the SQuAD files")
      .example("$0 train experiment=squad data.root=data/squad --resume auto", "in a batch script: go on where the last job stopped")
      .example('$0 train --multirun experiment=quickstart train.contrastive.lr=5e-4,1e-3 "seed=range(3)"', "six runs and one table")
      .epilogue(
        "SIGTERM, SIGUSR2 and Ctrl-C save the state and leave with exit code 75: run the same command with --resume auto to go on. The run directory (runs/<time>-<name>/) holds config, log, checkpoints, models, index, answers and report.",
      ),
  handler: async (command_) => {
    try {
      process.exitCode = await trained(command_);
    } catch (error) {
      tellTorchrun(process.env, error instanceof Error ? error.message : String(error));
      throw error;
    }
  },
};

/** The exit code. */
async function trained(command_: TrainArguments): Promise<number> {
  const isSweep = command_.multirun || namesSweep(command_.resume);
  if (isSweep) requireOneProcess(process.env);
  const place = launchPlace(process.env);
  const isAlone = place === undefined || place.size === 1;
  if (isAlone) requireOneProcess(process.env);
  const signals = catchSignals();
  stopWithLauncher(process.env);
  try {
    if (isSweep) return await trainSweep(command_, signals);
    if (!isAlone) return await trainInTeam(command_, place, signals);
    warnOfTasks(tasksWithoutStep(process.env));
    return await trainAlone(command_, signals);
  } finally {
    signals.release();
  }
}

async function trainAlone(command_: TrainArguments, signals: CaughtSignals): Promise<number> {
  const opened = openWanted(wantedRun(command_));
  const { run, server } = opened;
  const { show, finish } = shower(run, command_);
  const code = await driveRun(opened, signals, show, command_).finally(finish);
  if (server !== undefined) leaveSoon();
  showEnd(run, code, command_);
  return code;
}

function warnOfTasks(tasks: number | undefined): void {
  if (tasks === undefined) return;
  process.stderr.write(
    `warning: Slurm gave this job ${tasks} tasks, but tandem was started without srun, so one process trains alone; start it with srun, or ask for --ntasks=1\n`,
  );
}
