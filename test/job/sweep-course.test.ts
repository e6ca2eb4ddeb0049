/**
 * Proves the course of a sweep where no model is needed: damaged, truncated and removed runs become rows of the table and never take the sweep down; a sweep without its table isn't finished; interrupts that
 * kill a run leave it as begun; and a sweep that can't be made whole leaves nothing. The training is a stand-in that writes a report; real runs are in multirun.test.ts. Alone: npx vitest run test/job/sweep-course.test.ts
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { UserError } from "../../src/errors.js";
import { EXIT } from "../../src/job/exit-codes.js";
import {
  compareSweep,
  createSweep,
  isDone,
  openSweep,
  runSweep,
  runsOf,
  type Sweep,
  type SweepCourse,
} from "../../src/job/run/multirun.js";
import { reportRows } from "../../src/tracking/run-summary.js";
import type { RunDirectory } from "../../src/tracking/run-directory.js";
import { userErrorOf } from "../config/user-error.js";

const scratch = mkdtempSync(path.join(tmpdir(), "tandem-course-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(path.join(scratch, "case-"));

const planned = [1, 2, 3].map((seed) => {
  const overrides = ["experiment=tiny", `seed=${seed}`];
  return { overrides, config: loadConfig({ overrides }).config };
});
const described = { name: "tiny", words: ["experiment=tiny", "seed=1,2,3"], keys: ["seed"], planned, versions: { tandem: "0" } };

async function made(root = fresh()): Promise<Sweep> {
  const sweep = await createSweep(root, described, () => false);
  if (sweep === undefined) throw new Error("the sweep wasn't made");
  return sweep;
}

/** Reports that differ by the run's number. */
const REPORTS = [0, 1, 2].map((number) =>
  JSON.stringify({ rows: [{ name: "trained-pair", em: number / 4, f1: 0.5, recall: { "1": 0.25 }, mrr: 0.375 }], more: [] }),
);

/** Runs what is left; what was driven, how it ended, what was warned of. */
async function course(sweep: Sweep, more: Partial<SweepCourse> = {}): Promise<{ driven: number[]; ended: string; warned: string[] }> {
  const driven: number[] = [];
  const warned: string[] = [];
  const drive: SweepCourse["drive"] = async (run, place) => {
    driven.push(place.number);
    return (more.drive ?? finished)(run, place);
  };
  const quiet = { stopRequested: () => false, killed: () => false, warn: (text: string) => void warned.push(text), versions: {} };
  return { ended: await runSweep(sweep, { ...quiet, ...more, drive }), driven, warned };
}

const finished: SweepCourse["drive"] = async (run, { number }) => {
  writeFileSync(run.reportJson, REPORTS[number] ?? "");
  return Promise.resolve(EXIT.finished);
};

const outcomes = (sweep: Sweep): string[] => openSweep(sweep.path).runs.map(({ outcome }) => outcome);
const nth = (sweep: Sweep, number: number): RunDirectory => runsOf(sweep)[number]!;

