/**
 * Proves, with the real torchrun, that it starts the processes of one run, that after a worker was killed it starts all of them again and they end with the digits of a run that nothing happened to, and that its own report says what
 * killed the last attempt. Without torchrun in .venv it is skipped, and says so. Slow (two minutes).
 * Alone: npx vitest run test/job/torchrun.test.ts
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { compiledTraining } from "./compiled-training.js";
import { expectEqualRuns, ROOT, runFolder, type Finished } from "./killed-run.js";
import { withoutLauncher, workerOfRank } from "./launched-team.js";

const torchrun = path.join(ROOT, ".venv/bin/torchrun");
const training = compiledTraining("torchrun");

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "threads=1",
  "precision=f32",
  "train.checkpoint.every=3",
  "--quiet",
];

/** Two processes of one run, started again up to `restarts` times. */
function started(runs: string, restarts: number): Promise<Finished> {
  const launch = ["--standalone", "--nproc-per-node", "2", "--max-restarts", String(restarts), "--no-python"];
  const child = spawn(torchrun, [...launch, training.tandem, "train", ...words(runs), "--resume", "auto"], {
    cwd: training.root,
    env: withoutLauncher(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal, stderr })));
}

/** Kills a worker once the run has come so far. */
async function kill(runs: string, rank: number, checkpoint: string): Promise<void> {
  for (;;) {
    const run = runFolder(runs);
    const worker = run === undefined || !existsSync(path.join(run, "checkpoints", checkpoint)) ? undefined : workerOfRank(run, rank);
    if (worker !== undefined) {
      process.kill(worker, "SIGKILL");
      return;
    }
    await sleep(5);
  }
}

describe.skipIf(!existsSync(torchrun))("torchrun (skipped where .venv has none)", () => {
  let whole = "";
  beforeAll(async () => {
    const runs = training.runs();
    const { code, stderr } = await training.start([...words(runs), "train.workers=2"]).ended;
    expect(code, stderr).toBe(0);
    whole = runFolder(runs)!;
  }, 200_000);

  it("starts all again after a worker was killed, twice, and they go on to the digits of the run that nothing happened to", async () => {
    const runs = training.runs();
    const ended = started(runs, 2);
    await kill(runs, 1, "step-00000003");
    await kill(runs, 0, "step-00000009");
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(0);
    expect(readdirSync(runs)).toHaveLength(1);
    expectEqualRuns(runFolder(runs)!, whole);
    expect(stderr.match(/^tandem train: rank 1 on node \S+: its worker \(process \d+\) was ended by SIGKILL/gm)).toHaveLength(2);
    expect(stderr.match(/^tandem train: rank 0 on node \S+: its worker \(process \d+\) was ended by SIGKILL/gm)).toHaveLength(2);
  }, 400_000);

  it("reports what ended the last attempt", async () => {
    const runs = training.runs();
    const ended = started(runs, 0);
    await kill(runs, 1, "step-00000003");
    const { code, stderr } = await ended;
    expect(code).not.toBe(0);
    const report = stderr.slice(stderr.indexOf("Root Cause"));
    expect(report).toMatch(/error_file: \S+\/error\.json/);
    expect(report).toMatch(/traceback : rank 1 on node \S+: its worker \(process \d+\) was ended by SIGKILL .* after step \d+/);
  }, 200_000);
});
