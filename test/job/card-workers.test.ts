/**
 * Proves that a run on a graphics card loses what the same run loses on the processor, with one worker and with two that share the card, that the sharing is told once, and that a checkpoint of two workers is gone on from. Needs a card, and is
 * skipped without; with several, two workers have one each, over NCCL where the add-on has it. Slow (minutes). Alone: npx vitest run test/job/card-workers.test.ts
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { engineFacts } from "../../src/engine/info.js";
import { nativeCollectives } from "../../src/engine/native.js";
import { compiledTraining } from "./compiled-training.js";
import { lossLines, runFolder } from "./killed-run.js";

const { cudaDevices } = engineFacts();
const hasNccl = nativeCollectives().ncclVersion() !== "";
/** Sums of f32 in another order, over some steps of compiled!. */
const TOLERANCE = 1e-2;

const words = (runs: string, device: string, workers: number): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  `device=${device}`,
  `train.workers=${workers}`,
  "threads=1",
  "precision=f32",
  "train.log.every=1",
  "train.checkpoint.every=3",
];

// The body of what is skipped is run all the same, to see what is in it.
const compiled = cudaDevices > 0 ? compiledTraining("card-workers") : undefined;

describe.skipIf(compiled === undefined)("a run on a graphics card (skipped without one)", () => {
  async function whole(device: string, workers: number): Promise<{ run: string; said: string }> {
    const runs = compiled!.runs();
    const { code, stderr } = await compiled!.start(words(runs, device, workers)).ended;
    expect(code, stderr).toBe(0);
    return { run: runFolder(runs)!, said: stderr };
  }

  function expectSameLosses(found: string, expected: string): void {
    const [lines, known] = [lossLines(found), lossLines(expected)];
    expect(lines.map(({ step }) => step)).toEqual(known.map(({ step }) => step));
    for (const [i, line] of known.entries()) {
      const value = line["loss"] as number;
      expect(Math.abs((lines[i]!["loss"] as number) - value), `line ${i}`).toBeLessThan(TOLERANCE * Math.max(1, Math.abs(value)));
    }
  }

  let onProcessor = "";
  beforeAll(async () => {
    onProcessor = (await whole("cpu", 1)).run;
  }, 300_000);

  it("of one worker", async () => {
    const { run, said } = await whole("auto", 1);
    expect(said).toMatch(/1 threads, cuda:0, f32/);
    expectSameLosses(run, onProcessor);
  }, 300_000);

  it("of two workers with one card", async () => {
    const { run, said } = await whole("cuda:0", 2);
    expect(said).toMatch(/2 workers, each with 1 threads, cuda:0, gloo, f32/);
    expect(said.match(/workers 0, 1 share one graphics card/g)).toHaveLength(1);
    expectSameLosses(run, onProcessor);
  }, 300_000);

  it.skipIf(cudaDevices < 2 || !hasNccl)(
    "of two workers with a card each: NCCL (skipped with a single card)",
    async () => {
      const { run, said } = await whole("auto", 2);
      expect(said).toMatch(/2 workers, each with 1 threads, cuda:0 or cuda:1, nccl, f32/);
      expect(said).not.toMatch(/share one graphics card/);
      expectSameLosses(run, onProcessor);
    },
    300_000,
  );

  it("of two workers goes on from its checkpoint without a word about another device", async () => {
    const runs = compiled!.runs();
    const { process: driver, ended } = compiled!.start(words(runs, "auto", 2));
    const isOver = ended.then(() => true);
    while (!(await Promise.race([isOver, sleep(20, false)]))) {
      const run = runFolder(runs);
      if (run !== undefined && existsSync(path.join(run, "checkpoints/step-00000003"))) break;
    }
    driver.kill("SIGTERM");
    const stopped = await ended;
    expect(stopped.code, stopped.stderr).toBe(75);
    const run = runFolder(runs)!;
    const { code, stderr } = await compiled!.start(["--resume", run]).ended;
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/resumed at step \d+ of/);
    expect(stderr).not.toMatch(/device: was/);
    expectSameLosses(run, onProcessor);
  }, 300_000);
});
