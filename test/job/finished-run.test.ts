/**
 * Proves that a finished run stays finished: going on with it scores it again, and whatever ends that early (other question files, a signal, a kill) is said but isn't noted as the run's end; and that
 * one whose training does go on is running again.
 * Alone: npx vitest run test/job/finished-run.test.ts
 */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runPlaces } from "../../src/tracking/run-directory.js";
import { noteEnd, noteStatus, readStatus } from "../../src/tracking/run-status.js";
import { compiledTraining, workerOf } from "./compiled-training.js";
import { runFolder } from "./killed-run.js";
import { makeFiles, tinyWords } from "./trained-run.js";

const training = compiledTraining("finished");
const folder = makeFiles();
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let run = "";

beforeAll(async () => {
  const { code, stderr } = await training.start(tinyWords(folder)).ended;
  expect(code, stderr).toBe(0);
  run = runFolder(path.join(folder, "runs"))!;
  expect(readStatus(runPlaces(run)).state).toBe("finished");
}, 120_000);

/** Goes on with the run and sends the worker a signal when a line is shown. */
async function interrupted(line: string, signal: NodeJS.Signals): Promise<{ code: number | null; stderr: string }> {
  const { process: driver, ended } = training.start(["--resume", run]);
  driver.stderr?.on("data", (chunk: Buffer) => {
    const worker = workerOf(driver);
    if (chunk.toString().includes(line) && worker !== undefined) process.kill(worker, signal);
  });
  return ended;
}

describe("a finished run that is gone on with", () => {
  it("stays finished when its questions aren't those it began with, and says what is wrong", async () => {
    const file = path.join(folder, "test.jsonl");
    const before = readFileSync(file);
    const status = readFileSync(runPlaces(run).status, "utf8");
    appendFileSync(file, '{"id":"new","question":"Who?","answers":["Nobody"]}\n');
    const { code, stderr } = await training.start(["--resume", run, "--quiet"]).ended;
    writeFileSync(file, before);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain("test.jsonl");
    expect(readFileSync(runPlaces(run).status, "utf8")).toBe(status);
  }, 60_000);

  it.each(["SIGTERM", "SIGKILL"] as const)(
    "stays finished after %s in the evaluation",
    async (signal) => {
      const { code, stderr } = await interrupted("== evaluation", signal);
      expect(code, stderr).toBe(signal === "SIGTERM" ? 75 : 2);
      expect(readStatus(runPlaces(run)).state).toBe("finished");
    },
    60_000,
  );

  it("is finished again at its end", async () => {
    expect((await training.start(["--resume", run, "--quiet"]).ended).code).toBe(0);
    expect(readStatus(runPlaces(run)).state).toBe("finished");
  }, 60_000);

  it("can fail once it is running again", () => {
    const places = runPlaces(run);
    noteEnd(places, "failed", "a bug");
    expect(readStatus(places).state).toBe("finished");
    noteStatus(places, "running");
    noteEnd(places, "failed", "a bug");
    expect(readStatus(places)).toMatchObject({ state: "failed", reason: "a bug" });
  });
});
