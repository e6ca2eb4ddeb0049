/**
 * Proves that beam search, the repetition penalty, the ban on n-grams, and the distribution that is sampled from equal transformers' golden files, whatever batch a prompt stands in.
 * Alone: npx vitest run test/generation/decoding-golden.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { tensor, toFloat32Array } from "../../src/engine/tensor.js";
import { decode, type Decoding } from "../../src/generation/decoding.js";
import { warpLogits } from "../../src/generation/logits-warpers.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { goldenJson, goldens } from "../nn/goldens.js";

setThreads(1);
const model = loadCausalModel(path.join(goldens, "gpt2-tiny"));
const golden = goldenJson("gpt2-tiny.expected.json") as {
  beam: { prompt_ids: number[]; num_beams: number; output_ids: number[] }[];
  repetition: { prompt_ids: number[]; repetition_penalty: number; no_repeat_ngram_size: number; output_ids: number[] }[];
  sampling: { temperature: number; top_k: number; top_p: number; logits: number[]; probabilities: number[] };
};
/** The end of text of the golden model. */
const EOS = 0;

async function answers(
  cases: readonly { prompt_ids: number[] }[],
  decoding: Decoding,
  maxNewTokens: number,
  batch: number,
): Promise<number[][]> {
  const prompts = cases.map(({ prompt_ids: ids }) => Int32Array.from(ids));
  const decoded = await decode(model, prompts, decoding, { maxNewTokens, eosId: EOS, batch });
  return decoded.map(([first]) => [...(first ?? [])]);
}

/** What transformers gave, without the end of text and what fills up behind it. */
const upToEnd = (ids: readonly number[]): number[] => (ids.includes(EOS) ? ids.slice(0, ids.indexOf(EOS)) : [...ids]);

describe("against the golden files", () => {
  it.each([1, 4, 8, 64])("beam search equals transformers token for token, %i rows at a time", async (batch) => {
    const decoding: Decoding = { strategy: "beam", beams: golden.beam[0]!.num_beams };
    expect(new Set(golden.beam.map(({ prompt_ids: ids }) => ids.length)).size).toBe(3);
    expect(await answers(golden.beam, decoding, 12, batch)).toEqual(golden.beam.map(({ output_ids: ids }) => upToEnd(ids)));
  });

  it.each([1, 2, 64])("penalised greedy decoding equals transformers token for token, %i rows at a time", async (batch) => {
    const { repetition_penalty: repetitionPenalty, no_repeat_ngram_size: noRepeatNgramSize } = golden.repetition[0]!;
    const decoding: Decoding = { strategy: "greedy", repetitionPenalty, noRepeatNgramSize };
    const expected = golden.repetition.map(({ output_ids: ids }) => upToEnd(ids));
    expect(await answers(golden.repetition, decoding, 20, batch)).toEqual(expected);
    expect(await answers(golden.repetition, { strategy: "greedy" }, 20, batch)).not.toEqual(expected);
  });

  it("temperature, top-k and top-p give transformers' probabilities to 1e-6", () => {
    const { temperature, top_k: topK, top_p: topP, logits, probabilities } = golden.sampling;
    const before = liveTensors();
    const found = scope(() => toFloat32Array(warpLogits(tensor([logits]), { temperature, topK, topP }).softmax(1)));
    expect(liveTensors()).toEqual(before);
    expect(probabilities.filter((p) => p > 0).length).toBeGreaterThan(1);
    probabilities.forEach((p, token) => {
      expect(Math.abs((found[token] ?? NaN) - p)).toBeLessThan(1e-6);
      expect((found[token] ?? NaN) > 0).toBe(p > 0);
    });
  });
});
