/**
 * Proves that `tandem launch` starts one job of several real processes: with the digits of train.workers; that signals stop all at one step and a resumed run goes on bit for bit; that one which is killed, before or after they met, ends all by
 * its name; that none outlives its launcher; that others' lines carry their rank; and that what contradicts it is refused before anything is started. Slow (2 min).
 * Alone: npx vitest run test/cli/launch.test.ts
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { completeWords } from "../../src/cli/complete-words.js";
import { launchWords } from "../../src/cli/launch-words.js";
import { commands, helpOf } from "../../src/cli/main.js";
import { compiledTraining } from "../job/compiled-training.js";
import { expectEqualRuns, runFolder, type Finished } from "../job/killed-run.js";
import { withoutLauncher } from "../job/launched-team.js";

const training = compiledTraining("launch");

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "threads=1",
  "precision=f32",
  "train.checkpoint.every=3",
  "--quiet",
];

interface Launched {
  readonly process: ChildProcess;
  readonly ended: Promise<Finished & { readonly stdout: string }>;
}

function launch(given: readonly string[], env: Readonly<Record<string, string>> = {}): Launched {
  const child = spawn(training.tandem, ["launch", ...given], {
    cwd: training.root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...withoutLauncher(), OMP_NUM_THREADS: "1", ...env },
  });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].on("data", (chunk: Buffer) => (printed[name] += chunk.toString()));
  const ended = new Promise<Finished & { stdout: string }>((resolve) =>
    child.once("close", (code, signal) => resolve({ code, signal, ...printed })),
  );
  return { process: child, ended };
}

/** The process of this rank, once it is there. */
async function processOf({ process: launcher }: Launched, rank: number): Promise<number> {
  for (;;) {
    const children = spawnSync("pgrep", ["-P", String(launcher.pid)], { encoding: "utf8" })
      .stdout.split("\n")
      .filter(Boolean);
    const found = children.find((pid) => environmentOf(pid).includes(`RANK=${rank}`));
    if (found !== undefined) return Number(found);
    await sleep(5);
  }
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

const onSeeing = async (runs: string, file: string): Promise<string> => {
  for (;;) {
    const run = runFolder(runs);
    if (run !== undefined && existsSync(path.join(run, file))) return run;
    await sleep(5);
  }
};
const processesOf = (text: string): string => spawnSync("pgrep", ["-f", text], { encoding: "utf8" }).stdout.trim();
async function nothingLeft(text: string): Promise<void> {
  for (let tries = 0; tries < 400 && processesOf(text) !== ""; tries++) await sleep(50);
  expect(processesOf(text)).toBe("");
}

let whole = "";
beforeAll(async () => {
  const runs = training.runs();
  const { code, stderr } = await training.start([...words(runs), "train.workers=2"]).ended;
  expect(code, stderr).toBe(0);
  whole = runFolder(runs)!;
}, 300_000);

describe("two processes that train", () => {
  it("have the digits of train.workers=2, one run directory and one text; the second says nothing", async () => {
    const runs = training.runs();
    const { code, stdout, stderr } = await launch(["--workers", "2", "train", ...words(runs)]).ended;
    expect(code, stderr).toBe(0);
    expect(readdirSync(runs)).toHaveLength(1);
    expectEqualRuns(runFolder(runs)!, whole);
    expect(stdout.match(/Everything is in/g)).toHaveLength(1);
    expect(stderr).not.toContain("[rank 1]");
  }, 300_000);

  it.each(["SIGTERM", "SIGUSR2", "SIGINT"] as const)(
    "stop all at one step at %s, leave with 75, and go on bit for bit",
    async (signal) => {
      const runs = training.runs();
      const launched = launch(["--workers", "2", "train", ...words(runs)]);
      const run = await onSeeing(runs, "checkpoints/step-00000003");
      launched.process.kill(signal);
      const { code, stderr } = await launched.ended;
      expect(code, stderr).toBe(75);
      await nothingLeft(run);
      expect(existsSync(path.join(run, "report.json"))).toBe(false);
      const again = await launch(["--workers", "2", "train", "--resume", run, "--quiet"]).ended;
      expect(again.code, again.stderr).toBe(0);
      expectEqualRuns(run, whole);
    },
    300_000,
  );

  it("end by the name of the second when it is killed, with its line tagged where it has one, and nothing goes on", async () => {
    const runs = training.runs();
    const launched = launch(["--workers", "2", "train", ...words(runs)]);
    const run = await onSeeing(runs, "checkpoints/step-00000003");
    const pid = await processOf(launched, 1);
    process.kill(pid, "SIGKILL");
    const { code, stderr } = await launched.ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(/^tandem train: rank 1 on node \S+: connection lost/m);
    expect(stderr).toMatch(
      new RegExp(`^tandem launch: rank 1 of 2 \\(process ${pid}\\): was ended by SIGKILL \\(out of memory, or a time limit\\)$`, "m"),
    );
    await nothingLeft(run);
  }, 120_000);

  it("end when one is killed before they have met", async () => {
    const runs = training.runs();
    const launched = launch(["--workers", "3", "train", ...words(runs)]);
    const pid = await processOf(launched, 2);
    process.kill(pid, "SIGKILL");
    const { code, stderr } = await launched.ended;
    expect(code).toBe(2);
    expect(stderr).toContain(`tandem launch: rank 2 of 3 (process ${pid}): was ended by SIGKILL`);
    await nothingLeft(runs);
    expect(readdirSync(runs)).toEqual([]);
  }, 120_000);

  it("save and leave when their launcher is killed", async () => {
    const runs = training.runs();
    const launched = launch(["--workers", "2", "train", ...words(runs)]);
    const run = await onSeeing(runs, "checkpoints/step-00000003");
    launched.process.kill("SIGKILL");
    await nothingLeft(run);
    expect(existsSync(path.join(run, "report.json"))).toBe(false);
    const again = await launch(["--workers", "2", "train", "--resume", run, "--quiet"]).ended;
    expect(again.code, again.stderr).toBe(0);
    expectEqualRuns(run, whole);
  }, 300_000);

  it("are killed by the third interrupt, when they don't leave by themselves", async () => {
    const runs = training.runs();
    const launched = launch(["--workers", "2", "train", ...words(runs)]);
    const run = await onSeeing(runs, "checkpoints/step-00000003");
    // Stopped, it hears no signal.
    process.kill(await processOf(launched, 0), "SIGSTOP");
    for (let interrupt = 0; interrupt < 3; interrupt++) {
      launched.process.kill("SIGINT");
      await sleep(300);
    }
    const { code, stderr } = await launched.ended;
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(/^tandem launch: rank \d of 2 \(process \d+\): was ended by SIGKILL after 3 interrupts$/m);
    await nothingLeft(run);
  }, 120_000);

  it("say what is wrong with their input, the second's lines tagged, and leave with the exit code of that", async () => {
    const runs = training.runs();
    const questions = path.join(runs, "questions.jsonl");
    writeFileSync(questions, '{"id":"1"}\n');
    const given = [...words(path.join(runs, "runs")), `data.questions.train=${questions}`];
    const { code, stderr } = await launch(["--workers", "2", "train", ...given]).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`^tandem train: ${questions}`, "m"));
    expect(stderr).toMatch(/^\[rank 1\] tandem train: rank 0 on node \S+: its worker \(process \d+\) refused its input/m);
    expect(stderr).not.toMatch(/\n\s+at /);
  }, 120_000);
});

