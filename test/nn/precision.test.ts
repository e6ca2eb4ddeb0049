/**
 * Both models under bf16 autocast, and in float64: every code path takes the types that it meets there, and the numbers stay those of fp32 to the type's precision.
 * Alone: npx vitest run test/nn/precision.test.ts
 */
import { describe, expect, it } from "vitest";
import { autocast } from "../../src/engine/autocast.js";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { indices, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { Bert, bertConfig } from "../../src/nn/bert.js";
import { Gpt2, gpt2Config, KvCache } from "../../src/nn/gpt2.js";
import { tokenBatch } from "../../src/nn/token-batch.js";
import { relativeError } from "./goldens.js";

setThreads(1);
const rows = [Int32Array.of(5, 9, 2, 33, 41, 7), Int32Array.of(8, 8, 1), Int32Array.of(3, 50, 4, 4)];
const gpt2 = { vocabSize: 60, nPositions: 32, nEmbd: 32, nLayer: 2, nHead: 4 };
const bert = { vocabSize: 60, maxPositionEmbeddings: 20, hiddenSize: 32, numHiddenLayers: 2, numAttentionHeads: 4 };
/** Eight bits of mantissa, over two layers. */
const bf16 = 0.02;

describe("bf16 autocast", () => {
  it.each([
    ["without dropout", 0],
    ["with dropout of everything", 0.1],
  ])("gives fp32's hidden states and gradients to bf16's precision, %s", (_, p) => {
    const decoder = Gpt2.initialise(gpt2Config({ ...gpt2, residPdrop: p, embdPdrop: p, attnPdrop: p }), 1, { std: 0.2 });
    const encoder = Bert.initialise(bertConfig({ ...bert, hiddenDropoutProb: p, attentionProbsDropoutProb: p }), 1, { std: 0.2 });
    const context = { seed: 1, step: 2, examples_B: indices([3, 4, 5]) };
    const dropout = p === 0 ? {} : { dropout: context };
    const { ids_BT, mask_BT } = tokenBatch(rows, { side: "left" });
    const real_M = mask_BT!.reshape([-1]).nonzero().squeeze(1);
    const passes: [string, ReadonlyMap<string, Tensor>, () => Tensor][] = [
      ["GPT-2", decoder.parameters, () => decoder.forward({ ids_BT, ...dropout })],
      ["GPT-2, masked", decoder.parameters, () => decoder.forward({ ids_BT, mask: mask_BT!, ...dropout })],
      ["BERT", encoder.parameters, () => encoder.forward({ ids_BT, ...dropout })],
      ["BERT, masked", encoder.parameters, () => encoder.forward({ ids_BT, mask_BT, ...dropout })],
    ];
    for (const [name, parameters, forward] of passes) {
      const [exact, rounded] = [undefined, "bf16" as const].map((dtype) =>
        scope(() => {
          const hidden = autocast(dtype, forward);
          expect(hidden.dtype, name).toBe("f32");
          // Not the square: behind a norm its sum is constant.
          hidden.reshape([18, 32]).indexSelect(0, real_M).pow(3).sum().backward();
          const gradients = new Map([...parameters].map(([key, { grad }]) => [key, grad!.clone()]));
          zeroGrads(parameters.values());
          // Padding's states mean nothing, and where all keys are hidden bf16 rounds the scores away.
          return { hidden: hidden.reshape([18, 32]).indexSelect(0, real_M), gradients };
        }),
      ) as [{ hidden: Tensor; gradients: Map<string, Tensor> }, { hidden: Tensor; gradients: Map<string, Tensor> }];
      expect(relativeError(rounded.hidden, exact.hidden), name).toBeLessThan(bf16);
      expect(relativeError(rounded.hidden, exact.hidden), name).toBeGreaterThan(1e-5);
      for (const key of ["h.0.mlp.c_fc.weight", "encoder.layer.0.output.dense.weight"]) {
        const gradient = rounded.gradients.get(key);
        if (gradient !== undefined) expect(relativeError(gradient, exact.gradients.get(key)!), name).toBeLessThan(5 * bf16);
      }
    }
  });

  it("decodes with a cache of its own type", () => {
    const decoder = Gpt2.initialise(gpt2Config(gpt2), 1, { std: 0.2 });
    const { ids_BT, mask_BT } = tokenBatch(rows, { side: "left" });
    const run = (dtype: "bf16" | undefined): Tensor =>
      scope(() =>
        noGrad(() =>
          autocast(dtype, () => {
            const cache = new KvCache(8);
            decoder.forward({ ids_BT, mask: mask_BT!, past: cache });
            const step = decoder.forward({ ids_BT: indices([1, 2, 3], [3, 1]), past: cache });
            cache.dispose();
            return step;
          }),
        ),
      );
    expect(relativeError(run("bf16"), run(undefined))).toBeLessThan(bf16);
  });
});

describe("float64", () => {
  it("runs whole, so that finite differences can check what is built on the models", () => {
    const { ids_BT, mask_BT } = tokenBatch(rows);
    const dropout = { seed: 1, step: 2, examples_B: indices([3, 4, 5]) };
    const decoder = Gpt2.initialise(gpt2Config(gpt2), 1, { std: 0.2, dtype: "f64" });
    const encoder = Bert.initialise(bertConfig(bert), 1, { std: 0.2, dtype: "f64" });
    expect(decoder.forward({ ids_BT, mask: mask_BT! }).dtype).toBe("f64");
    expect(encoder.forward({ ids_BT, mask_BT }).dtype).toBe("f64");
    expect(decoder.forward({ ids_BT, dropout }).dtype).toBe("f64");
    // One weight's gradient against the central difference.
    const weight = decoder.parameters.get("h.1.attn.c_attn.weight")!;
    const loss = (): number => scope(() => noGrad(() => decoder.forward({ ids_BT, dropout }).pow(3).mean().item()));
    scope(() => decoder.forward({ ids_BT, dropout }).pow(3).mean().backward());
    const element = weight.detach().select(0, 3).narrow(0, 70, 1);
    const expected = weight.grad!.select(0, 3).select(0, 70).item();
    const before = element.item();
    const at = (value: number): number => {
      element.fill_(value);
      return loss();
    };
    const difference = (at(before + 1e-5) - at(before - 1e-5)) / 2e-5;
    expect(Math.abs(difference / expected - 1)).toBeLessThan(1e-5);
  });
});
