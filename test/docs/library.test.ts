/**
 * Proves that the package's public names compose: a loss, a phase, the trainer and a hand-made batch, from src/index.ts alone, and that importing it does nothing. The README's example is run by readme.test.ts.
 * Alone: npx vitest run test/docs/library.test.ts
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as tandem from "../../src/index.js";
import { CONTRASTIVE, tinyEncoder, textOf } from "../training/tiny-world.js";

describe("the library", () => {
  it("has what the documents name", () => {
    const names = [
      "openPair",
      "Encoder",
      "Generator",
      "Retriever",
      "PassageStore",
      "Tensor",
      "ops",
      "scope",
      "noGrad",
      "infoNce",
      "answerCrossEntropy",
      "generatorPhase",
      "contrastivePhase",
      "train",
      "AdamW",
      "fetchModel",
      "hubName",
      "hubSettings",
      "UserError",
    ];
    expect(names.filter((name) => !(name in tandem))).toEqual([]);
  });

  it("trains a retriever for a few steps with its own phase, optimiser state and trainer, and the loss falls", async () => {
    const { contrastivePhase, fingerprint, newRunState, parameterGroups, train, trainable } = tandem;
    const encoder = tinyEncoder();
    const phase = contrastivePhase({
      encoder,
      questions: CONTRASTIVE,
      textOf,
      seed: 1,
      batch: 4,
      temperature: 0.1,
      symmetric: false,
      hardNegatives: 0,
      negativesOf: () => [],
      accumulate: 1,
      dropout: false,
      precision: undefined,
      device: "cpu",
    });
    const model = trainable("retriever", parameterGroups(encoder.parameters, 0), { betas: [0.9, 0.999], eps: 1e-8 });
    const state = newRunState([model], fingerprint({ workers: 1, device: "cpu", precision: "f32" }));
    const losses: number[] = [];
    const outcome = await train(
      { schedule: [{ phase: "contrastive", steps: 30 }], checkpointEvery: undefined },
      {
        phaseAt: () => ({ phase, updates: [{ model: "retriever", rate: () => 3e-3, clip: 1 }] }),
        refresh: () => Promise.resolve(),
        stepped: ({ loss }) => {
          losses.push(loss);
          return Promise.resolve();
        },
        save: () => undefined,
        phaseEnded: () => Promise.resolve(),
        stopRequested: () => false,
      },
      state,
    );
    expect(outcome).toBe("finished");
    expect(losses).toHaveLength(30);
    const mean = (some: readonly number[]): number => some.reduce((sum, loss) => sum + loss, 0) / some.length;
    expect(mean(losses.slice(-8))).toBeLessThan(0.8 * mean(losses.slice(0, 8)));
  });

  it("loads no libtorch and prints nothing on import", () => {
    const source = path.join(import.meta.dirname, "../../src/index.ts");
    const look = "console.log(/libtorch/.test(require('fs').readFileSync('/proc/self/maps', 'utf8')))";
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", "--eval", `import(${JSON.stringify(source)}).then(() => { ${look} })`],
      {
        cwd: path.join(import.meta.dirname, "../.."),
        encoding: "utf8",
      },
    );
    expect(stderr).toBe("");
    expect(stdout).toBe("false\n");
  });
});
