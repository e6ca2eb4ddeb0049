/**
 * Proves that tasks which a launcher started train one run together: with the digits of one driver's workers, stopping all at one step whichever is asked and going on bit for bit; that what differs between them is refused by name; and
 * that whatever ends one of them, worker or driver, killed or stopped, ends all within a minute by its name, with nothing left running and nothing half-written. Slow (several minutes).
 * Alone: npx vitest run test/job/team.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { compiledTraining } from "./compiled-training.js";
import { expectEqualRuns, runFolder, type Finished } from "./killed-run.js";
import { isAlive, launchTeam, withoutLauncher, workerPid, type Task } from "./launched-team.js";

const training = compiledTraining("team");

const SCHEDULE =
  "{phase: generator, steps: 6}, {phase: refresh}, {phase: contrastive, steps: 6, with: {hard_negatives: 1}}, {phase: joint, steps: 6}";

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "threads=1",
  "precision=f32",
  `train.schedule=[${SCHEDULE}]`,
  "train.log.every=1",
  "train.checkpoint.every=3",
  "train.validate.every=4",
  "train.reader.passages=2",
  "--quiet",
];

const launch = (given: readonly string[]): Promise<Task[]> => launchTeam(training, () => given);
const endOf = (tasks: readonly Task[]): Promise<Finished[]> => Promise.all(tasks.map(({ ended }) => ended));
const codesOf = (ends: readonly Finished[]): (number | null)[] => ends.map(({ code }) => code);
/** What a task says that is no warning. */
const faultsOf = ({ stderr }: Finished): string[] => stderr.split("\n").filter((line) => line.startsWith("tandem "));
/** Ends with every task's code, and shows what they said if that isn't what was expected. */
const expectCodes = (ends: readonly Finished[], codes: readonly (number | null)[]): void =>
  expect(codesOf(ends), ends.map(({ stderr }) => stderr).join("\n---\n")).toEqual(codes);

const onSeeing = async (runs: string, file: string): Promise<string> => {
  for (;;) {
    const run = runFolder(runs);
    if (run !== undefined && existsSync(path.join(run, file))) return run;
    await sleep(5);
  }
};
const processesOf = (run: string): string => spawnSync("pgrep", ["-f", run], { encoding: "utf8" }).stdout.trim();

/** The run of two workers under one driver. */
let whole = "";
beforeAll(async () => {
  const runs = training.runs();
  const { code, stderr } = await training.start([...words(runs), "train.workers=2"]).ended;
  expect(code, stderr).toBe(0);
  whole = runFolder(runs)!;
}, 300_000);

describe("two tasks", () => {
  it("train one run, whose digits are those of one driver's two workers; the second prints nothing", async () => {
    const runs = training.runs();
    const ends = await endOf(await launch(words(runs)));
    expectCodes(ends, [0, 0]);
    expectEqualRuns(runFolder(runs)!, whole);
    expect(ends[1]!.stderr).toBe("");
    expect(readdirSync(runs)).toHaveLength(1);
  }, 300_000);

  it.each([
    ["the second", 1, "SIGTERM"],
    ["the first", 0, "SIGUSR2"],
    ["the second", 1, "SIGINT"],
  ] as const)(
    "save at one step and leave with 75 when %s is asked by a signal (%i, %s), and go on bit for bit",
    async (_, rank, signal) => {
      const runs = training.runs();
      const tasks = await launch(words(runs));
      const run = await onSeeing(runs, "checkpoints/step-00000003");
      tasks[rank]!.process.kill(signal);
      const ends = await endOf(tasks);
      expectCodes(ends, [75, 75]);
      expect(processesOf(run)).toBe("");
      expect(existsSync(path.join(run, "report.json"))).toBe(false);
      expectCodes(await endOf(await launch(["--resume", run, "--quiet"])), [0, 0]);
      expectEqualRuns(run, whole);
    },
    300_000,
  );

  it("leave with 75 when one is asked before the run has begun, and leave nothing running", async () => {
    const runs = training.runs();
    const tasks = await launch(words(runs));
    const run = await onSeeing(runs, "environment.json");
    tasks[1]!.process.kill("SIGTERM");
    expectCodes(await endOf(tasks), [75, 75]);
    expect(processesOf(run)).toBe("");
    expect(existsSync(path.join(run, "metrics.jsonl"))).toBe(false);
  }, 120_000);
});

describe("what is refused by name, on every task, with nothing made:", () => {
  it("another config", async () => {
    const runs = training.runs();
    const ends = await endOf(await launchTeam(training, (rank) => [...words(runs), `seed=${rank}`]));
    expectCodes(ends, [2, 2]);
    for (const end of ends)
      expect(faultsOf(end)).toEqual([
        expect.stringMatching(/^tandem train: rank 1 of job script on node \S+: has another config; .*give every process the same config/),
      ]);
    expect(readdirSync(runs)).toEqual([]);
  }, 120_000);

  it("train.workers beside the launcher's number", async () => {
    const runs = training.runs();
    const ends = await endOf(await launch([...words(runs), "train.workers=2"]));
    expectCodes(ends, [2, 2]);
    for (const end of ends)
      expect(faultsOf(end)).toEqual([
        expect.stringMatching(
          /^tandem train: train\.workers=2 \(override \d+ .*\): WORLD_SIZE says that 2 processes train, each with one worker/,
        ),
      ]);
    expect(readdirSync(runs)).toEqual([]);
  }, 120_000);

  it("a sweep", async () => {
    const runs = training.runs();
    const ends = await endOf(await launch([...words(runs), "--multirun", "seed=1,2"]));
    expectCodes(ends, [2, 2]);
    for (const end of ends) expect(faultsOf(end)).toEqual([expect.stringContaining("WORLD_SIZE=2: torchrun started several processes")]);
    expect(readdirSync(runs)).toEqual([]);
  }, 120_000);

  it("a run that isn't there: the first says so itself, the second says that it was the first", async () => {
    const ends = await endOf(await launch(["--resume", path.join(training.runs(), "none")]));
    expectCodes(ends, [2, 2]);
    expect(faultsOf(ends[0]!)).toEqual([expect.stringMatching(/^tandem train: \S+none: no such folder/)]);
    expect(faultsOf(ends[1]!)).toEqual([expect.stringMatching(/^tandem train: rank 0 on node \S+: \S+none: no such folder/)]);
  }, 120_000);

  it("a question that can't be read: the worker's line at the first, the first's name at the second", async () => {
    const runs = training.runs();
    const questions = path.join(runs, "questions.jsonl");
    writeFileSync(questions, '{"id":"1"}\n');
    const ends = await endOf(await launch([...words(path.join(runs, "runs")), `data.questions.train=${questions}`]));
    expectCodes(ends, [2, 2]);
    expect(faultsOf(ends[0]!)).toEqual([expect.stringMatching(new RegExp(`^tandem train: ${questions}`))]);
    expect(faultsOf(ends[1]!)).toEqual([
      expect.stringMatching(new RegExp(`: its worker \\(process \\d+\\) refused its input \\(${questions}`)),
    ]);
  }, 120_000);
});

