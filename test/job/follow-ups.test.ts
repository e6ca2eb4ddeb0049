/**
 * Proves that questions with a history are counted whole: their earlier turns are in the lengths that batches are planned by, with passages and without, and a template that can't show them is named
 * once, with how many questions lose what, in training and in evaluation.
 * Alone: npx vitest run test/job/follow-ups.test.ts
 */
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { renderYaml } from "../../src/config/render.js";
import { evaluateTrained } from "../../src/job/report/evaluate-trained.js";
import { findTrainedRun } from "../../src/job/run/find-run.js";
import { closeRun, openRun, type OpenRun } from "../../src/job/run/open-run.js";
import type { GeneratorBatch } from "../../src/training/phases/generator.js";
import type { Phase } from "../../src/training/phase.js";
import type { Report } from "../../src/job/reporter.js";
import { trainJob } from "../../src/job/train-job.js";
import { createRunDirectory } from "../../src/tracking/run-directory.js";
import { collectVersions } from "../../src/tracking/versions.js";
import { ARTICLES, idOf, jsonLines, makeFiles, tinyWords } from "./trained-run.js";

const SHOWING = [
  "prompt.template='{history}Context: {context}\\nQ: {question}\\nA:'",
  "prompt.closed_book_template='{history}Q: {question}\\nA:'",
];
const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

/** Files whose training questions have `turns` earlier ones, each of some forty tokens. */
function filesWithHistory(turns: number): string {
  const folder = makeFiles();
  made.push(folder);
  const questions = ARTICLES.slice(0, 20).map((article, i) => ({
    id: `q${i}`,
    question: `Who is the mayor of ${article.title}?`,
    answers: [article.title],
    passage_ids: [idOf(article)],
    history: Array.from({ length: turns }, (_, turn) => ({
      question: `Where does the river ${turn} that runs by the town of ${article.title} come from, and what is sold there?`,
      answer: "From the hills, and cheese is sold there",
    })),
  }));
  writeFileSync(path.join(folder, "train.jsonl"), jsonLines(questions));
  return folder;
}

/** Follow-up questions ask about the one before, whose answer they may hold. */
const LEAKS = "data.questions.allow_leaks=[answer_in_question]";

/** Opens a run on files, for `use`. */
async function opened<Result>(folder: string, words: readonly string[], use: (open: OpenRun) => Result): Promise<Result> {
  const { config } = loadConfig({ overrides: [...tinyWords(folder), LEAKS, ...words] });
  const versions = collectVersions();
  const { path: run } = createRunDirectory(config.run.dir, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
  const open = await openRun(config, run, () => undefined);
  try {
    return use(open);
  } finally {
    closeRun(open);
  }
}

/** The largest batch of twenty steps, in tokens with padding, and the longest single prompt. */
function largest(phase: Phase): { tokens: number; longest: number; prompts: number } {
  const sizes = Array.from({ length: 20 }, (_, step) => {
    const batch = (phase as Phase<GeneratorBatch>).batch(step);
    return {
      tokens: (phase as Phase<GeneratorBatch>).tokens(batch),
      longest: Math.max(...batch.members.map(({ prompt }) => prompt.ids.length)),
      prompts: batch.members.length,
    };
  });
  return {
    tokens: Math.max(...sizes.map(({ tokens }) => tokens)),
    longest: Math.max(...sizes.map(({ longest }) => longest)),
    prompts: Math.max(...sizes.map(({ prompts }) => prompts)),
  };
}

describe("the lengths of follow-up questions", () => {
  const budget = 1200;
  const words = [...SHOWING, "train.generator.batch=null", `train.generator.batch_tokens=${budget}`, "prompt.history_tokens=110"];

  it("count the turns that are shown, so that a batch keeps to its tokens", async () => {
    await opened(filesWithHistory(6), words, ({ phases }) => {
      for (const phase of [phases.generator.reading(undefined, 20, { filter: null }), phases.generator.closedBook()]) {
        const { tokens, longest, prompts } = largest(phase);
        expect(prompts, "several fit").toBeGreaterThan(2);
        expect(tokens, `${phase.name}: ${prompts} prompts of up to ${longest}`).toBeLessThanOrEqual(1.1 * budget);
        // The turns that don't fit their share aren't counted: batches are filled.
        expect(tokens).toBeGreaterThan(0.6 * budget);
      }
    });
  }, 60_000);

  it("count none where the template shows none", async () => {
    await opened(filesWithHistory(6), words.slice(2), ({ phases }) => {
      expect(largest(phases.generator.reading(undefined, 20, { filter: null })).tokens).toBeGreaterThan(0.6 * budget);
      expect(largest(phases.generator.closedBook()).prompts).toBe(20);
    });
  }, 60_000);
});

/** Trains and evaluates on the training questions, which have a history; gives what training warned of, and what evaluation did. */
async function trainedAndScored(words: readonly string[]): Promise<{ training: string[]; evaluation: string[] }> {
  const folder = filesWithHistory(1);
  const { config } = loadConfig({ overrides: [...tinyWords(folder), LEAKS, ...words] });
  const versions = collectVersions();
  const { path: run } = createRunDirectory(config.run.dir, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
  const warnings =
    (into: string[]): Report =>
    (message) =>
      message.type === "warning" ? into.push(message.text) : undefined;
  const [training, evaluation]: string[][] = [[], []];
  await trainJob({ config, run, report: warnings(training!), stopRequested: () => false, unsaved: () => undefined });
  const trained = findTrainedRun(run, [`eval.questions=${path.join(folder, "train.jsonl")}`]);
  await evaluateTrained(trained, { report: warnings(evaluation!) });
  return { training: training!, evaluation: evaluation! };
}

describe("a template that shows no earlier turns", () => {
  const about = (warnings: readonly string[]): string[] => warnings.filter((text) => text.includes("{history}"));

  it("is named once in training and once in evaluation, with the number of questions and the mend", async () => {
    const { training, evaluation } = await trainedAndScored([]);
    expect(about(training)).toEqual([
      "20 of 30 questions have a history, which prompt.template and prompt.closed_book_template don't show: each is asked as if it were the first; train with {history} in the template, or take history out of the questions",
    ]);
    // eval.limit of the tiny experiment is 16.
    expect(about(evaluation)).toEqual([about(training)[0]?.replace("20 of 30", "16 of 16")]);
  }, 60_000);

  it("is named alone when the other shows them, and nothing is said when both do", async () => {
    const some = await trainedAndScored(SHOWING.slice(0, 1));
    expect(about(some.training)).toEqual([expect.stringContaining("which prompt.closed_book_template doesn't show: each")]);
    expect(about(some.evaluation)).toHaveLength(1);
    const none = await trainedAndScored(SHOWING);
    expect([...about(none.training), ...about(none.evaluation)]).toEqual([]);
  }, 60_000);
});
