/**
 * Proves that `tandem train --multirun` makes one ordinary run of each combination, survives SIGKILL in the middle of one (finished runs aren't repeated, the one that was cut goes on from its checkpoint),
 * stops at a signal with its state saved, is killed by a third interrupt without claiming that it saved, notes a run that fails, goes on with the others and tries it again, is followed by an MLflow server run by
 * run, and compares all in one table. Real processes; needs the compiled program (npm run build). Slow (minutes). Alone: npx vitest run test/job/multirun.test.ts
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import type { SweepComparison } from "../../src/report/sweep-table.js";
import { openSweep, runsOf } from "../../src/job/run/multirun.js";
import { userErrorOf } from "../config/user-error.js";
import { HostileServer } from "../tracking/hostile-server.js";
import { workerOf } from "./compiled-training.js";
import { lossLines, ROOT, startTraining, trainAndKill } from "./killed-run.js";

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

/** Step and time of each line of the log. */
function times(run: string): { step: number; time: number }[] {
  const lines = readFileSync(path.join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as { step: number; time: number });
}

/** When each file of a sweep's runs was written. */
function changes(sweep: string): [string, number][] {
  const names = readdirSync(sweep, { recursive: true, encoding: "utf8" }).filter((name) => name.includes(path.sep));
  return names.sort().map((name) => [name, statSync(path.join(sweep, name)).mtimeMs]);
}

