/**
 * Proves that a run whose schedule decides as it goes (until, when, repeats, epochs, settings of single phases, validations inside phases, early stopping, the best checkpoint) equals the uninterrupted one after SIGKILL
 * at any of these places, to the last decision; and that a phase that minutes ended, once that is saved, ends at the same step whatever the clock says later.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-schedule.test.ts
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import type { Transition } from "../../src/training/schedule.js";
import { expectEqualRuns, killAndResume, runFolder, trainFully } from "./killed-run.js";

const ROUND =
  '{phase: generator, steps: 9, until: "loss < 6.28"}, {phase: contrastive, epochs: 0.5, with: {lr: 1e-4, temperature: 0.1}}, {phase: refresh}';
const DECIDING = `[{repeat: 2, phases: [${ROUND}]}, {phase: generator, steps: 5, when: "em > 0.9"}, {phase: contrastive, steps: 40}, {phase: generator, steps: 4}, {phase: refresh}]`;

const words =
  (schedule: string, ...more: string[]) =>
  (runs: string): string[] => [
    "experiment=tiny",
    `run.dir=${runs}`,
    "generator.dropout=0.1",
    "retriever.dropout=0.1",
    "train.checkpoint.every=4",
    `train.schedule=${schedule}`,
    "train.conditions.window=3",
    ...more,
    "--quiet",
  ];

const deciding = words(
  DECIDING,
  "train.validate.every=4",
  "train.early_stopping={metric: em, patience: 11}",
  "train.checkpoint.load_best=true",
  "train.checkpoint.metric=recall@1",
);

const linesIn = (run: string, name: string): number => {
  const file = path.join(run, name);
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
};
const decisionsOf = (run: string): { phases: { phase: string; steps: number }[]; transitions: Transition[] } =>
  JSON.parse(readFileSync(path.join(run, "schedule.json"), "utf8")) as {
    phases: { phase: string; steps: number }[];
    transitions: Transition[];
  };

/** What the newest checkpoint has of the progress, but for wall time. */
function savedProgress(run: string): Record<string, unknown> {
  const folder = path.join(run, "checkpoints");
  const newest =
    readdirSync(folder)
      .filter((name) => /^step-\d+$/.test(name))
      .sort()
      .at(-1) ?? "";
  const state = JSON.parse(readFileSync(path.join(folder, newest, "state.json"), "utf8")) as Record<string, unknown>;
  delete state["seconds"];
  return state;
}

describe("a run whose schedule decides", () => {
  it("equals the uninterrupted one, to the last decision, after kills in a phase, in a validation inside it, after a decision and in early stopping", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
    const result = await trainFully(deciding(runs));
    expect(result.code, result.stderr).toBe(0);
    const whole = runFolder(runs) ?? "";
    const { phases, transitions } = decisionsOf(whole);
    expect(transitions.some(({ entry, reason }) => entry < 6 && reason.startsWith("loss < 6.28 holds"))).toBe(true);
    expect(transitions.find(({ entry }) => entry === 6)?.reason).toMatch(/^em > 0\.9 doesn't hold: em 0/);
    expect(transitions.find(({ entry }) => entry === 7)?.reason).toMatch(/^early stopping: em has been at most/);
    // The generator's last phase is left out, the refresh after the retriever's isn't.
    expect(phases.slice(-2).map(({ phase }) => phase)).toEqual(["refresh", "closed-book"]);
    expect(
      phases
        .filter(({ phase }) => phase === "contrastive")
        .map(({ steps }) => steps)
        .slice(0, 2),
    ).toEqual([4, 4]);
    expect(readFileSync(path.join(whole, "report.txt"), "utf8")).toMatch(/Trained pair: the pair of step \d+, the best by recall@1/);
    const times: ((run: string) => boolean)[] = [
      (run) => linesIn(run, "metrics.jsonl") >= 2,
      (run) => readdirSync(path.join(run, "validation")).length > 0 && linesIn(run, "metrics.jsonl") >= 4,
      (run) => existsSync(path.join(run, "schedule.json")) && decisionsOf(run).transitions.length >= 1,
      (run) => decisionsOf(run).transitions.length >= 2,
      (run) => decisionsOf(run).transitions.length >= 4,
    ];
    const { run, killed } = await killAndResume(deciding, times.length, (folder, kill) => times[kill]?.(folder) ?? false);
    expect(killed).toBe(times.length);
    expectEqualRuns(run, whole);
    expect(decisionsOf(run)).toEqual(decisionsOf(whole));
    expect(savedProgress(run)).toEqual(savedProgress(whole));
  }, 500_000);

  it("repeats a phase's end that minutes brought about, once it is saved", async () => {
    const minutes = words(
      "[{phase: generator, minutes: 0.01, with: {decay: constant}}, {phase: contrastive, steps: 30}, {phase: refresh}]",
    );
    let taken: Transition | undefined;
    const { run, killed } = await killAndResume(minutes, 2, (folder, kill) => {
      if (kill === 0) return linesIn(folder, "metrics.jsonl") >= 2;
      if (!existsSync(path.join(folder, "schedule.json"))) return false;
      [taken] = decisionsOf(folder).transitions;
      return taken !== undefined;
    });
    expect(killed).toBe(2);
    expect(taken).toMatchObject({ entry: 0, reason: "its 0.01 min are over" });
    expect(decisionsOf(run).transitions).toEqual([taken]);
    const lines = readFileSync(path.join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n");
    const steps = lines.map((line) => JSON.parse(line) as { step: number; phase: string });
    expect(steps.filter(({ phase }) => phase === "generator").at(-1)?.step).toBe(taken?.step);
    expect(new Set(steps.map(({ step }) => step)).size).toBe(steps.length);
  }, 300_000);
});
