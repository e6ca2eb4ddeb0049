/**
 * Proves what the driver says when its worker ends early: a worker that was killed gives one line with the command that goes on, a mistake of the user's found in the worker gives its one line and exit
 * code 2, neither gives a stack; and a signal that comes while no step is taken, at the start or in the evaluation, ends the run at once with the code for a requeue.
 * Slow (about 15 s). Alone: npx vitest run test/job/driver.test.ts
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { compiledTraining, workerOf } from "./compiled-training.js";
import { runFolder } from "./killed-run.js";

const training = compiledTraining("driver");
/** The lines on stderr that aren't warnings. */
const faults = (stderr: string): string[] =>
  stderr
    .trim()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("warning: "));

describe("a training run whose worker", () => {
  it("was killed says so in one line, with the command that goes on from the last checkpoint", async () => {
    const runs = training.runs();
    const { process: driver, ended } = training.start(["experiment=tiny", `run.dir=${runs}`, "--quiet"]);
    const timer = setInterval(() => {
      const run = runFolder(runs);
      const worker = workerOf(driver);
      if (run !== undefined && worker !== undefined && existsSync(path.join(run, "metrics.jsonl"))) {
        clearInterval(timer);
        process.kill(worker, "SIGKILL");
      }
    }, 5);
    const { code, stderr } = await ended;
    clearInterval(timer);
    expect(code).toBe(2);
    const run = runFolder(runs)!;
    expect(faults(stderr)).toHaveLength(1);
    expect(stderr).toMatch(
      /the training process was ended by SIGKILL \(out of memory, or a time limit\); go on from the last checkpoint: tandem train --resume /,
    );
    expect(stderr).toContain(`tandem train --resume ${run}`);
    expect(existsSync(path.join(run, "report.json"))).toBe(false);
  }, 120_000);

  it("finds a mistake of the user's says so in one line with exit code 2", async () => {
    const runs = training.runs();
    const questions = path.join(runs, "questions.jsonl");
    writeFileSync(questions, '{"id":"1"}\n');
    const { ended } = training.start([
      "experiment=tiny",
      `run.dir=${path.join(runs, "runs")}`,
      `data.questions.train=${questions}`,
      "--quiet",
    ]);
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(2);
    expect(faults(stderr)).toHaveLength(1);
    expect(faults(stderr)[0]).toMatch(new RegExp(`^tandem train: ${questions}`));
    expect(stderr).not.toMatch(/\n\s+at /);
  }, 120_000);

  it.each([
    ["has begun to load", "run directory: "],
    ["reads the corpus", "== corpus"],
    ["evaluates", "== evaluation"],
  ])(
    "%s takes SIGTERM at once and leaves with 75, and the run can go on",
    async (_, line) => {
      const runs = training.runs();
      const { process: driver, ended } = training.start(["experiment=tiny", `run.dir=${runs}`]);
      let isSent = false;
      driver.stderr?.on("data", (chunk: Buffer) => {
        if (isSent || !chunk.toString().includes(line)) return;
        isSent = true;
        driver.kill("SIGTERM");
      });
      const { code, stderr } = await ended;
      expect([isSent, code], stderr).toEqual([true, 75]);
      const run = runFolder(runs)!;
      expect(stderr).toContain(`saved and stopped; go on with: tandem train --resume ${run}`);
      expect(existsSync(path.join(run, "report.json"))).toBe(false);
      expect((await training.start(["--resume", run, "--quiet"]).ended).code).toBe(0);
      expect(existsSync(path.join(run, "report.json"))).toBe(true);
    },
    180_000,
  );

  it("would get a config that is wrong is never started: one line, exit code 2, no run directory", async () => {
    const runs = training.runs();
    const { code, stderr } = await training.start(["experiment=tiny", `run.dir=${runs}`, "train.generator.batch=-1", "--quiet"]).ended;
    expect(code).toBe(2);
    expect(faults(stderr)).toHaveLength(1);
    expect(stderr).toContain("train.generator.batch");
    expect(readdirSync(runs)).toEqual([]);
  }, 60_000);
});
