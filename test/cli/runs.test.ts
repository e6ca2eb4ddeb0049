/**
 * Proves `tandem runs list`, `show` and `compare`: the states of runs (a killed one is told from a running one by its lock), their figures, only the keys that differ, JSON for each, broken and half-made run
 * directories named instead of fatal, and hundreds of runs in a moment. `sync` is proved in test/tracking and test/job/tracked-training.test.ts. Alone: npx vitest run test/cli/runs.test.ts
 */
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse, stringify } from "yaml";
import { describe, expect, it } from "vitest";
import { command } from "../../src/cli/runs.js";
import { lockFile } from "../../src/storage/file-lock.js";
import type { RunComparison } from "../../src/tracking/compare-runs.js";
import { noteStatus } from "../../src/tracking/run-status.js";
import { runPlaces, type RunDirectory } from "../../src/tracking/run-directory.js";
import type { RunSummary } from "../../src/tracking/run-summary.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { CONFIG, finishRun, makeRun } from "../tracking/made-run.js";
import { captured } from "./captured.js";
import { faultOf } from "../job/fault-of.js";

const scratch = temporaryFolder();

/** A copy of a run under a name of our choice, in a fresh folder unless one is given. */
function place(name: string, root: string, options: Parameters<typeof makeRun>[1] = { steps: 5 }): RunDirectory {
  const run = runPlaces(path.join(root, name));
  cpSync(makeRun(scratch, options).path, run.path, { recursive: true });
  return run;
}

const fresh = (): string => mkdtempSync(path.join(scratch, "root-"));
const run = (...words: string[]): Promise<{ out: string; error: string }> => captured(command, ["runs", ...words]);
const listed = async (folder: string, ...words: string[]): Promise<RunSummary[]> =>
  JSON.parse((await run("list", folder, "--json", ...words)).out) as RunSummary[];

