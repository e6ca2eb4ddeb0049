/**
 * Proves that `tandem train --multirun` makes one ordinary run of each combination, survives SIGKILL in the middle of one (finished runs aren't repeated, the one that was cut goes on from its checkpoint),
 * notes a run that fails and goes on with the others, and compares all in one table. Real processes; needs the compiled program (npm run build). Alone: npx vitest run test/job/multirun.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { SweepComparison } from "../../src/report/sweep-table.js";
import { openSweep } from "../../src/job/multirun.js";
import { userErrorOf } from "../config/user-error.js";
import { lossLines, ROOT, trainAndKill } from "./killed-run.js";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function emptyFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "tandem-sweep-"));
  folders.push(folder);
  return folder;
}

function train(
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): { status: number | null; out: string; error: string } {
  const env = { ...process.env, ...variables };
  const { status, stdout, stderr } = spawnSync(path.join(ROOT, "bin/tandem"), ["train", ...words], { cwd: ROOT, encoding: "utf8", env });
  return { status, out: stdout, error: stderr };
}

/** Whatever the test asks of a run, without the rows that take longest. */
const SMALL = ["experiment=tiny", "eval.rows=[bm25,trained-pair]", "train.checkpoint.every=2"];

function sweepIn(runs: string): string {
  const [name = ""] = readdirSync(runs).filter((entry) => entry.endsWith("-multirun"));
  return path.join(runs, name);
}

function state(sweep: string): { runs: { folder: string; outcome: string }[] } {
  return JSON.parse(readFileSync(path.join(sweep, "sweep.json"), "utf8")) as { runs: { folder: string; outcome: string }[] };
}

describe("a sweep that is killed in its second run", () => {
  const runs = emptyFolder();
  const words = [...SMALL, `run.dir=${runs}`, "train.contrastive.lr=1e-3,5e-4", "seed=range(1,2)"];
  const second = (): string => path.join(sweepIn(runs), state(sweepIn(runs)).runs[1]?.folder ?? "");

  it("goes on where it was, and ends with one table", async () => {
    const killed = await trainAndKill(["--multirun", ...words, "--quiet"], () => {
      if (!existsSync(runs) || readdirSync(runs).length === 0 || !existsSync(path.join(sweepIn(runs), "sweep.json"))) return false;
      const checkpoints = path.join(second(), "checkpoints");
      return state(sweepIn(runs)).runs[1]?.outcome === "begun" && readdirSync(checkpoints).some((name) => !name.includes("tmp"));
    });
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    const sweep = sweepIn(runs);
    expect(state(sweep).runs.map(({ outcome }) => outcome)).toEqual(["finished", "begun"]);
    const first = path.join(sweep, state(sweep).runs[0]?.folder ?? "");
    const before = statSync(path.join(first, "report.json")).mtimeMs;

    const resumed = train(["--multirun", ...words, "--resume", "auto", "--json", "--quiet"]);
    expect(resumed.status, resumed.error).toBe(0);
    expect(readdirSync(runs)).toHaveLength(1);
    expect(statSync(path.join(first, "report.json")).mtimeMs).toBe(before);
    expect(existsSync(path.join(first, "resumptions.jsonl"))).toBe(false);
    expect(existsSync(path.join(second(), "resumptions.jsonl"))).toBe(true);
    for (const run of [first, second()]) {
      const steps = lossLines(run).map(({ step }) => step);
      expect(new Set(steps).size).toBe(steps.length);
      expect(steps.at(-1)).toBe(lossLines(first).at(-1)?.["step"]);
    }

    const comparison = JSON.parse(resumed.out) as SweepComparison;
    expect(comparison.keys).toEqual(["train.contrastive.lr"]);
    expect(comparison.runs.map(({ overrides }) => overrides["train.contrastive.lr"])).toEqual(["0.001", "0.0005"]);
    const report = JSON.parse(readFileSync(path.join(second(), "report.json"), "utf8")) as { rows: { name: string; f1: number }[] };
    expect(comparison.runs[1]?.rows.slice(0, report.rows.length)).toEqual(report.rows);
    expect(readFileSync(path.join(sweep, "comparison.txt"), "utf8")).toMatch(/2 of 2 runs finished/);
  }, 400_000);

  it("isn't begun anew by other values, and once it is finished nothing is repeated", () => {
    const sweep = sweepIn(runs);
    const again = train(["--resume", sweep]);
    expect(again.status, again.error).toBe(0);
    expect(again.out).toMatch(/^\s*run  +train\.contrastive\.lr +EM +F1 +R@1 +MRR +EM bm25/m);
    expect(again.out).toMatch(/^\s*0 +0\.001 /m);
    expect(train(["--resume", sweep, "seed=3"])).toMatchObject({ status: 2, error: expect.stringMatching(/own config/) as string });
    const changed = JSON.parse(readFileSync(path.join(sweep, "sweep.json"), "utf8")) as { runs: { outcome: string }[] };
    if (changed.runs[1] !== undefined) changed.runs[1].outcome = "begun";
    writeFileSync(path.join(sweep, "sweep.json"), JSON.stringify(changed));
    const other = train(["--multirun", ...words, "train.contrastive.lr=1e-3,7e-4", "--resume", "auto"]);
    expect(other).toMatchObject({ status: 2, error: expect.stringMatching(/the unfinished sweep has other values/) as string });
  }, 120_000);
});

