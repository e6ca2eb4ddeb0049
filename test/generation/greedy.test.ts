/**
 * Proves that greedy decoding writes transformers' tokens whatever batch a prompt stands in, that rows which end early change nothing for the others, and that neither the prompt nor the end token is
 * part of an answer.
 * Alone: npx vitest run test/generation/greedy.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors } from "../../src/engine/scope.js";
import { decodeGreedy } from "../../src/generation/greedy.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { goldenJson, goldens } from "../nn/goldens.js";

setThreads(1);
const model = loadCausalModel(path.join(goldens, "gpt2-tiny"));
const { greedy } = goldenJson("gpt2-tiny.expected.json") as { greedy: { prompt_ids: number[]; output_ids: number[] }[] };
const prompts = greedy.map(({ prompt_ids: ids }) => Int32Array.from(ids));
const outputs = greedy.map(({ output_ids: ids }) => ids);
/** A token that no golden answer holds. */
const NEVER = 1;

/** What is left of an answer when `eosId` ends it. */
function untilEnd(output: readonly number[], eosId: number, most: number): number[] {
  const place = output.indexOf(eosId);
  return output.slice(0, place === -1 ? most : Math.min(place, most));
}

async function decode(chosen: readonly Int32Array[], eosId: number, maxNewTokens: number, batch?: number): Promise<number[][]> {
  const answers = await decodeGreedy(model, chosen, { maxNewTokens, eosId, ...(batch === undefined ? {} : { batch }) });
  return answers.map((answer) => [...answer]);
}

describe("greedy decoding", () => {
  it.each([1, 2, 3, 64])("equals transformers token for token, prompts of different lengths mixed, %i at a time", async (batch) => {
    expect(new Set(prompts.map((prompt) => prompt.length)).size).toBe(3);
    expect(outputs.flat()).not.toContain(NEVER);
    expect(await decode(prompts, NEVER, 20, batch)).toEqual(outputs);
    const mixed = [2, 0, 1, 1, 0, 2, 2];
    expect(
      await decode(
        mixed.map((i) => prompts[i]!),
        NEVER,
        20,
        batch,
      ),
    ).toEqual(mixed.map((i) => outputs[i]));
  });

  // Each of these stands in some answers and not in others, early here and late there.
  it.each([395, 899, 856, 108, 369])("rows that end with token %i leave early and change nothing for the others", async (eosId) => {
    const mixed = [0, 1, 2, 0, 1, 2, 1];
    const expected = mixed.map((i) => untilEnd(outputs[i]!, eosId, 20));
    expect(new Set(expected.map(({ length }) => length)).size).toBeGreaterThan(1);
    for (const batch of [1, 3, 7]) {
      const answers = await decode(
        mixed.map((i) => prompts[i]!),
        eosId,
        20,
        batch,
      );
      expect(answers).toEqual(expected);
      expect(answers.flat()).not.toContain(eosId);
    }
  });

  it("gives an empty answer when the first token ends it", async () => {
    expect(await decode([prompts[0]!, prompts[2]!], outputs[0]![0]!, 20)).toEqual([[], untilEnd(outputs[2]!, outputs[0]![0]!, 20)]);
  });

  it.each([1, 2, 5])("writes at most %i tokens", async (most) => {
    expect(await decode(prompts, NEVER, most)).toEqual(outputs.map((output) => output.slice(0, most)));
  });

  it("answers no prompt with nothing", async () => {
    expect(await decode([], NEVER, 5)).toEqual([]);
  });

  it("tells how far it is and leaves no tensor behind", async () => {
    const before = liveTensors();
    const done: [number, number][] = [];
    await decodeGreedy(model, prompts, { maxNewTokens: 3, eosId: NEVER, batch: 2, progress: (...figures) => done.push(figures) });
    expect(done).toEqual([
      [2, 3],
      [3, 3],
    ]);
    expect(liveTensors()).toEqual(before);
  });

  it("refuses what doesn't fit the model's positions, and leaves no tensor behind", async () => {
    const before = liveTensors();
    const long = new Int32Array(model.config.nPositions - 2).fill(5);
    await expect(decode([long], NEVER, 10)).rejects.toThrow();
    expect(liveTensors()).toEqual(before);
    expect((await decode([long], NEVER, 3))[0]!.length).toBe(3);
  });
});
