/**
 * Proves, by real runs that really collapse, that each alarm rings where its figure goes wrong and is silent before, and that each action is done: a warning, an end with exit code 2, and a return to the best checkpoint with lower
 * rates, which survives SIGKILL. Needs the compiled program (npm run build). Alone: npx vitest run test/job/collapse-alarms.test.ts
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import type { HealthFigures } from "../../src/job/training/watch-collapse.js";
import { listCheckpoints } from "../../src/training/checkpoint.js";
import { EXPLODE } from "./exploding-run.js";
import { expectEqualRuns, killAndResume, lossLines, ROOT, runFolder, trainFully } from "./killed-run.js";

interface Rung {
  readonly name: string;
  readonly step: number;
  readonly phase: string;
  readonly value: number;
  readonly rollBacks: number;
}

const rungIn = (run: string): Rung[] => {
  const file = path.join(run, "alarms.jsonl");
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Rung);
};

const tiny =
  (...more: string[]) =>
  (runs: string): string[] => ["experiment=tiny", `run.dir=${runs}`, "eval.rows=[trained-pair, closed-book]", ...more, "--quiet"];

async function trained(words: (runs: string) => string[]): Promise<{ code: number | null; stderr: string; run: string }> {
  const runs = mkdtempSync(path.join(tmpdir(), "tandem-collapse-"));
  const { code, stderr } = await trainFully(words(runs));
  return { code, stderr, run: runFolder(runs) ?? "" };
}

/** What the first and the last validation measured. */
function healths(run: string): Record<"before" | "after", HealthFigures> {
  const lines = readFileSync(path.join(run, "validation/summary.jsonl"), "utf8").trimEnd().split("\n");
  const [before, after] = [lines[0], lines.at(-1)].map((line) => (JSON.parse(line ?? "") as { health: HealthFigures }).health);
  return { before: before!, after: after! };
}

/** Names of the alarms, all of which rang at the last validation and none before. */
function ringsOnlyAtTheEnd(run: string): string[] {
  const rung = rungIn(run);
  const last = lossLines(run).findLast(({ phase }) => phase !== "closed-book")?.["step"];
  expect(rung.map(({ step }) => step)).toEqual(rung.map(() => last));
  return rung.map(({ name }) => name);
}

/** The questions' side alone, at a rate of 1, over an index that stays: whatever is asked, the same passages are found. */
const ALIKE = [
  "train.schedule=[{phase: refresh}, {phase: generator, steps: 2}, {phase: reader-distillation, steps: 4}]",
  "train.reader.fixed_index=true",
  "train.reader.train_passages=false",
  "train.reader.lr=1",
  "train.reader.batch=4",
  "train.reader.passages=2",
];

/** RAG-sequence is least where one passage has all of the belief: at a temperature at which embeddings of one hill differ, it comes there in a dozen steps. */
const SURE = [
  "train.schedule=[{phase: refresh}, {phase: generator, steps: 2}, {phase: reader-distillation, steps: 12}]",
  "train.reader.loss=rag_sequence",
  "train.reader.temperature=0.001",
  "train.reader.lr=0.02",
  "train.reader.batch=4",
  "train.reader.passages=4",
  // They all like the same ones by then, which is another alarm's.
  "train.alarms.hubness.above=null",
];

