/**
 * Proves that training holds memory flat: a thousand small steps leave no tensor and no resident memory behind, and neither do steps at distilGPT2's size.
 * The second is slow (about 20 s) and takes 1.7 GB. Alone: npx vitest run test/engine/memory.test.ts
 */
import { describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { clipGradientNorm } from "../../src/engine/clip.js";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { indices, type Tensor } from "../../src/engine/tensor.js";
import { Gpt2, gpt2Config } from "../../src/nn/gpt2.js";

// Tiny matrices: a second thread costs more than it gives.
setThreads(1);

/** One whole step, dropout included: forward, backward, clip, update. */
function trainStep(model: Gpt2, optimiser: AdamW, step: number, tokens: number): number {
  return scope(() => {
    optimiser.zeroGrad();
    const ids = Int32Array.from({ length: tokens }, (_, i) => (7 * i + step) % model.config.vocabSize);
    const ids_BT = indices(ids, [1, tokens]);
    const dropout = { seed: 1, step, examples_B: indices([step]) };
    const logits_TV = model.logits(model.forward({ ids_BT, dropout })).select(0, 0);
    const loss = logits_TV
      .logSoftmax(1)
      .narrow(0, 0, tokens - 1)
      .gather(1, indices(ids.subarray(1), [tokens - 1, 1]))
      .mean()
      .neg();
    loss.backward();
    clipGradientNorm(model.parameters.values(), 1);
    optimiser.step(1e-4);
    return loss.item();
  });
}

const optimiserOf = (model: Gpt2): AdamW =>
  new AdamW([{ name: "all", parameters: new Map<string, Tensor>(model.parameters), weightDecay: 0.01 }]);

describe("memory", () => {
  it("is flat over a thousand small training steps", () => {
    const model = Gpt2.initialise(gpt2Config({ vocabSize: 64, nPositions: 16, nEmbd: 16, nLayer: 1, nHead: 2, nInner: 32 }), 1);
    const optimiser = optimiserOf(model);
    for (let step = 0; step < 100; step++) trainStep(model, optimiser, step, 12);
    const live = liveTensors();
    const resident = process.memoryUsage().rss;
    for (let step = 100; step < 1100; step++) trainStep(model, optimiser, step, 12);
    expect(liveTensors()).toEqual(live);
    // A leak of the logits alone would be 3 MB, of the step's tensors 40 MB; the collector's own tides stay below this.
    expect(process.memoryUsage().rss - resident).toBeLessThan(32 * 2 ** 20);
    optimiser.dispose();
    for (const parameter of model.parameters.values()) parameter.dispose();
  }, 120_000);

  it("is flat at distilGPT2's size", () => {
    const model = Gpt2.initialise(gpt2Config({ nLayer: 6 }), 1);
    const optimiser = optimiserOf(model);
    trainStep(model, optimiser, 0, 8);
    trainStep(model, optimiser, 1, 8);
    const live = liveTensors();
    const resident = process.memoryUsage().rss;
    for (let step = 2; step < 5; step++) trainStep(model, optimiser, step, 8);
    expect(liveTensors()).toEqual(live);
    // One leaked set of gradients would be 328 MB.
    expect(process.memoryUsage().rss - resident).toBeLessThan(200 * 2 ** 20);
    optimiser.dispose();
    for (const parameter of model.parameters.values()) parameter.dispose();
  }, 240_000);
});
