/**
 * Proves which settings of the optimiser the phase of each entry has: the model's own, the entry's where it sets them, the contrastive section's where the reader teaches and says nothing, and both models' in a joint phase.
 * Alone: npx vitest run test/job/entry-optimiser.test.ts
 */
import { rmSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { withPlannedRun } from "../../src/job/plan/open-plan.js";
import { positionAt } from "../../src/training/schedule.js";
import { makeFiles, tinyWords } from "./trained-run.js";

const folder = makeFiles();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ENTRIES = [
  "{phase: generator, steps: 1, contexts: gold}",
  "{phase: generator, steps: 1, contexts: gold, with: {betas: [0.5, 0.6], eps: 1e-3, weight_decay: 0.3}}",
  "{phase: contrastive, steps: 1, with: {hard_negatives: 0}}",
  "{phase: contrastive, steps: 1, with: {hard_negatives: 0, weight_decay: 0.4}}",
  "{phase: refresh}",
  "{phase: reader-distillation, steps: 1}",
  "{phase: reader-distillation, steps: 1, with: {betas: [0.1, 0.2]}}",
  "{phase: joint, steps: 1, with: {eps: 1e-5, generator: {weight_decay: 0}}}",
];
const GENERATORS = { betas: [0.9, 0.98], eps: 1e-8, weightDecay: 0.01 };
const RETRIEVERS = { betas: [0.9, 0.999], eps: 1e-6, weightDecay: 0.2 };

it("is the model's, or the entry's own", async () => {
  const words = [
    `train.schedule=[${ENTRIES.join(", ")}]`,
    "train.generator.betas=[0.9,0.98]",
    "train.contrastive.eps=1e-6",
    "train.contrastive.weight_decay=0.2",
  ];
  const { config } = loadConfig({ overrides: [...tinyWords(folder), ...words] });
  await withPlannedRun(
    config,
    () => undefined,
    1,
    (run) => {
      const settings = ENTRIES.map((_, step) => {
        const position = positionAt(run.schedule, step);
        if (position === undefined) throw new Error(`no step ${step}`);
        if (position.phase === "refresh") return [];
        return run.phases.standIn(position).updates.map(({ model, optimiser }) => [model, optimiser]);
      });
      expect(settings).toEqual([
        [["generator", GENERATORS]],
        [["generator", { betas: [0.5, 0.6], eps: 1e-3, weightDecay: 0.3 }]],
        [["retriever", RETRIEVERS]],
        [["retriever", { ...RETRIEVERS, weightDecay: 0.4 }]],
        [],
        [["retriever", RETRIEVERS]],
        [["retriever", { ...RETRIEVERS, betas: [0.1, 0.2] }]],
        [
          ["retriever", { ...RETRIEVERS, eps: 1e-5 }],
          ["generator", { ...GENERATORS, weightDecay: 0 }],
        ],
      ]);
      return Promise.resolve();
    },
  );
}, 60_000);
