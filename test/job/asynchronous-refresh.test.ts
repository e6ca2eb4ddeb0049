/**
 * Proves of indexes made by a second process: each takes the old one's place at the step that the config says, whether it was ready long before (the training process stopped until then) or has to be waited for (the second process
 * stopped), and the runs are equal to the last digit; a validation that waits for one says for how long; a run whose group is killed while one is under way equals the uninterrupted one once resumed; a second process that is killed
 * alone ends the run with one line, and resuming mends it; the second process ends with the first; nothing half-written is left.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/asynchronous-refresh.test.ts
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { expectEqualRuns, killAndResume, lossLines, runFolder, startTraining, trainFully, wholeRun, type Finished } from "./killed-run.js";

const SWAP_AFTER = 4;
const SCHEDULE = "[{phase: refresh}, {phase: reader-distillation, steps: 6}, {phase: refresh}, {phase: joint, steps: 8}, {phase: refresh}]";

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "generator.dropout=0.1",
  "retriever.dropout=0.1",
  "train.checkpoint.every=1",
  "train.checkpoint.keep_last=50",
  `train.schedule=${SCHEDULE}`,
  "train.reader.batch=4",
  "train.reader.passages=3",
  "train.reader.candidates=6",
  "train.reader.lr=1e-2",
  "train.drift.every=1",
  "train.drift.questions=8",
  "train.drift.passages=100",
  "train.refresh.asynchronous=true",
  `train.refresh.swap_after=${SWAP_AFTER}`,
  "train.refresh.threads=1",
  "train.validate.after_each_phase=false",
  "--quiet",
];

/** Global steps: refresh 1, reader 2–7, refresh 8, joint 9–16, refresh 17. The second refresh is under way from 8 on. */
const [STARTED, SWAPPED] = [8, 8 + SWAP_AFTER];

interface State {
  readonly step: number;
  readonly artefacts: { readonly index: string; readonly retrieval: string };
  readonly upkeep: {
    readonly refreshedAt: number;
    readonly pending?: {
      readonly startedAt: number;
      readonly swapAt: number;
      readonly snapshot: string;
      readonly artefacts: State["artefacts"];
    };
  };
}

function stateAt(run: string, step: number): State | undefined {
  const file = path.join(run, "checkpoints", `step-${String(step).padStart(8, "0")}`, "state.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as State) : undefined;
}

/** The process below `pid` whose command names this file. */
function processBelow(pid: number | undefined, file: string): number | undefined {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(/\s+/).map(Number);
    return children.find((child) => child > 0 && readFileSync(`/proc/${child}/cmdline`, "utf8").includes(file));
  } catch {
    return undefined;
  }
}

const workerBelow = (driver: ChildProcess): number | undefined => processBelow(driver.pid, "worker.js");
const builderBelow = (driver: ChildProcess): number | undefined => processBelow(workerBelow(driver), "refresh-process.js");

