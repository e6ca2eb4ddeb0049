/**
 * Proves that files which aren't there are named with their keys before anything is made, that checking a configuration for another machine only warns of them, and that names of the hub are no paths.
 * Alone: npx vitest run test/config/missing-files.test.ts
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { findFaults, loadConfig } from "../../src/config/load-config.js";
import { missingFiles } from "../../src/config/missing-files.js";
import { command as train } from "../../src/cli/train.js";
import { captured } from "../cli/captured.js";
import { temporaryFolder } from "../storage/bad-input.js";

const gone = (overrides: readonly string[]): string[] => {
  const { config, sources } = loadConfig({ overrides: ["experiment=quickstart", ...overrides] });
  return missingFiles(config, sources).map(({ where, what, remedy }) => `${where}: ${what}; ${remedy ?? ""}`);
};

describe("what a configuration names", () => {
  it("is there for the quickstart", () => {
    expect(gone([])).toEqual([]);
  });

  it.each([
    ["data.corpus.path=/nope/c.jsonl", "check the path"],
    ["data.questions.train=/nope/q.jsonl", "check the path"],
    ["data.questions.test=/nope/q.jsonl", "check the path"],
    ["data.questions.gold_passages=/nope/p.jsonl", "check the path"],
    ["data.rename.entities=/nope/e.jsonl", "check the path"],
    ["retriever.path=/nope/all-MiniLM-L6-v2", "bash scripts/get-minilm.sh fetches it; or name a model of the hub"],
    ["generator.path=/nope/gpt2", "name a model of the hub"],
  ])("%s is named with its key and who set it", (word, remedy) => {
    const [key, place] = word.split("=");
    expect(gone([word])).toEqual([`override 2 '${word}': '${key}' names ${place}, which isn't there; ${remedy}`]);
  });

  it("isn't a path where it is a name of the hub", () => {
    expect(gone(["retriever.path=sentence-transformers/all-MiniLM-L6-v2", "generator.path=distilgpt2"])).toEqual([]);
  });

  it("is a doubt where a configuration is checked, which may be meant for another machine", () => {
    const { faults, warnings } = findFaults({ overrides: ["experiment=quickstart", "data.corpus.path=/nope/c.jsonl"], environment: {} });
    expect(faults).toEqual([]);
    expect(warnings.join("\n")).toContain("'data.corpus.path' names /nope/c.jsonl, which isn't there (override 2");
  });

  it("is looked for before a run or a sweep is made", async () => {
    const runs = path.join(temporaryFolder(), "runs");
    for (const more of [[], ["--multirun", "seed=0,1"]]) {
      const words = ["train", "experiment=tiny", `run.dir=${runs}`, "data.corpus.path=/nope", "data.questions.train=/no", ...more];
      await expect(captured(train, words)).rejects.toThrow(
        /^override 3 'data\.corpus\.path=\/nope': 'data\.corpus\.path' names \/nope.*1 more after/,
      );
      expect(existsSync(runs)).toBe(false);
    }
  });
});
