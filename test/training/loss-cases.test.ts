/**
 * Proves that the copy loss and every form of InfoNCE (symmetric, masked, with hard negatives, all together) have the value and the gradient that PyTorch and sentence-transformers give
 * (float64, 1e-9 relative; test/fixtures/losses, made by make_cases.py beside it), and that the gradients are those that central differences find.
 * Run alone: npx vitest run test/training/loss-cases.test.ts
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { indices, type Tensor } from "../../src/engine/tensor.js";
import { answerPositions } from "../../src/training/answer-positions.js";
import { copyLoss, copyPositions } from "../../src/training/losses/copy.js";
import { infoNce } from "../../src/training/losses/info-nce.js";
import { expectCase, type GoldenCase } from "./loss-goldens.js";

interface RankingCase extends GoldenCase {
  readonly positives: number[];
  readonly masked: number[][] | null;
  readonly symmetric: boolean;
}

interface CopyCase extends GoldenCase {
  readonly prompts: { ids: number[]; answers: [number, number][] }[];
  readonly continuing: number[];
  /** Prompt and position. */
  readonly places: [number, number][];
}

const cases = JSON.parse(readFileSync(path.join(import.meta.dirname, "../fixtures/losses/cases.json"), "utf8")) as {
  temperature: number;
  info_nce: Readonly<Record<string, RankingCase>>;
  copy: CopyCase;
};

const unit = (x: Tensor): Tensor => x.div(x.linalgVectorNorm(2, [1], true));

describe("info-nce against PyTorch and sentence-transformers", () => {
  for (const [name, golden] of Object.entries(cases.info_nce)) {
    it(`cozyrag 24: ${name}`, () => {
      const { positives, masked, symmetric } = golden;
      expectCase(golden, (query, passage) => {
        const { sum, count } = infoNce(unit(query), unit(passage), {
          temperature: cases.temperature,
          symmetric,
          positives_Q: indices(positives),
          ...(masked === null ? {} : { masked_QP: indices(masked.flat(), [masked.length, masked[0]!.length]).ne(0) }),
        });
        expect(count).toBe(positives.length);
        return sum.div(count);
      });
    });
  }

  it("has a case of each form, no two of one value", () => {
    const all = Object.values(cases.info_nce);
    expect(all.length).toBe(7);
    expect(new Set(all.map(({ value }) => value)).size).toBe(7);
  });
});

describe("the copy loss against PyTorch", () => {
  const { prompts, continuing, places } = cases.copy;
  const asked = prompts.map(({ ids, answers }) => ({
    ids: Int32Array.from(ids),
    answers: answers.map(([start, end]) => ({ start, end })),
  }));
  const continues = (token: number): boolean => continuing.includes(token);

  it("is on the positions of the definition: what comes back outside the answers, and goes on with a word", () => {
    expect(asked.flatMap((prompt, b) => copyPositions(prompt, continues).map((t) => [b, t]))).toEqual(places);
    const { width, copyRows_M, copyTargets_M } = answerPositions(asked, continues);
    expect([...copyRows_M]).toEqual(places.map(([b, t]) => b * width + t - 1));
    expect([...copyTargets_M]).toEqual(places.map(([b, t]) => prompts[b]!.ids[t]));
    expect(answerPositions(asked).copyRows_M).toHaveLength(0);
  });

  it("has the reference's value and gradient, on all logits of the batch", () => {
    const { copyRows_M, copyTargets_M, prompts: count, width } = answerPositions(asked, continues);
    expectCase(cases.copy, (logits_BTV) => {
      const logits_MV = logits_BTV.reshape([count * width, -1]).indexSelect(0, indices(copyRows_M));
      const term = copyLoss(logits_MV, indices(copyTargets_M));
      expect(term.count).toBe(places.length);
      return term.sum.div(term.count);
    });
  });
});
