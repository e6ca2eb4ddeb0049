/**
 * Proves what `tandem config plan` prints: the schedule in its order, with repeats written out, steps of epochs, rates, validations, checkpoints and an estimate that says what it leaves out; that it refuses what training
 * would refuse, and leaves nothing behind.
 * Alone: npx vitest run test/cli/config-plan.test.ts
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { command as config } from "../../src/cli/config.js";
import type { RunPlan } from "../../src/job/plan/plan-run.js";
import { faultOf } from "../job/fault-of.js";
import { makeFiles, tinyWords } from "../job/trained-run.js";
import { captured } from "./captured.js";

const folder = makeFiles();
const temporary = path.join(folder, "temporary");
mkdirSync(temporary);
beforeEach(() => vi.stubEnv("TMPDIR", temporary));
afterEach(() => {
  vi.unstubAllEnvs();
  expect(readdirSync(temporary)).toEqual([]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SCHEDULE = `[{repeat: 2, phases: [{phase: generator, steps: 6, until: "loss < 5"}, {phase: contrastive, epochs: 2, with: {lr: 1e-4, floor: 0}}, {phase: refresh}]}, {phase: joint, steps: 3, when: "em < 0.5"}, {phase: generator, minutes: 0.01, contexts: gold, with: {decay: constant}}]`;
const words = (...more: string[]): string[] => [
  "config",
  "plan",
  ...tinyWords(folder),
  `train.schedule=${SCHEDULE}`,
  "train.validate.after_each_phase=true",
  "train.validate.every=4",
  "train.checkpoint.every=5",
  "train.conditions.window=3",
  "train.reader.batch=4",
  "train.reader.passages=2",
  "--quiet",
  ...more,
];

describe("tandem config plan", () => {
  it("counts an entry's own epochs, also behind one that only minutes end", async () => {
    const schedule = "[{phase: generator, minutes: 0.01, with: {decay: constant}}, {phase: contrastive, epochs: 1}, {phase: refresh}]";
    const { out } = await captured(config, words("--json", "--no-measure", `train.schedule=${schedule}`));
    const { entries } = JSON.parse(out) as RunPlan;
    expect(entries.slice(0, 2).map(({ phase, steps }) => [phase, steps])).toEqual([
      ["generator", null],
      ["contrastive", 5],
    ]);
  });

  it("says what will run, entry by entry, and estimates the time of each", async () => {
    const { out } = await captured(config, words("--json"));
    const { entries, seconds, measured, left_out: leftOut } = JSON.parse(out) as RunPlan;
    expect(entries.map(({ phase, contexts, steps }) => [phase, contexts, steps])).toEqual([
      ["generator", "gold", 6],
      ["contrastive", null, 10],
      ["refresh", null, null],
      ["generator", "retrieved", 6],
      ["contrastive", null, 10],
      ["refresh", null, null],
      ["joint", null, 3],
      ["generator", "gold", null],
      ["closed-book", null, 1],
    ]);
    // Steps 1 to 6: a validation at 4 and one at the end, a checkpoint at 5 and one at the end. Then 7 to 16: 8, 12, and at once with the end 16; 10, 15 and the end.
    expect(entries.slice(0, 2).map(({ validations, checkpoints }) => [validations, checkpoints])).toEqual([
      [2, 2],
      [3, 3],
    ]);
    expect(entries[1]).toMatchObject({ first_rate: 1e-4, epochs: 2, examples: 20 });
    expect(entries[1]?.last_rate).toBeCloseTo(1e-5, 10);
    expect(entries[4]).toMatchObject({ first_rate: 1e-4 });
    expect(entries[0]).toMatchObject({ until: "loss < 5" });
    expect(entries[6]).toMatchObject({ when: "em < 0.5" });
    expect(entries[7]).toMatchObject({ minutes: 0.01, seconds: 0.6 });
    expect(entries.map((entry) => entry.with)).toMatchObject([
      {},
      { lr: 1e-4, floor: 0 },
      {},
      {},
      { lr: 1e-4, floor: 0 },
      {},
      {},
      { decay: "constant" },
      {},
    ]);
    for (const entry of entries) expect(entry.seconds).toBeGreaterThan(0);
    expect(seconds).toBeCloseTo(
      entries.reduce((sum, entry) => sum + (entry.seconds ?? 0), 0),
      9,
    );
    expect(Object.keys(measured)).toContain("refresh, a passage");
    expect(leftOut.join("\n")).toMatch(/validations: 5 answers each[^]*phases that a condition/);
  }, 120_000);

  it("leaves out what an entry's own settings ask for, and nothing that none asks for", async () => {
    const leftOutBy = async (...more: string[]): Promise<string> => {
      const { out } = await captured(config, ["config", "plan", ...tinyWords(folder), "--json", "--quiet", ...more]);
      return (JSON.parse(out) as RunPlan).left_out.join("\n");
    };
    const schedule = (contrastive: string, generator: string): string =>
      `train.schedule=[{phase: refresh}, {phase: contrastive, steps: 2, with: ${contrastive}}, {phase: generator, steps: 4, contexts: gold, with: ${generator}}]`;
    const own = await leftOutBy(schedule("{hard_negatives: 1}", "{curriculum: {share: 0.5}}"));
    expect(own).toMatch(/^mining: /m);
    expect(own).toMatch(/^shorter contexts at the start/m);
    const ofRun = ["train.contrastive.hard_negatives=1", "train.generator.curriculum.share=0.5"];
    const none = await leftOutBy(...ofRun, schedule("{hard_negatives: 0}", "{curriculum: {share: 0}}"));
    expect(none).not.toMatch(/^mining: |^shorter contexts/m);
  }, 120_000);

  it("prints a table, and without a measurement no time", async () => {
    const { out } = await captured(config, words("--no-measure"));
    const [head = "", first = ""] = out.split("\n");
    expect(head.trim().split(/\s\s+/)).toEqual([
      "entry",
      "phase",
      "contexts",
      "steps",
      "condition",
      "epochs",
      "examples",
      "rate",
      "validations",
      "checkpoints",
      "about",
      "with",
    ]);
    expect(out).toMatch(/^1\s+contrastive .* lr=0\.0001 floor=0$/m);
    expect(first).toMatch(/^0\s+generator\s+gold\s+6\s+until loss < 5\s+0\.60\s+20\s+1\.0e-3 … /);
    expect(out).toMatch(/Not in it:\n {2}time: nothing was measured\n$/);
    expect(out).not.toMatch(/About/);
  }, 60_000);

  it("refuses what training would refuse", async () => {
    expect(await faultOf(() => captured(config, words("--no-measure", "train.generator.warmup=500")))).toMatch(/warmup/);
    const wrong = [...tinyWords(folder), "train.schedule=[{phase: generator, steps: 2, contexts: retrieved}]", "--quiet"];
    expect(await faultOf(() => captured(config, ["config", "plan", ...wrong]))).toMatch(/no refresh stands before it/);
  }, 60_000);
});
