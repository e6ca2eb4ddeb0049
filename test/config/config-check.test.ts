/**
 * Proves that a configuration can be checked without running: every fault is named, not only the first, files are composed as a run would compose them, and the command's exit status says what was found.
 * Alone: npx vitest run test/config/config-check.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { optionsForFile } from "../../src/config/config-file.js";
import { findFaults } from "../../src/config/load-config.js";
import { packageRoot } from "../../src/config/search-path.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const faultsOf = (file: string): string[] =>
  findFaults({ ...optionsForFile(file), environment: {} }).faults.map(({ where, what }) => `${path.basename(where)} ${what}`);

describe("findFaults", () => {
  it("cozyrag 3: names every unknown key and every wrong value, with lines", () => {
    const folder = configFolder({ bad: "sed: 1\ntrain:\n  generator: {lr: fast}\nseed: -1\nthreads: 0\n" });
    expect(faultsOf(path.join(folder, "bad.yaml")).sort()).toEqual([
      "bad.yaml:1 no key 'sed'",
      "bad.yaml:3 'train.generator.lr' has a wrong value",
      "bad.yaml:4 'seed' has a wrong value",
      "bad.yaml:5 'threads' has a wrong value",
    ]);
  });

  it("names the contradictions of different sections together", () => {
    const folder = configFolder({
      bad: "retriever: {initialise: {width: 30, heads: 4}}\ntrain:\n  penalties: {keyword: {weight: 1}}\n  contrastive: {hard_negatives: 60}\n",
    });
    expect(faultsOf(path.join(folder, "bad.yaml")).map((fault) => /'([a-z_.]+)'/.exec(fault)?.[1])).toEqual([
      "retriever.initialise.width",
      "train.contrastive.mining.to",
      "train.penalties.keyword.direction",
    ]);
  });

  it("has one fault for what can't be composed", () => {
    const folder = configFolder({ bad: "a: [1\n" });
    expect(userErrorOf(() => faultsOf(path.join(folder, "bad.yaml")))).toMatch(/not YAML/);
    expect(findFaults({ overrides: ["experiment=none"] }).faults.map(({ what }) => what)).toEqual(["no 'none' in group experiment"]);
  });

  it("finds nothing in what is right, and keeps the warnings", () => {
    const { faults, warnings } = findFaults({
      overrides: ["experiment=tiny", "train.penalties.short_answer.min_tokens=3"],
      environment: {},
    });
    expect(faults).toEqual([]);
    expect(warnings.join()).toContain("asks for 3 tokens");
  });
});

describe("a file", () => {
  it("of a group is composed over all that it builds on", () => {
    const own = path.join(packageRoot(), "conf");
    expect(optionsForFile(path.join(own, "experiment/tiny.yaml"))).toEqual({ configDir: own, overrides: ["experiment=tiny"] });
    const folder = configFolder({
      "experiment/mine": "# @package _global_\ndefaults:\n  - override /data: quickstart\nname: mine\nsed: 1\n",
    });
    expect(faultsOf(path.join(folder, "experiment/mine.yaml"))).toEqual(["mine.yaml:5 no key 'sed'"]);
  });

  it("with a defaults list that stands in no group is not guessed at", () => {
    const folder = configFolder({ mine: "defaults:\n  - data: quickstart\n" });
    expect(userErrorOf(() => optionsForFile(path.join(folder, "mine.yaml")))).toMatch(/defaults list.*experiment\/<name>\.yaml/);
    expect(userErrorOf(() => optionsForFile(path.join(folder, "none.yaml")))).toMatch(/no such file/);
    expect(userErrorOf(() => optionsForFile(folder))).toMatch(/no such file/);
  });
});
