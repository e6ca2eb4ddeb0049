/**
 * Proves that the entropy of retrieval is measured at the temperature by which the retriever is trained: the validated phase's own, or that of the nearest phase before it, or of the first after it.
 * Alone: npx vitest run test/job/retriever-temperature.test.ts
 */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { retrieverTemperature } from "../../src/job/training/watch-collapse.js";
import { configFolder } from "../config/config-folder.js";

/** One temperature an entry. */
const temperatures = (schedule: string): number[] => {
  const words = [`train.schedule=[${schedule}]`, "train.contrastive.temperature=0.05", "train.reader.temperature=0.01"];
  const { config } = loadConfig({ configDir: configFolder({ config: "" }), overrides: words });
  return config.train.schedule.map((_, index) => retrieverTemperature(config, index));
};

describe("the temperature of the belief", () => {
  it.each<[string, string, number[]]>([
    ["is the reader's where the reader alone teaches", "{phase: refresh}, {phase: reader-distillation, steps: 1}", [0.01, 0.01]],
    ["is the reader's in a joint run", "{phase: refresh}, {phase: joint, steps: 1}, {phase: generator, steps: 1}", [0.01, 0.01, 0.01]],
    [
      "follows the phase that trained the retriever last",
      "{phase: generator, steps: 1}, {phase: contrastive, steps: 1}, {phase: refresh}, {phase: reader-distillation, steps: 1}, {phase: refresh}",
      [0.05, 0.05, 0.05, 0.01, 0.01],
    ],
    ["is an entry's own", "{phase: contrastive, steps: 1, with: {temperature: 0.2}}, {phase: contrastive, steps: 1}", [0.2, 0.05]],
    ["is the contrastive one where nothing trains the retriever", "{phase: generator, steps: 1}", [0.05]],
  ])("%s", (_, schedule, expected) => {
    expect(temperatures(schedule)).toEqual(expected);
  });
});
