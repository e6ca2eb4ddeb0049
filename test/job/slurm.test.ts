/**
 * Proves, with a real Slurm of two nodes on this machine, that scripts/exec.sh runs a job of several tasks as one training: to its end; saved and queued again when the time limit is near, and then with the digits of a run that nothing
 * happened to; and, when a task is killed, ended by its rank and node; and scripts/create_index.sh as the making of one index, byte for byte that of one process. Installs Slurm from Debian where it is missing; where that can't be had, or without root, it is skipped, and says so. Slow (two minutes).
 * Alone: npx vitest run test/job/slurm.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compiledTraining } from "./compiled-training.js";
import { contents, indexWorld, wholeParts } from "./index-world.js";
import { expectEqualRuns, ROOT, runFolder } from "./killed-run.js";
import { withoutLauncher, workerOfRank } from "./launched-team.js";

const cluster = path.join(import.meta.dirname, "slurm-two-nodes.sh");
const isRoot = process.getuid?.() === 0;
const hasSlurm = isRoot && spawnSync("bash", [cluster, "install"], { encoding: "utf8" }).status === 0;

const training = compiledTraining("slurm");
const folder = mkdtempSync(path.join(tmpdir(), "tandem-slurm-"));

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "threads=1",
  "precision=f32",
  "train.checkpoint.every=3",
  "--quiet",
];

function slurm(command: string, ...given: string[]): string {
  const env = { ...withoutLauncher(), SLURM_CONF: path.join(folder, "slurm.conf"), MASTER_ADDR: "127.0.0.1", OMP_NUM_THREADS: "1" };
  const { status, stdout, stderr } = spawnSync(command, given, { cwd: training.root, encoding: "utf8", env });
  expect(status, stderr).toBe(0);
  return stdout.trim();
}

interface Job {
  readonly id: string;
  readonly runs: string;
  /** What it printed so far. */
  output(): string;
  /** Its run, once the file is there in it. */
  until(file: string): Promise<string>;
  /** Slurm's record of it once it has ended for good. */
  ended(): Promise<string>;
}

/** A job of two tasks, one on each node. */
function submit(script = "scripts/exec.sh", wordsIn = words): Job {
  const runs = training.runs();
  const output = path.join(folder, `${path.basename(runs)}.out`);
  const id = slurm("sbatch", "--parsable", "--nodes=2", "--ntasks=2", `--output=${output}`, script, ...wordsIn(runs));
  const record = (): string => slurm("scontrol", "show", "job", id);
  return {
    id,
    runs,
    output: () => (existsSync(output) ? readFileSync(output, "utf8") : ""),
    until: async (file) => {
      for (;;) {
        const run = runFolder(runs);
        if (run !== undefined && existsSync(path.join(run, file))) return run;
        await sleep(5);
      }
    },
    ended: async () => {
      while (/JobState=(PENDING|CONFIGURING|RUNNING|COMPLETING|REQUEUED)/.test(record())) await sleep(500);
      return record();
    },
  };
}

describe.skipIf(!hasSlurm)(`a job of two tasks (skipped ${isRoot ? "where Slurm can't be installed" : "without root"})`, () => {
  let whole = "";
  beforeAll(async () => {
    for (const name of ["scripts", "node_modules"]) symlinkSync(path.join(ROOT, name), path.join(training.root, name));
    const { status, stderr } = spawnSync("bash", [cluster, "start", folder], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    const runs = training.runs();
    const alone = await training.start([...words(runs), "train.workers=2"]).ended;
    expect(alone.code, alone.stderr).toBe(0);
    whole = runFolder(runs)!;
  }, 300_000);
  afterAll(() => {
    spawnSync("bash", [cluster, "stop", folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  it("trains one run to its end, with the digits of one driver's two workers", async () => {
    const job = submit();
    expect(await job.ended(), job.output()).toMatch(/JobState=COMPLETED[\s\S]*ExitCode=0:0[\s\S]*NodeList=n\[1-2\]/);
    expect(readdirSync(job.runs)).toHaveLength(1);
    expectEqualRuns(runFolder(job.runs)!, whole);
    // The first task's text, once.
    expect(job.output().match(/Everything is in/g)).toHaveLength(1);
  }, 400_000);

  it("saves when its time limit is near, is queued again, and goes on bit for bit", async () => {
    const job = submit();
    await job.until("checkpoints/step-00000003");
    slurm("scancel", "--signal=USR2", "--batch", job.id);
    expect(await job.ended(), job.output()).toMatch(/JobState=COMPLETED[\s\S]*Restarts=1[\s\S]*ExitCode=0:0/);
    expect(job.output()).toMatch(
      /saved and stopped; go on with:[\s\S]*==> the time limit is near: saved, and queued again[\s\S]*Everything is in/,
    );
    expect(readdirSync(job.runs)).toHaveLength(1);
    expectEqualRuns(runFolder(job.runs)!, whole);
  }, 400_000);

  it("ends by the name of a task that was killed, and nothing of it goes on", async () => {
    const job = submit();
    const run = await job.until("checkpoints/step-00000003");
    const worker = workerOfRank(run, 1)!;
    const task = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${worker}/status`, "utf8"))![1]);
    process.kill(task, "SIGKILL");
    const killed = performance.now();
    expect(await job.ended(), job.output()).toMatch(/JobState=FAILED/);
    expect(performance.now() - killed).toBeLessThan(60_000);
    expect(job.output()).toMatch(
      /^tandem train: rank 1 on node n2: connection lost.*; go on from the last checkpoint: tandem train --resume /m,
    );
    expect(job.output()).not.toContain("queued again");
    expect(spawnSync("pgrep", ["-f", run], { encoding: "utf8" }).stdout).toBe("");
  }, 300_000);

  describe("of create_index.sh", () => {
    const one = path.join(folder, "one");
    const make = (indexes: string): string[] => index.words(indexes, "--quiet");
    let index: ReturnType<typeof indexWorld>;
    beforeAll(() => {
      index = indexWorld(path.join(folder, "world"));
      mkdirSync(one);
      const { status, stderr } = spawnSync(training.tandem, ["index", ...make(one)], { encoding: "utf8", env: withoutLauncher() });
      expect(status, stderr).toBe(0);
    }, 120_000);

    it("makes the index of one process, byte for byte, and says so once", async () => {
      const job = submit("scripts/create_index.sh", make);
      expect(await job.ended(), job.output()).toMatch(/JobState=COMPLETED[\s\S]*ExitCode=0:0[\s\S]*NodeList=n\[1-2\]/);
      expect(contents(job.runs)).toEqual(contents(one));
      expect(job.output().match(/^built: /gm)).toHaveLength(1);
    }, 200_000);

    it("keeps what is embedded when its time limit is near, is queued again, and ends with the same bytes", async () => {
      const job = submit("scripts/create_index.sh", make);
      while (wholeParts(job.runs).length === 0) await sleep(5);
      slurm("scancel", "--signal=USR2", "--batch", job.id);
      expect(await job.ended(), job.output()).toMatch(/JobState=COMPLETED[\s\S]*Restarts=1[\s\S]*ExitCode=0:0/);
      expect(job.output()).toMatch(
        /stopped; what is embedded is kept[\s\S]*==> the time limit is near: saved, and queued again[\s\S]*built: /,
      );
      expect(contents(job.runs)).toEqual(contents(one));
    }, 300_000);
  });
});
