/**
 * Proves that a run whose index follows its drift makes it anew between two steps, takes no place in their count for it, logs what it measured, and equals the uninterrupted run after SIGKILL between the decision and the end of the
 * rebuild, and between a refresh and the next; and that no step reads an index older than at_least_every allows, not the first of a phase either, whatever went before it.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-refresh.test.ts
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { expectEqualRuns, killAndResume, lossLines, wholeRun } from "./killed-run.js";

const SCHEDULE =
  "[{phase: refresh}, {phase: reader-distillation, steps: 8}, {phase: refresh}, {phase: generator, steps: 2, contexts: retrieved}, {phase: refresh}]";

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "generator.dropout=0.1",
  "retriever.dropout=0.1",
  "train.checkpoint.every=4",
  "train.checkpoint.keep_last=50",
  `train.schedule=${SCHEDULE}`,
  "train.reader.batch=4",
  "train.reader.passages=3",
  "train.reader.lr=1e-2",
  "train.drift.every=2",
  "train.drift.questions=8",
  "train.drift.passages=100",
  "train.drift.regret=true",
  "train.refresh.on_drift.overlap_below=0.5",
  "train.refresh.at_most_every=3",
  "train.validate.after_each_phase=false",
  "--quiet",
];

interface State {
  readonly step: number;
  readonly artefacts: { readonly index: string; readonly retrieval: string };
  readonly upkeep: { readonly refreshedAt: number; readonly isDue: boolean };
}

/** The states of a run's checkpoints, in their order. */
function states(run: string): State[] {
  const folder = path.join(run, "checkpoints");
  const names = (existsSync(folder) ? readdirSync(folder) : []).filter((name) => name.startsWith("step-"));
  const files = names.sort().map((name) => path.join(folder, name, "state.json"));
  return files.filter((file) => existsSync(file)).map((file) => JSON.parse(readFileSync(file, "utf8")) as State);
}

let whole = "";

beforeAll(async () => {
  whole = await wholeRun(words);
}, 300_000);

describe("a run whose index follows its drift", () => {
  it("logs drift at its steps, and makes the index anew where it was beyond the limit and old enough, in the phases that read it", () => {
    const lines = lossLines(whole).filter(({ phase }) => phase !== "closed-book");
    // Step 1 and step 10 are the schedule's refreshes: one number each, and no line.
    expect(lines.map(({ step }) => step)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 11, 12]);
    const measured = lines.filter((line) => "drift/cosine" in line);
    expect(measured.map(({ step }) => step)).toEqual([2, 4, 6, 8, 12]);
    let refreshedAt = 1;
    let refreshes = 0;
    for (const line of measured) {
      const step = Number(line["step"]);
      if (step === 12) refreshedAt = 10;
      expect(line["drift/age"], `step ${step}`).toBe(step - refreshedAt);
      expect(Number.isFinite(line["drift/regret"])).toBe(true);
      if (Number(line["drift/overlap"]) < 0.5 && step - refreshedAt >= 3 && step < 10) {
        refreshedAt = step;
        refreshes++;
      }
    }
    expect(refreshes).toBeGreaterThan(0);
    // The retriever stands still in the generator's phase.
    expect(measured.at(-1)?.["drift/cosine"]).toBeCloseTo(1, 6);
    expect(measured.at(-1)?.["drift/overlap"]).toBe(1);
  });

  it("saves that a refresh is due before it makes one", () => {
    expect(states(whole).filter(({ upkeep }) => upkeep.isDue).length).toBeGreaterThan(0);
  });

  it("equals the uninterrupted one after SIGKILL while the index is made anew, and after SIGKILL in the steps that read it", async () => {
    const { run, killed } = await killAndResume(words, 2, (folder, kill) => {
      const all = states(folder);
      const due = all.findIndex(({ upkeep }) => upkeep.isDue);
      if (due === -1) return false;
      // The first kill comes as soon as a state says so; the second some steps after.
      return kill === 0 || (all.at(-1)?.step ?? 0) > (all[due]?.step ?? 0);
    });
    expect(killed).toBe(2);
    expectEqualRuns(run, whole);
  }, 400_000);
});

describe("a phase that begins to read an index which grew old before it", () => {
  // Refresh 1, contrastive 2 to 5, generator 6 to 8, and on what was retrieved 9 to 12.
  const schedule =
    "[{phase: refresh}, {phase: contrastive, steps: 4}, {phase: generator, steps: 3, contexts: gold}, {phase: generator, steps: 4, contexts: retrieved}]";
  const aged = (runs: string): string[] => [
    "experiment=tiny",
    `run.dir=${runs}`,
    "generator.dropout=0.1",
    "train.checkpoint.every=4",
    "train.checkpoint.keep_last=50",
    `train.schedule=${schedule}`,
    "train.contrastive.hard_negatives=0",
    "train.contrastive.lr=1e-2",
    "train.drift.every=1",
    "train.drift.questions=8",
    "train.drift.passages=100",
    "train.refresh.at_least_every=6",
    "train.validate.after_each_phase=false",
    "--quiet",
  ];
  let old = "";
  beforeAll(async () => {
    old = await wholeRun(aged);
  }, 300_000);

  it("has it made anew before its first step, once, and no step reads an older one than may be", () => {
    const ages = new Map(lossLines(old).map((line) => [line["step"], line["drift/age"]]));
    expect([5, 9, 10, 11, 12].map((step) => ages.get(step))).toEqual([4, 1, 2, 3, 4]);
    const at = (step: number): State | undefined => states(old).find((state) => state.step === step);
    expect(at(8)?.upkeep).toMatchObject({ isDue: true, refreshedAt: 1 });
    expect(at(12)?.upkeep).toMatchObject({ isDue: false, refreshedAt: 8 });
    expect(at(12)?.artefacts.index).not.toBe(at(8)?.artefacts.index);
  });

  it("equals the uninterrupted one after SIGKILL while the index is made anew, and after SIGKILL before what follows is saved", async () => {
    const { run, killed } = await killAndResume(aged, 2, (folder, kill) => {
      const due = states(folder).some(({ step, upkeep }) => step === 8 && upkeep.isDue);
      // Steps 2 to 9 have a line each.
      return kill === 0 ? due : readFileSync(path.join(folder, "metrics.jsonl"), "utf8").split("\n").length > 8;
    });
    expect(killed).toBe(2);
    expectEqualRuns(run, old);
  }, 400_000);
});
