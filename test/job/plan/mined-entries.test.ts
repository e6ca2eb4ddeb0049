/**
 * Proves which entries of a schedule a plan takes to choose hard negatives: by their own settings, not the run's; none that a `mine` before them chose for, or that have nothing to ask yet; and how often BM25 is asked for them, and how deep.
 * Alone: npx vitest run test/job/plan/mined-entries.test.ts
 */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load-config.js";
import type { TandemConfig } from "../../../src/config/schema.js";
import { deepestMined, lexicalSearches, minedEntries } from "../../../src/job/plan/mined-entries.js";
import { configFolder } from "../../config/config-folder.js";

const configOf = (schedule: string, ...more: string[]): TandemConfig =>
  loadConfig({
    configDir: configFolder({ config: "" }),
    overrides: [`train.schedule=[${schedule}]`, "train.contrastive.hard_negatives=0", ...more],
  }).config;
const entriesOf = (config: TandemConfig): number[] => [...minedEntries(config).keys()];

describe("the entries that choose hard negatives", () => {
  it("are those with negatives of their own settings", () => {
    const own = "{phase: refresh}, {phase: contrastive, steps: 1}, {phase: contrastive, steps: 1, with: {hard_negatives: 2}}";
    expect(entriesOf(configOf(own))).toEqual([2]);
    const without = "{phase: refresh}, {phase: contrastive, steps: 1, with: {hard_negatives: 0}}, {phase: contrastive, steps: 1}";
    expect(entriesOf(configOf(without, "train.contrastive.hard_negatives=1"))).toEqual([2]);
    expect(entriesOf(loadConfig({ overrides: ["experiment=squad-retrieval", "data.root=files"] }).config)).toEqual([3]);
  });

  it("have an index to ask, or BM25, and nobody who chose before them", () => {
    const schedule =
      "{phase: contrastive, steps: 1}, {phase: refresh}, {phase: contrastive, steps: 1}, {phase: mine}, {phase: contrastive, steps: 1}";
    const [dense, both] = ["dense", "both"].map((source) =>
      configOf(schedule, "train.contrastive.hard_negatives=1", `train.contrastive.mining.source=${source}`),
    );
    expect(entriesOf(dense!)).toEqual([2, 3]);
    expect(entriesOf(both!)).toEqual([0, 2, 3]);
  });

  it("ask BM25 once for each depth and kind of positives, where their own source says so", () => {
    const of = (...settings: string[]): TandemConfig =>
      configOf(
        `{phase: refresh}, ${settings.map((own) => `{phase: contrastive, steps: 1, with: {hard_negatives: 1, ${own}}}`).join(", ")}`,
      );
    expect(lexicalSearches(of("mining: {to: 9}"))).toBe(0);
    expect(lexicalSearches(of("mining: {source: bm25, to: 9}", "mining: {source: both, to: 9}"))).toBe(1);
    const several = of("mining: {source: bm25, to: 9}", "mining: {source: bm25, to: 30}", "mining: {source: dense, to: 70}");
    expect(lexicalSearches(several)).toBe(2);
    expect(deepestMined(several)).toBe(70);
    expect(deepestMined(configOf("{phase: generator, steps: 1}"))).toBe(0);
  });
});