function isAlive(pid: number): boolean {
  try {
    // A process that is dead and not yet waited for has no command line.
    return readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

async function until<T>(look: () => T | undefined | false, ended: Promise<Finished>): Promise<T> {
  let result: Finished | undefined;
  void ended.then((end) => (result = end));
  for (;;) {
    const seen = look();
    if (seen !== undefined && seen !== false) return seen;
    if (result !== undefined) throw new Error(`the run ended first: ${JSON.stringify(result)}`);
    await sleep(2);
  }
}

/** Hidden files and folders below a run directory: what is written beside before it appears. */
function unfinished(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /(\.tmp|\.partial)$/.test(name));
}

async function trained(meddle?: (driver: ChildProcess, ended: Promise<Finished>, runs: string) => Promise<void>): Promise<string> {
  const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
  const { process: driver, ended } = startTraining(words(runs));
  await meddle?.(driver, ended, runs);
  const result = await ended;
  expect(result.code, result.stderr).toBe(0);
  return runFolder(runs) ?? "";
}

/** Stops the worker and lets the second process go on until it is at work, or has ended. Returns the worker. */
async function stoppedWhileBuilt(driver: ChildProcess, builder: number, runs: string): Promise<number> {
  const worker = workerBelow(driver) ?? 0;
  process.kill(worker, "SIGSTOP");
  // It may have been stopped before it gave its order: it goes on for a moment until the second process is at work.
  const isAtWork = (): boolean => !isAlive(builder) || unfinished(runFolder(runs) ?? runs).length > 0;
  while (!isAtWork()) {
    for (let waited = 0; !isAtWork() && waited < 4000; waited += 10) await sleep(10);
    if (isAtWork()) break;
    process.kill(worker, "SIGCONT");
    await sleep(5);
    process.kill(worker, "SIGSTOP");
  }
  return worker;
}

const waits = (run: string): number[] =>
  readFileSync(path.join(run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as Record<string, number>)["refresh/wait_seconds"])
    .filter((seconds) => seconds !== undefined);

let whole = "";

beforeAll(async () => {
  whole = await trained();
}, 300_000);

describe("an index made by a second process", () => {
  it("takes the old one's place at its step, with its artefacts named from its start on", () => {
    const lines = lossLines(whole);
    const age = new Map(lines.map((line) => [line["step"], line["drift/age"]]));
    // Read first by the step after the swap.
    expect([7, 9, SWAPPED, SWAPPED + 1, 16].map((step) => age.get(step))).toEqual([6, 8, SWAPPED - 1, SWAPPED + 1 - STARTED, 16 - STARTED]);
    expect(lines.filter((line) => "refresh/wait_seconds" in line).map(({ step }) => step)).toEqual([SWAPPED + 1]);
    const before = stateAt(whole, STARTED);
    const pending = before?.upkeep.pending;
    expect(pending?.swapAt).toBe(SWAPPED);
    expect(pending?.artefacts.index).not.toBe(before?.artefacts.index);
    for (let step = STARTED; step <= SWAPPED; step++)
      expect(stateAt(whole, step)).toMatchObject({ artefacts: before?.artefacts, upkeep: { pending } });
    const after = stateAt(whole, SWAPPED + 1);
    expect(after?.artefacts).toEqual(pending?.artefacts);
    expect(after?.upkeep).toMatchObject({ refreshedAt: STARTED });
    expect(after?.upkeep.pending).toBeUndefined();
  });

  it("is made at once where it is the first, and at the schedule's end", () => {
    expect(stateAt(whole, 1)?.upkeep).toMatchObject({ refreshedAt: 1 });
    expect(stateAt(whole, 17)?.upkeep).toMatchObject({ refreshedAt: 17 });
    for (const step of [1, 17]) expect(stateAt(whole, step)?.upkeep.pending).toBeUndefined();
  });

  it("that has to be waited for changes nothing but the time", async () => {
    const run = await trained(async (driver, ended) => {
      const builder = await until(() => builderBelow(driver), ended);
      process.kill(builder, "SIGSTOP");
      await sleep(4000);
      process.kill(builder, "SIGCONT");
    });
    expect(waits(run)[0]).toBeGreaterThan(1);
    expectEqualRuns(run, whole);
  }, 300_000);

  it("that is ready long before changes nothing either", async () => {
    const run = await trained(async (driver, ended, runs) => {
      const builder = await until(() => builderBelow(driver), ended);
      const worker = await stoppedWhileBuilt(driver, builder, runs);
      await until(() => !isAlive(builder), ended);
      process.kill(worker, "SIGCONT");
    });
    expect(waits(run)).toEqual([0]);
    expectEqualRuns(run, whole);
  }, 300_000);

  it("and leaves neither a snapshot nor anything half-written", () => {
    expect(readdirSync(path.join(whole, "refresh"))).toEqual([]);
    expect(unfinished(whole)).toEqual([]);
  });
});

describe("beside two workers", () => {
  const two = (runs: string): string[] => [...words(runs), "train.workers=2", "threads=1"];

  it("is read at the same step as beside one, and the losses are those of one", async () => {
    const run = await wholeRun(two);
    const [expected, found] = [lossLines(whole), lossLines(run)];
    expect(found.map(({ step, phase }) => [step, phase])).toEqual(expected.map(({ step, phase }) => [step, phase]));
    for (const [i, line] of expected.entries()) {
      expect(found[i]!["drift/age"]).toBe(line["drift/age"]);
      expect("refresh/wait_seconds" in found[i]!).toBe("refresh/wait_seconds" in line);
      expect(Math.abs((found[i]!["loss"] as number) - (line["loss"] as number)), `line ${i}`).toBeLessThan(1e-3);
    }
    expect(unfinished(run)).toEqual([]);
    const again = await killAndResume(two, 1, (folder) => stateAt(folder, STARTED + 1)?.upkeep.pending !== undefined);
    expect(again.killed).toBe(1);
    expectEqualRuns(again.run, run);
  }, 300_000);
});

describe("validations", () => {
  it("are made at each phase's end but that of a refresh that has only begun", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
    const result = await trainFully([...words(runs), "train.validate.after_each_phase=true"]);
    expect(result.code, result.stderr).toBe(0);
    const run = runFolder(runs) ?? "";
    const made = readdirSync(path.join(run, "validation")).filter((name) => /^step-\d+-.*\.md$/.test(name));
    expect(made.sort().map((name) => name.replace(/^step-0*|\.md$/g, ""))).toEqual([
      "1-refresh",
      "7-reader-distillation",
      "16-joint",
      "17-refresh",
    ]);
    // It embedded what the second process would have, and changed nothing of what was learnt.
    expect(lossLines(run)).toEqual(lossLines(whole));
  }, 300_000);
});

