/**
 * Proves that a finished quickstart run shows what retrieval is for: its report against the thresholds, its folder against what a run promises.
 * It trains nothing: `.ci/run` runs the main job first. Alone, after `bash scripts/exec.sh`: TANDEM_QUICKSTART_RUNS=runs npx vitest run test/acceptance
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";

interface Row {
  readonly name: string;
  readonly em: number;
  readonly f1: number;
  readonly em_interval: readonly [number, number];
  readonly recall: Readonly<Record<string, number | null>>;
  readonly mrr: number | null;
}

const runs = process.env["TANDEM_QUICKSTART_RUNS"];

/** The newest run of the quickstart; names start with the time. */
function newestRun(folder: string): string {
  const newest = readdirSync(folder)
    .filter((name) => name.includes("quickstart"))
    .sort()
    .at(-1);
  if (newest === undefined) throw new Error(`${folder} holds no run of the quickstart`);
  return path.join(folder, newest);
}

describe.skipIf(runs === undefined)("the quickstart's last run (TANDEM_QUICKSTART_RUNS)", () => {
  let run: string;
  let rows: Map<string, Row>;
  const row = (name: string): Row => {
    const found = rows.get(name);
    if (found === undefined) throw new Error(`report.json has no row ${name}`);
    return found;
  };
  const recall = (name: string, k: string): number => row(name).recall[k] ?? NaN;

  beforeAll(() => {
    run = newestRun(runs ?? "");
    const report = JSON.parse(readFileSync(path.join(run, "report.json"), "utf8")) as { rows: Row[] };
    rows = new Map(report.rows.map((each) => [each.name, each]));
  });

  it("has the six rows, each within its range", () => {
    expect([...rows.keys()].sort()).toEqual(["base-pair", "bm25", "closed-book", "gold-passage", "random-passage", "trained-pair"]);
    for (const { em, f1, em_interval: interval } of rows.values()) {
      expect(em).toBeGreaterThanOrEqual(0);
      expect(f1).toBeGreaterThanOrEqual(em - 1e-9);
      expect(f1).toBeLessThanOrEqual(1);
      expect(interval[0]).toBeLessThanOrEqual(em);
      expect(interval[1]).toBeGreaterThanOrEqual(em);
    }
  });

  it("answers questions about unseen names from what it retrieved", () => {
    expect(row("trained-pair").em).toBeGreaterThanOrEqual(0.8);
    expect(row("trained-pair").em).toBeGreaterThanOrEqual(row("base-pair").em + 0.3);
  });

  it("can't answer them without passages, or from the wrong one", () => {
    expect(row("closed-book").em).toBeLessThanOrEqual(0.1);
    expect(row("random-passage").em).toBeLessThanOrEqual(0.1);
  });

  it("trained its retriever far above its start", () => {
    expect(recall("trained-pair", "1")).toBeGreaterThanOrEqual(recall("base-pair", "1") + 0.5);
    expect(recall("trained-pair", "1")).toBeGreaterThanOrEqual(recall("bm25", "1") + 0.2);
    expect(row("trained-pair").mrr ?? NaN).toBeGreaterThan(row("base-pair").mrr ?? NaN);
    expect(recall("trained-pair", "5")).toBeGreaterThanOrEqual(recall("trained-pair", "1"));
    expect(recall("bm25", "1")).toBeGreaterThan(0.4);
  });

  it("loses to retrieval and to the second passage, but not most of it", () => {
    expect(row("gold-passage").em).toBeGreaterThanOrEqual(row("trained-pair").em - 0.05);
    expect(row("gold-passage").em - row("trained-pair").em).toBeLessThanOrEqual(0.15);
  });

  it.each(["metrics.jsonl", "checkpoints", "retriever", "generator", "index", "validation", "report.json", "report.txt", "report.html"])(
    "left %s",
    (name) => {
      expect(existsSync(path.join(run, name))).toBe(true);
    },
  );

  it("logged every step once, with finite losses", () => {
    const lines = readFileSync(path.join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n");
    const steps = lines.map((line) => (JSON.parse(line) as { step: number }).step);
    expect(steps.length).toBeGreaterThan(10);
    expect(new Set(steps).size).toBe(steps.length);
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
    expect(lines.join("")).not.toMatch(/NaN|Infinity|:null,"loss"/);
  });
});