describe("what is refused before anything is started:", () => {
  it.each([
    ["no number", ["train"], {}, /--workers: isn't given; expected 1 to 1024; tandem launch --workers 2 train …/],
    ["none", ["--workers", "0", "train"], {}, /--workers: is no number of processes; expected 1 to 1024, got '0'/],
    ["less than none", ["--workers", "-1", "train"], {}, /--workers: is no number of processes; expected 1 to 1024, got '-1'/],
    ["a half", ["--workers", "1.5", "train"], {}, /got '1\.5'/],
    ["a word", ["--workers=many", "train"], {}, /got 'many'/],
    ["no command", ["--workers", "2"], {}, /command line: words are missing; expected tandem launch <verb>/],
    [
      "no such command",
      ["--workers", "2", "trian"],
      {},
      /'trian' isn't done by several processes together; expected train, index, eval, mine; did you mean train\?/,
    ],
    [
      "a command of one process",
      ["--workers", "2", "corpus"],
      {},
      /'corpus' isn't done by several processes together; .*start it by itself/,
    ],
    ["itself", ["--workers", "2", "launch"], {}, /'launch' isn't done by several/],
    ["train.workers", ["--workers", "2", "train", "train.workers=2"], {}, /train\.workers=2: --workers says how many processes train/],
    ["train.workers, added", ["--workers", "2", "train", "++train.workers=2"], {}, /\+\+train\.workers=2: --workers says/],
    ["a sweep", ["--workers", "2", "train", "-m", "seed=1,2"], {}, /-m: a sweep is one process/],
    ["torchrun", ["--workers", "2", "train"], { RANK: "1", WORLD_SIZE: "2" }, /WORLD_SIZE=2: torchrun started several processes/],
    [
      "torchrun with one process",
      ["--workers", "2", "train"],
      { RANK: "0", WORLD_SIZE: "1", TORCHELASTIC_RUN_ID: "a" },
      /RANK=0, WORLD_SIZE=1: torchrun has given this process its place among others already; expected one launcher/,
    ],
    [
      "srun",
      ["--workers", "2", "train"],
      { SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "2" },
      /SLURM_STEP_NUM_TASKS=2: srun started several/,
    ],
    [
      "another launch",
      ["--workers", "2", "train"],
      { RANK: "0", WORLD_SIZE: "1", TANDEM_LAUNCH: "launch-1" },
      /another tandem launch has given this process its place/,
    ],
  ] as const)("%s", async (_, given, env, line) => {
    const { code, stdout, stderr } = await launch(given, env).ended;
    expect({ code, stdout }, stderr).toEqual({ code: 2, stdout: "" });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toMatch(new RegExp(`^tandem launch: .*${line.source}`));
  });
});

describe("the words of tandem launch", () => {
  it.each([
    [
      ["launch", "--workers", "2", "train", "--quiet", "a=1"],
      ["launch", "--workers", "2", "train", "--", "--quiet", "a=1"],
    ],
    [
      ["launch", "--workers=2", "index", "--run", "latest"],
      ["launch", "--workers=2", "index", "--", "--run", "latest"],
    ],
    [
      ["launch", "--workers", "2"],
      ["launch", "--workers", "2"],
    ],
    [
      ["launch", "--help"],
      ["launch", "--help"],
    ],
    [
      ["launch", "--workers", "2", "train", "--help"],
      ["train", "--help"],
    ],
    [
      ["train", "launch"],
      ["train", "launch"],
    ],
  ])("%j", (given, parsed) => {
    expect(launchWords(given)).toEqual(parsed);
  });

  it.each([
    [
      ["launch", ""],
      ["train", "index", "eval", "mine"],
    ],
    [["launch", "--workers", "2", "tr"], ["train"]],
    [["launch", "--w"], ["--workers"]],
    [["launch", "--workers", "2", "train", "--res"], ["--resume"]],
    [["launch", "--workers", "2", "train", "train.generator.lr"], ["train.generator.lr="]],
    [["launch", "--workers", "2", "index", "--reb"], ["--rebuild"]],
    [["launch", "--workers", "2", "eval", "runs/one", "--js"], ["--json"]],
  ])("are completed: %j", async (typed, offered) => {
    const found = await completeWords(typed, { names: commands, help: (before) => helpOf(before, 300) });
    expect(found.map(({ value }) => value)).toEqual(offered);
  });
});
