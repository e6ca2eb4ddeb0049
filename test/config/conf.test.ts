/**
 * Proves that every file of conf/ is valid: each experiment and each option of each group loads, and no default of the schema is repeated where
 * it says nothing. Alone: npx vitest run test/config/conf.test.ts
 */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { outlineOf } from "../../src/job/run/run-schedule.js";
import { PHASES } from "../../src/job/phases/phase-maker.js";
import { validateSchedule } from "../../src/training/schedule.js";
import { userErrorOf } from "./user-error.js";

const conf = path.resolve(import.meta.dirname, "../../conf");
const groups = readdirSync(conf, { withFileTypes: true }).filter((entry) => entry.isDirectory());
const optionsOf = (group: string): string[] => readdirSync(path.join(conf, group)).map((file) => path.basename(file, ".yaml"));
const choices = groups
  .filter(({ name }) => name !== "experiment")
  .flatMap(({ name }) => optionsOf(name).map((option) => `${name}=${option}`));

describe("conf/", () => {
  it("has an experiment of each name that the manual gives", () => {
    expect(optionsOf("experiment")).toEqual(expect.arrayContaining(["quickstart", "squad", "cozyrag", "tiny", "wikipedia"]));
  });

  it.each(optionsOf("experiment"))("experiment=%s loads, and is the run's name", (name) => {
    const { config, choices: chosen } = loadConfig({ overrides: [`experiment=${name}`], needed: [], environment: {} });
    expect(config.name).toBe(name);
    expect(chosen.experiment).toBe(name);
    const phases = config.train.schedule.map(({ phase }) => phase);
    // The penalties' experiment and its start are about the generator alone, on gold passages.
    if (name.startsWith("penalties-")) {
      expect(phases).toEqual(["generator"]);
      return;
    }
    // One has another run's generator, one trains the retriever alone.
    const isRetrieverAlone = name === "reader-squad" || name === "squad-retrieval";
    expect(phases).toEqual(expect.arrayContaining(isRetrieverAlone ? ["refresh"] : ["generator", "refresh"]));
    expect(phases.some((phase) => phase === "contrastive" || phase === "reader-distillation")).toBe(true);
  });

  it.each([...optionsOf("experiment").map((name) => `experiment=${name}`), ...optionsOf("train").map((name) => `train=${name}`)])(
    "%s has a schedule that can run, with the index fresh at its end",
    (choice) => {
      const { config } = loadConfig({ overrides: [choice], needed: [], environment: {} });
      expect(validateSchedule(outlineOf(config), PHASES)).toEqual([]);
    },
  );

  it.each(choices)("%s loads on its own", (choice) => {
    const { choices: chosen } = loadConfig({ overrides: [choice], needed: [], environment: {} });
    expect(chosen).toMatchObject(Object.fromEntries([choice.split("=")]));
  });

  it.each(choices)("%s goes with every experiment", (choice) => {
    for (const experiment of optionsOf("experiment")) {
      const { choices: chosen } = loadConfig({ overrides: [`experiment=${experiment}`, choice], needed: [], environment: {} });
      expect(chosen).toMatchObject(Object.fromEntries([choice.split("=")]));
    }
  });
});

describe("an experiment", () => {
  it("quickstart and tiny need nothing but what comes with Tandem", () => {
    for (const name of ["quickstart", "tiny"]) {
      const { config, missing } = loadConfig({ overrides: [`experiment=${name}`], environment: {} });
      expect(missing).toEqual([]);
      const { corpus, questions, rename } = config.data;
      for (const file of [corpus.path, questions.train, questions.valid, questions.test, rename.entities])
        expect(existsSync(file ?? ""), String(file)).toBe(true);
    }
  });

  it("squad takes its folder by data.root and MiniLM by the environment", () => {
    expect(userErrorOf(() => loadConfig({ overrides: ["experiment=squad"], environment: {} }))).toMatch(
      /conf\/data\/squad\.yaml:\d+: 'data\.root' must be given/,
    );
    const { config } = loadConfig({
      overrides: ["experiment=squad", "data.root=../shared/data/squad"],
      environment: { TANDEM_MINILM: "/weights/minilm" },
    });
    expect(config.data.corpus.path).toBe(path.resolve("../shared/data/squad/extracted"));
    expect(config.retriever.path).toBe("/weights/minilm");
    expect(config.eval.split).toBe("valid");
  });

  it("cozyrag 4: each of its settings is a key of its own, and what it needs is asked for", () => {
    const overrides = ["experiment=cozyrag", "data.corpus.path=extracted", "data.questions.train=qa.tsv"];
    const { config } = loadConfig({ overrides, environment: {} });
    expect(config.prompt.passages).toBe(4);
    expect(config.train.generator.batch).toBe(4);
    expect(config.train.penalties.keyword.direction).toBe("coverage");
    expect(userErrorOf(() => loadConfig({ overrides: overrides.slice(0, 2), environment: {} }))).toContain(
      "'data.questions.train' must be given",
    );
    expect(userErrorOf(() => loadConfig({ overrides: [...overrides, "resume_epoch=3"], environment: {} }))).toContain(
      "no key 'resume_epoch'",
    );
  });
});
