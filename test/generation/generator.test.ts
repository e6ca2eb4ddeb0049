/**
 * Proves that a generator answers with what the model writes after the prompt and nothing else, in the items' order, with the closed-book prompt where there are no passages, and refuses a budget that
 * leaves no room.
 * Alone: npx vitest run test/generation/generator.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { UserError } from "../../src/errors.js";
import { Generator, type AnswerItem, type GeneratorFormat } from "../../src/generation/generator.js";
import { decodeGreedy } from "../../src/generation/greedy.js";
import { buildPrompt, DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import { goldens } from "../nn/goldens.js";
import { copyOf, editJson } from "../nn/model-folder.js";

setThreads(1);
const folder = path.join(goldens, "gpt2-tiny");
const format: GeneratorFormat = { open: DEFAULT_PROMPT_FORMAT, closed: { ...DEFAULT_PROMPT_FORMAT, template: "Q: {question}\nA:" } };
const generator = Generator.load(folder, format);
const passage = { title: "Alder", text: "Alder is a town on the Mire. Its mayor is Ida Renhan." };
const ITEMS: AnswerItem[] = [
  { question: "Who is the mayor of Alder?", passages: [passage] },
  { question: "What is the capital", passages: [] },
  { question: "Where?", passages: [passage, { title: "Birch", text: "Birch is a mountain." }] },
];

/** The answer to one item, put together by hand from prompt builder and decoder. */
async function byHand(item: AnswerItem, maxNewTokens: number): Promise<string> {
  const chosen = item.passages.length > 0 ? format.open : format.closed;
  const { ids } = buildPrompt(generator.tokenizer, chosen, item, generator.maxTokens - maxNewTokens);
  const [answer] = await decodeGreedy(generator.model, [ids], { maxNewTokens, eosId: generator.eosId });
  return generator.tokenizer.decode(answer!).trim();
}

describe("a generator", () => {
  it("answers in the items' order, each as if it were asked alone, whatever the batch", async () => {
    const expected = await Promise.all(ITEMS.map((item) => byHand(item, 8)));
    expect(new Set(expected).size).toBe(3);
    for (const batch of [1, 2, 3]) expect(await generator.answer(ITEMS, { maxNewTokens: 8, batch })).toEqual(expected);
    const backwards = await generator.answer([...ITEMS].reverse(), { maxNewTokens: 8 });
    expect(backwards).toEqual(expected.reverse());
  });

  it("cozyrag 39: gives only what is new, also when the prompt was cut to fit", async () => {
    const long = { title: "Alder", text: "Alder is a town on the Mire. ".repeat(400) };
    const [short, cut] = await generator.answer([ITEMS[0]!, { question: ITEMS[0]!.question, passages: [long] }], { maxNewTokens: 6 });
    for (const answer of [short!, cut!]) {
      expect(generator.tokenizer.encode(answer).length).toBeLessThanOrEqual(8);
      for (const piece of ["Context:", "Q:", ITEMS[0]!.question, "\nA:"]) expect(answer).not.toContain(piece);
      expect(answer).toBe(answer.trim());
    }
  });

  it("cozyrag 39: keeps an answer that equals a sentence of its context", async () => {
    // What the model writes is put into the context word for word: the answer to that prompt is taken as it comes, whatever the context holds.
    const own = await byHand(ITEMS[0]!, 8);
    const item = { question: ITEMS[0]!.question, passages: [{ title: "T", text: `${own}\n${own}` }] };
    expect(own).not.toBe("");
    expect(await generator.answer([item], { maxNewTokens: 8 })).toEqual([await byHand(item, 8)]);
  });

  it("asks without passages by the closed-book prompt, in which no empty context stands", async () => {
    const item = { question: "What is the capital", passages: [] };
    const empty = buildPrompt(generator.tokenizer, format.open, item, 100);
    const [underOpen] = await decodeGreedy(generator.model, [empty.ids], { maxNewTokens: 8, eosId: generator.eosId });
    const [answer] = await generator.answer([item], { maxNewTokens: 8 });
    expect(answer).toBe(await byHand(item, 8));
    expect(answer).not.toBe(generator.tokenizer.decode(underOpen!).trim());
  });

  it("answers nothing with nothing", async () => {
    expect(await generator.answer([], { maxNewTokens: 8 })).toEqual([]);
  });

  it("refuses a number of new tokens that leaves no room, and a question that doesn't fit", async () => {
    const refused = generator.answer(ITEMS, { maxNewTokens: generator.maxTokens });
    await expect(refused).rejects.toThrow(UserError);
    await expect(refused).rejects.toThrow(/eval\.max_new_tokens: leaves no room for the question; expected below \d+, got \d+/);
    const endless = { question: "why ".repeat(generator.maxTokens), passages: [passage] };
    await expect(generator.answer([endless], { maxNewTokens: 4 })).rejects.toThrow(UserError);
  });

  it("takes the end token from the model's config, else from the tokenizer", () => {
    const { folder: copy, free } = copyOf("gpt2-tiny");
    editJson(copy, "config.json", { eos_token_id: 7 });
    expect(Generator.load(copy, format).eosId).toBe(7);
    editJson(copy, "config.json", { eos_token_id: undefined });
    expect(Generator.load(copy, format).eosId).toBe(generator.tokenizer.eosId);
    free();
  });
});
