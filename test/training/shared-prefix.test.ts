/**
 * Proves that what a question's prompts begin with alike changes nothing but the work: computed once, it gives the likelihoods and the gradient of prompts computed whole, in passes that keep to their tokens, and leaves no tensor behind.
 * Alone: npx vitest run test/training/shared-prefix.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { toFloat64Array } from "../../src/engine/tensor.js";
import { buildTrainingPrompts, DEFAULT_PROMPT_FORMAT, type PromptFormat } from "../../src/generation/prompt.js";
import { readerPhase, type ReaderPhaseOptions } from "../../src/training/phases/reader-distillation.js";
import { answerLikelihoods, promptTokens, type ScoredPrompt } from "../../src/training/phases/reader-likelihood.js";
import { sharedTokens } from "../../src/training/phases/shared-prefix.js";
import { relativeError } from "./central-differences.js";
import { run } from "./phase-step.js";
import { readerOptions } from "./tiny-reader.js";
import { EOS, PASSAGES, QUESTIONS } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

const options = (change: Partial<ReaderPhaseOptions> = {}): ReaderPhaseOptions => readerOptions(owned, change);

describe("what a question's prompts begin with alike", () => {
  const QUESTION_FIRST = { ...DEFAULT_PROMPT_FORMAT, template: "Q: {question}\nContext: {context}\nA:" };
  /** Every question after each of three passages, and one prompt too many for the last. */
  const promptsOf = (format: PromptFormat): ScoredPrompt[] => {
    const { reader } = options();
    const items = QUESTIONS.flatMap((question) => [0, 1, 2].map((row) => ({ passages: [PASSAGES[row]!], questions: [question] })));
    return buildTrainingPrompts(reader.tokenizer, format, items, reader.maxTokens, EOS).map((prompt, example) => ({ prompt, example }));
  };

  it("is computed once, and the likelihoods are the same", () => {
    const { reader } = options();
    const prompts = promptsOf(QUESTION_FIRST);
    const asked = { model: reader.model, seed: 1, dropout: false, tokensAtOnce: 400 };
    const of = (promptsOfQuestion: number): Float64Array =>
      scope(() => noGrad(() => toFloat64Array(answerLikelihoods({ ...asked, promptsOfQuestion }, prompts, 0))));
    expect(relativeError(of(3), of(1))).toBeLessThan(1e-12);
    const tokens = {
      shared: promptTokens({ tokensAtOnce: 400, promptsOfQuestion: 3 }, prompts),
      alone: promptTokens({ tokensAtOnce: 1 }, prompts),
    };
    expect(tokens.shared).toBeLessThan(0.9 * tokens.alone);
    // A prompt longer than a pass may be stands alone, whatever it begins with.
    expect(promptTokens({ tokensAtOnce: 1, promptsOfQuestion: 3 }, prompts)).toBe(tokens.alone);
  });

  /** A reader that notes the tokens of each of its forward passes. */
  const watched = (model: ReaderPhaseOptions["reader"]["model"]): { model: typeof model; passes: number[] } => {
    const passes: number[] = [];
    const forward: typeof model.forward = (input) => {
      passes.push(input.ids_BT.numel);
      return model.forward(input);
    };
    return { model: { parameters: model.parameters, forward, logitsAt: (...rest) => model.logitsAt(...rest) }, passes };
  };

  it("behind it no pass holds more tokens than may be at once, unless a single prompt does, and nothing comes out otherwise", () => {
    const { reader } = options();
    const items = Array.from({ length: 8 }, (_, c) => ({ passages: [PASSAGES[c % 4]!], questions: [QUESTIONS[0]!] }));
    const built = buildTrainingPrompts(reader.tokenizer, QUESTION_FIRST, items, reader.maxTokens, EOS);
    const prompts = built.map((prompt, example) => ({ prompt, example }));
    const shared = sharedTokens(built);
    const longest = Math.max(...built.map(({ ids }) => ids.length));
    expect(shared).toBeGreaterThan(16);
    const of = (tokensAtOnce: number): { values: Float64Array; passes: number[] } => {
      const { model, passes } = watched(reader.model);
      const asked = { model, seed: 1, dropout: false, tokensAtOnce, promptsOfQuestion: 8 };
      const before = liveTensors();
      const values = scope(() => noGrad(() => toFloat64Array(answerLikelihoods(asked, prompts, 0))));
      expect(liveTensors()).toEqual(before);
      expect(promptTokens(asked, prompts)).toBe(passes.reduce((sum, tokens) => sum + tokens, 0));
      return { values, passes };
    };
    const whole = of(4096);
    expect(whole.passes).toEqual([shared, 8 * (longest - shared)]);
    for (const [tokensAtOnce, copies] of [
      [longest, 1],
      [3 * (longest - shared), 3],
    ] as const) {
      const { values, passes } = of(tokensAtOnce);
      expect(relativeError(values, whole.values)).toBeLessThan(1e-12);
      // The beginning is computed once, however many passes read it.
      expect(passes[0]).toBe(shared);
      expect(passes.length).toBe(1 + Math.ceil(8 / copies));
      for (const tokens of passes) expect(tokens).toBeLessThanOrEqual(tokensAtOnce);
    }
    // A prompt that is longer by itself stands alone.
    expect(Math.max(...of(longest - 1).passes)).toBe(longest);
  });

  it("cut into passes, it teaches the retriever the same gradient", () => {
    const made = options();
    const of = (tokensAtOnce: number): { found: ReturnType<typeof run>; passes: number[] } => {
      const { model, passes } = watched(made.reader.model);
      const reader = { ...made.reader, model, format: QUESTION_FIRST };
      return { found: run(readerPhase({ ...made, reader, tokensAtOnce })), passes };
    };
    const whole = of(4096);
    const cut = of(Math.max(...whole.passes) - 1);
    expect(cut.passes.length).toBeGreaterThan(whole.passes.length);
    expect(Math.max(...cut.passes)).toBeLessThan(Math.max(...whole.passes));
    expect(relativeError(cut.found.gradient, whole.found.gradient)).toBeLessThan(1e-12);
    expect(cut.found.terms["pdist"]![0]).toBeCloseTo(whole.found.terms["pdist"]![0]!, 12);
  });

  it("is nothing where the context comes first, and ends before the answer where prompts are equal", () => {
    const first = promptsOf(DEFAULT_PROMPT_FORMAT).slice(0, 3);
    expect(sharedTokens(first.map(({ prompt }) => prompt))).toBe(0);
    const [one] = promptsOf(QUESTION_FIRST);
    expect(sharedTokens([one!.prompt, one!.prompt])).toBe(one!.prompt.answers[0]!.start - 1);
    expect(sharedTokens([one!.prompt])).toBe(0);
    const short = { ...one!.prompt, answers: [{ start: 9, end: 10 }] };
    expect(sharedTokens([short, short])).toBe(0);
  });

  it("leaves no tensor behind, and a whole phase's loss as it was", () => {
    const change = { reader: { ...options().reader, format: QUESTION_FIRST } };
    const phase = readerPhase(options({ ...change, loss: "emdr2" }));
    const before = liveTensors();
    const { terms } = run(phase);
    expect(liveTensors()).toEqual(before);
    // A reader that is trained has a graph and shares nothing; its loss has the same value as EMDR²'s.
    const alone = run(readerPhase(options({ ...change, loss: "rag_sequence", trainsReader: true })));
    expect(terms["emdr2"]![0]).toBeCloseTo(alone.terms["rag_sequence"]![0]!, 10);
  });
});
