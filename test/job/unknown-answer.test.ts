/**
 * Proves that a run whose contexts lose their evidence learns to say so and is measured by it: targets are counted in the log, and validation and report, as JSON, text and page, say how often the unknown answer is given with and
 * without an answer in the passages, by the answers that were written. Alone: npx vitest run test/job/unknown-answer.test.ts
 */
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import type { Abstention } from "../../src/evaluation/abstention.js";
import { exactMatch } from "../../src/evaluation/qa-metrics.js";
import { unknownWarnings } from "../../src/job/data/check-unknown.js";
import { closeRun, openRun } from "../../src/job/run/open-run.js";
import type { Phase } from "../../src/training/phase.js";
import type { GeneratorBatch } from "../../src/training/phases/generator.js";
import { makeFiles, trainTiny } from "./trained-run.js";

const UNKNOWN = "not known";
let folder: string;
let run: string;

beforeAll(async () => {
  folder = makeFiles();
  run = await trainTiny(folder, undefined, [
    `train.generator.unknown_answer=${UNKNOWN}`,
    "train.generator.drop_gold=0.8",
    "train.generator.batch=8",
    "train.generator.lr=1e-2",
    "train.schedule=[{phase: generator, steps: 220}, {phase: refresh}, {phase: generator, steps: 20}]",
    "train.penalties.ngram_repeat.weight=0",
    "train.penalties.keyword.weight=0",
    "train.penalties.short_answer.weight=0",
    "train.validate.after_each_phase=true",
    "eval.max_new_tokens=16",
  ]);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = <Line>(file: string): Line[] =>
  readFileSync(path.join(run, file), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe("a run with an unknown answer", () => {
  it("logs the share of contexts that are taught it, in gold and in retrieved phases", () => {
    const shares = lines<Record<string, number | string>>("metrics.jsonl")
      .filter(({ phase }) => phase === "generator")
      .map((line) => line["loss/unknown_target"] as number);
    expect(shares).toHaveLength(240);
    for (const part of [shares.slice(0, 220), shares.slice(220)]) {
      const mean = part.reduce((sum, share) => sum + share, 0) / part.length;
      expect(mean).toBeGreaterThan(0.65);
      expect(mean).toBeLessThan(1);
    }
  });

  it("fills the places of dropped passages with others that don't answer, from documents that training may see", async () => {
    const { config } = loadConfig({ base: path.join(run, "config.yaml") });
    const open = await openRun(config, run, () => undefined);
    try {
      const held = new Set([...open.sets.valid, ...open.sets.test].flatMap(({ passageIds }) => passageIds));
      const { members } = (open.phases.generator.reading(undefined, 10) as Phase<GeneratorBatch>).batch(3);
      const unknown = members.filter(({ asked }) => asked.isUnknown === true);
      expect(unknown.length).toBeGreaterThan(0);
      for (const { asked } of unknown) {
        expect(asked.questions[0]!.answer).toBe(UNKNOWN);
        expect(asked.passages).toHaveLength(1);
        const question = open.sets.train.find(({ question: text }) => text === asked.questions[0]!.question)!;
        for (const { text, row } of asked.passages) {
          expect(text).not.toContain(question.answers[0]!);
          expect(held.has(open.store.field(row, "id"))).toBe(false);
        }
      }
    } finally {
      closeRun(open);
    }
  });

  it("has learnt to say it, and its report counts what was written", () => {
    const report = JSON.parse(readFileSync(path.join(run, "report.json"), "utf8")) as { rows: { name: string; abstention?: Abstention }[] };
    const { abstention } = report.rows.find(({ name }) => name === "trained-pair")!;
    const answers = lines<{ prediction: string; answers: string[]; answerInContext: number; passages: { id: string }[]; gold: string[] }>(
      "validation/final.jsonl",
    );
    const said = ({ prediction }: { prediction: string }): boolean => exactMatch(prediction, [UNKNOWN]) === 1;
    const shown = answers.filter(
      ({ answerInContext, passages, gold }) => answerInContext === 1 || passages.some(({ id }) => gold.includes(id)),
    );
    const rest = answers.filter((entry) => !shown.includes(entry));
    expect(abstention).toMatchObject({ unknown_answer: UNKNOWN, with_answer: shown.length, without_answer: rest.length });
    expect(abstention!.answered).toBe(answers.filter((entry) => !said(entry)).length);
    for (const [entries, rate] of [
      [shown, abstention!.rate_with_answer],
      [rest, abstention!.rate_without_answer],
    ] as const)
      if (entries.length === 0) expect(rate).toBeNull();
      else expect(rate).toBeCloseTo(entries.filter(said).length / entries.length, 12);
    expect(answers.filter(said).length).toBeGreaterThan(answers.length / 2);
    expect(readFileSync(path.join(run, "report.txt"), "utf8")).toContain(`How often "${UNKNOWN}" is said`);
    expect(readFileSync(path.join(run, "report.html"), "utf8")).toContain("abstention-caption");
  });

  it("is validated by it after each phase", () => {
    expect(existsSync(path.join(run, "validation"))).toBe(true);
    expect(readdirSync(path.join(run, "validation"))).toContain("summary.jsonl");
    for (const line of lines<{ abstention?: Record<string, number | null> }>("validation/summary.jsonl"))
      expect(Object.keys(line.abstention ?? {})).toEqual(["with_answer", "without_answer", "em_answered"]);
  });

  it("is warned about an unknown answer that a question really has", () => {
    const { config } = loadConfig({ base: path.join(run, "config.yaml") });
    const questions = [
      { question: "Who?", answers: ["Ida"] },
      { question: "And who else?", answers: ["Erik", "Not known."] },
    ];
    expect(unknownWarnings(config, questions)).toEqual([
      expect.stringMatching(/"not known" is a gold answer of 1 training questions, for example "And who else\?"/),
    ]);
    expect(unknownWarnings(config, questions.slice(0, 1))).toEqual([]);
  });
});
