/**
 * Proves that each loss and penalty has the reference's value and gradient (float64, 1e-9 relative), and that its gradient is the one central
 * differences find. Run alone: npx vitest run test/training/losses.test.ts
 */
import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, gradients, indices, ops, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { answerCrossEntropy } from "../../src/training/losses/answer-cross-entropy.js";
import { infoNce } from "../../src/training/losses/info-nce.js";
import { answerDistribution } from "../../src/training/penalties/answer-distribution.js";
import { keywordCoverage, type KeywordTensors } from "../../src/training/penalties/keyword-coverage.js";
import { keywordOverlap } from "../../src/training/penalties/keyword-overlap.js";
import { ngramRepeat } from "../../src/training/penalties/ngram-repeat.js";
import { shortAnswer } from "../../src/training/penalties/short-answer.js";
import { array64, lossGoldens, type GoldenCase } from "./loss-goldens.js";
import { expectGradient, normals, relativeError, valueAndGradients, type Array64 } from "./central-differences.js";

const goldens = lossGoldens();

function golden(name: string): GoldenCase {
  const found = goldens.cases[name];
  if (found === undefined) throw new Error(`no golden case ${name}`);
  return found;
}

function expectGolden(name: string, loss: (...tensors: Tensor[]) => Tensor): void {
  const { inputs, value, grads } = golden(name);
  const names = Object.keys(inputs);
  const found = valueAndGradients(
    names.map((input) => array64(inputs[input])),
    loss,
  );
  expect(Math.abs(found.value - value) / Math.abs(value)).toBeLessThan(1e-9);
  for (const [index, input] of names.entries()) {
    expect(relativeError(found.gradients[index]!, array64(grads[input]).values)).toBeLessThan(1e-9);
  }
  expectGradient(
    names.map((input) => array64(inputs[input])),
    loss,
  );
}

const mean = ({ sum, count }: { sum: Tensor; count: number }): Tensor => sum.div(count);
const unit = (x: Tensor): Tensor => x.div(x.linalgVectorNorm(2, [1], true).clampMin(1e-12));
const lengthsOf = (name: string): Tensor => indices(golden(name)["lengths"] as number[]);

function keywordsOf(name: string): KeywordTensors {
  const keywords = golden(name)["keywords"] as number[][];
  const weights = golden(name)["weights"] as number[][];
  const most = Math.max(...keywords.map((list) => list.length));
  const padded = (rows: number[][]): number[] => rows.flatMap((row) => [...row, ...new Array<number>(most - row.length).fill(0)]);
  const shape = [keywords.length, most];
  return { tokens_BK: indices(padded(keywords), shape), weights_BK: fromBytes(Float64Array.from(padded(weights)), "f64", shape) };
}

describe("losses against the reference, values and gradients", () => {
  it("info-nce", () => {
    expectGolden("info_nce", (query, passage) => mean(infoNce(unit(query), unit(passage), { temperature: goldens.temperature })));
  });

  it("cozyrag 20: n-gram repetition has a value and a gradient", () => {
    const n = golden("ngram_repeat")["n"] as number;
    expectGolden("ngram_repeat", (logits) => mean(ngramRepeat(answerDistribution(logits, lengthsOf("ngram_repeat")), n)));
  });

  it("cozyrag 22: keyword coverage", () => {
    expectGolden("keyword_coverage", (logits) =>
      mean(keywordCoverage(answerDistribution(logits, lengthsOf("keyword_coverage")), keywordsOf("keyword_coverage"))),
    );
  });

  it("cozyrag 22: keyword overlap", () => {
    expectGolden("keyword_overlap", (logits) =>
      mean(keywordOverlap(answerDistribution(logits, lengthsOf("keyword_overlap")), keywordsOf("keyword_overlap"))),
    );
  });

  it("cozyrag 23: short answer", () => {
    const { eos, min_tokens: least } = golden("short_answer") as unknown as { eos: number; min_tokens: number[] };
    expectGolden("short_answer", (logits) => {
      const distribution = answerDistribution(logits, lengthsOf("short_answer"));
      return mean(shortAnswer(distribution, eos, fromBytes(Float64Array.from(least), "f64", [least.length])));
    });
  });
});

