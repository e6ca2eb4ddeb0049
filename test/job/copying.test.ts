/**
 * Proves that a schedule may begin with copying: the phase trains the generator on passages of training documents only, every answer stands in its context, real questions come after it with gold
 * passages by default, and a run resumed inside it equals the uninterrupted one.
 * Alone: npx vitest run test/job/copying.test.ts
 */
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { heldOutDocuments } from "../../src/job/data/data.js";
import { closeRun, openRun } from "../../src/job/run/open-run.js";
import { trainJob } from "../../src/job/train-job.js";
import type { GeneratorBatch } from "../../src/training/phases/generator.js";
import { makeFiles, tinyWords, trainTiny } from "./trained-run.js";

const folder = makeFiles();
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const WORDS = [
  "train.schedule=[{phase: generator, steps: 4, contexts: copying}, {phase: generator, steps: 1}]",
  "train.checkpoint.every=2",
  "train.checkpoint.keep_last=9",
  "train.log.every=1",
];
let run = "";
beforeAll(async () => {
  run = await trainTiny(folder, undefined, WORDS);
}, 60_000);

const linesOf = (file: string): Record<string, unknown>[] =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
/** What no clock decides. */
const losses = (folderOfRun: string): unknown[] =>
  linesOf(path.join(folderOfRun, "metrics.jsonl")).map(({ step, phase, loss, gradient_norm }) => [step, phase, loss, gradient_norm]);

describe("copying as the first phase", () => {
  it("is logged as the generator's, every answer in its context, and gold passages follow", () => {
    const lines = linesOf(path.join(run, "metrics.jsonl")).filter(({ phase }) => phase === "generator");
    expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    for (const line of lines) expect(line["loss/answer_in_context"] ?? line["answer_in_context"], JSON.stringify(line)).toBe(1);
  });

  it("reads no passage of a validation or test document", async () => {
    const { config } = loadConfig({ overrides: [...tinyWords(folder), ...WORDS] });
    const opened = await openRun(config, run, () => undefined);
    const heldOut = heldOutDocuments(opened.sets, opened.store);
    expect(heldOut.size).toBe(10);
    const phase = opened.phases.generator.copying(4);
    const read = new Set<string>();
    for (let step = 0; step < 60; step += 1) {
      for (const { asked } of (phase.batch(step) as GeneratorBatch).members) {
        for (const { row } of asked.passages) read.add(opened.store.field(row, "document"));
      }
    }
    closeRun(opened);
    expect(read.size).toBe(20);
    for (const document of read) expect(heldOut.has(document), document).toBe(false);
  });

  it("resumes inside itself as if nothing had happened", async () => {
    const { config } = loadConfig({ overrides: [...tinyWords(folder), ...WORDS] });
    const again = `${run}-again`;
    cpSync(run, again, { recursive: true });
    for (const name of readdirSync(path.join(again, "checkpoints"))) {
      if (!name.endsWith("00000002")) rmSync(path.join(again, "checkpoints", name), { recursive: true });
    }
    expect(readdirSync(path.join(again, "checkpoints"))).toHaveLength(1);
    const kept = linesOf(path.join(again, "metrics.jsonl"));
    expect(kept.length).toBeGreaterThan(4);
    await trainJob({ config, run: again, report: () => undefined, stopRequested: () => false, unsaved: () => undefined });
    expect(losses(again)).toEqual(losses(run));
  });

  it("plans batches by the questions that a short context answers, not by those of the whole passage", async () => {
    const budget = 700;
    const more = [
      "train.generator.batch=null",
      `train.generator.batch_tokens=${budget}`,
      "train.generator.questions_per_context=32",
      "train.generator.curriculum.share=0.9",
      "train.generator.curriculum.start=1",
    ];
    const { config } = loadConfig({ overrides: [...tinyWords(folder), ...WORDS, ...more] });
    const opened = await openRun(config, run, () => undefined);
    const phase = opened.phases.generator.copying(1000);
    const sizes = Array.from({ length: 30 }, (_, step) => phase.tokens(phase.batch(step)));
    closeRun(opened);
    const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    expect(mean, sizes.join(" ")).toBeGreaterThan(0.7 * budget);
    expect(Math.max(...sizes), sizes.join(" ")).toBeLessThan(1.4 * budget);
  });
});
