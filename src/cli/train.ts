/**
 * `tandem train`: makes or finds the run directory, drives the worker, shows what it says. Training itself is src/job and src/training. The trap: exit code 75 means "saved, run me again", which a
 * batch script turns into a requeue; every other code but 0 is final.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { CommandModule } from "yargs";
import { requireFiles } from "../config/missing-files.js";
import { requireOneProcess } from "../config/launch-environment.js";
import type { LoadedConfig } from "../config/load-config.js";
import { renderYaml } from "../config/render.js";
import type { TandemConfig } from "../config/schema.js";
import { UserError } from "../errors.js";
import { catchSignals } from "../job/driver.js";
import { EXIT } from "../job/exit-codes.js";
import { hasConfig } from "../job/run/find-run.js";
import type { JobMessage } from "../job/reporter.js";
import { createRunDirectory, latestRun, noteResumption, openRunDirectory, type RunDirectory } from "../tracking/run-directory.js";
import { collectVersions } from "../tracking/versions.js";
import { driveRun, leaveSoon, reopened, serverOf, type OpenedRun } from "./drive-run.js";
import { jobDisplay } from "./job-display.js";
import { namesSweep, trainSweep } from "./multirun.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface TrainArguments extends OverrideArguments {
  readonly multirun: boolean;
  readonly resume: string | undefined;
  readonly profile: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

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
        describe: "write <run>/profile/trace-<n>.json, where the time goes, for ui.perfetto.dev; operators of a few steps of each phase",
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
    requireOneProcess(process.env);
    const signals = catchSignals();
    if (command_.multirun || namesSweep(command_.resume)) {
      process.exitCode = await trainSweep(command_, signals).finally(() => signals.release());
      return;
    }
    const opened = openOrCreate(command_);
    const { run, server } = opened;
    const { show, finish: finishDisplay } = shower(run, command_);
    const code = await driveRun(opened, signals, show, command_).finally(() => {
      signals.release();
      finishDisplay();
    });
    if (server !== undefined) leaveSoon();
    if (code === EXIT.finished) finish(run, command_);
    else if (code === EXIT.requeue) process.stderr.write(`saved and stopped; go on with: tandem train --resume ${run.path}\n`);
    process.exitCode = code;
  },
};

/** The run directory to work in: a new one, or the one to go on with. After a finished run `--resume auto` begins another. What is wrong with the server's settings is said before anything is made. */
function openOrCreate(command_: TrainArguments): OpenedRun {
  if (command_.resume !== undefined && command_.resume !== "auto") return resumed(command_.resume, command_.overrides);
  const loaded = configOf(command_);
  const { config } = loaded;
  const wanted = command_.resume ?? config.resume;
  if (wanted !== null && wanted !== "auto")
    return resumed(
      wanted,
      command_.overrides.filter((word) => !word.startsWith("resume=")),
    );
  const latest = wanted === "auto" ? latestRun(config.run.dir, config.name) : undefined;
  const server = serverOf(config.tracking);
  if (latest !== undefined && !existsSync(latest.reportJson)) {
    requireSameConfig(latest, config);
    noteResumption(latest, { step: -1, overrides: command_.overrides, versions: collectVersions() });
    return { run: latest, tracking: config.tracking, server };
  }
  if (latest !== undefined) process.stderr.write(`the last run of this name is finished (${latest.path}); a new one begins\n`);
  return { run: created(loaded), tracking: config.tracking, server };
}

function created({ config, overrides, sources }: LoadedConfig): RunDirectory {
  requireFiles(config, sources);
  return createRunDirectory(config.run.dir, {
    name: config.name,
    configYaml: renderYaml({ ...config, resume: null }),
    overrides,
    versions: collectVersions(),
  });
}

function resumed(folder: string, overrides: readonly string[]): OpenedRun {
  const run = openRunDirectory(path.resolve(folder));
  if (overrides.length > 0)
    throw new UserError({
      where: `--resume ${folder}`,
      what: "a run goes on with its own config",
      got: overrides.join(" "),
      remedy: "leave the overrides out, or start a new run",
    });
  const opened = reopened(run);
  noteResumption(run, { step: -1, overrides, versions: collectVersions() });
  return opened;
}

/** A batch script that was edited between two jobs must not silently go on with the old values, nor mix both. Where the numbers are sent may change. */
function requireSameConfig(run: RunDirectory, config: TandemConfig): void {
  if (hasConfig(run, config)) return;
  throw new UserError({
    where: run.path,
    what: "the unfinished run has another config",
    remedy: `go on with its own: tandem train --resume ${run.path}; or start anew without --resume`,
  });
}

/** The worker's messages: texts on stdout unless that is the report's, everything else on stderr. */
function shower(run: RunDirectory, { quiet, json }: TrainArguments): { show: (message: JobMessage) => void; finish: () => void } {
  const display = jobDisplay({ quiet });
  display.report({ type: "note", text: `run directory: ${run.path}` });
  const show = (message: JobMessage): void => {
    display.report(message);
    if (message.type === "text" && !json) process.stdout.write(`\n${message.text}\n`);
  };
  return { show, finish: () => display.finish() };
}

function finish(run: RunDirectory, { json }: TrainArguments): void {
  if (json) {
    process.stdout.write(readFileSync(run.reportJson, "utf8"));
    return;
  }
  const folder = path.relative(process.cwd(), run.path) || ".";
  process.stdout.write(
    [
      `Everything is in ${folder}: report.html, report.txt, report.json, validation/, retriever/ and generator/ (Hugging Face folders), metrics.jsonl.`,
      "What to try next:",
      `  tandem ask ${folder} "…"           ask the trained pair`,
      `  tandem search ${folder} "…"        see what it finds`,
      `  tandem eval ${folder} eval.questions=…   score it on questions of your own`,
      "",
    ].join("\n"),
  );
}