describe("a validation that wants the very index that is under way", () => {
  it("waits for it, says so, and for how long", async () => {
    // Refresh 1, reader 2 and 3, refresh 4 with its index read from 8 on, generator 5 and 6 with a validation at its end, reader 7 to 10.
    const schedule =
      "[{phase: refresh}, {phase: reader-distillation, steps: 2}, {phase: refresh}, {phase: generator, steps: 2, contexts: gold}, {phase: reader-distillation, steps: 4}]";
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
    const others = words(runs).filter((word) => word !== "--quiet" && !word.startsWith("train.schedule="));
    const { process: driver, ended } = startTraining([...others, `train.schedule=${schedule}`, "train.validate.every=6"]);
    const builder = await until(() => builderBelow(driver), ended);
    process.kill(builder, "SIGSTOP");
    await until(() => stateAt(runFolder(runs) ?? runs, 6), ended);
    await sleep(3000);
    process.kill(builder, "SIGCONT");
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(0);
    const run = runFolder(runs) ?? "";
    expect(readdirSync(path.join(run, "validation")).filter((name) => name.startsWith("step-") && name.endsWith(".md"))).toHaveLength(1);
    const [seconds, atSwap] = waits(run);
    expect(seconds).toBeGreaterThan(1);
    expect(atSwap).toBe(0);
    expect(lossLines(run).flatMap((line) => ("refresh/wait_seconds" in line ? [line["step"]] : []))).toEqual([7, 9]);
    expect(stderr.match(/training waited \d+\.\d s.*/g)).toEqual([
      expect.stringMatching(new RegExp(`^training waited ${seconds?.toFixed(1)} s for the index of step 4, which a validation wants$`)),
    ]);
  }, 300_000);
});

describe("an index that the schedule replaces before it was read", () => {
  it("is given up, and the new one has its own step", async () => {
    const more = ["train.refresh.at_least_every=4", "train.refresh.swap_after=5"];
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
    const result = await trainFully([...words(runs).filter((word) => !word.includes("swap_after")), ...more]);
    expect(result.code, result.stderr).toBe(0);
    const run = runFolder(runs) ?? "";
    // By age at 5, to be read from 10 on; the schedule's refresh at 8 replaces it.
    expect(stateAt(run, 7)?.upkeep.pending).toMatchObject({ startedAt: 5, swapAt: 10 });
    expect(stateAt(run, 8)?.upkeep.pending).toMatchObject({ startedAt: 8, swapAt: 13 });
    expect(stateAt(run, 13)?.artefacts).toEqual(stateAt(run, 1)?.artefacts);
    expect(stateAt(run, 14)?.artefacts).toEqual(stateAt(run, 8)?.upkeep.pending?.artefacts);
    // By age again at 13, when five steps would lead beyond the end: made at once.
    expect(stateAt(run, 16)?.upkeep.pending).toBeUndefined();
    expect(unfinished(run)).toEqual([]);
    // The checkpoints of the steps before still refer to it.
    expect(readdirSync(path.join(run, "refresh"))).toEqual([stateAt(run, 7)?.upkeep.pending?.snapshot]);
  }, 300_000);

  it("leaves nothing of the vectors that it had embedded by then", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
    const more = ["train.refresh.at_least_every=4", "train.refresh.swap_after=5"];
    const { process: driver, ended } = startTraining([...words(runs).filter((word) => !word.includes("swap_after")), ...more]);
    const builder = await until(() => builderBelow(driver), ended);
    const worker = await stoppedWhileBuilt(driver, builder, runs);
    process.kill(builder, "SIGSTOP");
    expect(unfinished(runFolder(runs) ?? "").filter((name) => name.endsWith(".partial"))).toHaveLength(1);
    // It stands still until the schedule's refresh gives it up.
    process.kill(worker, "SIGCONT");
    const result = await ended;
    expect(result.code, result.stderr).toBe(0);
    expect(unfinished(runFolder(runs) ?? "")).toEqual([]);
  }, 300_000);
});