describe("answer cross-entropy", () => {
  const logits: Array64 = { values: normals(3, 5 * 7), shape: [5, 7] };
  const targets = [0, 3, 6, 3, 1];

  it("cozyrag 18: is the sum of −log p of the answer's tokens, with its count", () => {
    const rows = [...targets].map((target, n) => {
      const row = logits.values.slice(n * 7, n * 7 + 7);
      return Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0)) - row[target]!;
    });
    const found = scope(() => {
      const term = answerCrossEntropy(fromBytes(logits.values, "f64", logits.shape), indices(targets));
      return { sum: term.sum.item(), count: term.count };
    });
    expect(found.count).toBe(5);
    expect(found.sum).toBeCloseTo(
      rows.reduce((sum, row) => sum + row, 0),
      10,
    );
    expectGradient([logits], (z) => answerCrossEntropy(z, indices(targets)).sum);
  });

  it("label smoothing spreads ε over the vocabulary", () => {
    const smoothing = 0.1;
    let expected = 0;
    for (const [n, target] of targets.entries()) {
      const row = logits.values.slice(n * 7, n * 7 + 7);
      const normaliser = Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0));
      expected += (1 - smoothing) * (normaliser - row[target]!);
      for (const z of row) expected += (smoothing / 7) * (normaliser - z);
    }
    const found = scope(() => answerCrossEntropy(fromBytes(logits.values, "f64", logits.shape), indices(targets), smoothing).sum.item());
    expect(found).toBeCloseTo(expected, 10);
    expectGradient([logits], (z) => answerCrossEntropy(z, indices(targets), smoothing).sum);
  });

  it("runs in fp32 when the logits are bf16", () => {
    scope(() => {
      const half = fromBytes(logits.values, "f64", logits.shape).toDtype("bf16").setRequiresGrad();
      const { sum } = answerCrossEntropy(half, indices(targets));
      expect(sum.dtype).toBe("f32");
      const exact = answerCrossEntropy(half.detach().toDtype("f64"), indices(targets)).sum.item();
      expect(Math.abs(sum.item() - exact) / exact).toBeLessThan(1e-6);
      expect(gradients([sum], [half])[0]?.dtype).toBe("bf16");
    });
  });

  it("refuses a target outside the vocabulary without ending the process", () => {
    expect(() => scope(() => answerCrossEntropy(ops.zeros([1, 3], "f32"), indices([3])).sum.item())).toThrow(/out of bounds/);
  });
});

describe("info-nce with hard negatives and false negatives masked", () => {
  const questions = 3;
  const passages = 5;
  const width = 4;
  const query: Array64 = { values: normals(5, questions * width), shape: [questions, width] };
  const passage: Array64 = { values: normals(6, passages * width), shape: [passages, width] };
  const positives = [1, 4, 1];
  // Row 1 must not push passage 0 away. Row 2's own positive is named too: a positive is never masked.
  const masked = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0];
  const temperature = 0.3;

  /** The loss by its formula, in plain float64. */
  function plain(symmetric: boolean): number {
    const score = (i: number, j: number): number => {
      let dot = 0;
      for (let d = 0; d < width; d += 1) dot += query.values[i * width + d]! * passage.values[j * width + d]!;
      return dot / temperature;
    };
    let forward = 0;
    let backward = 0;
    for (let i = 0; i < questions; i += 1) {
      let all = 0;
      for (let j = 0; j < passages; j += 1) {
        if (j === positives[i] || masked[i * passages + j] === 0) all += Math.exp(score(i, j));
      }
      forward += Math.log(all) - score(i, positives[i]!);
      let back = 0;
      for (let j = 0; j < questions; j += 1) {
        const sharing = positives[j] === positives[i] || masked[j * passages + positives[i]!] === 1;
        if (j === i || !sharing) back += Math.exp(score(j, positives[i]!));
      }
      backward += Math.log(back) - score(i, positives[i]!);
    }
    return symmetric ? (forward + backward) / 2 : forward;
  }

  for (const symmetric of [false, true]) {
    it(`cozyrag 24: equals the formula, ${symmetric ? "both directions" : "one direction"}`, () => {
      const loss = (q: Tensor, p: Tensor): Tensor =>
        infoNce(q, p, {
          temperature,
          symmetric,
          positives_Q: indices(positives),
          masked_QP: indices(masked, [questions, passages]).ne(0),
        }).sum;
      const found = valueAndGradients([query, passage], loss);
      expect(Math.abs(found.value - plain(symmetric))).toBeLessThan(1e-12);
      expectGradient([query, passage], loss);
    });
  }

  it("cozyrag 24: a masked passage gets no gradient from the row that masks it", () => {
    const loss = (q: Tensor, p: Tensor): Tensor =>
      infoNce(q.narrow(0, 1, 1), p, {
        temperature,
        positives_Q: indices([4]),
        masked_QP: indices(masked, [questions, passages]).ne(0).narrow(0, 1, 1),
      }).sum;
    const [, gradient] = valueAndGradients([query, passage], loss).gradients;
    expect([...gradient!.slice(0, width)].every((value) => value === 0)).toBe(true);
    expect([...gradient!.slice(width, 2 * width)].some((value) => value !== 0)).toBe(true);
  });

  it("cozyrag 25: one question with one passage gives loss 0 and gradient 0, so batches of one are useless", () => {
    const found = valueAndGradients(
      [
        { values: query.values.slice(0, width), shape: [1, width] },
        { values: passage.values.slice(0, width), shape: [1, width] },
      ],
      (q, p) => infoNce(q, p, { temperature, symmetric: true }).sum,
    );
    expect(found.value).toBe(0);
    expect(found.gradients.flatMap((gradient) => [...gradient]).every((value) => value === 0)).toBe(true);
  });

  it("has the closed-form gradient (softmax − 1)/(B τ) on the scores", () => {
    scope(() => {
      // Unit vectors as passages make the queries' elements the scores themselves.
      const scores = fromBytes(normals(9, 16), "f64", [4, 4]).setRequiresGrad();
      const { sum, count } = infoNce(scores, ops.eye(4, "f64"), { temperature });
      const found = toFloat64Array(gradients([sum.div(count)], [scores])[0]!);
      const expected = noGrad(() =>
        toFloat64Array(
          scores
            .div(temperature)
            .softmax(1)
            .sub(ops.eye(4, "f64"))
            .div(4 * temperature),
        ),
      );
      expect(relativeError(found, expected)).toBeLessThan(1e-12);
    });
  });
});
