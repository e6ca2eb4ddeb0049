/**
 * Proves that the audit of cuts passes every phase that computes a step in parts or packs prompts into forward passes, in float64 to rounding, and refuses one that averages the means of its parts, one that forgets a part, one
 * whose loss is another than its gradient's, and passes whose prompts depend on each other; it leaves no gradient and no tensor behind.
 * Alone: npx vitest run test/training/cut-audit.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { tensor } from "../../src/engine/tensor.js";
import { auditCut, cutTable } from "../../src/training/cut-audit.js";
import { DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import type { LossTerms } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { contrastivePhase } from "../../src/training/phases/contrastive.js";
import { generatorPhase } from "../../src/training/phases/generator.js";
import { readerPhase } from "../../src/training/phases/reader-distillation.js";
import { byteBpe, CONTRASTIVE, EOS, gradientOf, PASSAGES, QUESTIONS, textOf, tinyEncoder, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

/** Loss: the mean of w·x over the batch's x; `spoil` changes what its step does. */
function meanPhase(spoil: (parts: number[][]) => { gradientOf: number[][]; divisor: number; loss: number }): Phase {
  const weight = tensor([2], { dtype: "f64" }).setRequiresGrad();
  owned.push(weight);
  const numbers = [1, 2, 4, 8, 16];
  return {
    name: "mean",
    parameters: new Map([["weight", weight]]),
    batch: () => numbers,
    losses: () => ({ mean: { sum: weight.mul(31).sum(), count: 5, weight: 1 } }),
    step: (): LossTerms => {
      const {
        gradientOf: parts,
        divisor,
        loss,
      } = spoil([
        [1, 2, 4],
        [8, 16],
      ]);
      for (const part of parts)
        scope(() =>
          weight
            .mul(part.reduce((sum, x) => sum + x, 0))
            .sum()
            .div(divisor)
            .backward(),
        );
      return { mean: { sum: loss, count: 5, weight: 1 } };
    },
    tokens: () => 5,
  };
}

describe("the audit of cuts", () => {
  it("passes the generator's parts with all penalties and dropout, and GradCache with hard negatives", () => {
    const [model, encoder] = [tinyGpt2(0.1), tinyEncoder(0.1)];
    owned.push(encoder, ...model.parameters.values());
    const contrastive = contrastivePhase({
      encoder,
      questions: CONTRASTIVE,
      textOf,
      seed: 1,
      batch: 4,
      temperature: 0.3,
      symmetric: true,
      hardNegatives: 1,
      negativesOf: (question) => [(question + 1) % 4],
      accumulate: 3,
    });
    const generator = generatorPhase(tinyGenerator(model, { accumulate: 3 }));
    const before = liveTensors();
    const rows = [contrastive, generator].map((phase) => auditCut(phase as Phase, 1e-10));
    expect(liveTensors()).toEqual(before);
    for (const { difference, lossDifference } of rows) {
      expect(difference).toBeLessThan(1e-12);
      expect(lossDifference).toBeLessThan(1e-12);
    }
    expect([...gradientOf(model.parameters)].every((value) => value === 0)).toBe(true);
    expect(cutTable(rows)).toMatch(
      /^contrastive: a step in parts has the gradient of the whole batch \(relative difference \d\.\de[-+]\d+\)\ngenerator: /,
    );
  });

  /** The reader's prompts in passes of so many tokens; `leak` changes what a pass of several prompts computes. */
  function readersOf(
    tokens: readonly number[],
    leak: number,
    template = DEFAULT_PROMPT_FORMAT.template,
  ): { phases: Phase[]; passes: number[] } {
    const [model, encoder] = [tinyGpt2(), tinyEncoder()];
    owned.push(encoder, ...model.parameters.values());
    const passes: number[] = [];
    const phases = tokens.map((tokensAtOnce, place) => {
      const forward: typeof model.forward = (input) => {
        passes[place] = (passes[place] ?? 0) + 1;
        const hidden_BTE = model.forward(input);
        return hidden_BTE.size(0) > 1 ? hidden_BTE.mul(1 + leak) : hidden_BTE;
      };
      const counted = { parameters: model.parameters, forward, logitsAt: model.logitsAt.bind(model) };
      return readerPhase({
        encoder,
        reader: { model: counted, tokenizer: byteBpe(), format: { ...DEFAULT_PROMPT_FORMAT, template }, maxTokens: 160, eosId: EOS },
        questions: QUESTIONS.map(({ question, answer }) => ({ question, answer, candidates: [0, 1, 2, 3] })),
        passage: (row) => ({ id: String(row), document: String(row), ...PASSAGES[row]! }),
        textOf,
        seed: 1,
        batch: 2,
        passages: 3,
        loss: "rag_token",
        temperature: 0.3,
        trainsReader: template === DEFAULT_PROMPT_FORMAT.template,
        tokensAtOnce,
      });
    });
    return { phases, passes };
  }

  it.each([
    ["all at once", DEFAULT_PROMPT_FORMAT.template, 1],
    ["behind what a question's prompts share", "Q: {question}\nContext: {context}\nA:", 4],
  ])("passes prompts one a forward pass against %s, and refuses passes that depend on each other", (_, template, fewest) => {
    const sound = readersOf([1, Number.MAX_SAFE_INTEGER], 0, template);
    const [packed, whole] = sound.phases as [Phase, Phase];
    const before = liveTensors();
    const row = auditCut(packed, 1e-10, { entries: [3], way: "packed", whole });
    expect(liveTensors()).toEqual(before);
    expect(row).toMatchObject({ way: "packed", entries: [3] });
    expect(row.difference).toBeLessThan(1e-12);
    // Two questions with three passages each.
    expect(sound.passes).toEqual([6, fewest]);
    expect(cutTable([row])).toMatch(
      /^reader-distillation, entry 3: a step of one prompt a forward pass has the gradient of all prompts in one \(relative difference /,
    );
    const [leaking, together] = readersOf([1, Number.MAX_SAFE_INTEGER], 1e-3, template).phases as [Phase, Phase];
    expect(() => auditCut(leaking, 1e-6, { entries: [3], way: "packed", whole: together })).toThrow(
      /phase reader-distillation, entry 3: the gradient of a step of one prompt a forward pass is not that of all prompts in one; expected /,
    );
  });

  it("passes sums over parts that are divided once", () => {
    expect(
      auditCut(
        meanPhase((parts) => ({ gradientOf: parts, divisor: 5, loss: 62 })),
        1e-12,
      ).difference,
    ).toBeLessThan(1e-15);
  });

  it.each([
    // (7/3 + 24/2) / 2 in place of 31/5.
    [
      "a mean of means",
      (parts: number[][]) => ({ gradientOf: parts.map((part) => part.map((x) => x / part.length)), divisor: 2, loss: 62 }),
    ],
    ["a forgotten part", (parts: number[][]) => ({ gradientOf: parts.slice(1), divisor: 5, loss: 62 })],
    ["no gradient at all", () => ({ gradientOf: [], divisor: 5, loss: 62 })],
    ["another loss", (parts: number[][]) => ({ gradientOf: parts, divisor: 5, loss: 61 })],
  ])("refuses %s", (_, spoil) => {
    expect(() => auditCut(meanPhase(spoil), 1e-3)).toThrow(
      /phase mean: the gradient of a step in parts is not that of the whole batch; expected a relative difference of at most 0\.001, got /,
    );
  });
});
