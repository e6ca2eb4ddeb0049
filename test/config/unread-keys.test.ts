/**
 * Proves that a key which was set and which nothing reads as the rest stands is warned about by name, in the run's config and in an entry's, and that it isn't where something does read it, nor where it has its default.
 * Alone: npx vitest run test/config/unread-keys.test.ts
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { configFolder } from "./config-folder.js";

const warnings = (...overrides: string[]): string[] =>
  loadConfig({ configDir: configFolder({ config: "" }), overrides }).warnings.filter((line) => line.includes("has no effect"));

const READER = "train.schedule=[{phase: refresh}, {phase: reader-distillation, steps: 1}]";
const JOINT = "train.schedule=[{phase: refresh}, {phase: joint, steps: 1}]";
const GOLD = "train.schedule=[{phase: generator, steps: 1, contexts: gold}, {phase: generator, steps: 1, contexts: copying}]";
const FOUND = "train.schedule=[{phase: refresh}, {phase: generator, steps: 1, contexts: retrieved}]";
const COPYING = "train.schedule=[{phase: generator, steps: 1, contexts: copying}]";
const CONTRASTIVE = "train.schedule=[{phase: contrastive, steps: 1}]";
const TEACHER = "train.reader.reader_temperature=2";

/** A setting, with what nothing reads it, and with what something does. */
const CASES: readonly [setting: string, idle: string[], read: string[], without: string][] = [
  [TEACHER, [READER, "train.reader.loss=emdr2"], [READER], "without train.reader.loss=pdist"],
  [TEACHER, [JOINT, "train.reader.loss=rag_token"], [JOINT], "without train.reader.loss=pdist"],
  ["train.reader.generator_lr=1e-4", [READER], [JOINT], "without a joint phase"],
  ...["keep_gold", "shuffle_passages", "vary_passages"].flatMap((key): [string, string[], string[], string][] => {
    const [setting, without] = [`train.generator.${key}=0.5`, "without a phase whose generator learns from retrieved contexts"];
    return [
      [setting, [GOLD], [], without],
      [setting, ["train.generator.contexts=gold"], [FOUND], without],
      [setting, [JOINT, "train.reader.loss=rag_sequence"], [JOINT], without],
    ];
  }),
  ...["passages=3", "drop_gold=0.5"].flatMap((key): [string, string[], string[], string][] => {
    const [setting, without] = [`train.generator.${key}`, "learns by its own loss from contexts with answers"];
    const isSaid = ["train.generator.unknown_answer=unknown", GOLD];
    return [
      [setting, [COPYING], key.startsWith("drop") ? isSaid : [GOLD], without],
      [setting, [JOINT, "train.reader.loss=rag_sequence"], key.startsWith("drop") ? isSaid : [JOINT], without],
    ];
  }),
  ["train.generator.other_questions=passage", [], ["train.generator.questions_per_context=2"], "questions_per_context above 1"],
  ["train.generator.curriculum.share=0.5", [FOUND], [GOLD], "without a generator phase that reads gold"],
  ["train.generator.curriculum.share=0.5", [JOINT], [COPYING], "without a generator phase that reads gold"],
  ...["warmup=3", "flat=0.5", "decay=constant", "floor=0.5"].map((key): [string, string[], string[], string] => [
    `train.generator.${key}`,
    [JOINT, "eval.closed_book.steps=0"],
    ["eval.closed_book.steps=0"],
    "without a generator phase: a joint one has the course of train.reader",
  ]),
  [
    "train.reader.rename=false",
    [READER],
    [READER, "data.rename.enabled=true", "data.rename.entities=spans.jsonl"],
    "without data.rename.enabled",
  ],
  ["train.drift.regret=true", [], ["train.drift.every=5"], "without train.drift.every"],
  ["train.drift.depth=7", [], ["train.drift.every=5"], "without train.drift.every"],
  ["train.alarms.hubness.action=stop", ["train.alarms.hubness.above=null"], [], ": above is null, so the alarm is off"],
  [
    "train.alarms.entropy.action=stop",
    ["train.alarms.entropy.above=null", "train.alarms.entropy.below=null"],
    ["train.alarms.entropy.above=null"],
    "below are null, so the alarm is off",
  ],
  ...["questions_per_context=3", "copy_weight=0.5"].map((key): [string, string[], string[], string] => [
    `train.generator.${key}`,
    [JOINT, "train.reader.loss=rag_token"],
    [COPYING],
    "without a phase whose generator learns by its own loss",
  ]),
  ...["batch=3", "accumulate=2", "label_smoothing=0.1"].flatMap((key): [string, string[], string[], string][] => {
    const [setting, without] = [`train.generator.${key}`, "without a phase whose generator learns by its own loss"];
    const idle = [JOINT, "train.reader.loss=rag_token", "eval.closed_book.steps=0"];
    return [
      [setting, idle, idle.slice(0, 2), without],
      [setting, idle, [COPYING, "eval.closed_book.steps=0"], without],
    ];
  }),
  ["train.contrastive.mining.source=bm25", [CONTRASTIVE], [CONTRASTIVE, "train.contrastive.hard_negatives=1"], "hard_negatives"],
  ["train.contrastive.mining.to=9", [], ["train.contrastive.hard_negatives=1"], "without train.contrastive.hard_negatives"],
  ["train.contrastive.mining.sampling=top", [], ["train.contrastive.hard_negatives=1"], "without train.contrastive.hard_negatives"],
  ["train.early_stopping.patience=5", [], ["train.early_stopping.metric=em"], "without train.early_stopping.metric"],
  ["train.early_stopping.min_delta=0.1", [], ["train.early_stopping.metric=em"], "without train.early_stopping.metric"],
  ["train.alarms.roll_back.factor=0.1", [], ["train.alarms.rank.action=roll_back"], ": no alarm has the action roll_back"],
  ["train.alarms.roll_back.at_most=1", [], ["train.alarms.not_a_number.action=roll_back"], ": no alarm has the action roll_back"],
];

