/**
 * BERT and the encoder around it equal transformers and sentence-transformers on the golden set: embeddings of odd texts, and the losses of contrastive training.
 * Alone: npx vitest run test/nn/bert-golden.test.ts. Another set: TANDEM_GOLDENS=<folder>.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { indices } from "../../src/engine/tensor.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { goldenJson, goldens, goldenTensors, largestDifference, relativeError } from "./goldens.js";

interface Expected {
  strings: string[];
  tokens: number[][];
  contrastive: { pairs: [string, string][]; temperature: number; adamw: { lr: number; weight_decay: number }; losses: number[] };
}

// Tiny matrices: a second thread costs more than it gives.
setThreads(1);
const expected = goldenJson("bert-tiny.expected.json") as Expected;
const golden = goldenTensors("bert-tiny.expected.safetensors");
const folder = join(goldens, "bert-tiny");

describe("BERT against sentence-transformers", () => {
  it("gives the same embeddings of texts, in the order of the texts", () => {
    const encoder = Encoder.load(folder);
    expect(encoder.settings).toMatchObject({ pooling: "mean", normalise: true, maxTokens: 48, queryPrefix: "", passagePrefix: "" });
    const embedded = encoder.embed(expected.strings);
    expect(relativeError(embedded, golden.get("embeddings")!)).toBeLessThan(1e-5);
    expect(largestDifference(embedded, golden.get("embeddings")!)).toBeLessThan(1e-5);
    embedded.dispose();
    encoder.dispose();
  });

  it("cuts long texts at the longest input and keeps the closing token", () => {
    const encoder = Encoder.load(folder);
    const rows = encoder.tokenise(expected.strings);
    const closing = encoder.tokenizer.tokenId("[SEP]")!;
    const wanted = expected.tokens.map((ids) => (ids.length <= 48 ? ids : [...ids.slice(0, 47), closing]));
    expect(wanted.some((ids, place) => ids.length < expected.tokens[place]!.length)).toBe(true);
    expect(rows.map((row) => [...row])).toEqual(wanted);
    encoder.dispose();
  });

  it("follows the same losses over steps of contrastive training", () => {
    const encoder = Encoder.load(folder);
    const { pairs, temperature, adamw, losses } = expected.contrastive;
    const optimiser = new AdamW([{ name: "all", parameters: encoder.parameters, weightDecay: adamw.weight_decay }]);
    const questions = encoder.tokenise(pairs.map(([question]) => question));
    const passages = encoder.tokenise(pairs.map(([, passage]) => passage));
    const run = losses.map(() =>
      scope(() => {
        optimiser.zeroGrad();
        const scores = encoder.embedIds(questions).mm(encoder.embedIds(passages).t()).div(temperature);
        const loss = scores.crossEntropyLoss(indices(pairs.map((_, row) => row)));
        loss.backward();
        optimiser.step(adamw.lr);
        return loss.item();
      }),
    );
    expect(run).toHaveLength(10);
    run.forEach((loss, step) => expect(Math.abs(loss / losses[step]! - 1), `step ${step}: ${loss}`).toBeLessThan(1e-4));
    optimiser.dispose();
    encoder.dispose();
  });
});
