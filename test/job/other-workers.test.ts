/**
 * Proves that a run goes on with another number of workers than it began with, by `--resume auto` and by its folder, with the losses of the whole run; and that every other key stays as it was. Slow (a minute).
 * Alone: npx vitest run test/job/other-workers.test.ts
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, it } from "vitest";
import { compiledTraining } from "./compiled-training.js";
import { expectLikeLosses, runFolder } from "./killed-run.js";
import { launchTeam } from "./launched-team.js";

const training = compiledTraining("other-workers");

const words = (runs: string, ...more: string[]): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "threads=1",
  "precision=f32",
  "train.checkpoint.every=3",
  ...more,
];

/** A run that was stopped after its third step. */
async function stopped(...more: string[]): Promise<{ runs: string; run: string }> {
  const runs = training.runs();
  const { process: driver, ended } = training.start(words(runs, ...more));
  for (;;) {
    const run = runFolder(runs);
    if (run !== undefined && existsSync(path.join(run, "checkpoints/step-00000003"))) break;
    await sleep(5);
  }
  driver.kill("SIGTERM");
  const { code, stderr } = await ended;
  expect(code, stderr).toBe(75);
  return { runs, run: runFolder(runs)! };
}

let whole = "";
beforeAll(async () => {
  const runs = training.runs();
  expect((await training.start(words(runs)).ended).code).toBe(0);
  whole = runFolder(runs)!;
}, 200_000);

it.each([
  ["--resume auto", "train.workers=2", (runs: string) => [...words(runs, "train.workers=2"), "--resume", "auto"], []],
  ["--resume <run>", "train.workers=2", (_: string, run: string) => ["--resume", run, "train.workers=2"], []],
  ["--resume <run>", "train.workers=1", (_: string, run: string) => ["--resume", run, "train.workers=1"], ["train.workers=2"]],
])(
  "%s goes on with %s, says that the last digits will differ, and loses what the whole run loses",
  async (_, number, goOn, begin) => {
    const { runs, run } = await stopped(...begin);
    const { code, stderr } = await training.start(goOn(runs, run)).ended;
    expect(code, stderr).toBe(0);
    const workers = Number(number.split("=")[1]);
    expect(stderr).toContain(`workers: was ${3 - workers}, is ${workers}`);
    expect(stderr).toMatch(/resumed at step \d+ of/);
    expectLikeLosses(run, whole);
  },
  300_000,
);

it("two tasks that a launcher started go on with a run of one worker", async () => {
  const { runs, run } = await stopped();
  const tasks = await launchTeam(training, () => [...words(runs), "--resume", "auto"]);
  const ends = await Promise.all(tasks.map(({ ended }) => ended));
  expect(
    ends.map(({ code }) => code),
    ends[0]!.stderr,
  ).toEqual([0, 0]);
  expect(ends[0]!.stderr).toContain("workers: was 1, is 2");
  expectLikeLosses(run, whole);
}, 300_000);

it("any other key is refused, by name, whatever the number of workers", async () => {
  const { runs, run } = await stopped();
  const named = await training.start(["--resume", run, "train.workers=2", "seed=1"]).ended;
  expect(named.code).toBe(2);
  expect(named.stderr).toMatch(
    /a run goes on with its own config; expected nothing but train\.workers, got seed=1; leave the overrides out, or start a new run$/m,
  );
  const auto = await training.start([...words(runs, "train.workers=2", "seed=1"), "--resume", "auto"]).ended;
  expect(auto.code).toBe(2);
  expect(auto.stderr).toContain("the unfinished run has another config");
  const none = await training.start(["--resume", run, "train.workers=0"]).ended;
  expect(none.code).toBe(2);
  expect(none.stderr).toMatch(/train\.workers/);
}, 200_000);
