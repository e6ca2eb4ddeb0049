/**
 * GPT-2 equals transformers' GPT2LMHeadModel on the golden set: logits, loss, gradients, a sequence of optimiser steps, greedy generation.
 * Alone: npx vitest run test/nn/gpt2-golden.test.ts. Another set: TANDEM_GOLDENS=<folder>.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { clipGradientNorm, gradientNorm } from "../../src/engine/clip.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { indices, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { KvCache, type Gpt2 } from "../../src/nn/gpt2.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { goldenJson, goldens, goldenTensors, relativeError } from "./goldens.js";

interface Expected {
  grad_norm: number;
  adamw: {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
    clip_grad_norm: number;
    losses: number[];
    grad_norms: number[];
  };
  greedy: { prompt: string; prompt_ids: number[]; output_ids: number[] }[];
}

// Tiny matrices: a second thread costs more than it gives.
setThreads(1);
const expected = goldenJson("gpt2-tiny.expected.json") as Expected;
const golden = goldenTensors("gpt2-tiny.expected.safetensors");
const model = loadCausalModel(join(goldens, "gpt2-tiny"));
const of = (name: string): Tensor => golden.get(name)!;

/** Every token predicts the next one; the mean over labels that aren't −100, as transformers' own loss. */
function lossOf(gpt: Gpt2, mask?: Tensor): Tensor {
  const logits_BTV = gpt.logits(gpt.forward({ ids_BT: of("input_ids"), ...(mask && { mask }) }));
  const [batch, length, vocabulary] = logits_BTV.shape as [number, number, number];
  const shifted = logits_BTV.narrow(1, 0, length - 1).reshape([batch * (length - 1), vocabulary]);
  return shifted.crossEntropyLoss(
    of("labels")
      .narrow(1, 1, length - 1)
      .reshape([-1]),
  );
}

function greedy(gpt: Gpt2, prompt: readonly number[], steps: number, eos: number | undefined): number[] {
  const cache = new KvCache(prompt.length + steps);
  const written: number[] = [];
  let next: readonly number[] = prompt;
  try {
    while (written.length < steps && (eos === undefined || written.at(-1) !== eos)) {
      const id = scope(() =>
        noGrad(() => {
          const hidden_BTE = gpt.forward({ ids_BT: indices(next, [1, next.length]), past: cache });
          return gpt
            .logits(hidden_BTE.select(1, next.length - 1))
            .argmax(-1)
            .item();
        }),
      );
      written.push(id);
      next = [id];
    }
  } finally {
    cache.dispose();
  }
  return written;
}

describe("GPT-2 against transformers", () => {
  it("gives the same logits, with the padding masked everywhere", () => {
    const positions = indices(
      Array.from({ length: of("input_ids").size(1) }, (_, i) => i),
      [1, of("input_ids").size(1)],
    );
    const logits = scope(() => model.logits(model.forward({ ids_BT: of("input_ids"), mask: of("attention_mask"), positions })));
    expect(relativeError(logits, of("logits"))).toBeLessThan(1e-5);
  });

  it("needs no mask for padding on the right: real tokens' logits are the same without", () => {
    const real = of("attention_mask").reshape([-1]).nonzero().squeeze(1);
    const logits = scope(() => model.logitsAt(model.forward({ ids_BT: of("input_ids") }), real));
    expect(relativeError(logits, of("logits").reshape([-1, model.config.vocabSize]).indexSelect(0, real))).toBeLessThan(1e-5);
  });

  it.each([["without a mask"], ["with one"]])("gives the same loss and gradients, %s", (how) => {
    zeroGrads(model.parameters.values());
    const loss = scope(() => {
      const made = lossOf(model, how === "with one" ? of("attention_mask") : undefined);
      made.backward();
      return made.item();
    });
    expect(Math.abs(loss / of("loss").item() - 1)).toBeLessThan(1e-5);
    expect(Math.abs(gradientNorm(model.parameters.values()) / expected.grad_norm - 1)).toBeLessThan(1e-4);
    const names = [...golden.keys()].filter((name) => name.startsWith("grad."));
    expect(names).toHaveLength(4);
    for (const name of names) {
      const parameter = model.parameters.get(name.replace("grad.transformer.", ""))!;
      expect(relativeError(parameter.grad!, of(name)), name).toBeLessThan(1e-4);
    }
    zeroGrads(model.parameters.values());
  });

  it("follows the same losses and gradient norms over AdamW's steps", () => {
    const trained = loadCausalModel(join(goldens, "gpt2-tiny"));
    const { lr, betas, eps, weight_decay: weightDecay, clip_grad_norm: clip, losses, grad_norms: norms } = expected.adamw;
    // The reference decays everything: one group.
    const optimiser = new AdamW([{ name: "all", parameters: trained.parameters, weightDecay }], { betas, eps });
    const run = losses.map(() =>
      scope(() => {
        optimiser.zeroGrad();
        const loss = lossOf(trained);
        loss.backward();
        const norm = clipGradientNorm(trained.parameters.values(), clip);
        optimiser.step(lr);
        return { loss: loss.item(), norm };
      }),
    );
    expect(run).toHaveLength(12);
    run.forEach(({ loss, norm }, step) => {
      expect(Math.abs(loss / losses[step]! - 1), `loss of step ${step}`).toBeLessThan(1e-4);
      expect(Math.abs(norm / norms[step]! - 1), `norm of step ${step}`).toBeLessThan(1e-3);
    });
    optimiser.dispose();
    for (const weight of trained.parameters.values()) weight.dispose();
  });

  it("writes the same tokens greedily", () => {
    expect(expected.greedy.length).toBeGreaterThan(0);
    for (const { prompt_ids: prompt, output_ids: output } of expected.greedy) {
      // The reference stops after its end token, and the golden file holds that token.
      expect(greedy(model, prompt, 20, model.config.eosTokenId)).toEqual(output);
    }
  });
});
