/**
 * Proves that an answer ends right before its first stop string, wherever tokens begin and end, that nothing before it is lost, and that a stop string of the prompt ends nothing.
 * Alone: npx vitest run test/generation/stop-strings.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { Generator, type GeneratorFormat } from "../../src/generation/generator.js";
import { DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import { cutAtStop, endsAtStop } from "../../src/generation/stop-strings.js";
import { goldens } from "../nn/goldens.js";

setThreads(1);
const format: GeneratorFormat = { open: DEFAULT_PROMPT_FORMAT, closed: { ...DEFAULT_PROMPT_FORMAT, template: "Q: {question}\nA:" } };
const generator = Generator.load(path.join(goldens, "gpt2-tiny"), format);
const { tokenizer } = generator;
const ITEMS = ["What is the capital", "Where?", "Who built the first mill there?"].map((question) => ({ question, passages: [] }));

describe("stop strings", () => {
  it("cut every text before the first of them, and only there", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "\n", "é", "🚀"), maxLength: 12 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\n", "é"), minLength: 1, maxLength: 3 }), { maxLength: 3 });
    fc.assert(
      fc.property(letters, stops, (text, own) => {
        const cut = cutAtStop(text, own);
        expect(text.startsWith(cut)).toBe(true);
        expect(own.some((stop) => cut.includes(stop))).toBe(false);
        if (cut !== text) expect(own.some((stop) => text.startsWith(stop, cut.length))).toBe(true);
      }),
    );
  });

  it("are seen across the borders of tokens, and as soon as they are whole", () => {
    const ids = tokenizer.encode("It was founded in 1643 by Bor Kai, who", { specialTokens: false });
    const ends = endsAtStop(tokenizer, ["Bor K"])!;
    const firstEnd = Array.from(ids, (_, i) => ends([...ids.slice(0, i + 1)])).indexOf(true);
    expect(tokenizer.decode(ids.slice(0, firstEnd + 1))).toContain("Bor K");
    expect(tokenizer.decode(ids.slice(0, firstEnd))).not.toContain("Bor K");
    expect(tokenizer.decode(ids.slice(firstEnd, firstEnd + 1))).not.toContain("Bor K");
    expect(endsAtStop(tokenizer, [])).toBeUndefined();
  });

  it.each(["greedy", "sample", "beam"] as const)("end the answers of %s decoding where their text first holds them", async (strategy) => {
    const shared = { answers: strategy === "greedy" ? 1 : 3 };
    const decoding =
      strategy === "sample"
        ? { strategy, seed: 4, ...shared }
        : strategy === "beam"
          ? { strategy, beams: 3, ...shared }
          : { strategy, ...shared };
    const free = await generator.answers(ITEMS, { maxNewTokens: 16, decoding });
    // Two letters out of the longest answer.
    const longest = free.flat().sort((a, b) => b.length - a.length)[0]!;
    const stop = [longest.slice(4, 6)];
    expect(stop[0]!.trim()).toHaveLength(2);
    const stopped = await generator.answers(ITEMS, { maxNewTokens: 16, decoding: { ...decoding, stop } });
    for (const answer of stopped.flat()) expect(answer).not.toContain(stop[0]);
    expect(stopped.flat()).not.toEqual(free.flat());
    // A beam that stops may let another one win; greedy and sampled answers are the same up to the cut.
    if (strategy !== "beam") expect(stopped.flat()).toEqual(free.flat().map((answer) => cutAtStop(answer, stop).trim()));
  });

  it("in the prompt end nothing", async () => {
    const free = await generator.answer(ITEMS, { maxNewTokens: 10 });
    const stop = ["Q: ", "\nA:"].filter((own) => free.every((answer) => !answer.includes(own)));
    expect(stop).toHaveLength(2);
    expect(await generator.answer(ITEMS, { maxNewTokens: 10, decoding: { strategy: "greedy", stop } })).toEqual(free);
  });
});
