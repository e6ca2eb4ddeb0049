/**
 * Proves what `tandem train --multirun` says and refuses before it trains: what can't be swept, warnings once, words that sweep nothing; and that `--resume` takes up a sweep without its table, one with a removed
 * run and not a half-made one. Real processes over sweeps made by hand; no run is trained, that is test/job/multirun.test.ts. Needs the compiled program (npm run build). Alone: npx vitest run test/cli/multirun.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { createSweep, halfMadeSweeps, openSweep, runsOf, type Sweep } from "../../src/job/run/multirun.js";
import type { SweepComparison } from "../../src/report/sweep-table.js";
import { ROOT } from "../job/killed-run.js";

const scratch = mkdtempSync(path.join(tmpdir(), "tandem-multirun-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const fresh = (): string => mkdtempSync(path.join(scratch, "runs-"));
const QUIET = { MLFLOW_TRACKING_URI: "", MLFLOW_RUN_ID: "" };

function train(words: readonly string[], env: Record<string, string> = {}): { status: number | null; out: string; error: string } {
  const options = { cwd: ROOT, encoding: "utf8", env: { ...process.env, ...QUIET, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(path.join(ROOT, "bin/tandem"), ["train", ...words], options);
  return { status, out: stdout, error: stderr };
}

/** A sweep over the seed whose runs all have their report; without its table. */
async function reported(runs: string): Promise<{ sweep: Sweep; words: string[] }> {
  const planned = [1, 2].map((seed) => {
    const overrides = ["experiment=tiny", `run.dir=${runs}`, `seed=${seed}`];
    return { overrides, config: loadConfig({ overrides }).config };
  });
  const words = ["experiment=tiny", `run.dir=${runs}`, "seed=1,2"];
  const sweep = (await createSweep(runs, { name: "tiny", words, keys: ["seed"], planned, versions: {} }, () => false))!;
  for (const run of runsOf(sweep)) writeFileSync(run.reportJson, '{"rows":[{"name":"trained-pair","em":0.5}],"more":[]}');
  return { sweep, words };
}

describe("a sweep over", () => {
  it("run.dir is refused before anything is made", () => {
    const runs = fresh();
    const { status, error } = train(["-m", "experiment=tiny", `run.dir=${runs}/a,${runs}/b`]);
    expect(status, error).toBe(2);
    expect(error).toMatch(/run\.dir: differs between the runs of a sweep.*expected one folder, got \S+\/a, \S+\/b/);
    expect(readdirSync(runs)).toEqual([]);
  });

  it.each(["null,http://127.0.0.1:1", "http://127.0.0.1:1,null"])("tracking.uri=%s is refused where one MLflow run is named", (uris) => {
    const runs = fresh();
    const { status, error } = train(["-m", "experiment=tiny", `run.dir=${runs}`, `tracking.uri=${uris}`], {
      MLFLOW_RUN_ID: "0123456789abcdef",
    });
    expect(status, error).toBe(2);
    expect(error).toMatch(/MLFLOW_RUN_ID: names one MLflow run for all runs of a sweep/);
    expect(readdirSync(runs)).toEqual([]);
  });

  it("names says which of them the sweep takes", () => {
    const runs = fresh();
    // The folder of runs is a file: nothing is trained.
    writeFileSync(path.join(runs, "file"), "");
    const { status, error } = train(["-m", "experiment=tiny", `run.dir=${runs}/file`, "name=one,two"]);
    expect(status, error).toBe(2);
    expect(error).toMatch(/warning: name differs between the runs; the sweep is named after the first: one$/m);
  });
});

describe("warnings", () => {
  /** A sweep that is refused once all its configs are read. */
  const warned = (...words: string[]): string => {
    const file = path.join(fresh(), "file");
    writeFileSync(file, "");
    const { status, error } = train(["-m", "experiment=tiny", `run.dir=${file}`, ...words]);
    expect(status, error).toBe(2);
    expect(existsSync(file)).toBe(true);
    return error;
  };

  it("of all combinations are said once, those of some too", () => {
    const error = warned("seed=range(4)", "index.train_sample=1000,2000,3000");
    expect(error.match(/warning: 'index\.train_sample' has no effect.*train_sample=1000/g)).toHaveLength(1);
    const lines = error.split("\n").filter((line) => line.startsWith("warning: "));
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines.filter((line) => line.includes("index.train_sample"))).toHaveLength(3);
  });

  it("say that a later word replaces several values, and that nothing is swept", () => {
    const error = warned("seed=1,2", "seed=5");
    expect(error).toMatch(/warning: override 4 'seed=5' replaces the 2 values that 'seed' has before it/);
    expect(error).toMatch(/warning: --multirun: no key has several values; it makes one run/);
    expect(warned("seed=5,6")).not.toMatch(/replaces|one run/);
  });
});

describe("--resume", () => {
  it("auto writes the table of a sweep that was cut off before it, and begins no other", async () => {
    const runs = fresh();
    const { sweep, words } = await reported(runs);
    const { status, out, error } = train(["-m", ...words, "--resume", "auto", "--json", "--quiet"]);
    expect(status, error).toBe(0);
    expect((JSON.parse(out) as SweepComparison).runs.map(({ outcome }) => outcome)).toEqual(["finished", "finished"]);
    expect(readdirSync(runs)).toHaveLength(1);
    expect(existsSync(path.join(sweep.path, "comparison.txt"))).toBe(true);
  });

  it.each(["auto", "its folder"])("%s goes on with a sweep of which a run was removed: that one has failed", async (how) => {
    const runs = fresh();
    const { sweep, words } = await reported(runs);
    rmSync(runsOf(sweep)[0]!.path, { recursive: true });
    const { status, out, error } = train(how === "auto" ? ["-m", ...words, "--resume", "auto"] : ["--resume", sweep.path]);
    expect(status, error).toBe(1);
    expect(out).toMatch(/1 of 2 runs finished/);
    expect(out).toMatch(/run 0 failed: \S+: is gone; .*put the folder back/);
    expect(openSweep(sweep.path).runs.map(({ outcome }) => outcome)).toEqual(["failed", "finished"]);
  });

  it("auto refuses other values, also for a run that was removed", async () => {
    const runs = fresh();
    const { sweep } = await reported(runs);
    rmSync(runsOf(sweep)[0]!.path, { recursive: true });
    const { status, error } = train(["-m", "experiment=tiny", `run.dir=${runs}`, "seed=3,2", "--resume", "auto"]);
    expect(status, error).toBe(2);
    expect(error).toMatch(/the unfinished sweep has other values/);
  });

  it.each([[["-m"]], [[]]])("refuses a half-made sweep, %j", (more) => {
    const runs = fresh();
    const folder = path.join(runs, "20260101-000000-tiny-multirun+2");
    mkdirSync(folder);
    expect(halfMadeSweeps(runs, "tiny")).toEqual([folder]);
    const { status, error } = train([...more, "--resume", folder]);
    expect(status, error).toBe(2);
    expect(error).toMatch(/has no sweep\.json: it was killed while its runs were made.*remove it and start the sweep anew/);
    expect(readdirSync(folder)).toEqual([]);
  });
});