describe("a report that is", () => {
  it.each([
    ["empty", "", /is empty/],
    ["cut off", '{"rows": [{"name": "trained-pair", "em', /is not JSON/],
    ["without rows", "{}", /is not a run's report; expected rows/],
    ["of another type", "[]", /expected a JSON object, got an array/],
    ["with a row that has no name", '{"rows":[{}],"more":[]}', /is not a run's report/],
    ["with rows that are texts", '{"rows":["em"],"more":[]}', /expected a JSON object, got a string/],
    ["with more that is no list", '{"rows":[],"more":{"name":"x"}}', /is not a run's report/],
    ["in another encoding", Buffer.from([0xff, 0xfe, 0x7b, 0x00]), /is not UTF-8/],
  ])("%s is a fault of one row, and its run is tried again", async (_, content, fault) => {
    const sweep = await made();
    await course(sweep);
    writeFileSync(nth(sweep, 1).reportJson, content);
    expect(userErrorOf(() => reportRows(nth(sweep, 1)))).toMatch(fault);

    const { runs } = compareSweep(openSweep(sweep.path));
    expect(runs.map(({ outcome }) => outcome)).toEqual(["finished", "failed", "finished"]);
    expect(runs[1]).toMatchObject({ rows: [], fault: expect.stringMatching(fault) as string });
    const text = readFileSync(path.join(sweep.path, "comparison.txt"), "utf8");
    expect(text).toMatch(/run 1 failed: .*report\.json/);
    expect(text).not.toContain("undefined");

    const again = await course(openSweep(sweep.path));
    expect(again).toMatchObject({ ended: "ended", driven: [1], warned: [expect.stringMatching(fault)] });
    expect(compareSweep(openSweep(sweep.path)).runs.map((run) => run.rows[0]?.figures["em"])).toEqual([0, 0.25, 0.5]);
  });

  it.each([
    ["figures that are texts", '{"rows":[{"name":"trained-pair","em":"high","recall":null}],"more":[]}'],
    ["no trained pair", '{"rows":[{"name":"bm25","em":1}],"more":[]}'],
    ["no rows beside the six", '{"rows":[{"name":"bm25","em":1}]}'],
  ])("whole, with %s, has dashes in the table", async (_, content) => {
    const sweep = await made();
    await course(sweep);
    writeFileSync(nth(sweep, 0).reportJson, content);
    compareSweep(sweep);
    expect(readFileSync(path.join(sweep.path, "comparison.txt"), "utf8")).toMatch(/^\s*0 +1 +– +– +– +– /m);
  });
});

describe("a run whose folder", () => {
  it.each([
    ["is gone", (run: RunDirectory): void => rmSync(run.path, { recursive: true })],
    ["has no environment and no report", (run: RunDirectory): void => [run.environment, run.reportJson].forEach((file) => rmSync(file))],
  ])("%s fails alone", async (_, damage) => {
    const sweep = await made();
    await course(sweep);
    damage(nth(sweep, 0));
    rmSync(nth(sweep, 2).reportJson);
    const again = await course(openSweep(sweep.path));
    expect(again).toMatchObject({ ended: "ended", driven: [2] });
    const { runs } = compareSweep(openSweep(sweep.path));
    expect(runs.map(({ outcome }) => outcome)).toEqual(["failed", "finished", "finished"]);
    expect(runs[0]?.fault).toMatch(/put the folder back/);
  });
});

describe("a sweep", () => {
  it("is done once its table is written, and not before", async () => {
    const sweep = await made();
    expect(isDone(sweep)).toBe(false);
    await course(sweep);
    expect(outcomes(sweep)).toEqual(["finished", "finished", "finished"]);
    expect(isDone(openSweep(sweep.path))).toBe(false);
    compareSweep(sweep);
    expect(isDone(openSweep(sweep.path))).toBe(true);
  });

  it("that was stopped has a table, which counts no more once it goes on", async () => {
    const sweep = await made();
    const driven: number[] = [];
    const stopped = await course(sweep, {
      drive: (run, place) => (driven.push(place.number), finished(run, place)),
      stopRequested: () => driven.length === 2,
    });
    expect(stopped.ended).toBe("stopped");
    expect(compareSweep(sweep).runs.map(({ outcome }) => outcome)).toEqual(["finished", "finished", "waiting"]);
    expect((await course(sweep)).driven).toEqual([2]);
    expect(isDone(openSweep(sweep.path))).toBe(false);
  });
});

const bySigkill: SweepCourse["drive"] = () =>
  Promise.reject(new UserError({ where: "run", what: "the training process was ended by SIGKILL after 3 interrupts" }));

describe("a run that is killed", () => {
  it("by interrupts stays begun, and the sweep ends there", async () => {
    const sweep = await made();
    expect(await course(sweep, { drive: bySigkill, killed: () => true })).toMatchObject({ ended: "killed", driven: [0] });
    expect(outcomes(sweep)).toEqual(["begun", "waiting", "waiting"]);
    expect(compareSweep(sweep).runs.map(({ outcome, fault }) => [outcome, fault])).toEqual([
      ["stopped", null],
      ["waiting", null],
      ["waiting", null],
    ]);
  });

  it("by something else has failed, and the others go on", async () => {
    const sweep = await made();
    const drive: SweepCourse["drive"] = (run, place) => (place.number === 0 ? bySigkill(run, place) : finished(run, place));
    expect(await course(sweep, { drive })).toMatchObject({ ended: "ended", driven: [0, 1, 2] });
    expect(outcomes(sweep)).toEqual(["failed", "finished", "finished"]);
    expect(await course(sweep)).toMatchObject({ driven: [0] });
    expect(outcomes(sweep)).toEqual(["finished", "finished", "finished"]);
    expect(existsSync(nth(sweep, 0).resumptions)).toBe(true);
    expect(existsSync(nth(sweep, 1).resumptions)).toBe(false);
  });
});

describe("making a sweep", () => {
  it("hears a stop between two runs, and leaves nothing", async () => {
    const root = fresh();
    let asked = false;
    setImmediate(() => (asked = true));
    expect(await createSweep(root, described, () => asked)).toBeUndefined();
    expect(asked).toBe(true);
    expect(readdirSync(root)).toEqual([]);
  });

  it("that fails in the middle leaves nothing", async () => {
    const root = fresh();
    const [first, second] = planned;
    const wrong = { ...second!, config: { ...second!.config, name: "a/b" } };
    await expect(createSweep(root, { ...described, planned: [first!, wrong] }, () => false)).rejects.toThrow(/can't be the name of a run/);
    expect(readdirSync(root)).toEqual([]);
  });

  it("asks git for the source once, and every run holds it", async () => {
    const folder = fresh();
    const asked = path.join(folder, "asked");
    const kept = process.env["PATH"] ?? "";
    const real = kept.split(":").find((place) => existsSync(path.join(place, "git"))) ?? "/usr/bin";
    writeFileSync(path.join(folder, "git"), `#!/bin/sh\necho "$*" >> '${asked}'\nexec '${real}/git' "$@"\n`, { mode: 0o755 });
    process.env["PATH"] = `${folder}:${kept}`;
    const sweep = await made().finally(() => (process.env["PATH"] = kept));
    expect(readFileSync(asked, "utf8").match(/--show-toplevel/g)).toHaveLength(1);
    const sources = runsOf(sweep).map(({ environment }) => (JSON.parse(readFileSync(environment, "utf8")) as { git: unknown }).git);
    expect(sources).toEqual([sources[0], sources[0], sources[0]]);
  });
});
