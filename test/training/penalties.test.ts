/**
 * Proves what the penalties promise beyond the reference values: soft counts equal hard counts at one-hot, the gradient lives where repetition is worst,
 * and nothing but the answer's positions matters. Run alone: npx vitest run test/training/penalties.test.ts
 */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, gradients, indices, ops, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { answerDistribution, type AnswerDistribution } from "../../src/training/penalties/answer-distribution.js";
import { containsKeywords, countCoverage, keywordCoverage, softCoverage } from "../../src/training/penalties/keyword-coverage.js";
import { keywordOverlap } from "../../src/training/penalties/keyword-overlap.js";
import { countRepeats, leastLengthForRepeat, ngramRepeat, softRepeats } from "../../src/training/penalties/ngram-repeat.js";
import { countLength, expectedLength, leastTokens, shareCapped, shortAnswer } from "../../src/training/penalties/short-answer.js";
import { normals } from "./central-differences.js";

beforeAll(() => setThreads(1));

const VOCABULARY = 6;

/** Logits whose softmax is one-hot at the ids, padded to the longest answer. */
function oneHot(
  answers: readonly (readonly number[])[],
  gap: number,
  dtype: "f32" | "f64" = "f64",
  vocabulary = VOCABULARY,
): AnswerDistribution {
  const longest = Math.max(...answers.map((ids) => ids.length));
  const values = new Float64Array(answers.length * longest * vocabulary);
  for (const [b, ids] of answers.entries()) {
    for (const [t, id] of ids.entries()) values[(b * longest + t) * vocabulary + id] = gap;
  }
  const logits = fromBytes(values, "f64", [answers.length, longest, vocabulary]).toDtype(dtype);
  return answerDistribution(logits, indices(answers.map((ids) => ids.length)));
}

const answers = fc.array(fc.array(fc.integer({ min: 0, max: VOCABULARY - 1 }), { minLength: 1, maxLength: 9 }), {
  minLength: 1,
  maxLength: 4,
});

