/**
 * Proves what the driver says when its worker ends badly: a worker that was killed gives one line with the command that goes on, a mistake of the user's found in the worker gives its one line and exit
 * code 2, and neither gives a stack.
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
    expect(faults(stderr)[0]).toContain(questions);
    expect(stderr).not.toMatch(/\n\s+at /);
  }, 120_000);

  it("would get a config that is wrong is never started: one line, exit code 2, no run directory", async () => {
    const runs = training.runs();
    const { code, stderr } = await training.start(["experiment=tiny", `run.dir=${runs}`, "train.generator.batch=-1", "--quiet"]).ended;
    expect(code).toBe(2);
    expect(faults(stderr)).toHaveLength(1);
    expect(stderr).toContain("train.generator.batch");
    expect(readdirSync(runs)).toEqual([]);
  }, 60_000);
});
