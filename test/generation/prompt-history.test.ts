/**
 * Proves that earlier turns and variables stand where the template has them, alike in training and asking, that the budget leaves out the oldest turns first and never cuts question or answer cue.
 * Alone: npx vitest run test/generation/prompt-history.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import {
  buildPrompt,
  buildTrainingPrompts,
  checkPromptFormat,
  DEFAULT_PROMPT_FORMAT,
  type PromptFormat,
} from "../../src/generation/prompt.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { goldens } from "../nn/goldens.js";

const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
const EOS = 0;
const encode = (text: string): number[] => [...tokenizer.encode(text, { specialTokens: false })];
const text = (ids: ArrayLike<number>): string => tokenizer.decode(ids, { skipSpecial: false });

const talk: PromptFormat = {
  ...DEFAULT_PROMPT_FORMAT,
  template: "Answer {style}.\nContext: {context}\n{history}Q: {question}\nA:",
  variables: { style: "in {context} words" },
};
const paris = { title: "Paris", text: "Paris is the capital of France. It lies on the Seine." };
const history = [
  { question: "Where is Lyon?", answer: "on the Rhône" },
  { question: " And Paris? ", answer: "on the Seine\n" },
  { question: "Which is larger?", answer: "Paris" },
];
const question = "Who rules it?";
const shown = (turns: typeof history): string => turns.map((turn) => `Q: ${turn.question.trim()}\nA: ${turn.answer.trim()}\n`).join("");
const whole = `Answer in {context} words.\nContext: Paris. ${paris.text}\n${shown(history)}Q: ${question}\nA:`;

describe("history and variables", () => {
  it("stand where the template has them, a variable's text word for word", () => {
    const prompt = buildPrompt(tokenizer, talk, { question, passages: [paris], history }, 4096);
    expect(text(prompt.ids)).toBe(whole);
    expect(prompt.turnsShown).toBe(3);
    expect([...prompt.ids]).toEqual(encode(whole));
  });

  it("without earlier turns leave no trace", () => {
    const plain = { ...talk, template: talk.template.replace("{history}", "") };
    const expected = buildPrompt(tokenizer, plain, { question, passages: [paris] }, 4096).ids;
    for (const none of [{}, { history: [] }])
      expect(buildPrompt(tokenizer, talk, { question, passages: [paris], ...none }, 4096).ids).toEqual(expected);
    expect(buildPrompt(tokenizer, plain, { question, passages: [paris], history }, 4096).turnsShown).toBe(0);
  });

  it.each([
    "{history}Context: {context}\nQ: {question}\nA:",
    "{history} {context} {question}\nA:",
    "Q: {question}\n{history}{context}\nA: ",
    "{context}\n\n{history}\n\n{question} ",
  ])("the training prompt up to its answer is the prompt that is asked: %j", (template) => {
    const own = { ...talk, template };
    const [training] = buildTrainingPrompts(
      tokenizer,
      own,
      [{ passages: [paris], history, questions: [{ question, answer: "Hugo" }] }],
      4096,
      EOS,
    );
    const asked = buildPrompt(tokenizer, own, { question, passages: [paris], history }, 4096);
    expect(asked.turnsShown).toBe(3);
    expect([...training!.ids.slice(0, training!.answers[0]!.start)]).toEqual([...asked.ids]);
    expect(text(asked.ids)).toContain("Which is larger?\nA: Paris");
  });

  it("stand before the first of several questions only", () => {
    const questions = [
      { question, answer: "Hugo" },
      { question: "Where?", answer: "there" },
    ];
    const [training] = buildTrainingPrompts(tokenizer, talk, [{ passages: [paris], history, questions }], 4096, EOS);
    expect(text(training!.ids)).toBe(`${whole} Hugo<|endoftext|>\nQ: Where?\nA: there<|endoftext|>`);
  });
});

describe("the budget", () => {
  const full = buildPrompt(tokenizer, talk, { question, passages: [paris], history }, 4096).ids.length;
  const cue = encode(`Q: ${question}\nA:`);

  it("leaves out the oldest turns first and never cuts question, cue or the rest of the template", () => {
    const bare = buildPrompt(tokenizer, talk, { question, passages: [] }, 4096).ids.length;
    let before = 3;
    for (let maxTokens = full; maxTokens >= bare; maxTokens--) {
      const prompt = buildPrompt(tokenizer, talk, { question, passages: [paris], history }, maxTokens);
      expect(prompt.ids.length).toBeLessThanOrEqual(maxTokens);
      expect(text(prompt.ids).endsWith(`Q: ${question}\nA:`)).toBe(true);
      expect([...prompt.ids.slice(-cue.length + 1)]).toEqual(cue.slice(1));
      expect(text(prompt.ids)).toContain(shown(history.slice(3 - prompt.turnsShown)));
      expect(prompt.turnsShown).toBeLessThanOrEqual(before);
      before = prompt.turnsShown;
    }
    expect(before).toBe(0);
    expect(() => buildPrompt(tokenizer, talk, { question, passages: [paris], history }, bare - 1)).toThrow(UserError);
  });

  it("gives earlier turns their share and no more, so that passages keep theirs", () => {
    const tokensOf = (turns: typeof history): number =>
      buildPrompt(tokenizer, talk, { question, passages: [], history: turns }, 4096).ids.length -
      buildPrompt(tokenizer, talk, { question, passages: [] }, 4096).ids.length;
    for (const count of [0, 1, 2, 3]) {
      const historyTokens = tokensOf(history.slice(3 - count));
      const prompt = buildPrompt(tokenizer, { ...talk, historyTokens }, { question, passages: [paris], history }, 4096);
      expect([prompt.turnsShown, prompt.tokensCut]).toEqual([count, 0]);
      if (count > 0)
        expect(
          buildPrompt(tokenizer, { ...talk, historyTokens: historyTokens - 1 }, { question, passages: [], history }, 4096).turnsShown,
        ).toBe(count - 1);
    }
  });

  it("holds for any turns, passages and length", () => {
    const words = fc.string({ unit: fc.constantFrom("a", "Kai ", "\n", "é", "Dor"), maxLength: 20 });
    const turn = fc.record({ question: words, answer: words });
    fc.assert(
      fc.property(
        fc.array(turn, { maxLength: 5 }),
        fc.array(words, { maxLength: 3 }),
        fc.integer({ min: 40, max: 200 }),
        (turns, texts, most) => {
          const passages = texts.map((own) => ({ title: "", text: own }));
          const prompt = buildPrompt(tokenizer, { ...talk, historyTokens: 50 }, { question, passages, history: turns }, most);
          expect(prompt.ids.length).toBeLessThanOrEqual(most);
          expect(prompt.turnsShown).toBeLessThanOrEqual(turns.length);
          expect(text(prompt.ids).endsWith(`Q: ${question}\nA:`)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});

it.each([
  ["{history} {history} {question}", /\{history\} at most once/],
  ["{style} {stile} {question}", /and \{style\}, got/],
])("%j is refused", (template, expected) => {
  expect(() => {
    checkPromptFormat({ ...talk, template });
  }).toThrow(expected);
});
