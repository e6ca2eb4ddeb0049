/**
 * Proves that the refresh of a run with two workers is that of a run with one: the same index folder, vectors and found rows, to the byte; that it is gone on from after SIGKILL of everything in the midst of it; and that a worker that
 * can't do its part ends the run by name, within a minute, with nothing left running and a run that goes on.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/shared-refresh.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { hashFile } from "../../src/storage/content-hash.js";
import { faissMissing } from "../retrieval/faiss-here.js";
import { killAndResume, lossLines, runFolder, startTraining, trainFully, wholeRun } from "./killed-run.js";

const words = (runs: string, workers: number): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  `train.workers=${workers}`,
  "threads=1",
  "train.schedule=[{phase: refresh}, {phase: generator, steps: 2, contexts: retrieved}]",
  "train.validate.after_each_phase=false",
  "train.checkpoint.every=1",
  "train.log.every=1",
  "--quiet",
];

/** Index folders and what was found, every file with its hash. */
function artefacts(run: string): Record<string, string> {
  return Object.fromEntries(
    ["index", "retrieval"].flatMap((name) =>
      readdirSync(path.join(run, name), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name: file }) => path.join(parentPath, file))
        .sort()
        .map((file) => [path.relative(run, file), hashFile(file)] as const),
    ),
  );
}

/** The index that the refresh made, as the run's last state has it. */
function refreshed(run: string): string {
  const last = readdirSync(path.join(run, "checkpoints")).sort().at(-1) ?? "";
  const state = JSON.parse(readFileSync(path.join(run, "checkpoints", last, "state.json"), "utf8")) as {
    artefacts: { index: string };
  };
  return state.artefacts.index;
}

/** Of what only the refresh makes: the report embeds the base retriever beside it. */
function ofRefresh(run: string): Record<string, string> {
  const name = refreshed(run);
  return Object.fromEntries(
    Object.entries(artefacts(run)).filter(([file]) => file.startsWith(`index/${name}/`) || file.startsWith("retrieval/")),
  );
}

let one = "";
let two = "";
/** Where the vectors of the refresh are while they are made. */
let partial = "";
beforeAll(async () => {
  one = await wholeRun((runs) => words(runs, 1));
  two = await wholeRun((runs) => words(runs, 2));
  partial = `index/${refreshed(two)}.partial`;
}, 300_000);

describe("a refresh of two workers", () => {
  it("makes what one worker makes", () => {
    const made = ofRefresh(one);
    expect(Object.keys(made).length).toBeGreaterThanOrEqual(4);
    expect(ofRefresh(two)).toEqual(made);
  });

  it("goes on after SIGKILL of everything while the second worker embeds, to the same artefacts and losses", async () => {
    const parts = (run: string): string[] => {
      const folder = path.join(run, partial);
      return existsSync(folder) ? readdirSync(folder).filter((name) => existsSync(path.join(folder, name, "vectors.npy"))) : [];
    };
    let seen: string[] = [];
    const { run, killed } = await killAndResume(
      (runs) => words(runs, 2),
      1,
      (folder) => {
        seen = parts(folder);
        return seen.includes("0000000512.partial");
      },
    );
    expect(killed).toBe(1);
    expect(seen).toContain("0000000512.partial");
    expect(ofRefresh(run)).toEqual(ofRefresh(one));
    expect(readdirSync(path.join(run, "index")).filter((name) => name.endsWith(".partial"))).toEqual([]);
    expect(lossLines(run)).toEqual(lossLines(two));
  }, 300_000);

  it("ends the run by name when the second worker can't write, and goes on when it can", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-shared-"));
    const { ended } = startTraining(words(runs, 2));
    let obstacle = "";
    const timer = setInterval(() => {
      const run = runFolder(runs);
      if (run === undefined) return;
      clearInterval(timer);
      obstacle = path.join(run, partial, "0000000512.partial");
      mkdirSync(path.dirname(obstacle), { recursive: true });
      writeFileSync(obstacle, "in the way");
    }, 1);
    const { code, stderr } = await ended;
    clearInterval(timer);
    expect(obstacle).not.toBe("");
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(/0000000512\.partial/);
    expect(stderr).not.toMatch(/\n\s+at /);
    const run = runFolder(runs)!;
    expect(spawnSync("pgrep", ["-f", run], { encoding: "utf8" }).stdout.trim()).toBe("");
    rmSync(obstacle);
    expect((await trainFully(["--resume", run, "--quiet"])).code).toBe(0);
    expect(ofRefresh(run)).toEqual(ofRefresh(one));
  }, 300_000);
});

describe.skipIf(faissMissing !== undefined)(`FAISS's index of two workers${faissMissing === undefined ? "" : `: ${faissMissing}`}`, () => {
  it("is that of one, built by the first on all cores while the others wait", async () => {
    const faiss = (runs: string, workers: number): string[] => [
      ...words(runs, workers),
      'index.factory="IVF4,Flat"',
      'index.search="nprobe=2"',
    ];
    const [whole, shared] = [await wholeRun((runs) => faiss(runs, 1)), await wholeRun((runs) => faiss(runs, 2))];
    const made = ofRefresh(whole);
    expect(Object.keys(made).filter((file) => file.endsWith("index.faiss"))).toHaveLength(1);
    expect(ofRefresh(shared)).toEqual(made);
  }, 120_000);
});
