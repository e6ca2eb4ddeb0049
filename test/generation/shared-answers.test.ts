/**
 * Proves that questions which the processes of a group answer together get the answers of one process, drawn and searched ones too, each process decoding some of the batches and no more; and that outside of the leader's turn it answers
 * alone. Real processes. Alone: npx vitest run test/generation/shared-answers.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { SINGLE_PROCESS } from "../../src/distributed/process-group.js";
import type { Decoding } from "../../src/generation/decoding.js";
import { runRanks } from "../distributed/ranks.js";
import program, { type SharedAnswers, type SharedQuestions } from "./sharing-program.js";

const member = path.join(import.meta.dirname, "sharing-program.ts");

const DECODINGS: readonly Decoding[] = [
  { strategy: "greedy", stop: ["."] },
  { strategy: "sample", seed: 3, temperature: 0.9, answers: 2 },
  { strategy: "beam", beams: 2, answers: 2 },
];

describe.each(DECODINGS)("$strategy answers", (decoding) => {
  it.each([
    // Batches of 2 (drawn and searched: of 1) of seven prompts.
    [2, [4, 3]],
    [3, [3, 2, 2]],
  ])("of %i processes are those of one", async (size, decoded) => {
    const work: SharedQuestions = { decoding, batch: 2 };
    const one = await program(SINGLE_PROCESS, work);
    const found = await runRanks<SharedAnswers>(member, size, work);
    expect(one.answers).toHaveLength(7);
    expect(new Set(one.answers!.flat()).size).toBeGreaterThan(3);
    expect(found[0]!.answers).toEqual(one.answers);
    expect(found[0]!.alone).toEqual(one.answers);
    expect(found.map((each) => each.decoded)).toEqual(decoded);
    expect(found[0]!.progress.at(-1)).toEqual([7, 7]);
  });
});

it("a batch isn't cut: what fits into one is the first process's", async () => {
  const found = await runRanks<SharedAnswers>(member, 2, { decoding: { strategy: "greedy" }, batch: 64 });
  expect(found.map((each) => each.decoded)).toEqual([7, 0]);
});
