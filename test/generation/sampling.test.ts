/**
 * Proves that sampled tokens come as often as their probabilities say (chi-square, first and second tokens), that an answer depends on seed, prompt, answer number and position alone and not on its
 * batch, and that tokens with no probability never come.
 * Alone: npx vitest run test/generation/sampling.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { indices, tensor, toFloat64Array } from "../../src/engine/tensor.js";
import { warpLogits, type WarperOptions } from "../../src/generation/logits-warpers.js";
import { decodeSampled, drawTokens, type SamplingOptions } from "../../src/generation/sampling.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { goldenJson, goldens } from "../nn/goldens.js";

setThreads(1);
const model = loadCausalModel(path.join(goldens, "gpt2-tiny"));
const { greedy } = goldenJson("gpt2-tiny.expected.json") as { greedy: { prompt_ids: number[]; output_ids: number[] }[] };
const prompts = greedy.map(({ prompt_ids: ids }) => Int32Array.from(ids));
/** Ends an answer; an answer that begins with it is empty. The model hardly ever writes it. */
const NEVER = 1;

async function sampled(chosen: readonly Int32Array[], options: Partial<SamplingOptions>): Promise<number[][][]> {
  const decoded = await decodeSampled(model, chosen, { maxNewTokens: 8, eosId: NEVER, seed: 0, ...options });
  return decoded.map((own) => own.map((tokens) => [...tokens]));
}

/** The probabilities of the token after `ids`, by the model and the warpers alone. */
function probabilities(ids: readonly number[], options: WarperOptions): Float64Array {
  return scope(() =>
    noGrad(() => {
      const hidden_BTE = model.forward({ ids_BT: indices(ids, [1, ids.length]) });
      return toFloat64Array(warpLogits(model.logits(hidden_BTE.select(1, ids.length - 1)), options).softmax(1));
    }),
  );
}

/** What chi-square stays below but once in a thousand times (Wilson and Hilferty 1931). */
function critical(freedom: number): number {
  return freedom * (1 - 2 / (9 * freedom) + 3.09 * Math.sqrt(2 / (9 * freedom))) ** 3;
}

/** Pearson's statistic over the tokens that are expected five times or more; the rest count as one. */
function expectFrequencies(tokens: readonly number[], expected: Float64Array): void {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  for (const token of counts.keys()) expect(expected[token]).toBeGreaterThan(0);
  const cells = [...expected].map((p, token) => [p * tokens.length, counts.get(token) ?? 0] as const);
  const [large, small] = [cells.filter(([wanted]) => wanted >= 5), cells.filter(([wanted]) => wanted > 0 && wanted < 5)];
  const rest = [0, 1].map((side) => small.reduce((sum, cell) => sum + (cell[side] ?? 0), 0)) as [number, number];
  const all = rest[0] >= 5 ? [...large, rest] : large;
  expect(all.length).toBeGreaterThan(3);
  const statistic = all.reduce((sum, [wanted, found]) => sum + (found - wanted) ** 2 / wanted, 0);
  expect(statistic).toBeLessThan(critical(all.length - 1));
}

describe("sampled frequencies", () => {
  const settings: [string, WarperOptions][] = [
    ["the plain distribution", {}],
    ["temperature 2 and top-k 12", { temperature: 2, topK: 12 }],
    ["temperature 1.5 and top-p 0.8", { temperature: 1.5, topP: 0.8 }],
  ];

  it.each(settings)("of first tokens equal the probabilities over answers: %s", async (_, options) => {
    const [answers = []] = await sampled([prompts[0]!], { ...options, maxNewTokens: 1, answers: 4000, batch: 4000 });
    expectFrequencies(
      answers.map(([token = NEVER]) => token),
      probabilities([...prompts[0]!], options),
    );
  });

  it("of second tokens equal the probabilities after the first one", async () => {
    const options = { temperature: 2.5, topK: 8 };
    const [answers = []] = await sampled([prompts[1]!], { ...options, maxNewTokens: 2, answers: 6000, batch: 6000 });
    const firsts = answers.map(([first = NEVER]) => first);
    const often = [...new Set(firsts)].map((token) => [firsts.filter((first) => first === token).length, token] as const);
    const [count, token] = often.sort((a, b) => b[0] - a[0])[0]!;
    expect(count).toBeGreaterThan(500);
    const seconds = answers.filter(([first]) => first === token).map(([, second = NEVER]) => second);
    expectFrequencies(seconds, probabilities([...prompts[1]!, token], options));
  });

  it("equal the probabilities over seeds and over questions too", async () => {
    const options = { temperature: 2, topK: 6 };
    const keys = Array.from({ length: 2000 }, (_, i) => `question ${i}`);
    const first = async (seed: number): Promise<number[]> =>
      (
        await sampled(
          keys.map(() => prompts[2]!),
          { ...options, maxNewTokens: 1, keys, seed, batch: 2000 },
        )
      ).map(([[token = NEVER] = []]) => token);
    const [one, two] = [await first(1), await first(2)];
    const expected = probabilities([...prompts[2]!], options);
    expectFrequencies([...one, ...two], expected);
    // Two seeds agree as often as two independent draws would, within four standard deviations.
    const chance = expected.reduce((sum, p) => sum + p * p, 0);
    const agreed = one.filter((token, i) => token === two[i]).length / one.length;
    expect(Math.abs(agreed - chance)).toBeLessThan(4 * Math.sqrt((chance * (1 - chance)) / one.length));
  });
});