describe("a run that is killed while an index is under way", () => {
  it("equals the uninterrupted one after SIGKILL at its start and in the midst of the steps that go on meanwhile", async () => {
    const { run, killed } = await killAndResume(words, 2, (folder, kill) => {
      const state = stateAt(folder, STARTED + 2 * kill);
      return state?.upkeep.pending !== undefined && stateAt(folder, SWAPPED + 1) === undefined;
    });
    expect(killed).toBe(2);
    expectEqualRuns(run, whole);
    expect(unfinished(run)).toEqual([]);
    expect(readdirSync(path.join(run, "refresh"))).toEqual([]);
  }, 400_000);

  it.each(["SIGCONT", "SIGSTOP"] as const)(
    "takes the second process with it, also one that hears nothing (%s)",
    async (signal) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
      const { process: driver, ended } = startTraining(words(runs));
      const builder = await until(() => builderBelow(driver), ended);
      // The add-on's first call is the one that ties it to its parent.
      await until(() => readFileSync(`/proc/${builder}/maps`, "utf8").includes("mmap.node") || undefined, ended);
      process.kill(builder, signal);
      process.kill(workerBelow(driver) ?? 0, "SIGKILL");
      const result = await ended;
      expect(result.code).toBe(2);
      for (let waited = 0; isAlive(builder) && waited < 10_000; waited += 20) await sleep(20);
      expect(isAlive(builder)).toBe(false);
    },
    120_000,
  );

  it("and one that is asked to stop while it waits for it: stops at once, waits again once resumed, and equals it too", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
    const { process: driver, ended } = startTraining(words(runs));
    const builder = await until(() => builderBelow(driver), ended);
    process.kill(builder, "SIGSTOP");
    await until(() => stateAt(runFolder(runs) ?? runs, SWAPPED), ended);
    // By now it waits: there is nothing else to do before the next step.
    await sleep(1000);
    const asked = performance.now();
    driver.kill("SIGTERM");
    const result = await ended;
    expect(performance.now() - asked).toBeLessThan(20_000);
    expect(result.code, result.stderr).toBe(75);
    expect(isAlive(builder)).toBe(false);
    const run = runFolder(runs) ?? "";
    expect(stateAt(run, SWAPPED)?.upkeep.pending).toMatchObject({ startedAt: STARTED, swapAt: SWAPPED });
    expect(stateAt(run, SWAPPED + 1)).toBeUndefined();
    const resumed = await trainFully(["--resume", run, "--quiet"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expectEqualRuns(run, whole);
  }, 300_000);

  it("ends with one line when the second process alone is killed, saves, and goes on from there as if nothing had been", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-asynchronous-"));
    const { process: driver, ended } = startTraining(words(runs));
    process.kill(await until(() => builderBelow(driver), ended), "SIGKILL");
    const result = await ended;
    expect(result.code).toBe(2);
    const said = result.stderr.split("\n").filter((line) => line.includes("train.refresh:"));
    expect(said).toEqual([
      expect.stringMatching(
        /train\.refresh: the process that makes the index was ended by SIGKILL \(out of memory, or by hand\); go on from the last checkpoint, .*asynchronous=false$/,
      ),
    ]);
    const run = runFolder(runs) ?? "";
    const { pending } = stateAt(run, STARTED)?.upkeep ?? {};
    const snapshot = path.join(run, "refresh", pending?.snapshot ?? "");
    renameSync(snapshot, `${runs}-snapshot`);
    const without = await trainFully(["--resume", run, "--quiet"]);
    expect(without.code).toBe(2);
    expect(without.stderr).toContain(
      `${snapshot}: is gone: the retriever as it was at step ${STARTED}, which an index was being made of; remove the newest checkpoint`,
    );
    renameSync(`${runs}-snapshot`, snapshot);
    const resumed = await trainFully(["--resume", run, "--quiet"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expectEqualRuns(run, whole);
  }, 300_000);
});