/** Training questions whose answers are one word eight times; those of validation are the quickstart's own. */
function repeating(runs: string): string[] {
  const file = path.join(runs, "..", `${path.basename(runs)}.jsonl`);
  const lines = readFileSync(path.join(ROOT, "data/quickstart/train.jsonl"), "utf8").trimEnd().split("\n").slice(0, 64);
  const told = lines.map((line) => ({ ...(JSON.parse(line) as object), answers: [Array(8).fill("the").join(" ")], entities: undefined }));
  writeFileSync(file, told.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return [
    `data.questions.train=${file}`,
    "data.rename.enabled=false",
    "train.schedule=[{phase: generator, steps: 2, contexts: gold, with: {lr: 1e-4}}, {phase: generator, steps: 60, contexts: gold, with: {lr: 1e-2}}]",
    "train.penalties.ngram_repeat.weight=0",
  ];
}

/** At a rate of 1 the embeddings fall onto one point within four steps. */
const COLLAPSE = "train.contrastive.lr=1";
describe("an alarm", () => {
  it("of embeddings that fall onto one point rings with the bounds as they come, and not before", async () => {
    const { code, stderr, run } = await trained(tiny(COLLAPSE));
    expect(code, stderr).toBe(0);
    const rung = rungIn(run);
    expect(new Set(rung.map(({ name }) => name))).toEqual(new Set(["entropy", "rank", "uniformity"]));
    expect(Math.min(...rung.map(({ step }) => step))).toBe(10);
    // Where such a rate throws the embeddings at first is the processor's rounding; by the second phase they lie on one line.
    expect(stderr).toMatch(/step (10|17), phase contrastive: alarm: rank is/);
    const { before, after } = healths(run);
    expect(before.rank).toBeGreaterThan(5);
    expect(after.rank).toBeLessThan(1.5);
    expect(after.uniformity).toBeGreaterThan(before.uniformity);
  }, 120_000);

  it("of few passages and of a hub rings once every question is embedded alike, and not before", async () => {
    const { code, stderr, run } = await trained(tiny(...ALIKE, "train.alarms.unique_documents.below=0.4"));
    expect(code, stderr).toBe(0);
    expect(ringsOnlyAtTheEnd(run)).toEqual(expect.arrayContaining(["unique_documents", "hubness"]));
    const { before, after } = healths(run);
    expect(before.hubness).toBeLessThan(0.8);
    // Eight questions find about the same ten passages.
    expect(after.hubness).toBe(1);
    expect(after.unique_documents).toBeLessThan(0.2);
  }, 120_000);

  it("of certainty rings once RAG-sequence has made the retriever sure of one passage, and not before", async () => {
    const { code, stderr, run } = await trained(tiny(...SURE));
    expect(code, stderr).toBe(0);
    expect(ringsOnlyAtTheEnd(run)).toContain("entropy");
    const { before, after } = healths(run);
    expect(before.entropy).toBeGreaterThan(0.1);
    expect(after.entropy).toBeLessThan(0.01);
    expect(stderr).toMatch(/alarm: entropy is \S+, below 0\.01 \(train\.alarms\.entropy\.below\)/);
  }, 120_000);

  it("of repetition rings once the generator has learnt to repeat a word, with the bound as it comes, and not before", async () => {
    const { code, stderr, run } = await trained((runs) => tiny(...repeating(runs))(runs));
    expect(code, stderr).toBe(0);
    expect(ringsOnlyAtTheEnd(run)).toEqual(["repetition"]);
    const { before, after } = healths(run);
    expect(before.repetition).toBeLessThan(0.3);
    expect(after.repetition).toBeGreaterThan(0.5);
  }, 120_000);

  it("of a loss that leaps rings in the steps that leap, once there are enough before them", async () => {
    const { code, stderr, run } = await trained(
      tiny(
        "train.schedule=[{phase: generator, steps: 60}]",
        "train.generator.lr=1",
        "train.generator.warmup=50",
        "train.generator.clip=null",
        "train.audit.every=null",
        "train.alarms.loss_spike.window=10",
        "train.alarms.loss_spike.above=5",
        "train.validate.after_each_phase=false",
      ),
    );
    expect(code, stderr).toBe(0);
    const rung = rungIn(run);
    expect(rung.length).toBeGreaterThan(0);
    expect(new Set(rung.map(({ name }) => name))).toEqual(new Set(["loss_spike"]));
    const losses = new Map(lossLines(run).map(({ step, loss }) => [step as number, loss as number]));
    for (const { step, value } of rung) {
      expect(step).toBeGreaterThan(10);
      expect(value).toBeGreaterThan(5);
      const before = Array.from({ length: 10 }, (_, i) => losses.get(step - 1 - i) ?? NaN);
      expect(losses.get(step)).toBeGreaterThan(Math.max(...before));
    }
  }, 120_000);
});

describe("what an alarm does", () => {
  it("stop: ends with exit code 2 and one line, rings again when resumed, and goes on with what config.yaml says by then", async () => {
    const { code, stderr, run } = await trained(tiny(COLLAPSE, "train.alarms.rank.action=stop"));
    expect(code).toBe(2);
    const line = stderr.trimEnd().split("\n").at(-1) ?? "";
    const [, step] = /^tandem train: step (10|17), phase contrastive: alarm: rank is 1\.\d+, below 1\.5 /.exec(line) ?? [];
    expect(step, line).toBeDefined();
    expect(stderr).not.toContain("    at ");
    expect(listCheckpoints(path.join(run, "checkpoints")).at(-1)?.step).toBe(Number(step));
    expect(line).toContain("set train.alarms in the run's config.yaml, then tandem train --resume <run>");
    expect((await trainFully(["--resume", run, "--quiet"])).code).toBe(2);
    const file = path.join(run, "config.yaml");
    const refused = await trainFully(["--resume", run, "train.alarms.rank.action=warn"]);
    expect([refused.code, refused.stderr.trimEnd().split("; ").at(-1)]).toEqual([
      2,
      `change train.alarms.rank.action in ${file}, and leave the overrides out`,
    ]);
    const text = readFileSync(file, "utf8");
    expect(text).toContain("action: stop");
    writeFileSync(file, text.replace(/(\n {4}rank:\n(?: {6}.*\n)*? {6}action: )stop/, "$1warn"));
    const resumed = await trainFully(["--resume", run, "--quiet"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain("alarm: rank is");
    expect(existsSync(path.join(run, "report.json"))).toBe(true);
  }, 180_000);

  it("roll_back: goes on from the best checkpoint with lower rates, also after SIGKILL in the middle of it and later", async () => {
    const words = tiny(
      COLLAPSE,
      "train.alarms.rank.action=roll_back",
      "train.alarms.roll_back.factor=0.001",
      "train.checkpoint.every=2",
      "train.schedule=[{phase: generator, steps: 6}, {phase: contrastive, steps: 8}, {phase: refresh}]",
    );
    const { code, stderr, run: whole } = await trained(words);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("rolled back from step 14 to step 6");
    const rates = lossLines(whole).filter(({ phase }) => phase === "contrastive");
    expect(rates.map(({ step }) => step)).toEqual([7, 8, 9, 10, 11, 12, 13, 14]);
    for (const { rate } of rates) expect(rate).toBeLessThanOrEqual(1e-3);
    expect(rungIn(whole).filter(({ name }) => name === "rank")).toMatchObject([{ step: 14, rollBacks: 0 }]);
    const { run, killed } = await killAndResume(words, 3, (folder, kill) => {
      const file = path.join(folder, "metrics.jsonl");
      // In the alarm, in what follows it, and after some of the steps that come again.
      if (kill < 2) return rungIn(folder).length > 0;
      return readFileSync(file, "utf8").split("\n").length - 1 >= 9;
    });
    expect(killed).toBe(3);
    expectEqualRuns(run, whole);
    expect(rungIn(run).filter(({ name }) => name === "rank")).toMatchObject([{ step: 14, rollBacks: 0 }]);
  }, 300_000);

  it("roll_back: ends the run where no checkpoint was validated, and where it was done often enough", async () => {
    const unvalidated = await trained(
      tiny(...EXPLODE, "train.alarms.not_a_number.action=roll_back", "train.validate.after_each_phase=false", "train.validate.every=1000"),
    );
    expect(unvalidated.code).toBe(2);
    expect(unvalidated.stderr).toMatch(/no checkpoint was validated yet; .*validate earlier/);
    const first = await trained(tiny("train.alarms.entropy.above=0.02", "train.alarms.entropy.action=roll_back"));
    expect(first.code).toBe(2);
    expect(first.stderr).toMatch(
      /it rang at the first validation, and there is no earlier state to go back to; loosen the alarm's bound or set its action to warn/,
    );
    const again = await trained(tiny(...EXPLODE, "train.alarms.not_a_number.action=roll_back", "train.alarms.roll_back.factor=0.9"));
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("it was rolled back 2 times already");
  }, 120_000);

  it("a loss that is no number: stops as it comes; rolled back to a rate that bears it, the run ends well", async () => {
    const stopped = await trained(tiny(...EXPLODE));
    expect(stopped.code).toBe(2);
    expect(stopped.stderr).toContain("the loss or its gradient is no number");
    const { code, stderr, run } = await trained(
      tiny(...EXPLODE, "train.alarms.not_a_number.action=roll_back", "train.alarms.roll_back.factor=0.0001"),
    );
    expect(code, stderr).toBe(0);
    for (const { rate, phase } of lossLines(run)) if (phase === "generator") expect(rate).toBeLessThanOrEqual(1e-3);
  }, 120_000);
});
