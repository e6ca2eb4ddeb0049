/**
 * Proves that a configuration can be checked without running: every fault is named, not only the first, files are composed as a run would compose them, and the command's exit status says what was found.
 * Alone: npx vitest run test/config/config-check.test.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { optionsForFile } from "../../src/config/config-file.js";
import { findFaults, loadRunConfig } from "../../src/config/load-config.js";
import { packageRoot } from "../../src/config/search-path.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

/** What a file that stands alone can't do without. */
const PATHS = "data: {corpus: {path: c}, questions: {train: q}}\n";
const faultsOf = (file: string): string[] =>
  findFaults({ ...optionsForFile(file), environment: {} }).faults.map(({ where, what }) => `${path.basename(where)} ${what}`);

describe("findFaults", () => {
  it("cozyrag 3: names every unknown key and every wrong value, with lines", () => {
    const folder = configFolder({ bad: `sed: 1\ntrain:\n  generator: {lr: fast}\nseed: -1\nthreads: 0\n${PATHS}` });
    expect(faultsOf(path.join(folder, "bad.yaml")).sort()).toEqual([
      "bad.yaml:1 no key 'sed'",
      "bad.yaml:3 'train.generator.lr' has a wrong value",
      "bad.yaml:4 'seed' has a wrong value",
      "bad.yaml:5 'threads' has a wrong value",
    ]);
  });

  it("names the contradictions of different sections together", () => {
    const folder = configFolder({
      bad: `retriever: {initialise: {width: 30, heads: 4}}\ntrain:\n  penalties: {keyword: {weight: 1}}\n  contrastive: {hard_negatives: 60}\n${PATHS}`,
    });
    expect(faultsOf(path.join(folder, "bad.yaml")).map((fault) => /'([a-z_.]+)'/.exec(fault)?.[1])).toEqual([
      "retriever.initialise.width",
      "train.contrastive.mining.to",
      "train.penalties.keyword.direction",
    ]);
  });

  const EIGHT = `retriever: {max_tokens: 600}
generator: {max_tokens: 700}
generation: {beams: 3, length_penalty: 2, answers: 2}
train:
  schedule: [{phase: refresh, steps: 3}]
  generator: {batch: 4, batch_tokens: 64}
  contrastive: {accumulate: 65}
${PATHS}`;
  const CONTRADICTED = [
    "retriever.max_tokens",
    "generator.max_tokens",
    "train.schedule",
    "train.schedule.0.steps",
    "train.generator.batch_tokens",
    "train.contrastive.accumulate",
    "generation.beams",
    "generation.length_penalty",
    "generation.answers",
  ];
  const namesIn = (file: string): (string | undefined)[] => faultsOf(file).map((fault) => /'([a-z_.0-9]+)'/.exec(fault)?.[1]);

  it("names every contradiction, those of one section too", () => {
    const folder = configFolder({ bad: EIGHT });
    expect(namesIn(path.join(folder, "bad.yaml"))).toEqual(CONTRADICTED);
  });

  it("names them beside unknown keys, keys still to be given and a template that isn't there", () => {
    const folder = configFolder({ bad: `${EIGHT}sed: 1\nname: ???\nprompt: {template_file: gone.txt}\n` });
    const found = faultsOf(path.join(folder, "bad.yaml"));
    expect(found.slice(0, 2)).toEqual(["bad.yaml:9 no key 'sed'", expect.stringMatching(/'name' must be given/)]);
    expect(found[2]).toMatch(/^gone\.txt /);
    expect(namesIn(path.join(folder, "bad.yaml")).slice(3)).toEqual(CONTRADICTED);
  });

  it("says that it doesn't look for contradictions among values that are wrong themselves", () => {
    const folder = configFolder({ bad: `${EIGHT}seed: -1\n` });
    const { faults, warnings } = findFaults({ ...optionsForFile(path.join(folder, "bad.yaml")), environment: {} });
    expect(faults).toHaveLength(1);
    expect(warnings.join()).toMatch(/contradictions .* once the values are right/);
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

  it("that is a root's config.yaml is composed with the groups beside it", () => {
    const own = path.join(packageRoot(), "conf");
    expect(optionsForFile(path.join(own, "config.yaml"))).toEqual({ configDir: own });
    const folder = configFolder({ config: "defaults:\n  - data: mine\n", "data/mine": "corpus: {path: c}\nquestions: {train: q}\n" });
    expect(faultsOf(path.join(folder, "config.yaml"))).toEqual([]);
    expect(faultsOf(path.join(folder, "data/mine.yaml"))).toEqual([]);
  });

  it.each(["data", "train", "eval", "index", "model", "experiment"])("that stands alone may lie in a folder called %s", (name) => {
    const whole = `name: mine\nseed: 3\n${PATHS}train: {generator: {batch: 2}}\n`;
    const alone = configFolder({ [`${name}/mine`]: whole });
    expect(faultsOf(path.join(alone, `${name}/mine.yaml`))).toEqual([]);
    const beside = configFolder({ [`${name}/mine`]: whole, "train/other": "generator: {batch: 2}\n", "index/other": "faiss: false\n" });
    expect(faultsOf(path.join(beside, `${name}/mine.yaml`))).toEqual([]);
    expect(optionsForFile(path.join(beside, "index/other.yaml"))).toEqual({ configDir: beside, overrides: ["index=other"] });
  });

  it.each(["", "# nothing\n", "name: x\n", "data: {corpus: {path: null}}\n"])(
    "that stands alone must give corpus and questions: %j",
    (text) => {
      const file = path.join(configFolder({ mine: text }), "mine.yaml");
      const { faults } = findFaults({ ...optionsForFile(file), environment: {} });
      expect(faults.map(({ what }) => what)).toEqual([
        expect.stringMatching(/^'data\.corpus\.path' must be given/),
        expect.stringMatching(/^'data\.questions\.train' must be given/),
      ]);
      for (const { where, remedy } of faults) {
        expect(path.basename(where)).toMatch(/^mine\.yaml/);
        expect(remedy).toMatch(/^add data\.[a-z.]+=…, or --partial/);
      }
      expect(findFaults({ ...optionsForFile(file), needed: [], environment: {} }).faults).toEqual([]);
      expect(
        findFaults({ ...optionsForFile(file), overrides: ["data.corpus.path=c", "data.questions.train=q"], environment: {} }).faults,
      ).toEqual([]);
    },
  );

  it("that a run wrote and that was cut off is not taken for a whole one", () => {
    const folder = configFolder({});
    mkdirSync(path.join(folder, "run"));
    writeFileSync(path.join(folder, "run/environment.json"), "{}");
    const file = path.join(folder, "run/config.yaml");
    writeFileSync(file, `name: run\n${PATHS}retriever: {dropout: 0}\n`);
    expect(faultsOf(file)).toEqual(["config.yaml is not the whole config of a run"]);
    const sections =
      "generator: {dropout: 0}\nprompt: {passages: 4}\nindex: {faiss: true}\ntrain: {generator: {batch: 4}}\neval: {batch: 4}\n";
    // Cut off in its last section: the key that is written last isn't there.
    writeFileSync(file, `name: run\n${PATHS}retriever: {dropout: 0}\n${sections}`);
    expect(faultsOf(file)).toEqual(["config.yaml is not the whole config of a run"]);
    expect(userErrorOf(() => loadRunConfig(file))).toMatch(/is not the whole config of a run.*no eval\.closed_book\.steps/);
    writeFileSync(
      file,
      `name: run\n${PATHS}retriever: {dropout: 0}\n${sections}`.replace("eval: {batch: 4}", "eval: {closed_book: {steps: 2}}"),
    );
    expect(faultsOf(file)).toEqual([]);
  });

  it("with a defaults list that stands in no group is not guessed at", () => {
    const folder = configFolder({ mine: "defaults:\n  - data: quickstart\n" });
    expect(userErrorOf(() => optionsForFile(path.join(folder, "mine.yaml")))).toMatch(/defaults list.*experiment\/<name>\.yaml/);
    expect(userErrorOf(() => optionsForFile(path.join(folder, "none.yaml")))).toMatch(/no such file/);
    expect(userErrorOf(() => optionsForFile(folder))).toMatch(/no such file/);
  });
});