async function until(isTime: () => boolean): Promise<void> {
  const began = Date.now();
  while (!isTime()) {
    if (Date.now() - began > 120_000) throw new Error("it never came");
    await sleep(10);
  }
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

    const resumedAt = Date.now();
    const resumed = train(["--multirun", ...words, "--resume", "auto", "--json"]);
    expect(resumed.status, resumed.error).toBe(0);
    expect(readdirSync(runs)).toHaveLength(1);
    expect(statSync(path.join(first, "report.json")).mtimeMs).toBe(before);
    expect(existsSync(path.join(first, "resumptions.jsonl"))).toBe(false);
    expect(existsSync(path.join(second(), "resumptions.jsonl"))).toBe(true);
    // The worker says from which step it goes on; the lines up to there were written before.
    const step = Number(/run 2 of 2[^]*resumed at step (\d+) of/.exec(resumed.error)?.[1]);
    expect(step, resumed.error).toBeGreaterThanOrEqual(2);
    for (const line of times(second())) expect(line.time < resumedAt, `step ${line.step}`).toBe(line.step <= step);
    for (const run of [first, second()]) {
      const steps = lossLines(run).map(({ step }) => step);
      expect(new Set(steps).size).toBe(steps.length);
      expect(steps.at(-1)).toBe(lossLines(first).at(-1)?.["step"]);
    }

    const comparison = JSON.parse(resumed.out) as SweepComparison;
    expect(comparison.keys).toEqual(["train.contrastive.lr"]);
    expect(comparison.runs.map(({ overrides }) => overrides["train.contrastive.lr"])).toEqual(["0.001", "0.0005"]);
    type Scored = { name: string; em: number; f1: number };
    const report = JSON.parse(readFileSync(path.join(second(), "report.json"), "utf8")) as { rows: Scored[]; more: Scored[] };
    expect(comparison.runs[1]?.rows.map(({ name, figures }) => [name, figures["em"], figures["f1"]])).toEqual(
      [...report.rows, ...report.more].map(({ name, em, f1 }) => [name, em, f1]),
    );
    expect(readFileSync(path.join(sweep, "comparison.txt"), "utf8")).toMatch(/2 of 2 runs finished/);
  }, 400_000);

  it("isn't begun anew by other values, and once it is finished nothing is repeated", () => {
    const sweep = sweepIn(runs);
    const before = changes(sweep);
    expect(before.length).toBeGreaterThan(50);
    const again = train(["--resume", sweep]);
    expect(again.status, again.error).toBe(0);
    expect(changes(sweep)).toEqual(before);
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

describe("a sweep that is asked to leave", () => {
  const runs = emptyFolder();
  const LONG = "train.schedule=[{phase: generator, steps: 60}]";
  const words = ["-m", ...SMALL, LONG, `run.dir=${runs}`, "seed=1,2"];
  const steps = (): string[] => {
    const [first] = existsSync(runs) ? readdirSync(runs) : [];
    if (first === undefined || !existsSync(path.join(runs, first, "sweep.json"))) return [];
    return readdirSync(path.join(sweepIn(runs), state(sweepIn(runs)).runs[0]?.folder ?? "", "checkpoints")).filter(
      (name) => !name.includes("tmp"),
    );
  };

  it("by three interrupts doesn't claim to have saved, and the run stays begun", async () => {
    const { process: child, ended } = startTraining(words);
    await until(() => steps().length > 0);
    // A worker that is stopped can't save before the third interrupt kills it.
    process.kill(workerOf(child)!, "SIGSTOP");
    for (let count = 0; count < 3; count++) {
      child.kill("SIGINT");
      await sleep(300);
    }
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(/the run under way was killed without saving.*go on from its last checkpoint: tandem train --resume/);
    expect(stderr).not.toContain("saved and stopped");
    expect(state(sweepIn(runs)).runs.map(({ outcome }) => outcome)).toEqual(["begun", "waiting"]);
  }, 200_000);

  it("by SIGTERM leaves with 75, and goes on from what was saved", async () => {
    const before = steps();
    const { process: child, ended } = startTraining(["--resume", sweepIn(runs)]);
    await until(() => steps().some((step) => !before.includes(step)));
    child.kill("SIGTERM");
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(75);
    expect(stderr).toMatch(/resumed at step \d+ of 60/);
    expect(stderr).toContain(`saved and stopped; go on with: tandem train --resume ${sweepIn(runs)}`);
    expect(state(sweepIn(runs)).runs.map(({ outcome }) => outcome)).toEqual(["begun", "waiting"]);
    expect(readFileSync(path.join(sweepIn(runs), "comparison.txt"), "utf8")).toMatch(/0 of 2 runs finished/);
    const saved = Number(/(\d+)/.exec(steps().sort().at(-1) ?? "")?.[1]);

    const last = train([...words, "--resume", "auto"]);
    expect(last.status, last.error).toBe(0);
    expect(last.error).toContain(`resumed at step ${saved} of 60`);
    expect(last.out).toMatch(/2 of 2 runs finished/);
  }, 400_000);
});

describe("a sweep that is asked to leave before its first run", () => {
  it.each([
    ["while its configs are read", (): boolean => true],
    [
      "while its runs are made",
      (runs: string): boolean => readdirSync(runs).some((sweep) => readdirSync(path.join(runs, sweep)).length > 1),
    ],
  ])(
    "%s leaves nothing",
    async (_, isTime) => {
      const runs = emptyFolder();
      const { process: child, ended } = startTraining(["-m", ...SMALL, `run.dir=${runs}`, "seed=range(200)"]);
      const heard: string[] = [];
      child.stderr?.on("data", (text: Buffer) => heard.push(text.toString()));
      // The first config's warning: from here on signals are taken.
      await until(() => heard.join("").includes("warning: ") && isTime(runs));
      child.kill("SIGTERM");
      const { code, stderr } = await ended;
      expect(code, stderr).toBe(75);
      expect(stderr).toContain("stopped before the sweep was made; nothing is left of it");
      expect(readdirSync(runs)).toEqual([]);
    },
    100_000,
  );
});

describe("a sweep with a run that fails", () => {
  const runs = emptyFolder();

  it("notes it, goes on with the others, and its exit status says so", () => {
    const good = path.join(ROOT, "data/quickstart/corpus.jsonl");
    writeFileSync(`${runs}/bad.jsonl`, "nothing\n");
    const { status, out, error } = train(["-m", ...SMALL, `run.dir=${runs}/runs`, `data.corpus.path=${runs}/bad.jsonl,${good}`]);
    expect(status, error).toBe(1);
    expect(error).toMatch(/1 of 2 runs failed; try them again: tandem train --resume/);
    expect(state(sweepIn(`${runs}/runs`)).runs.map(({ outcome }) => outcome)).toEqual(["failed", "finished"]);
    expect(out).toMatch(/run 0 failed: .*bad\.jsonl/);
    expect(out).toMatch(/1 of 2 runs finished/);
  }, 400_000);

  it("tries it again once it is resumed, and writes a damaged report anew", () => {
    const sweep = sweepIn(`${runs}/runs`);
    const [first, second] = runsOf(openSweep(sweep));
    const whole = JSON.parse(readFileSync(second!.reportJson, "utf8")) as { rows: unknown };
    cpSync(path.join(ROOT, "data/quickstart/corpus.jsonl"), `${runs}/bad.jsonl`);
    truncateSync(second!.reportJson, 200);
    const { status, out, error } = train(["--resume", sweep]);
    expect(status, error).toBe(0);
    expect(error).toMatch(/warning: \S+report\.json:\d+:\d+: is not JSON.*the run is tried again/);
    expect(out).toMatch(/2 of 2 runs finished/);
    expect(existsSync(first!.reportJson)).toBe(true);
    expect((JSON.parse(readFileSync(second!.reportJson, "utf8")) as { rows: unknown }).rows).toEqual(whole.rows);
    expect(lossLines(second!.path)).toEqual(lossLines(first!.path));
  }, 400_000);

  it("leaves nothing when a combination isn't a config", () => {
    const runs = emptyFolder();
    const { status, error } = train(["-m", ...SMALL, `run.dir=${runs}`, "train.contrastive.lr=1e-3,-1"]);
    expect(status).toBe(2);
    expect(error).toMatch(/'train\.contrastive\.lr' has a wrong value/);
    expect(readdirSync(runs)).toEqual([]);
  });
});

describe("a sweep that a server follows", () => {
  it("is one MLflow run for each of its runs, each ended", async () => {
    const server = new HostileServer();
    await server.start();
    const runs = emptyFolder();
    process.env["MLFLOW_TRACKING_URI"] = server.uri;
    const short = "train.schedule=[{phase: generator, steps: 3}]";
    const { ended } = startTraining(["-m", ...SMALL, short, `run.dir=${runs}`, "seed=1,2", "--quiet"]);
    Reflect.deleteProperty(process.env, "MLFLOW_TRACKING_URI");
    const { code, stderr } = await ended;
    await server.stop();
    expect(code, stderr).toBe(0);
    const made = server.asked.filter(({ path: asked }) => asked.includes("runs/create")).map(({ body }) => JSON.parse(body) as object);
    const identities = made.map(
      (body) => (body as { tags: { key: string; value: string }[] }).tags.find(({ key }) => key === "tandem.id")?.value,
    );
    const own = runsOf(openSweep(sweepIn(runs))).map((run) => (JSON.parse(readFileSync(run.environment, "utf8")) as { id: string }).id);
    expect(identities).toEqual(own);
    expect(server.statuses.filter((status) => status === "FINISHED")).toHaveLength(2);
    expect(server.stepsOf("generator/loss").length).toBeGreaterThan(0);
  }, 200_000);
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
