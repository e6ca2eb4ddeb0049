/**
 * Proves that there is one prompt for training, validation and asking, and that a budget never cuts the question or the answer cue.
 * Run alone: npx vitest run test/generation/prompt.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import {
  buildPrompt,
  buildPrompts,
  buildTrainingPrompts,
  checkPromptFormat,
  DEFAULT_PROMPT_FORMAT,
  type PromptFormat,
  type TrainingItem,
} from "../../src/generation/prompt.js";
import { Tokenizer } from "../../src/text/tokenizer.js";

const goldens = process.env["TANDEM_GOLDENS"] ?? path.join(import.meta.dirname, "../fixtures/goldens");
const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
const format = DEFAULT_PROMPT_FORMAT;
const EOS = 0;
const encode = (text: string): number[] => [...tokenizer.encode(text, { specialTokens: false })];
const text = (ids: ArrayLike<number>): string => tokenizer.decode(ids, { skipSpecial: false });

const paris = { title: "Paris", text: "Paris is the capital of France. It lies on the Seine." };
const lyon = { title: "Lyon", text: "Lyon lies on the Rhône. It is known for silk." };
const question = "What is the capital of France?";

describe("one builder", () => {
  it("writes the template with titles, passages in order of rank, and ends with the answer cue", () => {
    const prompt = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, 4096);
    expect(text(prompt.ids)).toBe(`Context: Paris. ${paris.text} Lyon. ${lyon.text}\nQ: ${question}\nA:`);
    expect([prompt.passagesShown, prompt.tokensCut]).toEqual([2, 0]);
  });

  it("its tokens are those of the whole text", () => {
    const prompt = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, 4096);
    expect([...prompt.ids]).toEqual(encode(text(prompt.ids)));
    const [training] = buildTrainingPrompts(
      tokenizer,
      format,
      [{ passages: [paris], questions: [{ question, answer: "Paris" }] }],
      4096,
      EOS,
    );
    expect([...training!.ids.slice(0, -1)]).toEqual(encode(`Context: Paris. ${paris.text}\nQ: ${question}\nA: Paris`));
  });

  it("a name has the same tokens at the start of the context and later", () => {
    const name = { title: "", text: "Tokyo Tokyo Tokyo" };
    const { ids } = buildPrompt(tokenizer, format, { question: "x", passages: [name] }, 4096);
    const mention = encode(" Tokyo");
    const head = encode("Context:");
    expect([...ids.slice(head.length, head.length + 3 * mention.length)]).toEqual([...mention, ...mention, ...mention]);
  });

  it("cozyrag 17: a training prompt up to its answer is the prompt that is asked", () => {
    const [training] = buildTrainingPrompts(
      tokenizer,
      format,
      [{ passages: [paris, lyon], questions: [{ question, answer: "Paris" }] }],
      4096,
      EOS,
    );
    const asked = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, 4096);
    expect([...training!.ids.slice(0, training!.answers[0]!.start)]).toEqual([...asked.ids]);
  });

  it("many at once are the same as one by one", () => {
    const items = [
      { question, passages: [paris] },
      { question: "Which river?", passages: [] },
      { question, passages: [lyon, paris] },
    ];
    expect(buildPrompts(tokenizer, format, items, 60)).toEqual(items.map((item) => buildPrompt(tokenizer, format, item, 60)));
  });

  it("without passages the context is empty, without a place for it there is none", () => {
    expect(text(buildPrompt(tokenizer, format, { question, passages: [] }, 4096).ids)).toBe(`Context:\nQ: ${question}\nA:`);
    const closed = { ...format, template: "Q: {question}\nA:" };
    const prompt = buildPrompt(tokenizer, closed, { question, passages: [paris] }, 4096);
    expect(text(prompt.ids)).toBe(`Q: ${question}\nA:`);
    expect(prompt.passagesShown).toBe(0);
  });
});

describe("training prompts", () => {
  const item: TrainingItem = {
    passages: [paris],
    questions: [
      { question, answer: "Paris" },
      { question: "Which river?", answer: "the Seine" },
    ],
  };

  it("cozyrag 18: each answer is followed by exactly one end-of-text token, and only these positions are answers", () => {
    const [prompt] = buildTrainingPrompts(tokenizer, format, [item], 4096, EOS);
    const spans = prompt!.answers.map(({ start, end }) => prompt!.ids.slice(start, end));
    expect(spans.map((ids) => text(ids.slice(0, -1)))).toEqual([" Paris", " the Seine"]);
    for (const ids of spans) expect([...ids].filter((id) => id === EOS)).toEqual([EOS]);
    expect([...prompt!.ids].filter((id) => id === EOS)).toHaveLength(2);
    expect(prompt!.answers.at(-1)!.end).toBe(prompt!.ids.length);
  });

  it("several questions share one context", () => {
    const [prompt] = buildTrainingPrompts(tokenizer, format, [item], 4096, EOS);
    const withoutEnds = text(prompt!.ids.filter((id) => id !== EOS));
    expect(withoutEnds).toBe(`Context: Paris. ${paris.text}\nQ: ${question}\nA: Paris\nQ: Which river?\nA: the Seine`);
    expect(text(prompt!.ids.slice(prompt!.context.start, prompt!.context.end))).toBe(` Paris. ${paris.text}`);
  });

  it("a later question is left out before the context is cut for it", () => {
    const whole = buildTrainingPrompts(tokenizer, format, [{ ...item, questions: [item.questions[0]!] }], 4096, EOS)[0]!;
    const [tight] = buildTrainingPrompts(tokenizer, format, [item], whole.ids.length, EOS);
    expect(tight!.ids).toEqual(whole.ids);
    expect(tight!.answers).toHaveLength(1);
  });

  it("cozyrag 19: an empty answer is refused", () => {
    const empty = { passages: [], questions: [{ question, answer: "  " }] };
    expect(() => buildTrainingPrompts(tokenizer, format, [empty], 4096, EOS)).toThrow(UserError);
    expect(() => buildTrainingPrompts(tokenizer, format, [{ passages: [], questions: [] }], 4096, EOS)).toThrow(/no question/);
  });

  it("white space that ends the template goes to the answer", () => {
    const odd = { ...format, template: "Context: {context}\nQ: {question}\nA:\n", answerPrefix: "" };
    const [prompt] = buildTrainingPrompts(tokenizer, odd, [{ passages: [], questions: [{ question, answer: "Paris" }] }], 4096, EOS);
    expect(text(buildPrompt(tokenizer, odd, { question, passages: [] }, 4096).ids)).toBe(`Context:\nQ: ${question}\nA:`);
    expect(text(prompt!.ids.slice(prompt!.answers[0]!.start, -1))).toBe("\nParis");
  });
});

describe("the budget", () => {
  const cue = encode(`\nQ: ${question}\nA:`);

  it("cozyrag 17: the question and the answer cue are never cut, for any budget that holds them", () => {
    const least = encode("Context:").length + cue.length;
    const all = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, 4096).ids.length;
    fc.assert(
      fc.property(fc.integer({ min: least, max: all + 5 }), (maxTokens) => {
        const prompt = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, maxTokens);
        expect(prompt.ids.length).toBeLessThanOrEqual(maxTokens);
        expect([...prompt.ids.slice(-cue.length)]).toEqual(cue);
        expect(prompt.ids.length + prompt.tokensCut).toBe(all);
      }),
    );
  });

  it("passages are cut at their end, the last rank first", () => {
    const all = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, 4096);
    const cut = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, all.ids.length - 5);
    expect(cut.passagesShown).toBe(2);
    expect(text(cut.ids)).toContain(paris.text);
    expect(text(all.ids).startsWith(text(cut.ids.slice(0, -cue.length)))).toBe(true);
    const first = buildPrompt(tokenizer, format, { question, passages: [paris] }, 4096);
    // Room for three tokens of the second passage: it is dropped, three tokens say nothing.
    const dropped = buildPrompt(tokenizer, format, { question, passages: [paris, lyon] }, first.ids.length + 3);
    expect(dropped.ids).toEqual(first.ids);
    expect(dropped.passagesShown).toBe(1);
  });

  it("cozyrag 40: a question that doesn't fit is refused in one line that names it", () => {
    const run = (): unknown => buildPrompt(tokenizer, format, { question, passages: [paris] }, 5);
    expect(run).toThrow(UserError);
    expect(run).toThrow(/What is the capital of France.*at most 5 tokens/);
  });
});

describe("formats that can't work are refused", () => {
  const wrong: Partial<PromptFormat>[] = [
    { template: "Context: {context}" },
    { template: "{question} {question}" },
    { template: "{context} {context} {question}" },
    { template: "{contexts} {question}" },
  ];
  for (const change of wrong) {
    it(change.template!, () => {
      expect(() => checkPromptFormat({ ...format, ...change })).toThrow(/^prompt\.template: .*\{question\} once/);
    });
  }

  it("several questions before their context", () => {
    const before = { ...format, template: "Q: {question}\nContext: {context}\nA:" };
    checkPromptFormat(before);
    expect(text(buildPrompt(tokenizer, before, { question: "Who?", passages: [paris] }, 4096).ids)).toBe(
      `Q: Who?\nContext: Paris. ${paris.text}\nA:`,
    );
    const two = {
      passages: [paris],
      questions: [
        { question, answer: "a" },
        { question, answer: "b" },
      ],
    };
    expect(() => buildTrainingPrompts(tokenizer, before, [two], 4096, EOS)).toThrow(UserError);
  });
});