describe("a key that nothing reads", () => {
  it.each(CASES)("%s with %j warns, with %j it doesn't", (setting, idle, read, without) => {
    const key = setting.slice(0, setting.indexOf("="));
    const said = warnings(...idle, setting);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(new RegExp(`^'${key.replaceAll(".", "\\.")}' has no effect`));
    expect(said[0]).toContain(without);
    expect(said[0]).toContain(`override ${idle.length + 1}`);
    expect(warnings(...read, setting)).toEqual([]);
  });

  it("has its default: nothing is said", () => {
    expect(warnings(READER, "train.reader.loss=emdr2", "train.reader.reader_temperature=1", "train.early_stopping.patience=3")).toEqual([]);
  });

  it("may be read by an entry's own settings, or not", () => {
    const entries = (...own: string[]): string =>
      `train.schedule=[{phase: refresh}, ${own.map((settings) => `{phase: reader-distillation, steps: 1, with: ${settings}}`).join(", ")}]`;
    expect(warnings(entries("{loss: pdist}"), "train.reader.loss=emdr2", TEACHER)).toEqual([]);
    expect(warnings(entries("{loss: pdist, reader_temperature: 3}"), "train.reader.loss=emdr2", TEACHER)).toEqual([
      expect.stringMatching(/^'train\.reader\.reader_temperature' has no effect/),
    ]);
    expect(warnings(entries("{loss: pdist}", "{reader_temperature: 3}"), "train.reader.loss=emdr2")).toEqual([
      expect.stringMatching(/^'train\.schedule\.2\.with\.reader_temperature' has no effect without train\.reader\.loss=pdist/),
    ]);
  });

  it("may be a mine's", () => {
    const schedule = "train.schedule=[{phase: refresh}, {phase: mine, with: {mining: {source: bm25}}}, {phase: contrastive, steps: 1}]";
    expect(warnings(schedule)).toEqual([]);
    expect(warnings(schedule, "train.contrastive.mining.source=both")).toHaveLength(1);
  });

  it.each(readdirSync(path.join(import.meta.dirname, "../../conf/experiment")))("stands in no shipped experiment: %s", (file) => {
    const { warnings: said } = loadConfig({ overrides: [`experiment=${path.basename(file, ".yaml")}`], needed: [], environment: {} });
    // One experiment says how a penalty draws and leaves it to each run which penalty that is.
    expect(said.filter((line) => line.includes("has no effect") && !line.startsWith("'train.penalties."))).toEqual([]);
  });
});
