/**
 * Proves that a run of two workers that share the optimiser's moments out is the run in which each keeps all of them: the same log, weights and report to the bit, also after two SIGKILLs of everything, and also where it goes on without sharing, or begins to in the middle. Its
 * refreshes by age save inside work that the first worker does alone. Slow (about 2 min). Alone: npx vitest run test/job/shard-optimiser.test.ts
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { expectEqualRuns, killAndResume, runFolder, trainAndKill, trainFully, wholeRun } from "./killed-run.js";

const SCHEDULE = [
  "{phase: refresh}",
  "{phase: generator, steps: 5, contexts: retrieved}",
  "{phase: contrastive, steps: 4}",
  "{phase: reader-distillation, steps: 4}",
  "{phase: joint, steps: 3}",
].join(", ");

const words = (runs: string, isSharded: boolean, workers = 2): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  `train.workers=${workers}`,
  `train.shard_optimiser=${isSharded}`,
  "threads=1",
  "precision=f32",
  `train.schedule=[${SCHEDULE}]`,
  "train.log.every=1",
  "train.checkpoint.every=3",
  "train.checkpoint.keep_last=100",
  "train.refresh.at_least_every=4",
  "train.reader.passages=3",
];

const hasCheckpoint = (run: string, step: number): boolean =>
  existsSync(path.join(run, "checkpoints", `step-${String(step).padStart(8, "0")}`, "state.json"));
const checkpointSteps = (run: string): number[] => readdirSync(path.join(run, "checkpoints")).map((name) => Number(name.slice(5)));

let whole = "";
beforeAll(async () => {
  whole = await wholeRun((runs) => words(runs, false));
}, 300_000);

describe("two workers that share the moments out", () => {
  it("equal those that don't, after two kills of everything", async () => {
    const { run, killed } = await killAndResume(
      (runs) => words(runs, true),
      2,
      (folder, kill) => hasCheckpoint(folder, kill === 0 ? 3 : 12),
    );
    expect(killed).toBe(2);
    expectEqualRuns(run, whole);
    expect(checkpointSteps(run)).toEqual(checkpointSteps(whole));
    // Beside those of the interval and of phase ends: saved before an index was made anew, by the first worker alone.
    const planned = [1, 6, 10, 14, 17];
    expect(checkpointSteps(whole).filter((step) => step % 3 !== 0 && !planned.includes(step))).not.toEqual([]);
  }, 300_000);

  it.each([
    ["begin to in the middle", false],
    ["cease to in the middle", true],
  ])(
    "may %s",
    async (_, isSharded) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-shards-"));
      const { signal } = await trainAndKill(words(runs, isSharded), () => {
        const run = runFolder(runs);
        return run !== undefined && hasCheckpoint(run, 6);
      });
      expect(signal).toBe("SIGKILL");
      const run = runFolder(runs)!;
      const file = path.join(run, "config.yaml");
      const config = readFileSync(file, "utf8");
      expect(config).toContain(`shard_optimiser: ${isSharded}`);
      writeFileSync(file, config.replace(`shard_optimiser: ${isSharded}`, `shard_optimiser: ${!isSharded}`));
      const { code, stderr } = await trainFully(["--resume", run, "--quiet"]);
      expect(code, stderr).toBe(0);
      expectEqualRuns(run, whole);
    },
    300_000,
  );
});

it("one worker is told that it has nobody to share with", async () => {
  const runs = mkdtempSync(path.join(tmpdir(), "tandem-shards-"));
  const schedule = "train.schedule=[{phase: generator, steps: 1}]";
  const { code, stderr } = await trainFully([...words(runs, true, 1).filter((word) => !word.startsWith("train.schedule")), schedule]);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("train.shard_optimiser: there is one worker");
}, 120_000);