describe("an answer", () => {
  const options = { temperature: 1.5, answers: 3 };

  it("is the same whatever else is in its batch, and in whatever order", async () => {
    const alone = await Promise.all(prompts.map(async (prompt) => (await sampled([prompt], options))[0]));
    expect(new Set(alone.flat().map((tokens) => JSON.stringify(tokens))).size).toBe(9);
    for (const batch of [1, 4, 64]) expect(await sampled(prompts, { ...options, batch })).toEqual(alone);
    expect(await sampled([...prompts].reverse(), options)).toEqual([...alone].reverse());
  });

  it("is the same however many others are asked for", async () => {
    const three = await sampled(prompts, options);
    const five = await sampled(prompts, { ...options, answers: 5 });
    expect(five.map((own) => own.slice(0, 3))).toEqual(three);
  });

  it("is the same beside rows that end early", async () => {
    const free = await sampled(prompts, { ...options, answers: 6 });
    const eosId = free[0]![0]![2]!;
    const ended = await sampled(prompts, { ...options, answers: 6, eosId });
    const upTo = (tokens: number[]): number[] => (tokens.includes(eosId) ? tokens.slice(0, tokens.indexOf(eosId)) : tokens);
    expect(ended).toEqual(free.map((own) => own.map(upTo)));
    expect(ended.flat().some(({ length }) => length < 8)).toBe(true);
  });

  it("changes with the seed and with the key", async () => {
    const own = await sampled(prompts, options);
    expect(await sampled(prompts, { ...options, seed: 1 })).not.toEqual(own);
    expect(await sampled(prompts, { ...options, keys: ["a", "b", "c"] })).not.toEqual(own);
  });

  it("is the greedy one when only the likeliest token is left", async () => {
    const expected = greedy.map(({ output_ids: ids }) => [ids.slice(0, 8)]);
    expect(await sampled(prompts, { topK: 1 })).toEqual(expected);
    expect(await sampled(prompts, { topP: 1e-6 })).toEqual(expected);
  });

  it("leaves no tensor behind, with penalties either", async () => {
    const before = liveTensors();
    await sampled(prompts, { ...options, repetitionPenalty: 1.3, noRepeatNgramSize: 2 });
    expect(liveTensors()).toEqual(before);
  });
});

describe("a draw", () => {
  it("points at the first token whose cumulative probability is above it, for any row and draw", () => {
    const logit = fc.oneof(fc.double({ min: -20, max: 20, noNaN: true }), fc.constant(-Infinity));
    const row = fc.array(logit, { minLength: 7, maxLength: 7 }).filter((logits) => logits.some(Number.isFinite));
    const draw = fc.oneof(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.constantFrom(0, 1 - 2 ** -32));
    fc.assert(
      fc.property(fc.array(fc.tuple(row, draw), { minLength: 1, maxLength: 5 }), (rows) => {
        const tokens = scope(() =>
          drawTokens(
            tensor(rows.map(([logits]) => logits)),
            rows.map(([, own]) => own),
          ),
        );
        rows.forEach(([logits, own], i) => {
          const weights = logits.map((value) => Math.exp(Math.fround(value) - Math.max(...logits)));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          const token = tokens[i]!;
          const below = weights.slice(0, token).reduce((sum, weight) => sum + weight, 0) / total;
          expect(weights[token]).toBeGreaterThan(0);
          expect(below).toBeLessThanOrEqual(own + 1e-9);
          expect(below + weights[token]! / total).toBeGreaterThan(own - 1e-9);
        });
      }),
    );
  });

  it.each([
    [{ temperature: 0 }, /temperature must be above 0/],
    [{ topK: 0 }, /top-k must be a whole number from 1/],
    [{ topP: 0 }, /top-p must be above 0/],
    [{ topP: 1.1 }, /top-p must be above 0 and at most 1/],
    [{ answers: 0 }, /answers must be a positive whole number/],
    [{ repetitionPenalty: 0 }, /repetition penalty must be above 0/],
    [{ noRepeatNgramSize: 1.5 }, /size must be a whole number/],
  ])("refuses %o", async (options, expected) => {
    await expect(sampled(prompts, options)).rejects.toThrow(expected);
  });
});
