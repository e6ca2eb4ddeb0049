/**
 * Proves that a run killed by SIGKILL at any instant (inside a step, a checkpoint write, a refresh, the evaluation) and resumed equals the uninterrupted one: the same loss lines to the last digit, no step
 * twice, the same final weights byte for byte, the same report. And that SIGTERM and SIGUSR2 save and leave with the code a batch script requeues on.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume.test.ts
 */
import { mkdtempSync, readdirSync, existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { expectEqualRuns, killAndResume, runFolder, startTraining, trainFully, wholeRun } from "./killed-run.js";

/** All training in small: dropout on, so that its masks must come again too. */
function words(runs: string): string[] {
  return ["experiment=tiny", `run.dir=${runs}`, "generator.dropout=0.1", "retriever.dropout=0.1", "train.checkpoint.every=3", "--quiet"];
}

let whole = "";

beforeAll(async () => {
  whole = await wholeRun(words);
}, 300_000);

const expectEqualToWhole = (run: string): void => expectEqualRuns(run, whole);

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

describe("a killed run, resumed", () => {
  it("cozyrag 33: equals the uninterrupted one after SIGKILL in training, at the moments that log lines appear", async () => {
    // The first kill comes after so many lines, each later one three lines on.
    const { run, killed } = await killAndResume(words, 4, (folder, kill) => {
      const file = path.join(folder, "metrics.jsonl");
      return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 2 + 4 * kill;
    });
    expect(killed).toBe(4);
    expectEqualToWhole(run);
  }, 400_000);

  it("equals the uninterrupted one after SIGKILL inside a checkpoint write and inside a refresh", async () => {
    const { run, killed } = await killAndResume(words, 2, (folder, kill) => {
      const unfinished = (names: string[]): boolean => names.some((name) => name.includes(".tmp"));
      return kill === 0 ? unfinished(namesIn(path.join(folder, "checkpoints"))) : unfinished(namesIn(path.join(folder, "index")));
    });
    expect(killed).toBe(2);
    expectEqualToWhole(run);
  }, 400_000);

  it("equals the uninterrupted one after SIGKILL during the evaluation", async () => {
    const { run, killed } = await killAndResume(words, 1, (folder) => existsSync(path.join(folder, "generator", "model.safetensors")));
    expect(killed).toBe(1);
    expectEqualToWhole(run);
  }, 300_000);

  it.each(["SIGTERM", "SIGUSR2"] as const)(
    "cozyrag 34: %s saves and leaves with code 75, and the run goes on from there",
    async (signal) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-signal-"));
      const { process: child, ended } = startTraining(words(runs));
      const timer = setInterval(() => {
        const run = runFolder(runs);
        if (run !== undefined && existsSync(path.join(run, "metrics.jsonl")) && readFileSync(path.join(run, "metrics.jsonl")).length > 0) {
          clearInterval(timer);
          child.kill(signal);
        }
      }, 5);
      const stopped = await ended;
      clearInterval(timer);
      expect(stopped.code, stopped.stderr).toBe(75);
      const run = runFolder(runs) ?? "";
      expect(existsSync(path.join(run, "report.json"))).toBe(false);
      expect((await trainFully([...words(runs), "--resume", "auto"])).code).toBe(0);
      expectEqualToWhole(run);
    },
    300_000,
  );
});
