/**
 * Proves that training, validation, evaluation and asking show the generator one and the same prompt, with a template from a file, variables and the sentence filter: that a trained run holds the
 * template, goes on and answers without the file, and that what its report says it read is what asking reads. Alone: npx vitest run test/job/same-prompt.test.ts
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderYaml } from "../../src/config/render.js";
import { loadConfig } from "../../src/config/load-config.js";
import { buildPrompt } from "../../src/generation/prompt.js";
import { splitSentences } from "../../src/text/sentence-split.js";
import { closeRun, openRun, type OpenRun } from "../../src/job/run/open-run.js";
import { openPair } from "../../src/job/run/open-pair.js";
import { trainJob } from "../../src/job/train-job.js";
import type { GeneratorBatch } from "../../src/training/phases/generator.js";
import type { Phase } from "../../src/training/phase.js";
import { createRunDirectory } from "../../src/tracking/run-directory.js";
import { collectVersions } from "../../src/tracking/versions.js";
import { ARTICLES, makeFiles, tinyWords } from "./trained-run.js";

const TEMPLATE = "Answer {style}.\n{context}\nQuestion: {question}\nAnswer:";
let folder: string;
let run: string;
let template: string;

beforeAll(async () => {
  folder = makeFiles();
  template = path.join(folder, "template.txt");
  writeFileSync(template, `${TEMPLATE}\n`);
  const { config } = loadConfig({
    overrides: [
      ...tinyWords(folder),
      `prompt.template_file=${template}`,
      "++prompt.variables.style='in a word'",
      "prompt.sentence_filter.sentences=2",
      "train.validate.after_each_phase=true",
    ],
  });
  run = createRunDirectory(config.run.dir, {
    name: config.name,
    configYaml: renderYaml(config),
    overrides: [],
    versions: collectVersions(),
  }).path;
  rmSync(template);
  await trainJob({
    config: loadConfig({ base: path.join(run, "config.yaml") }).config,
    run,
    report: () => undefined,
    stopRequested: () => false,
    unsaved: () => undefined,
  });
}, 300_000);
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Line {
  readonly question: string;
  readonly prediction: string;
  readonly passages: { readonly id: string; readonly title: string; readonly text: string }[];
}
const linesOf = (file: string): Line[] =>
  readFileSync(path.join(run, file), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

async function opened<Result>(use: (open: OpenRun) => Result): Promise<Result> {
  const { config } = loadConfig({ base: path.join(run, "config.yaml") });
  const open = await openRun(config, run, () => undefined);
  try {
    return use(open);
  } finally {
    closeRun(open);
  }
}

describe("one prompt everywhere", () => {
  it("the run's config holds the template's text, and no path to its file", () => {
    const { config } = loadConfig({ base: path.join(run, "config.yaml") });
    expect(config.prompt.template).toBe(TEMPLATE);
    expect(config.prompt.template_file).toBeNull();
  });

  it("cozyrag 17: what training asks is what asking asks about the same passages", async () => {
    await opened(({ phases, generator }) => {
      const phase = phases.generator.reading(undefined, 10) as Phase<GeneratorBatch>;
      const batch = phase.batch(3);
      expect(batch.members.length).toBeGreaterThan(0);
      for (const { prompt, asked } of batch.members) {
        const lead = asked.questions[0]!;
        const shown = { question: lead.question, passages: asked.passages };
        const inAsking = buildPrompt(generator.tokenizer, generator.format.open, shown, generator.maxTokens);
        expect([...prompt.ids.slice(0, prompt.answers[0]!.start)]).toEqual([...inAsking.ids]);
        expect(generator.tokenizer.decode(prompt.ids)).toMatch(/^Answer in a word\.\n/);
      }
    });
  });

  it("the sentence filter is between passages and prompt in training, and the audit does without", async () => {
    await opened(({ phases, store, encoder }) => {
      const sentencesOf = (phase: Phase): number[] =>
        (phase as Phase<GeneratorBatch>)
          .batch(3)
          .members.map(({ asked }) => asked.passages.reduce((sum, { text }) => sum + splitSentences(text).length, 0));
      expect(new Set(sentencesOf(phases.generator.reading(undefined, 10)))).toEqual(new Set([2]));
      expect(new Set(sentencesOf(phases.probed(0, 10)))).toEqual(new Set([3]));
      expect(store.size).toBe(ARTICLES.length);
      expect(encoder.dimension).toBeGreaterThan(0);
    });
  });

  it("cozyrag 17: validation and report read the filtered passages, and asking reads the same", async () => {
    const written = linesOf("validation/final.jsonl");
    expect(written.length).toBe(5);
    for (const { passages } of written) {
      const sentences = passages.flatMap(({ text }) => splitSentences(text).map(({ start, end }) => text.slice(start, end)));
      expect(sentences).toHaveLength(2);
      for (const { title, text } of passages) {
        const article = ARTICLES.find((own) => own.title === title)?.text ?? "";
        for (const { start, end } of splitSentences(text)) expect(article).toContain(text.slice(start, end));
      }
    }
    const pair = openPair(run);
    const answers = await pair.answer(written.map(({ question }) => question));
    expect(answers.map(({ answer }) => answer)).toEqual(written.map(({ prediction }) => prediction));
    expect(answers.map(({ hits }) => hits.map(({ passage: { id, text } }) => [id, text]))).toEqual(
      written.map(({ passages }) => passages.map(({ id, text }) => [id, text])),
    );
    pair.dispose();
    expect(readFileSync(path.join(run, "report.txt"), "utf8")).toContain(
      "Context: of the passages the sentences most like the question, at most 2 sentences, in the text's order.",
    );
  });

  it("the validation after a phase filters too", () => {
    const [first] = linesOf("validation/step-00000001-generator.jsonl");
    const count = first?.passages.reduce((sum, { text }) => sum + splitSentences(text).length, 0);
    expect(count).toBe(2);
  });
});
