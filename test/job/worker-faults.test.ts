/**
 * Proves how a run of two workers ends by its own doing: an alarm that all workers come to at once is written down by the first and said once; rolled back, both go on as one worker does; what another worker than the first
 * failed of stands in the run's status with that worker's name; and workers whose driver is gone save and leave. Also that they divide the cores and leave one trace.
 * Slow (about a minute). Alone: npx vitest run test/job/worker-faults.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { compiledTraining, workersOf } from "./compiled-training.js";
import { EXPLODE } from "./exploding-run.js";
import { lossLines, runFolder } from "./killed-run.js";

const training = compiledTraining("worker-faults");

const tiny = (runs: string, ...more: string[]): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "eval.rows=[trained-pair]",
  "threads=1",
  ...more,
  "--quiet",
];

const statusOf = (run: string): { state: string; reason?: string } =>
  JSON.parse(readFileSync(path.join(run, "status.json"), "utf8")) as { state: string; reason?: string };

describe("two workers", () => {
  it("that stop at an alarm say so once, and the run knows why it ended", async () => {
    const runs = training.runs();
    const { code, stderr } = await training.start(tiny(runs, ...EXPLODE, "train.workers=2")).ended;
    expect(code, stderr).toBe(2);
    const run = runFolder(runs)!;
    expect(stderr.match(/the loss or its gradient is no number/g)).toHaveLength(1);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(statusOf(run)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("the loss or its gradient is no number") as string,
    });
  }, 120_000);

  it("divide the cores, and the first has all of them once the others are done", async () => {
    const runs = training.runs();
    const words = tiny(runs, "train.workers=2", "threads=null", "train.schedule=[{phase: generator, steps: 2, contexts: gold}]");
    const { code, stderr } = await training.start(words.slice(0, -1)).ended;
    expect(code, stderr).toBe(0);
    const divided = Number(/2 workers, each with (\d+) threads/.exec(stderr)?.[1]);
    const freed = Number(/the other workers are done: (\d+) threads from here on/.exec(stderr)?.[1]);
    expect(divided).toBe(Math.max(1, Math.floor(freed / 2)));
  }, 120_000);

  it("roll back together and go on as one worker does", async () => {
    const calmed = ["train.alarms.not_a_number.action=roll_back", "train.alarms.roll_back.factor=0.0001"];
    const [one, two] = [training.runs(), training.runs()];
    for (const [runs, workers] of [
      [one, 1],
      [two, 2],
    ] as const) {
      const { code, stderr } = await training.start(tiny(runs, ...EXPLODE, ...calmed, `train.workers=${workers}`)).ended;
      expect(code, stderr).toBe(0);
    }
    const [expected, found] = [lossLines(runFolder(one)!), lossLines(runFolder(two)!)];
    expect(found.map(({ step, phase, rate }) => [step, phase, rate])).toEqual(expected.map(({ step, phase, rate }) => [step, phase, rate]));
    expect(expected.at(-1)!["rate"]).toBeLessThanOrEqual(1e-3);
    for (const [i, line] of expected.entries())
      expect(Math.abs((found[i]!["loss"] as number) - (line["loss"] as number)), `line ${i}`).toBeLessThan(1e-4);
  }, 240_000);

  it("whose driver alone is killed save, leave by themselves, and the run goes on bit for bit", async () => {
    const words = (runs: string): string[] => tiny(runs, "train.workers=2", "train.validate.after_each_phase=false");
    const [undisturbed, runs] = [training.runs(), training.runs()];
    expect((await training.start(words(undisturbed)).ended).code).toBe(0);
    const { process: driver, ended } = training.start(words(runs));
    const timer = setInterval(() => {
      const run = runFolder(runs);
      if (run === undefined || !existsSync(path.join(run, "checkpoints/step-00000005"))) return;
      clearInterval(timer);
      driver.kill("SIGKILL");
    }, 2);
    await ended;
    const run = runFolder(runs)!;
    for (let waited = 0; workersOf(run).length > 0 && waited < 60_000; waited += 100) await sleep(100);
    expect(workersOf(run)).toEqual([]);
    expect(statusOf(run).state).toBe("stopped");
    expect((await training.start(["--resume", run, "--quiet"]).ended).code).toBe(0);
    expect(lossLines(run)).toEqual(lossLines(runFolder(undisturbed)!));
  }, 240_000);

  it("leave one trace of where the time goes: the first worker's", async () => {
    const runs = training.runs();
    const schedule = "train.schedule=[{phase: generator, steps: 2, contexts: gold}]";
    const { code, stderr } = await training.start(["--profile", ...tiny(runs, "train.workers=2", schedule)]).ended;
    expect(code, stderr).toBe(0);
    const traces = readdirSync(runFolder(runs)!).filter((name) => name.includes("trace") || name.includes("profile"));
    expect(traces).toHaveLength(1);
  }, 120_000);

  it("of which the second can open no file any more: the status names it, and the run goes on afterwards", async () => {
    const runs = training.runs();
    const { ended } = training.start(tiny(runs, "train.workers=2", "train.validate.after_each_phase=false"));
    let isLimited = false;
    const timer = setInterval(() => {
      const run = runFolder(runs);
      if (run === undefined || !existsSync(path.join(run, "checkpoints/step-00000005"))) return;
      const second = workersOf(run)[1];
      if (second === undefined) return;
      clearInterval(timer);
      isLimited = spawnSync("prlimit", ["--pid", String(second), "--nofile=3:3"]).status === 0;
    }, 2);
    const { code, stderr } = await ended;
    clearInterval(timer);
    const run = runFolder(runs)!;
    expect(isLimited, stderr).toBe(true);
    expect([1, 2], stderr).toContain(code);
    expect(statusOf(run).state).toBe("failed");
    expect(statusOf(run).reason).toMatch(/^worker 1 of 2 \(process \d+ on .+\): /);
    expect(workersOf(run)).toEqual([]);
    expect((await training.start(["--resume", run, "--quiet"]).ended).code).toBe(0);
    expect(statusOf(run).state).toBe("finished");
  }, 120_000);
});
