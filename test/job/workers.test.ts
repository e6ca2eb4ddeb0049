/**
 * Proves that a run of several workers is the run of one: the same losses, decisions and validations, bit for bit again after SIGKILL and after SIGTERM; and that a worker that is killed or stopped ends the run within a minute, by
 * name, with nothing left running and a run that goes on. Slow (about 2 min). Alone: npx vitest run test/job/workers.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { compiledTraining, workersOf } from "./compiled-training.js";
import { killAndResume, lossLines, runFolder, wholeRun } from "./killed-run.js";

const training = compiledTraining("workers");

/** Every kind of phase, with refreshes, mining, validation inside a phase and drawn answers. */
const SCHEDULE = [
  "{phase: generator, steps: 6}",
  "{phase: refresh}",
  "{phase: contrastive, steps: 6, with: {hard_negatives: 1}}",
  "{phase: refresh}",
  "{phase: reader-distillation, steps: 4}",
  "{phase: joint, steps: 4}",
].join(", ");

const words = (runs: string, workers: number): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  `train.workers=${workers}`,
  "threads=1",
  "precision=f32",
  `train.schedule=[${SCHEDULE}]`,
  "train.log.every=1",
  "train.checkpoint.every=3",
  "train.validate.every=4",
  // Validation's 8 questions in two batches: one for each worker.
  "eval.batch=4",
  "train.penalties.ngram_repeat.weight=0.1",
  "train.reader.passages=3",
  "--quiet",
];

const validations = (run: string): Record<string, unknown>[] =>
  readFileSync(path.join(run, "validation/summary.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const summary = JSON.parse(line) as Record<string, unknown>;
      delete summary["time"];
      return summary;
    });

const alive = (run: string): string => spawnSync("pgrep", ["-f", run], { encoding: "utf8" }).stdout.trim();

let one = "";
let two = "";
beforeAll(async () => {
  one = await wholeRun((runs) => words(runs, 1));
  two = await wholeRun((runs) => words(runs, 2));
}, 300_000);

describe("two workers", () => {
  it("lose what one worker loses, step for step", () => {
    const [expected, found] = [lossLines(one), lossLines(two)];
    expect(found).toHaveLength(expected.length);
    expect(expected.length).toBeGreaterThan(15);
    for (const [i, line] of expected.entries()) {
      expect(Object.keys(found[i]!)).toEqual(Object.keys(line));
      for (const [key, value] of Object.entries(line)) {
        if (typeof value !== "number") expect(found[i]![key]).toEqual(value);
        else expect(Math.abs((found[i]![key] as number) - value), `${key} of line ${i}`).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
      }
    }
  });

  it("validate alike", () => {
    const [expected, found] = [validations(one), validations(two)];
    expect(found.map(({ step, phase }) => [step, phase])).toEqual(expected.map(({ step, phase }) => [step, phase]));
    for (const [i, { recall }] of expected.entries()) expect(found[i]!["recall"]).toEqual(recall);
  });

  it("leave a report and two folders, as one worker does", () => {
    for (const file of ["report.json", "retriever/model.safetensors", "generator/model.safetensors"])
      expect(existsSync(path.join(two, file))).toBe(true);
  });

  it("equal the uninterrupted two after two kills of everything", async () => {
    const checkpoints = (run: string, step: string): boolean => existsSync(path.join(run, "checkpoints", step));
    const { run, killed } = await killAndResume(
      (runs) => words(runs, 2),
      2,
      (folder, kill) => checkpoints(folder, kill === 0 ? "step-00000003" : "step-00000012"),
    );
    expect(killed).toBe(2);
    expect(lossLines(run)).toEqual(lossLines(two));
    expect(validations(run)).toEqual(validations(two));
  }, 300_000);

  it("save at SIGTERM and go on bit for bit", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-workers-"));
    const { process: driver, ended } = training.start(words(runs, 2));
    const timer = setInterval(() => {
      const run = runFolder(runs);
      if (run === undefined || !existsSync(path.join(run, "checkpoints/step-00000003"))) return;
      clearInterval(timer);
      driver.kill("SIGTERM");
    }, 5);
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(75);
    const run = runFolder(runs)!;
    expect(alive(run)).toBe("");
    expect((await training.start(["--resume", run, "--quiet"]).ended).code).toBe(0);
    expect(lossLines(run)).toEqual(lossLines(two));
  }, 300_000);
});

describe("a worker that", () => {
  it.each([
    ["is killed", 1, "SIGKILL", /worker 1 of 2 \(process \d+ on .+\) was ended by SIGKILL .*after step \d+/],
    ["is stopped and forgotten", 1, "SIGSTOP", /worker 1 of 2 \(process \d+ on .+\) gave no sign of life after step \d+/],
    ["is the first and is killed", 0, "SIGKILL", /worker 0 of 2 \(process \d+ on .+\) was ended by SIGKILL .*after step \d+/],
  ] as const)(
    "%s ends the run within a minute, by name, with nothing left running",
    async (_, rank, signal, said) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-workers-"));
      const { ended } = training.start([...words(runs, 2)]);
      let sent: number | undefined;
      const timer = setInterval(() => {
        const run = runFolder(runs);
        if (run === undefined || !existsSync(path.join(run, "checkpoints/step-00000003"))) return;
        const worker = workersOf(run)[rank];
        if (worker === undefined) return;
        clearInterval(timer);
        process.kill(worker, signal);
        sent = performance.now();
      }, 5);
      const { code, stderr } = await ended;
      expect(sent, stderr).toBeDefined();
      expect(performance.now() - sent!).toBeLessThan(60_000);
      expect(code).toBe(2);
      expect(stderr).toMatch(said);
      expect(stderr).not.toMatch(/\n\s+at /);
      const run = runFolder(runs)!;
      expect(alive(run)).toBe("");
      expect((await training.start(["--resume", run, "--quiet"]).ended).code).toBe(0);
      expect(lossLines(run)).toEqual(lossLines(two));
    },
    300_000,
  );
});
