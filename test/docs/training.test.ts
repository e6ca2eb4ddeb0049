/**
 * Proves that docs/training.md speaks of the program that is there: its phases and losses are those that a schedule may name, its keys are in the schema, its schedules and experiments are in conf/.
 * Alone: npx vitest run test/docs/training.test.ts
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { schema } from "../../src/config/schema.js";
import { schemaKeys } from "../../src/config/schema-keys.js";
import { loadConfig } from "../../src/config/load-config.js";
import { outlineOf } from "../../src/job/run/run-schedule.js";
import { validateSchedule } from "../../src/training/schedule.js";
import { indexText } from "../../src/cli/plan-text.js";
import { forecastIndexes } from "../../src/job/plan/forecast-index.js";
import { configFolder } from "../config/config-folder.js";
import { PHASES } from "../../src/job/phases/phase-maker.js";
import { PENALTY_MODES } from "../../src/training/penalties/penalty-options.js";
import { repository } from "./tracked-files.js";

const page = readFileSync(path.join(repository, "docs/training.md"), "utf8");
const names = (folder: string): string[] => readdirSync(path.join(repository, "conf", folder)).map((file) => path.basename(file, ".yaml"));
/** The first cells of the table that has this head. */
const firstCells = (head: string): string[] => {
  const lines = page.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head}`));
  const end = lines.findIndex((line, i) => i > start && !line.startsWith("|"));
  return lines.slice(start + 2, end).map((line) => /`([^`]+)`/.exec(line)?.[1] ?? "");
};

describe("docs/training.md", () => {
  it("has every phase that a schedule may name", () => {
    expect(firstCells("phase").sort()).toEqual([...PHASES].sort());
  });

  it("has every loss of the reader", () => {
    expect(firstCells("`loss`").sort()).toEqual([...(schema.train.reader.loss.choices ?? [])].sort());
  });

  it("has every alarm", () => {
    expect(firstCells("alarm").sort()).toEqual(
      Object.keys(schema.train.alarms)
        .filter((name) => name !== "roll_back")
        .sort(),
    );
  });

  it("has every mode of the penalties", () => {
    expect(firstCells("`mode`").sort()).toEqual([...(schema.train.penalties.mode.choices ?? [])].sort());
    expect([...PENALTY_MODES].sort()).toEqual([...(schema.train.penalties.mode.choices ?? [])].sort());
  });

  it("has every key that an entry of the schedule may have, and its example is a schedule that loads", () => {
    expect(["phase", ...firstCells("key of a phase")].sort()).toEqual(Object.keys(schema.train.schedule.fields ?? {}).sort());
    const example = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? "";
    const { config } = loadConfig({ configDir: configFolder({ config: example }), environment: {} });
    expect(config.train.schedule).toHaveLength(11);
    expect(validateSchedule(outlineOf(config), PHASES)).toEqual([]);
  });

  it("has the table of index kinds that tandem plan prints", () => {
    const workers = [1, 2, 4, 8, 16, 32, 64];
    const made = { index: forecastIndexes(384, 21e6, null, workers), index_workers: workers, passages: 21e6, dimension: 384 };
    expect(/```text\n(index of [^]*?)\n```/.exec(page)?.[1]).toBe(indexText(made));
  });

  it("names keys that there are", () => {
    const keys = schemaKeys(schema);
    const named = [...page.matchAll(/`(train\.[a-z_.]+)`/g)].map((match) => match[1] ?? "");
    expect(named.length).toBeGreaterThan(2);
    for (const key of named) expect(keys).toContain(key);
    for (const key of ["reader_temperature", "normalise_length", "candidates", "passages", "train_passages", "accumulate"])
      expect(keys).toContain(`train.reader.${key}`);
  });

  it("names the schedules and the experiment that come with the program", () => {
    expect([...page.matchAll(/`train=([a-z-]+)`/g)].map((match) => match[1]).sort()).toEqual(names("train").sort());
    for (const [, name] of page.matchAll(/`experiment=([a-z-]+)`/g)) expect(names("experiment")).toContain(name);
  });
});
