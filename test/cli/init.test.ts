/**
 * Proves that what `tandem init` writes resolves without a warning to what was found, for any path and any kind of questions, that it says what it found and what comes next, and that it overwrites nothing and
 * leaves nothing behind when the files can't be used. That its config trains is own-data.test.ts's. Alone: npx vitest run test/cli/init.test.ts
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { command as init } from "../../src/cli/init.js";
import { loadConfig } from "../../src/config/load-config.js";
import type { TandemConfig } from "../../src/config/schema.js";
import { faultOf } from "../job/fault-of.js";
import { ARTICLES, jsonLines } from "../job/trained-run.js";
import { captured } from "./captured.js";

const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-init-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  const full = path.join(folder, name);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
};
const corpus = file("corpus.jsonl", jsonLines(ARTICLES));
const named = file(
  "named.jsonl",
  jsonLines(ARTICLES.map(({ id, title }) => ({ id: `q-${id}`, question: `Who rules ${title}?`, answers: ["x"], passage_ids: [id] }))),
);
const tsv = file("questions.tsv", `${ARTICLES.map(({ title }) => `Who rules ${title}?\tx\n`).join("")}one field\n`);

let made = 0;
/** Runs init into a new folder and loads what it wrote. */
async function initialised(
  words: readonly string[],
  name = `pair-${++made}`,
): Promise<{ out: string; config: TandemConfig; text: string }> {
  const place = path.join(folder, name);
  const { out } = await captured(init, ["init", place, ...words]);
  const { config, warnings } = loadConfig({ configDir: place, overrides: [] });
  expect(warnings).toEqual([]);
  return { out, config, text: readFileSync(path.join(place, "config.yaml"), "utf8") };
}

describe("tandem init", () => {
  it("writes for questions with gold passages a schedule that begins with them", async () => {
    const { config, out, text } = await initialised(["--corpus", corpus, "--questions", named, "--model", "small"], "My pair!");
    expect(config.name).toBe("My-pair-");
    expect(config.data).toMatchObject({
      corpus: { format: "jsonl", path: corpus, split: "blank" },
      questions: { train: named, valid: null, test: null, gold_passages: corpus, split: { valid: 0.1, test: 0.1 } },
    });
    expect(config.train.schedule[0]).toMatchObject({ phase: "generator", contexts: "gold" });
    expect(config.train.contrastive.positives).toBe("gold");
    expect(config.retriever.path).toBeNull();
    expect(out).toMatch(/^corpus: jsonl, 30 articles of 1 file, 30 paragraphs; /);
    expect(out).toContain("30 questions; each names a passage");
    expect(out).toContain(`passage ids lead to ${corpus}`);
    expect(out.trimEnd().split("\n").at(-1)).toBe(`next: tandem train --config-dir '${path.join(folder, "My pair!")}'`);
    expect(text.split("\n").filter((line) => /^\s*#/.test(line)).length).toBeGreaterThan(6);
    expect(text.split("\n").length).toBeLessThan(65);
  });

  it("writes for questions without them a schedule that begins with an index, and says so", async () => {
    const { config, out } = await initialised(["--corpus", corpus, "--questions", tsv, "--model", "small"]);
    expect(config.train.schedule.slice(0, 2)).toMatchObject([{ phase: "refresh" }, { phase: "generator", contexts: "retrieved" }]);
    expect(config.train.contrastive.positives).toBe("answer");
    expect(config.data.questions.gold_passages).toBeNull();
    expect(out).toContain("no question names its passage");
    expect(out).toMatch(/questions\.tsv:31: left out: one field only/);
  });

  it("names the other files, and MiniLM as the retriever's start", async () => {
    const { config, out } = await initialised([
      "--corpus",
      corpus,
      "--questions",
      named,
      "--valid",
      tsv,
      "--test",
      tsv,
      "--model",
      "minilm-scratch",
    ]);
    expect(config.data.questions).toMatchObject({ valid: tsv, test: tsv });
    expect(config.retriever.path).toMatch(/MiniLM/);
    expect(out).not.toContain("taken from the training file");
  });

  it.each(["with blanks # and: colons", "${data.root} and \\ 'quotes' \"too\"", "- [list] {map} & * ! | > % @ `", "ümläut 日本", "yes"])(
    "keeps a path like %j as it is",
    async (name) => {
      const own = file(`${name}/c.jsonl`, jsonLines(ARTICLES));
      const { config } = await initialised(["--corpus", own, "--questions", named]);
      expect(config.data.corpus.path).toBe(own);
    },
  );

  it("prints what it found as JSON", async () => {
    const { out } = await initialised(["--corpus", corpus, "--questions", tsv, "--json"], "as-json");
    expect(JSON.parse(out)).toMatchObject({
      file: path.join(folder, "as-json", "config.yaml"),
      findings: { corpus: { articles: 30 }, train: { questions: 30 }, gold: { kind: "none" } },
      next: `tandem train --config-dir ${path.join(folder, "as-json")}`,
    });
  });

  it("overwrites nothing", async () => {
    const words = ["init", path.join(folder, "kept"), "--corpus", corpus, "--questions", tsv];
    await captured(init, words);
    const before = readFileSync(path.join(folder, "kept", "config.yaml"), "utf8");
    expect(await faultOf(() => captured(init, [...words, "--model", "small"]))).toMatch(
      /kept\/config\.yaml: is there already, and nothing is overwritten/,
    );
    expect(readFileSync(path.join(folder, "kept", "config.yaml"), "utf8")).toBe(before);
  });

  it.each([
    ["a corpus that isn't there", ["--corpus", "/nowhere", "--questions", tsv], /\/nowhere/],
    ["questions that aren't there", ["--corpus", corpus, "--questions", "/nowhere.tsv"], /\/nowhere\.tsv/],
    ["a folder that can't be made", ["--corpus", corpus, "--questions", tsv], /corpus\.jsonl/, path.join(corpus, "inside")],
  ])("refuses %s and leaves nothing", async (_, words, expected, place = path.join(folder, "refused")) => {
    expect(await faultOf(() => captured(init, ["init", place, ...words]))).toMatch(expected);
    expect(existsSync(place)).toBe(false);
  });
});
