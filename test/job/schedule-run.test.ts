/**
 * Proves that what an entry of the schedule says reaches the run: its own rate and course reach the optimiser, its own weights the loss and the audit, its batch size the batches; epochs become as many steps as the
 * examples make; and the exported pair is the best checkpoint's where that is wanted.
 * Alone: npx vitest run test/job/schedule-run.test.ts
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { checkMetrics } from "../../src/job/training/check-training.js";
import { planRun } from "../../src/job/plan/plan-run.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { readSafetensors } from "../../src/storage/safetensors.js";
import { faultOf } from "../storage/bad-input.js";
import { ARTICLES, jsonLines, makeFiles, tinyWords, trainTiny } from "./trained-run.js";

interface Line {
  readonly step: number;
  readonly phase: string;
  readonly rate: number;
  readonly [name: string]: number | string;
}

let folder = "";
const rate = 1e-3;
beforeAll(() => {
  folder = makeFiles();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const linesOf = (run: string): Line[] =>
  readFileSync(path.join(run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

let second = 0;
const trained = (...words: string[]): Promise<string> => trainTiny(folder, new Date(Date.UTC(2026, 0, 3, 4, 5, second++)), words);

describe("an entry's own settings", () => {
  it("reach the optimiser, the losses, the batches and the audit, in that entry alone", async () => {
    const run = await trained(
      "train.schedule=[{phase: generator, steps: 4}, {phase: generator, steps: 4, contexts: gold, with: {lr: 1e-4, floor: 0.5, penalties: {unlikelihood: {weight: 0.3}, ngram_repeat: {weight: 0}}}}, {phase: generator, steps: 4, contexts: gold, with: {batch: 6}}]",
      `train.generator.lr=${rate}`,
      "train.generator.floor=0",
    );
    const lines = linesOf(run).filter(({ phase }) => phase === "generator");
    // One course of eight steps for the first and the last entry, one of four steps for the one between.
    const course = [1, 1, 0.75, 0.5].map((_, i) => rate * (1 - i / 8));
    expect(lines.slice(0, 4).map((line) => line.rate)).toEqual(course.map((value) => expect.closeTo(value, 12) as number));
    expect(lines.slice(4, 8).map((line) => line.rate)).toEqual(
      [0, 1, 2, 3].map((i) => expect.closeTo(1e-4 * (0.5 + 0.5 * (1 - i / 4)), 12) as number),
    );
    expect(lines.slice(8).map((line) => line.rate)).toEqual([4, 5, 6, 7].map((i) => expect.closeTo(rate * (1 - i / 8), 12) as number));
    const has = (term: string): boolean[] => lines.map((line) => `loss/${term}` in line);
    expect(has("unlikelihood")).toEqual([
      ...Array<boolean>(4).fill(false),
      ...Array<boolean>(4).fill(true),
      ...Array<boolean>(4).fill(false),
    ]);
    expect(has("ngram_repeat")).toEqual([
      ...Array<boolean>(4).fill(true),
      ...Array<boolean>(4).fill(false),
      ...Array<boolean>(4).fill(true),
    ]);
    const audit = readFileSync(path.join(run, "audit.txt"), "utf8");
    expect(audit).toMatch(/unlikelihood/);
    expect(audit).toMatch(/ngram_repeat/);
  }, 120_000);

  it("a warm-up longer than the entry is refused before the first step", async () => {
    await expect(trained("train.schedule=[{phase: generator, steps: 4, with: {lr: 1e-4, warmup: 5}}]")).rejects.toThrow(
      /train\.schedule\.0\.with\.warmup: .*at most the 4 steps there are, got 5/,
    );
  }, 60_000);
});

describe("epochs", () => {
  it("are as many steps as the usable examples make, and the plan says the same", async () => {
    const words = [
      ...tinyWords(folder),
      "train.schedule=[{phase: generator, epochs: 1.5}, {phase: contrastive, epochs: 2}, {phase: refresh}, {phase: reader-distillation, epochs: 1}, {phase: refresh}]",
      "train.generator.batch=3",
      "train.contrastive.batch=8",
      "train.reader.batch=6",
      "train.reader.passages=2",
    ];
    const run = await trained(...words);
    // Twenty questions: 7 batches of 3, 3 of 8, 4 of 6.
    const { phases } = JSON.parse(readFileSync(path.join(run, "schedule.json"), "utf8")) as { phases: { phase: string; steps: number }[] };
    expect(phases.map(({ phase, steps }) => `${phase} ${steps}`)).toEqual([
      "generator 11",
      "contrastive 6",
      "refresh 1",
      "reader-distillation 4",
      "refresh 1",
      "closed-book 1",
    ]);
    const { config } = loadConfig({ overrides: words });
    const { entries, seconds } = await planRun(config, () => undefined, false);
    expect(entries.map(({ phase, steps, examples }) => [phase, steps, examples])).toEqual([
      ["generator", 11, 20],
      ["contrastive", 6, 20],
      ["refresh", null, null],
      ["reader-distillation", 4, 20],
      ["refresh", null, null],
      ["closed-book", 1, 20],
    ]);
    expect(entries[1]).toMatchObject({ epochs: 2, first_rate: config.train.contrastive.lr });
    expect(seconds).toBeNull();
  }, 120_000);

  it("that can't be counted before there is an index are refused, with the remedy", async () => {
    const loose = ARTICLES.map(({ title }, i) => ({ id: `q${i}`, question: `Who is the mayor of ${title}?`, answers: ["x"] }));
    writeFileSync(path.join(folder, "loose.jsonl"), jsonLines(loose));
    const run = trained(
      "train.schedule=[{phase: refresh}, {phase: contrastive, epochs: 1}, {phase: refresh}]",
      "train.contrastive.positives=answer",
      `data.questions.train=${path.join(folder, "loose.jsonl")}`,
      "data.questions.allow_leaks=[near_duplicates]",
    );
    await expect(run).rejects.toThrow(/train\.schedule\.1\.epochs: can't be counted.*give the phase steps/);
  }, 60_000);
});

describe("the best checkpoint", () => {
  it("is the exported pair where it is wanted, and the report says so", async () => {
    const words = [
      "train.schedule=[{phase: generator, steps: 3}, {phase: contrastive, steps: 6}, {phase: refresh}, {phase: generator, steps: 3}]",
      "train.validate.every=2",
      "train.checkpoint.metric=recall@1",
      "train.checkpoint.keep_last=1",
    ];
    const run = await trained(...words, "train.checkpoint.load_best=true");
    const checkpoints = readdirSync(path.join(run, "checkpoints")).sort();
    const state = JSON.parse(readFileSync(path.join(run, "checkpoints", checkpoints.at(-1) ?? "", "state.json"), "utf8")) as {
      best: { step: number };
    };
    expect(state.best.step).toBeLessThan(12);
    const best = path.join(run, "checkpoints", `step-${String(state.best.step).padStart(8, "0")}`);
    for (const model of ["retriever", "generator"]) {
      const exported = readSafetensors(path.join(run, model, "model.safetensors")).tensors;
      const kept = readSafetensors(path.join(best, `${model}.safetensors`)).tensors;
      const equal = [...kept].map(([name, { data }]) => {
        const other = exported.get(name) ?? exported.get(`transformer.${name}`);
        return other !== undefined && Buffer.compare(Buffer.from(data), Buffer.from(other.data)) === 0;
      });
      expect(equal).toEqual(Array(kept.size).fill(true));
    }
    const report = JSON.parse(readFileSync(path.join(run, "report.json"), "utf8")) as { pair?: string };
    expect(report.pair).toMatch(new RegExp(`^the pair of step ${state.best.step}, the best by recall@1`));
    expect(readFileSync(path.join(run, "report.html"), "utf8")).toContain(`the pair of step ${state.best.step}, the best by recall@1`);
    // The index that the report searched is the best retriever's: ask and search find it, and build none.
    const encoder = Encoder.load(path.join(run, "retriever"));
    const names = readdirSync(path.join(run, "index")).filter((name) => /^[0-9a-f]{16}$/.test(name));
    const about = names.map((name) => readFileSync(path.join(run, "index", name, "provenance.json"), "utf8"));
    expect(about.some((text) => text.includes(encoder.hash))).toBe(true);
    encoder.dispose();
  }, 120_000);
});

describe("metrics that decide", () => {
  it("must be measured: without validation questions, or gold passages for the retriever's, they are refused", () => {
    const { config } = loadConfig({
      overrides: [...tinyWords(folder), "train.early_stopping.metric=recall@1", "train.validate.after_each_phase=true"],
    });
    expect(faultOf(() => checkMetrics(config, []))).toMatch(
      /train\.early_stopping\.metric: asks for recall@1, and there are no validation questions/,
    );
    const question = { id: "q", question: "Who?", answers: ["x"], passageIds: [] };
    expect(faultOf(() => checkMetrics(config, [question]))).toMatch(
      /no validation question names a gold passage; ask for em, f1 or rouge_l/,
    );
    expect(() => checkMetrics(config, [{ ...question, passageIds: ["p"] }])).not.toThrow();
  });
});
