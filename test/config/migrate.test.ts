/**
 * Proves that CoZyRAG's config becomes one of ours: every key of it is mapped, changed with its reason, or dropped with its reason; the result passes `tandem config check` alone and as an experiment; unknown
 * keys are named; hostile files are refused in one line. Alone: npx vitest run test/config/migrate.test.ts
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { optionsForFile } from "../../src/config/config-file.js";
import { findFaults, loadConfig } from "../../src/config/load-config.js";
import { migrateFile } from "../../src/config/migrate.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const SHIPPED = path.join(import.meta.dirname, "../fixtures/cozyrag/config.yaml");

function migrated(old: string): { text: string; unknown: readonly string[]; file: string } {
  const folder = configFolder({ old });
  const result = migrateFile(path.join(folder, "old.yaml"), 1000);
  return { ...result, file: path.join(configFolder({ "experiment/cozyrag": result.text, alone: result.text }), "experiment/cozyrag.yaml") };
}

describe("the shipped config", () => {
  const { text, unknown, file } = (() => {
    const result = migrateFile(SHIPPED, 1000);
    return { ...result, file: result.text };
  })();

  it("cozyrag 2, 3: keeps what can be kept, 5e-5 as a number however it is written", () => {
    const { config } = loadConfig({ base: path.join(configFolder({ alone: file }), "alone.yaml"), environment: {} });
    expect(config.train.generator).toMatchObject({ lr: 5e-5, batch: 4 });
    expect(config.train.contrastive).toMatchObject({ lr: 5e-5, temperature: 0.1, positives: "answer" });
    expect(config.prompt.passages).toBe(4);
    expect(config.data.corpus.path).toBe(path.resolve("wiki_passages.jsonl"));
    expect(config.data.questions.train).toBe(path.resolve("qa.txt"));
    expect(config.run.dir).toBe(path.resolve("fine_tuned_model"));
    expect(config.generator.max_tokens).toBe(384);
    expect(unknown).toEqual([]);
  });

  it("cozyrag 20, 22, 23, 25: changes what drowned the loss, and says why above the line", () => {
    const lines = text.split("\n").map((line) => line.trim());
    const reasonOf = (line: string, after: string): string => lines[lines.indexOf(line, lines.indexOf(after)) - 1] ?? "";
    expect(reasonOf("weight: 0.1", "keyword:")).toMatch(/# was 4: CoZyRAG's penalties had no gradient/);
    expect(reasonOf("direction: coverage", "keyword:")).toMatch(/opposite of what its README says/);
    expect(reasonOf("weight: 0.05", "short_answer:")).toMatch(/# was 5/);
    expect(reasonOf("min_tokens: 2", "short_answer:")).toMatch(/min_words 4/);
    expect(reasonOf("batch: 32", "contrastive:")).toMatch(/3 negatives/);
  });

  it("cozyrag 27: makes steps of epochs, with a refresh after each retriever phase", () => {
    const { train } = parse(text) as { train: { schedule: { phase: string; steps?: number }[] } };
    // 30 epochs of 250 updates for the generator, 30 of 32 for the retriever, in two rounds.
    expect(train.schedule.map(({ phase, steps }) => [phase, steps])).toEqual([
      ["generator", 3750],
      ["contrastive", 480],
      ["refresh", undefined],
      ["generator", 3750],
      ["contrastive", 480],
      ["refresh", undefined],
    ]);
  });

  it("cozyrag 3: names every key of the old config in what it says", () => {
    const keys = [...readFileSync(SHIPPED, "utf8").matchAll(/([a-z_]+):/g)].map((match) => match[1] ?? "");
    expect(keys.length).toBeGreaterThan(25);
    const mapped = new Set(["penalties", "ngram_repeat", "keyword_overlap", "short_answer", "n", "weight"]);
    for (const key of keys) if (!mapped.has(key)) expect(text, key).toContain(key);
    for (const section of ["ngram_repeat", "keyword", "short_answer"]) expect(text).toContain(`    ${section}:\n`);
  });

  it("keeps the validation questions as commands", () => {
    expect(text).toContain('# tandem ask latest "Who wrote \\"Faust\\"?"');
  });
});

describe("a migrated config", () => {
  it.each([
    ["the shipped one", readFileSync(SHIPPED, "utf8")],
    ["one key", "qa_path: a.txt\nwiki_passages_path: b.jsonl\n"],
    ["other models", "qa_path: a\nwiki_passages_path: b\nmodel_name: ./gpt\nretriever_model_name: org/other\n"],
    ["references in text", "qa_path: 'a${b}'\nwiki_passages_path: b\noutput_dir: '${x}'\n"],
    ["a long window", "qa_path: a\nwiki_passages_path: b\nmax_length: 2000\nbatch_size: 1\nnum_train_epochs: 1\n"],
  ])("passes the check alone and as an experiment: %s", (_, old) => {
    const { file } = migrated(old);
    expect(findFaults({ ...optionsForFile(file), environment: {} }).faults).toEqual([]);
    expect(findFaults({ ...optionsForFile(path.join(path.dirname(file), "../alone.yaml")), environment: {} }).faults).toEqual([]);
  });

  it("asks for the paths that the old one left out", () => {
    const { file } = migrated("top_k: 2\n");
    expect(findFaults({ ...optionsForFile(file), environment: {} }).faults.map(({ what }) => what)).toEqual([
      expect.stringContaining("'data.corpus.path' must be given"),
      expect.stringContaining("'data.questions.train' must be given"),
    ]);
  });

  it("names the keys that CoZyRAG didn't know either", () => {
    const { unknown, text } = migrated("qa_path: a\nlerning_rate: 1\npenalties:\n  length: {weight: 1}\n");
    expect(unknown).toEqual([expect.stringMatching(/^lerning_rate \(.*old\.yaml:2\)$/), expect.stringMatching(/^penalties\.length \(/)]);
    expect(text).toMatch(/# lerning_rate .* is unknown/);
  });
});

describe("a file that is none", () => {
  it.each([
    ["another program's", "a: 1\nb: 2\n", /no key of CoZyRAG's/],
    ["empty", "", /no key of CoZyRAG's/],
    ["cut off", "qa_path: 'a", /not YAML/],
    ["a list", "- qa_path\n", /not a map/],
    ["a text for a number", "qa_path: a\ntop_k: many\n", /old\.yaml:2: 'top_k' has a wrong value; expected a whole number/],
    ["a number for a text", "qa_path: 3\n", /'qa_path' has a wrong value; expected text, got 3/],
    ["a negative rate", "learning_rate_gpt: -1\n", /'learning_rate_gpt' has a wrong value/],
    ["a value for a section", "qa_path: a\npenalties: 3\n", /'penalties' is a section/],
    ["not UTF-8", Buffer.from([0x71, 0xff, 0xfe]), /old\.yaml/],
  ])("is refused in one line: %s", (_, content, pattern) => {
    const folder = configFolder({ old: content });
    expect(userErrorOf(() => migrateFile(path.join(folder, "old.yaml")))).toMatch(pattern);
  });
});