describe("tandem runs list", () => {
  it("names a sweep's runs with the sweep, where it stands in time", async () => {
    const root = fresh();
    const sweep = path.join(root, "20260102-000000-s-multirun");
    place("20260103-000000-z", root);
    place("20260102-000000-s", sweep);
    place("20260102-000000-s+2", sweep);
    place("20260101-000000-a", root);
    writeFileSync(path.join(sweep, "sweep.json"), "{}");
    const names = ["20260101-000000-a", "20260102-000000-s", "20260102-000000-s+2", "20260103-000000-z"];
    expect((await listed(root)).map(({ run: folder }) => path.basename(folder))).toEqual(names);
    const lines = (await run("list", root)).out.split("\n");
    expect(lines[2]).toContain(path.join("20260102-000000-s-multirun", "20260102-000000-s "));
    expect(lines[1]).not.toContain("multirun");
  });

  it("tells finished, stopped, failed, killed and running runs apart, the oldest first", async () => {
    const root = fresh();
    finishRun(place("20260101-000000-a", root));
    noteStatus(place("20260101-000000-a+2", root), "stopped");
    noteStatus(place("20260101-000000-a+10", root), "failed", "data/q.jsonl:1: is\nno question");
    place("20260102-000000-b", root);
    const live = place("20260103-000000-c", root);
    rmSync(place("20260104-000000-d", root).status);
    const unlock = lockFile(live.lock, "");
    const runs = await listed(root);
    unlock?.();
    expect(runs.map(({ run: folder, state }) => [path.basename(folder), state])).toEqual([
      ["20260101-000000-a", "finished"],
      ["20260101-000000-a+2", "stopped"],
      ["20260101-000000-a+10", "failed"],
      ["20260102-000000-b", "killed"],
      ["20260103-000000-c", "running"],
      ["20260104-000000-d", "unfinished"],
    ]);
    expect(runs[0]).toMatchObject({
      step: 5,
      phase: "generator",
      loss: 1 / 6,
      from: "report",
      figures: { em: 0.5, f1: 0.625, "recall@1": 0.25 },
    });
    expect(runs[2]).toMatchObject({ reason: "data/q.jsonl:1: is no question", from: null, figures: {} });
    expect([runs[4]?.ended, typeof runs[3]?.ended]).toEqual([null, "string"]);
    expect((await listed(root, "--state", "killed")).map(({ run: folder }) => path.basename(folder))).toEqual([
      "20260102-000000-b",
      "20260103-000000-c",
    ]);
    expect((await listed(root, "-n", "1")).map(({ run: folder }) => path.basename(folder))).toEqual(["20260104-000000-d"]);
  });

  it("prints a line a run and the reasons below", async () => {
    const root = fresh();
    finishRun(place("20260101-000000-a", root));
    noteStatus(place("20260102-000000-b", root), "failed", "no \u001b[2Jmemory");
    const lines = (await run("list", root)).out.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^run +state +started +ended +step +loss +EM +F1 +R@1 +from$/);
    expect(lines[1]).toMatch(
      /^20260101-000000-a +finished +2026-03-14 15:09 +\d{4}-\d\d-\d\d \d\d:\d\d +5 +0\.1667 +0\.5000 +0\.6250 +0\.2500 +report$/,
    );
    expect(lines.slice(3)).toEqual(["", "20260102-000000-b: no [2Jmemory"]);
  });

  it("of a run without a report has its last validation, of a log cut in the middle its last whole line", async () => {
    const root = fresh();
    const one = place("20260101-000000-a", root, { steps: 3000 });
    finishRun(one);
    rmSync(one.reportJson);
    appendFileSync(one.metrics, '{"step":3001,"pha');
    expect((await listed(root))[0]).toMatchObject({ step: 3000, from: "validation", figures: { em: 0.25, "recall@1": 0.125, mrr: null } });
  });

  it.each<[string, (broken: RunDirectory) => void, RegExp]>([
    ["environment.json is cut", ({ environment }) => truncateSync(environment, 40), /environment\.json.*is not JSON/],
    ["environment.json is a list", ({ environment }) => writeFileSync(environment, "[]"), /expected a JSON object, got an array/],
    ["environment.json is Latin-1", ({ environment }) => writeFileSync(environment, Buffer.from([0x7b, 0xe4, 0x7d])), /is not UTF-8/],
    ["status.json says nothing", ({ status }) => writeFileSync(status, '{"state":"happy"}'), /is not the status of a run/],
    ["report.json has no rows", ({ reportJson }) => writeFileSync(reportJson, "{}"), /is not a run's report/],
    ["report.json has a row without a name", ({ reportJson }) => writeFileSync(reportJson, '{"rows":[{}]}'), /is not a run's report/],
    ["report.json is a folder", ({ reportJson }) => mkdirSync(reportJson), /report\.json/],
    ["the log holds something else", ({ metrics }) => writeFileSync(metrics, "hello\n"), /metrics\.jsonl.*is not JSON/],
  ])("names a run whose %s, and goes on", async (_, spoil, reason) => {
    const root = fresh();
    spoil(place("20260101-000000-a", root));
    finishRun(place("20260102-000000-b", root));
    const [broken, whole] = await listed(root);
    expect(broken?.state).toBe("unreadable");
    expect(broken?.reason).toMatch(reason);
    expect(whole?.state).toBe("finished");
    expect((await run("list", root)).out).toContain("20260101-000000-a: ");
  });

  it("takes hundreds of runs in a moment", async () => {
    const root = fresh();
    const one = place("20260101-000000-a", root, { steps: 2000 });
    finishRun(one);
    rmSync(one.retriever, { recursive: true });
    rmSync(one.generator, { recursive: true });
    for (let number = 2; number <= 400; number++) cpSync(one.path, `${one.path}+${number}`, { recursive: true });
    const began = process.cpuUsage();
    expect(await listed(root)).toHaveLength(400);
    // The processor's time: other work on the machine doesn't count.
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1e6).toBeLessThan(3);
  }, 120_000);

  it("refuses a folder that isn't there and a limit of nothing; an empty one has no runs", async () => {
    expect(await faultOf(() => run("list", "/nowhere"))).toMatch(/^\/nowhere: no such folder/);
    expect(await faultOf(() => run("list", scratch, "-n", "0"))).toMatch(/^--limit: is no number of runs/);
    const empty = await run("list", fresh());
    expect([empty.out, empty.error]).toEqual(["", expect.stringMatching(/^no runs in /)]);
  });
});

