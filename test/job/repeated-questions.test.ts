/**
 * Proves that a run says once, before its first step, how many questions no contrastive batch of an epoch holds and how many batches more there are, that its steps and the plan's count what the batches hold, that a phase whose
 * questions an index decides says it as it begins, and that nothing is said where nothing repeats.
 * Alone: npx vitest run test/job/repeated-questions.test.ts
 */
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { planRun } from "../../src/job/plan/plan-run.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { ARTICLES, idOf, jsonLines, makeFiles, tinyWords, trainTiny } from "./trained-run.js";

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

/** Twenty training questions, the i-th about the article that `articleOf` names. */
function filesAbout(articleOf: (i: number) => number): string {
  const folder = makeFiles();
  made.push(folder);
  const kinds = ["mayor", "market", "river", "council", "bridge", "school", "church", "tower"];
  const questions = Array.from({ length: 20 }, (_, i) => {
    const article = ARTICLES[articleOf(i)]!;
    return {
      id: `q${i}`,
      question: `Who looks after the ${kinds[i % 8]} of ${article.title}?`,
      answers: [String(1800 + articleOf(i))],
      passage_ids: [idOf(article)],
    };
  });
  writeFileSync(path.join(folder, "train.jsonl"), jsonLines(questions));
  return folder;
}

const CONTRASTIVE = [
  "train.schedule=[{phase: contrastive, epochs: 1}, {phase: refresh}, {phase: contrastive, epochs: 1}, {phase: refresh}]",
  "train.contrastive.batch=8",
];
const about = (said: readonly JobMessage[]): JobMessage[] =>
  said.filter((message) => "text" in message && message.text.startsWith("train.contrastive.batch:"));

describe("repeats in a contrastive phase", () => {
  it("that no batch can take are counted in one warning, and neither in the run's steps nor in the plan", async () => {
    // Eight questions have one passage, twelve one each: batches of eight and six, six left.
    const folder = filesAbout((i) => (i < 8 ? 0 : i - 7));
    const said: JobMessage[] = [];
    await trainTiny(folder, undefined, CONTRASTIVE, said);
    expect(about(said)).toEqual([
      {
        type: "warning",
        text: "train.contrastive.batch: 6 of 20 questions are in no batch of an epoch, others in each, since every batch has their passage or their words already; a smaller batch may leave out fewer",
      },
    ]);
    const first = said.findIndex(({ type }) => type === "step");
    expect(said.indexOf(about(said)[0]!)).toBeLessThan(first);
    expect(said.filter((message) => message.type === "step" && message.record.phase === "contrastive")).toHaveLength(4);
    const { config } = loadConfig({ overrides: [...tinyWords(folder), ...CONTRASTIVE] });
    const { entries } = await planRun(config, () => undefined, false);
    expect(entries[0]).toMatchObject({ phase: "contrastive", steps: 2, examples: 14, epochs: 1 });
  }, 120_000);

  it("that have smaller batches are noted", async () => {
    // Five passages of four questions: four batches of five.
    const folder = filesAbout((i) => i % 5);
    const note =
      "train.contrastive.batch: an epoch has 4 batches, 1 more than full ones of 8 would be, since none holds a passage or a question twice";
    const said: JobMessage[] = [];
    await trainTiny(folder, undefined, CONTRASTIVE, said);
    expect(about(said)).toEqual([{ type: "note", text: note }]);
  }, 120_000);

  it("are said of nothing where no two questions share a passage", async () => {
    const said: JobMessage[] = [];
    await trainTiny(
      filesAbout((i) => i),
      undefined,
      CONTRASTIVE,
      said,
    );
    expect(about(said)).toEqual([]);
  }, 120_000);

  it("are said as the phase begins where an index decides which questions there are", async () => {
    const folder = makeFiles();
    made.push(folder);
    // Only the answer says which passage it is: "1800" and the like, each in one article. Nineteen questions are about one of two.
    const loose = Array.from({ length: 20 }, (_, i) => ({
      id: `q${i}`,
      question: `Who was elected in the year of ${ARTICLES[i]!.title}?`,
      answers: [i === 0 ? "1800" : "1801"],
    }));
    writeFileSync(path.join(folder, "train.jsonl"), jsonLines(loose));
    const said: JobMessage[] = [];
    const words = [
      "train.schedule=[{phase: refresh}, {phase: contrastive, steps: 1}, {phase: refresh}]",
      "train.contrastive.positives=answer",
      "prompt.passages=30",
    ];
    await trainTiny(folder, undefined, words, said);
    const [only, ...others] = about(said);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ type: "warning", text: expect.stringMatching(/18 of 20 questions are in no batch/) as string });
    const start = said.findIndex((message) => message.type === "stage" && message.name === "training");
    expect(said.indexOf(only!)).toBeGreaterThan(start);
  }, 120_000);
});