describe("a sweep with a run that fails", () => {
  it("notes it, goes on with the others, and its exit status says so", () => {
    const runs = emptyFolder();
    const good = path.join(ROOT, "data/quickstart/corpus.jsonl");
    const { status, out, error } = train(["-m", ...SMALL, `run.dir=${runs}`, `data.corpus.path=${runs}/none.jsonl,${good}`]);
    expect(status, error).toBe(1);
    expect(error).toMatch(/1 of 2 runs failed; try them again: tandem train --resume/);
    expect(state(sweepIn(runs)).runs.map(({ outcome }) => outcome)).toEqual(["failed", "finished"]);
    expect(out).toMatch(/run 0 failed: .*none\.jsonl/);
    expect(out).toMatch(/1 of 2 runs finished/);
  }, 400_000);

  it("leaves nothing when a combination isn't a config", () => {
    const runs = emptyFolder();
    const { status, error } = train(["-m", ...SMALL, `run.dir=${runs}`, "train.contrastive.lr=1e-3,-1"]);
    expect(status).toBe(2);
    expect(error).toMatch(/'train\.contrastive\.lr' has a wrong value/);
    expect(readdirSync(runs)).toEqual([]);
  });
});

describe("a sweep that one MLflow run should hold", () => {
  it("is refused before anything is made", () => {
    const runs = emptyFolder();
    const server = { MLFLOW_TRACKING_URI: "http://127.0.0.1:1", MLFLOW_RUN_ID: "0123456789abcdef" };
    const { status, error } = train(["-m", ...SMALL, `run.dir=${runs}`, "seed=1,2"], server);
    expect(status, error).toBe(2);
    expect(error).toMatch(/MLFLOW_RUN_ID: names one MLflow run for all runs of a sweep; .*unset it/);
    expect(readdirSync(runs)).toEqual([]);
  });
});

describe("a sweep's state", () => {
  it.each([
    ["nothing", ""],
    ["cut off", '{"name": "x", "runs": ['],
    ["another type", "[]"],
    ["other keys", '{"name": "x"}'],
    [
      "a way out of the folder",
      '{"name":"x","words":[],"keys":[],"runs":[{"folder":"../y","overrides":[],"outcome":"waiting","fault":null}]}',
    ],
    ["another encoding", Buffer.from([0xff, 0xfe, 0x7b, 0x00])],
  ])("that holds %s is refused in one line", (_, content) => {
    const folder = emptyFolder();
    writeFileSync(path.join(folder, "sweep.json"), content);
    expect(userErrorOf(() => openSweep(folder))).toContain("sweep.json");
  });
});