const ON_NODE = `on node ${hostname()}`;
/** A heartbeat may not have told it yet. */
const LAST_STEP = "( after step \\d+)?";

/** Whose process is hit. */
type Victim = "worker" | "driver";

describe("a task", () => {
  it.each([
    [1, "worker", "SIGKILL", "its worker \\(process \\d+\\) was ended by SIGKILL \\(out of memory, or a time limit\\) after step \\d+"],
    [0, "worker", "SIGKILL", "its worker \\(process \\d+\\) was ended by SIGKILL \\(out of memory, or a time limit\\) after step \\d+"],
    [1, "driver", "SIGKILL", `connection lost${LAST_STEP}`],
    [0, "driver", "SIGKILL", `connection lost${LAST_STEP}`],
    [1, "worker", "SIGSTOP", "its worker \\(process \\d+\\) gave no sign of life after step \\d+"],
  ] as [number, Victim, NodeJS.Signals, string][])(
    "%i whose %s is hit by %s is named on every task that is left, within a minute, and the run goes on bit for bit",
    async (rank, victim, signal, why) => {
      const runs = training.runs();
      const tasks = await launch(words(runs));
      const run = await onSeeing(runs, "checkpoints/step-00000003");
      const hit = tasks[rank]!.process;
      const workers = tasks.map(({ process: driver }) => workerPid(driver)!);
      process.kill(victim === "worker" ? workers[rank]! : hit.pid!, signal);
      const start = performance.now();
      const left = victim === "driver" ? tasks.filter((_, other) => other !== rank) : tasks;
      const ends = await endOf(left);
      expect(performance.now() - start).toBeLessThan(60_000);
      expectCodes(
        ends,
        left.map(() => 2),
      );
      const line = new RegExp(
        `^tandem train: rank ${rank} ${ON_NODE}: ${why}; go on from the last checkpoint: tandem train --resume ${run}$`,
      );
      for (const end of ends) expect(faultsOf(end)).toEqual([expect.stringMatching(line)]);
      for (const { stderr } of ends) expect(stderr).not.toMatch(/\n\s+at /);
      for (let tries = 0; tries < 200 && workers.some(isAlive); tries++) await sleep(50);
      expect(processesOf(run)).toBe("");
      expectCodes(await endOf(await launch(["--resume", run, "--quiet"])), [0, 0]);
      expectEqualRuns(run, whole);
    },
    300_000,
  );
});

describe("a task", () => {
  it.each([0, 1])(
    "%i whose driver is stopped and forgotten is named by the other within a minute, and learns of it when it is let go",
    async (rank) => {
      const runs = training.runs();
      // So long that it doesn't end meanwhile: a worker goes on beside a driver that is stopped.
      const schedule = ["train.schedule=[{phase: generator, steps: 1000000}]", "train.checkpoint.every=500", "train.validate.every=null"];
      const tasks = await launch([...words(runs), ...schedule]);
      const run = await onSeeing(runs, "metrics.jsonl");
      const workers = tasks.map(({ process: driver }) => workerPid(driver)!);
      tasks[rank]!.process.kill("SIGSTOP");
      const start = performance.now();
      const end = await tasks[1 - rank]!.ended;
      expect(performance.now() - start).toBeLessThan(60_000);
      expectCodes([end], [2]);
      const line = new RegExp(`^tandem train: rank ${rank} ${ON_NODE}: silent for 30 s${LAST_STEP}; go on from the last checkpoint: `);
      expect(faultsOf(end)).toEqual([expect.stringMatching(line)]);
      tasks[rank]!.process.kill("SIGCONT");
      const late = await tasks[rank]!.ended;
      expectCodes([late], [2]);
      expect(faultsOf(late)).toHaveLength(1);
      for (let tries = 0; tries < 200 && workers.some(isAlive); tries++) await sleep(50);
      expect(processesOf(run)).toBe("");
    },
    200_000,
  );
});

describe("one process", () => {
  it("says so when Slurm was asked for several tasks and srun wasn't used", () => {
    const env = { ...withoutLauncher(), SLURM_JOB_ID: "7", SLURM_NTASKS: "4", SLURM_PROCID: "0" };
    const { status, stderr } = spawnSync(training.tandem, ["train", "--resume", path.join(training.runs(), "none")], {
      encoding: "utf8",
      env,
    });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^warning: Slurm gave this job 4 tasks, but tandem was started without srun/);
  });
});