describe("soft counts equal hard counts at one-hot", () => {
  it("cozyrag 20: n-gram repeats", () => {
    fc.assert(
      fc.property(answers, fc.integer({ min: 1, max: 3 }), (batch, n) => {
        const soft = scope(() => toFloat64Array(softRepeats(oneHot(batch, 200), n)));
        for (const [b, ids] of batch.entries()) expect(soft[b]).toBeCloseTo(countRepeats(ids, n), 9);
      }),
      { numRuns: 60 },
    );
  });

  it("cozyrag 22: keyword coverage", () => {
    fc.assert(
      fc.property(answers, fc.array(fc.integer({ min: 0, max: VOCABULARY - 1 }), { minLength: 1, maxLength: 3 }), (batch, keywords) => {
        const soft = scope(() => {
          const tokens = indices(
            batch.flatMap(() => keywords),
            [batch.length, keywords.length],
          );
          return toFloat64Array(softCoverage(oneHot(batch, 200), tokens));
        });
        for (const [b, ids] of batch.entries()) {
          const hard = containsKeywords(ids, keywords);
          for (const [k, value] of hard.entries()) expect(soft[b * keywords.length + k]).toBeCloseTo(value, 9);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("cozyrag 23: expected length", () => {
    fc.assert(
      fc.property(answers, fc.integer({ min: 0, max: VOCABULARY - 1 }), (batch, eos) => {
        const soft = scope(() => toFloat64Array(expectedLength(oneHot(batch, 200), eos)));
        for (const [b, ids] of batch.entries()) expect(soft[b]).toBeCloseTo(countLength(ids, eos), 9);
      }),
      { numRuns: 60 },
    );
  });

  it("hard counts by hand", () => {
    expect(countRepeats([1, 2, 1, 2, 1], 2)).toBe(2);
    expect(countRepeats([1, 1, 1, 1], 3)).toBe(1);
    expect(countRepeats([1, 2], 3)).toBe(0);
    expect(countRepeats([12, 3, 1, 23], 2)).toBe(0);
    expect(countRepeats(Int32Array.of(5, 5), 1)).toBe(1);
    expect(countCoverage([4, 5], [5, 9], [1, 3])).toBe(0.25);
    expect(countCoverage([4, 5], [], [])).toBe(1);
    expect(countLength([3, 0, 4], 0)).toBe(1);
    expect(countLength([3, 4], 0)).toBe(2);
    expect(leastTokens(4, 2)).toBe(2);
    expect(shareCapped(4, [1, 5, 4, 3])).toBe(0.5);
    expect(leastLengthForRepeat(3)).toBe(4);
  });
});

/** Largest absolute gradient on the logits, for a loss of the distribution of `batch` at a logit gap. */
function steepest(batch: number[][], gap: number, dtype: "f32" | "f64", loss: (distribution: AnswerDistribution) => Tensor): number {
  return scope(() => {
    const longest = Math.max(...batch.map((ids) => ids.length));
    const values = new Float64Array(batch.length * longest * VOCABULARY);
    for (const [b, ids] of batch.entries()) for (const [t, id] of ids.entries()) values[(b * longest + t) * VOCABULARY + id] = gap;
    const logits = fromBytes(values, "f64", [batch.length, longest, VOCABULARY]).toDtype(dtype).setRequiresGrad();
    const value = loss(answerDistribution(logits, indices(batch.map((ids) => ids.length))));
    return gradients([value], [logits])[0]!.abs().amax().item();
  });
}

describe("gradients where the penalty is at its worst", () => {
  const repeating = [[2, 2, 2, 2, 2, 2]];

  it("cozyrag 20: the linear form's gradient dies, the log form's doesn't", () => {
    const linear = steepest(repeating, 12, "f64", (distribution) => softRepeats(distribution, 2).sum());
    const log = steepest(repeating, 12, "f64", (distribution) => ngramRepeat(distribution, 2).sum);
    expect(linear).toBeLessThan(1e-3);
    expect(log).toBeGreaterThan(0.1);
  });

  for (const gap of [12, 20, 40, 60]) {
    it(`cozyrag 20: a logit gap of ${gap} leaves the n-gram gradient alive in fp32, equal to float64's`, () => {
      const half = steepest(repeating, gap, "f32", (distribution) => ngramRepeat(distribution, 3).sum);
      const full = steepest(repeating, gap, "f64", (distribution) => ngramRepeat(distribution, 3).sum);
      expect(full).toBeGreaterThan(0.1);
      expect(Math.abs(half - full) / full).toBeLessThan(1e-4);
    });

    it(`cozyrag 22: a logit gap of ${gap} leaves the keyword gradients alive in fp32`, () => {
      const keywords = { tokens_BK: indices([2], [1, 1]), weights_BK: ops.ones([1, 1], "f32") };
      const missing = { ...keywords, tokens_BK: indices([5], [1, 1]) };
      expect(steepest(repeating, gap, "f32", (distribution) => keywordOverlap(distribution, keywords).sum)).toBeGreaterThan(0.1);
      expect(steepest(repeating, gap, "f32", (distribution) => keywordCoverage(distribution, missing).sum)).toBeGreaterThan(0.1);
    });
  }

  it("is finite, and zero at most, when the model is certain beyond fp32", () => {
    const keywords = { tokens_BK: indices([2, 5], [1, 2]), weights_BK: ops.ones([1, 2], "f32") };
    for (const loss of [
      (d: AnswerDistribution): Tensor => ngramRepeat(d, 2).sum,
      (d: AnswerDistribution): Tensor => keywordOverlap(d, keywords).sum,
      (d: AnswerDistribution): Tensor => keywordCoverage(d, keywords).sum,
      (d: AnswerDistribution): Tensor => shortAnswer(d, 2, ops.ones([1], "f32")).sum,
    ]) {
      expect(Number.isFinite(steepest(repeating, 500, "f32", loss))).toBe(true);
    }
  });

  it("cozyrag 22: coverage pulls a keyword up, overlap pushes it down", () => {
    const slope = (
      loss: (distribution: AnswerDistribution, keywords: { tokens_BK: Tensor; weights_BK: Tensor }) => { sum: Tensor },
    ): number =>
      scope(() => {
        const logits = fromBytes(normals(4, 3 * VOCABULARY), "f64", [1, 3, VOCABULARY]).setRequiresGrad();
        const keywords = { tokens_BK: indices([0], [1, 1]), weights_BK: ops.ones([1, 1], "f64") };
        const { sum } = loss(answerDistribution(logits, indices([3])), keywords);
        return toFloat64Array(gradients([sum], [logits])[0]!.select(2, 0).sum())[0]!;
      });
    // Token 0 is "!" in GPT-2's vocabulary: a token like any other.
    expect(slope(keywordCoverage)).toBeLessThan(0);
    expect(slope(keywordOverlap)).toBeGreaterThan(0);
  });

  it("cozyrag 23: a too short answer is pulled away from EOS at its first positions", () => {
    scope(() => {
      const logits = fromBytes(normals(8, 4 * VOCABULARY), "f64", [1, 4, VOCABULARY]).setRequiresGrad();
      const { sum } = shortAnswer(answerDistribution(logits, indices([4])), 1, fromBytes(Float64Array.of(4), "f64", [1]));
      const slope = toFloat64Array(gradients([sum], [logits])[0]!.select(2, 1));
      for (const value of slope) expect(value).toBeGreaterThan(0);
    });
  });
});

describe("only the answer's positions count", () => {
  it("cozyrag 21: what stands at padding changes neither value nor gradient, NaN included", () => {
    const [answersB, positions] = [2, 5];
    const lengths = [5, 3];
    const values = normals(12, answersB * positions * VOCABULARY);
    const keywords = { tokens_BK: indices([1, 2], [2, 1]), weights_BK: ops.ones([2, 1], "f64") };
    const run = (padding: number): Float64Array =>
      scope(() => {
        const filled = values.slice();
        filled.fill(padding, (positions + lengths[1]!) * VOCABULARY);
        const logits = fromBytes(filled, "f64", [answersB, positions, VOCABULARY]).setRequiresGrad();
        const distribution = answerDistribution(logits, indices(lengths), 0.7);
        const sum = ngramRepeat(distribution, 2)
          .sum.add(keywordCoverage(distribution, keywords).sum)
          .add(keywordOverlap(distribution, keywords).sum)
          .add(shortAnswer(distribution, 0, ops.full([2], 3, "f64")).sum);
        const gradient = toFloat64Array(gradients([sum], [logits])[0]!);
        expect([...gradient.slice((positions + lengths[1]!) * VOCABULARY)].every((value) => value === 0)).toBe(true);
        return Float64Array.of(sum.item(), ...gradient);
      });
    expect(run(NaN)).toEqual(run(0));
    expect(run(50)).toEqual(run(0));
  });

  it("cozyrag 21: a tail of EOS after the answer adds nothing", () => {
    const eos = 0;
    const short = scope(() => noGrad(() => ngramRepeat(oneHot([[3, 4, eos]], 8), 1).sum.item()));
    const padded = scope(() =>
      noGrad(() => {
        const tail = oneHot([[3, 4, eos, eos, eos, eos, eos, eos]], 8);
        return ngramRepeat(answerDistribution(tail.p_BTV.log(), indices([3])), 1).sum.item();
      }),
    );
    expect(padded).toBeCloseTo(short, 9);
  });

  it("answers shorter than n + 1 tokens give 0 and a gradient of 0, not an error", () => {
    for (const n of [3, 4, 9]) {
      scope(() => {
        const logits = fromBytes(normals(2, 3 * VOCABULARY), "f64", [1, 3, VOCABULARY]).setRequiresGrad();
        const { sum, count } = ngramRepeat(answerDistribution(logits, indices([3])), n);
        expect([sum.item(), count]).toEqual([0, 1]);
        expect(gradients([sum], [logits])[0]!.abs().amax().item()).toBe(0);
      });
    }
  });

  it("refuses n-grams of no tokens", () => {
    expect(() => scope(() => ngramRepeat(oneHot([[1, 2]], 5), 0))).toThrow(RangeError);
  });
});