describe("tandem runs show", () => {
  it("prints what the run was, its validations and its report", async () => {
    const one = place("20260101-000000-a", fresh());
    finishRun(one);
    const { out } = await run("show", `${one.path}/`);
    expect(out).toMatch(/^run +\/.*20260101-000000-a\n/);
    expect(out).toMatch(/state +finished\n/);
    expect(out).toMatch(/last step +5, generator, loss 0\.1666/);
    expect(out).toMatch(/overrides +seed=7\n/);
    const schedule = `train.schedule=[${Array.from({ length: 9 }, () => "{phase: generator, steps: 10}").join(", ")}]`;
    writeFileSync(one.overrides, stringify([schedule, "name='a b'"]));
    expect((await run("show", one.path)).out).toContain(`${schedule} name='a b'\n`);
    expect(out).toMatch(/validation after +step +em/);
    expect(out).toMatch(/\ngenerator +2 +0\.2500/);
    expect(out).toMatch(/\ntrained-pair 0\.5\n$/);
    expect(JSON.parse((await run("show", one.path, "--json")).out)).toMatchObject({
      state: "finished",
      last: { step: 5 },
      report: [{ name: "trained-pair" }],
      validations: [{ step: 2 }],
    });
  });

  it("refuses what is no run", async () => {
    expect(await faultOf(() => run("show", scratch))).toMatch(/is not a run directory/);
    const cut = place("20260101-000000-a", fresh());
    writeFileSync(path.join(cut.path, "tracking.json"), '{"format":9}');
    expect(await faultOf(() => run("show", cut.path))).toMatch(
      /tracking\.json: is not the place of a tracked run; expected format 1; remove it/,
    );
  });
});

describe("tandem runs compare", () => {
  it("shows only the keys that differ, also those that one run lacks, and the reports side by side", async () => {
    const root = fresh();
    const left = place("20260101-000000-a", root);
    const right = place("20260102-000000-b", root, {
      steps: 7,
      config: { ...CONFIG, seed: 8, device: null, extra: { deep: [] }, tracking: { uri: "http://x" } },
    });
    const third = place("20260103-000000-c", root);
    for (const one of [left, right]) finishRun(one);
    const { out } = await run("compare", left.path, right.path, third.path, "--json");
    const { config, report, runs } = JSON.parse(out) as RunComparison;
    expect(config).toEqual({ seed: ["7", "8", "7"], device: ["cpu", "null", "cpu"], "extra.deep": [null, "[]", null] });
    expect(report["trained-pair"]?.["recall@1"]).toEqual([0.25, 0.25, null]);
    expect(runs.map(({ step }) => step)).toEqual([5, 7, 5]);
    const text = (await run("compare", left.path, right.path)).out;
    expect(text).toMatch(/\[2\] +20260102-000000-b +finished +step 7\n/);
    expect(text).toMatch(/\nseed +7 +8\n/);
    expect(text).toMatch(/\nextra\.deep +\(none\) +\[\]\n/);
    expect(text).toMatch(/\ntrained-pair +em +0\.5000 +0\.5000\n/);
    expect(text).not.toContain("separator");
  });

  it("says so when nothing differs and nothing is reported", async () => {
    const one = place("20260101-000000-a", fresh());
    expect((await run("compare", one.path, one.path)).out).toMatch(/The configs are the same\.\n\nNo run has a report yet\.\n$/);
  });

  it("reads configs of any version, and refuses what is no config", async () => {
    const root = fresh();
    const old = place("20260101-000000-a", root);
    writeFileSync(old.config, stringify({ ...(parse(stringify(CONFIG)) as object), gone: { key: 1 } }));
    const broken = place("20260102-000000-b", root);
    expect((JSON.parse((await run("compare", old.path, broken.path, "--json")).out) as RunComparison).config).toEqual({
      "gone.key": ["1", null],
    });
    for (const [text, reason] of [
      ["a: [", /config\.yaml: is not YAML/],
      ["- a\n", /config\.yaml: .*expected a JSON object, got an array/],
    ] as const) {
      writeFileSync(broken.config, text);
      expect(await faultOf(() => run("compare", old.path, broken.path))).toMatch(reason);
    }
  });
});
