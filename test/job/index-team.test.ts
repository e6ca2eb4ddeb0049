/**
 * Proves that `tandem index` as several processes makes, byte for byte, what one process makes: started by `tandem launch` and with a launcher's variables; that the first alone prints; that one which is killed, worker or driver, ends all
 * with exit code 2 by its name, that SIGTERM ends all with 75, and that afterwards any number of processes go on without embedding again what was there; and that what differs between them is refused by name.
 * Real processes. Slow (3 min). Alone: npx vitest run test/job/index-team.test.ts
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../storage/bad-input.js";
import { compiledTraining } from "./compiled-training.js";
import { contents, DIMENSION, indexWorld, PART, partialOf, SIZE, wholeParts } from "./index-world.js";
import type { Finished } from "./killed-run.js";
import { isAlive, launchTeam, withoutLauncher, type Task } from "./launched-team.js";

const training = compiledTraining("index-team");
const world = temporaryFolder();
const { words } = indexWorld(world);

const environment = (): NodeJS.ProcessEnv => ({ ...withoutLauncher(), OMP_NUM_THREADS: "1" });
const run = (given: readonly string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(training.tandem, given, { cwd: training.root, encoding: "utf8", env: environment() });
const launched = (size: number, given: readonly string[]): ReturnType<typeof run> =>
  run(["launch", "--workers", String(size), "index", ...given]);
const tasks = (folder: string, change: (rank: number) => readonly string[] = () => []): Promise<Task[]> =>
  launchTeam(training, (rank) => [...words(folder), "--quiet", ...change(rank)], { verb: "index" });
const endOf = (all: readonly Task[]): Promise<Finished[]> => Promise.all(all.map(({ ended }) => ended));
const faultsOf = ({ stderr }: Finished): string[] => stderr.split("\n").filter((line) => line.startsWith("tandem "));

/** The worker process of a task of `tandem index`. */
function workerOf({ process: driver }: Task): number {
  const children = spawnSync("pgrep", ["-P", String(driver.pid)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter(Boolean)
    .map(Number);
  return children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("index-worker."))!;
}

/** Marks the vectors of a whole part, so that it is seen whether they are embedded again. */
function mark(folder: string, first: number): void {
  const file = path.join(partialOf(folder)!, `${String(first).padStart(10, "0")}.partial`, "vectors.npy");
  const bytes = readFileSync(file);
  bytes.fill(0, bytes.length - 4 * DIMENSION);
  writeFileSync(file, bytes);
}

/** The rows of an index that are all zero. */
function markedRows(folder: string): number[] {
  const bytes = readFileSync(path.join(folder, "index/vectors.npy"));
  const start = bytes.length - 4 * DIMENSION * SIZE;
  const isZero = (row: number): boolean =>
    bytes.subarray(start + 4 * DIMENSION * row, start + 4 * DIMENSION * (row + 1)).every((byte) => byte === 0);
  return Array.from({ length: SIZE }, (_, row) => row).filter(isZero);
}

const one = path.join(world, "one");
beforeAll(() => {
  mkdirSync(one);
  const { status, stderr } = run(["index", ...words(one)]);
  expect(status, stderr).toBe(0);
}, 120_000);

describe("tandem launch", () => {
  it.each([1, 2, 3])(
    "of %i: the bytes of one process, one result, one bar",
    (size) => {
      const folder = temporaryFolder();
      const { status, stdout, stderr } = launched(size, words(folder, "--json"));
      expect(status, stderr).toBe(0);
      expect(contents(folder)).toEqual(contents(one));
      expect(JSON.parse(stdout)).toMatchObject({ outcome: "built", provenance: { size: SIZE, dimension: DIMENSION } });
      expect(partialOf(folder)).toBeUndefined();
      expect(stderr).not.toContain("[rank");
      const bar = /index: \d+\/(\d+) (.*) \(100 %\)/.exec(stderr);
      // Of three, the first has three of ten parts; joined, all are there.
      expect(bar?.[1], stderr).toBe(String(size === 1 ? SIZE : PART * (size === 2 ? 5 : 3)));
      if (size > 1) expect(bar?.[2]).toBe(`passages embedded by each of ${size} workers`);
      const again = launched(size, words(folder));
      expect(again.stdout).toMatch(/^verified: /);
      expect(contents(folder)).toEqual(contents(one));
    },
    120_000,
  );

  it("rebuilds, with FAISS's flat file, as one process does", () => {
    const folder = temporaryFolder();
    cpSync(one, folder, { recursive: true });
    const { status, stdout, stderr } = launched(2, words(folder, "--rebuild", "index.faiss=true"));
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/^rebuilt: /);
    const alone = temporaryFolder();
    expect(run(["index", ...words(alone, "index.faiss=true")]).status).toBe(0);
    expect(contents(folder)).toEqual(contents(alone));
  }, 120_000);
});

