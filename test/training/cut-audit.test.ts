/**
 * Proves that the audit of cuts passes every phase that computes a step in parts, in float64 to rounding, and refuses one that averages the means of its parts, one that forgets a part, and one whose loss is another than its
 * gradient's; it leaves no gradient and no tensor behind.
 * Alone: npx vitest run test/training/cut-audit.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { tensor } from "../../src/engine/tensor.js";
import { auditCut, cutTable } from "../../src/training/cut-audit.js";
import type { LossTerms } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { contrastivePhase } from "../../src/training/phases/contrastive.js";
import { generatorPhase } from "../../src/training/phases/generator.js";
import { CONTRASTIVE, gradientOf, textOf, tinyEncoder, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

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
      /^contrastive: a step in parts has the whole batch's gradient \(relative difference \d\.\de[-+]\d+\)\ngenerator: /,
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