describe("with a launcher's variables,", () => {
  it("two make the bytes of one; the second prints nothing", async () => {
    const folder = temporaryFolder();
    const ends = await endOf(await tasks(folder));
    expect(
      ends.map(({ code }) => code),
      ends.map(({ stderr }) => stderr).join("\n"),
    ).toEqual([0, 0]);
    expect(contents(folder)).toEqual(contents(one));
    expect(ends[1]!.stderr).toBe("");
  }, 120_000);

  it.each([
    ["another config", (rank: number) => (rank === 1 ? ["index.metric=cosine"] : []), "has another config"],
    ["--rebuild of one alone", (rank: number) => (rank === 1 ? ["--rebuild"] : []), "has another config"],
  ])(
    "%s is refused by name, on both, and nothing is made",
    async (_, change, what) => {
      const folder = temporaryFolder();
      const ends = await endOf(await tasks(folder, change));
      for (const end of ends) {
        expect(end.code).toBe(2);
        expect(faultsOf(end)).toEqual([expect.stringMatching(new RegExp(`^tandem index: rank 1 of job script on node \\S+: ${what}`))]);
      }
      expect(readdirSync(folder)).toEqual([]);
    },
    120_000,
  );

  it.each([
    [1, "worker", "its worker \\(process \\d+\\) was ended by SIGKILL \\(out of memory, or a time limit\\)"],
    [0, "worker", "its worker \\(process \\d+\\) was ended by SIGKILL \\(out of memory, or a time limit\\)"],
    [1, "driver", "connection lost"],
  ] as const)(
    "rank %i whose %s is killed is named by all that are left, with 2, and going on doesn't embed again what was there",
    async (rank, victim, why) => {
      const folder = temporaryFolder();
      const all = await tasks(folder);
      while (!wholeParts(folder).some((first) => first >= 5 * PART)) await sleep(5);
      const workers = all.map(workerOf);
      process.kill(victim === "worker" ? workers[rank]! : all[rank]!.process.pid!, "SIGKILL");
      const left = victim === "driver" ? all.filter((_, other) => other !== rank) : all;
      const ends = await endOf(left);
      for (const end of ends) {
        expect(end.code, end.stderr).toBe(2);
        const line = `^tandem index: rank ${rank} on node ${hostname()}: ${why}; run the same command again: what is embedded is kept$`;
        expect(faultsOf(end)).toEqual([expect.stringMatching(new RegExp(line))]);
      }
      for (let tries = 0; tries < 200 && workers.some(isAlive); tries++) await sleep(50);
      expect(workers.filter(isAlive)).toEqual([]);
      expect(existsSync(path.join(folder, "index"))).toBe(false);
      const there = wholeParts(folder);
      expect(there.length).toBeGreaterThan(0);
      expect(there.length).toBeLessThan(Math.ceil(SIZE / PART));
      const copy = temporaryFolder();
      cpSync(folder, copy, { recursive: true });
      const again = await endOf(await tasks(folder));
      expect(
        again.map(({ code }) => code),
        again.map(({ stderr }) => stderr).join("\n"),
      ).toEqual([0, 0]);
      expect(contents(folder)).toEqual(contents(one));
      // The same again with marked vectors: they come through as they are, so nobody embedded them anew.
      for (const first of there) mark(copy, first);
      expect(launched(3, words(copy, "--quiet")).status).toBe(0);
      expect(markedRows(copy)).toEqual(there.map((first) => Math.min(first + PART, SIZE) - 1).sort((a, b) => a - b));
    },
    200_000,
  );

  it.each([0, 1])(
    "SIGTERM to rank %i ends both with 75, and one process goes on to the same bytes",
    async (rank) => {
      const folder = temporaryFolder();
      const all = await tasks(folder);
      while (wholeParts(folder).length === 0) await sleep(5);
      all[rank]!.process.kill("SIGTERM");
      const ends = await endOf(all);
      expect(
        ends.map(({ code }) => code),
        ends.map(({ stderr }) => stderr).join("\n"),
      ).toEqual([75, 75]);
      expect(ends[0]!.stderr).toContain("stopped; what is embedded is kept: the same command goes on with it");
      expect(existsSync(path.join(folder, "index"))).toBe(false);
      const kept = wholeParts(folder);
      for (const first of kept) mark(folder, first);
      expect(run(["index", ...words(folder)]).status).toBe(0);
      expect(markedRows(folder)).toHaveLength(kept.length);
    },
    120_000,
  );
});

it("one process stops at SIGTERM with 75, keeps its vectors, and goes on", async () => {
  const folder = temporaryFolder();
  const [alone] = await launchTeam(training, () => words(folder), { verb: "index", size: 1 });
  for (;;) {
    const partial = partialOf(folder);
    if (partial !== undefined && existsSync(path.join(partial, "vectors.npy")) && statSync(path.join(partial, "vectors.npy")).size > 1e5)
      break;
    await sleep(5);
  }
  alone!.process.kill("SIGTERM");
  const { code, stderr } = await alone!.ended;
  expect(code, stderr).toBe(75);
  const progress = path.join(partialOf(folder)!, "progress.json");
  expect((JSON.parse(readFileSync(progress, "utf8")) as { rows: number }).rows).toBeGreaterThan(0);
  expect(run(["index", ...words(folder)]).status).toBe(0);
  expect(contents(folder)).toEqual(contents(one));
}, 120_000);
