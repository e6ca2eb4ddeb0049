/**
 * Proves that each loss and penalty has the reference's value and gradient (float64, 1e-9 relative), and that its gradient is the one central
 * differences find. Run alone: npx vitest run test/training/losses.test.ts
 */
import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, gradients, indices, ops, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { answerCrossEntropy } from "../../src/training/losses/answer-cross-entropy.js";
import { emdr2 } from "../../src/training/losses/emdr2.js";
import { infoNce } from "../../src/training/losses/info-nce.js";
import { matryoshka } from "../../src/training/losses/matryoshka.js";
import { pdist } from "../../src/training/losses/pdist.js";
import { ragSequence } from "../../src/training/losses/rag-sequence.js";
import { ragToken } from "../../src/training/losses/rag-token.js";
import { unlikelihood } from "../../src/training/penalties/unlikelihood.js";
import { answerDistribution } from "../../src/training/penalties/answer-distribution.js";
import { keywordCoverage, type KeywordTensors } from "../../src/training/penalties/keyword-coverage.js";
import { keywordOverlap } from "../../src/training/penalties/keyword-overlap.js";
import { ngramRepeat } from "../../src/training/penalties/ngram-repeat.js";
import { shortAnswer } from "../../src/training/penalties/short-answer.js";
import { array64, expectCase, lossGoldens, type GoldenCase } from "./loss-goldens.js";
import { expectGradient, normals, relativeError, valueAndGradients, type Array64 } from "./central-differences.js";

const goldens = lossGoldens();

function golden(name: string): GoldenCase {
  const found = goldens.cases[name];
  if (found === undefined) throw new Error(`no golden case ${name}`);
  return found;
}

function expectGolden(name: string, loss: (...tensors: Tensor[]) => Tensor): void {
  expectCase(golden(name), loss);
}

/** As {@link expectGolden} for a loss that lets no gradient through to the reader: the reference has none there either. */
function expectGoldenScores(name: string, loss: (scores: Tensor, likelihood: Tensor) => Tensor): void {
  const { inputs, value, grads } = golden(name);
  const [scores, likelihood] = [array64(inputs["scores"]), array64(inputs["log_likelihood"])];
  const fixed = (): Tensor => fromBytes(likelihood.values, "f64", likelihood.shape);
  const found = valueAndGradients([scores], (s) => loss(s, fixed()));
  expect(Math.abs(found.value - value) / Math.abs(value)).toBeLessThan(1e-9);
  expect(relativeError(found.gradients[0]!, array64(grads["scores"]).values)).toBeLessThan(1e-9);
  expect(grads["log_likelihood"]).toBeNull();
  expectGradient([scores], (s) => loss(s, fixed()));
  scope(() => {
    const [s, l] = [scores, likelihood].map((array) => fromBytes(array.values, "f64", array.shape).setRequiresGrad(true));
    expect(gradients([loss(s!, l!)], [l!])[0]).toBeUndefined();
  });
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

  it("matryoshka", () => {
    const { dims, weights } = golden("matryoshka_info_nce") as unknown as { dims: number[]; weights: number[] };
    const nested = dims.map((dimensions, m) => ({ dimensions, weight: weights[m]! }));
    expectGolden("matryoshka_info_nce", (query, passage) => mean(matryoshka(query, passage, { temperature: goldens.temperature, nested })));
  });

  it("pdist", () => {
    const options = { temperature: goldens.temperature, readerTemperature: goldens.generator_temperature };
    expectGoldenScores("pdist", (scores, likelihood) => mean(pdist(scores, likelihood, options)));
  });

  it("emdr2", () => {
    expectGoldenScores("emdr2", (scores, likelihood) => mean(emdr2(scores, likelihood, goldens.temperature)));
  });

  it("rag-sequence", () => {
    expectGolden("rag_sequence", (scores, likelihood) => mean(ragSequence(scores, likelihood, goldens.temperature)));
  });

  it("rag-token", () => {
    expectGolden("rag_token", (scores, likelihood) => mean(ragToken(scores, likelihood, goldens.temperature)));
  });

  it("unlikelihood", () => {
    const { targets, lengths } = golden("unlikelihood") as unknown as { targets: number[][]; lengths: number[] };
    const answers = targets.map((row, b) => row.slice(0, lengths[b]));
    expectGolden("unlikelihood", (logits) => mean(unlikelihood(answerDistribution(logits, lengthsOf("unlikelihood")), answers)));
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

describe("reader to retriever", () => {
  const scores: Array64 = { values: normals(11, 12).map((value) => value * 0.3), shape: [3, 4] };
  const likelihood: Array64 = { values: normals(12, 12).map((value) => -5 * Math.abs(value)), shape: [3, 4] };
  const temperature = 0.2;

  it("pdist has the closed-form gradient (r − p)/τ, whatever K is, and nothing to teach where r = p", () => {
    for (const k of [2, 4]) {
      scope(() => {
        const s = fromBytes(scores.values.slice(0, 3 * k), "f64", [3, k]).setRequiresGrad(true);
        const l = fromBytes(likelihood.values.slice(0, 3 * k), "f64", [3, k]);
        const found = toFloat64Array(gradients([pdist(s, l, { temperature, readerTemperature: 0.5 }).sum], [s])[0]!);
        const expected = noGrad(() => toFloat64Array(s.div(temperature).softmax(1).sub(l.div(0.5).softmax(1)).div(temperature)));
        expect(relativeError(found, expected)).toBeLessThan(1e-12);
        const taught = pdist(l.mul(temperature / 0.5), l, { temperature, readerTemperature: 0.5 });
        expect(Math.abs(taught.sum.item())).toBeLessThan(1e-12);
      });
    }
  });

  it("emdr2 has rag-sequence's value, and its gradient on the scores alone", () => {
    const sequence = valueAndGradients([scores, likelihood], (s, l) => ragSequence(s, l, temperature).sum);
    const emdr = valueAndGradients([scores], (s) => emdr2(s, fromBytes(likelihood.values, "f64", likelihood.shape), temperature).sum);
    expect(emdr.value).toBe(sequence.value);
    expect([...emdr.gradients[0]!]).toEqual([...sequence.gradients[0]!]);
  });

  it("rag-token with one token an answer is rag-sequence", () => {
    const token = valueAndGradients([scores, likelihood], (s, l) => ragToken(s, l.unsqueeze(2), temperature).sum);
    const sequence = valueAndGradients([scores, likelihood], (s, l) => ragSequence(s, l, temperature).sum);
    expect(Math.abs(token.value - sequence.value)).toBeLessThan(1e-12);
    expect(relativeError(token.gradients[0]!, sequence.gradients[0]!)).toBeLessThan(1e-12);
  });

  it("rag-token counts no place behind an answer's end", () => {
    const tokens: Array64 = { values: normals(13, 24).map((value) => -Math.abs(value)), shape: [2, 4, 3] };
    const few: Array64 = { values: scores.values.slice(0, 8), shape: [2, 4] };
    const real = [1, 1, 1, 1, 0, 0];
    const masked = (s: Tensor, l: Tensor): Tensor => ragToken(s, l, temperature, indices(real, [2, 3]).ne(0)).sum;
    const alone = (s: Tensor, l: Tensor): Tensor =>
      ragToken(s.narrow(0, 0, 1), l.narrow(0, 0, 1), temperature).sum.add(
        ragToken(s.narrow(0, 1, 1), l.narrow(0, 1, 1).narrow(2, 0, 1), temperature).sum,
      );
    const [with_, without] = [masked, alone].map((loss) => valueAndGradients([few, tokens], loss));
    expect(Math.abs(with_!.value - without!.value)).toBeLessThan(1e-12);
    for (const input of [0, 1]) expect(relativeError(with_!.gradients[input]!, without!.gradients[input]!)).toBeLessThan(1e-12);
  });

  it("refuses one passage a question, which gives the retriever no gradient", () => {
    const one = (loss: (s: Tensor, l: Tensor) => unknown) => () =>
      scope(() => loss(ops.zeros([3, 1], "f64").setRequiresGrad(true), ops.zeros([3, 1], "f64")));
    for (const loss of [
      one((s, l) => pdist(s, l, { temperature })),
      one((s, l) => emdr2(s, l, temperature)),
      one((s, l) => ragSequence(s, l, temperature)),
      one((s, l) => ragToken(s, l.unsqueeze(2), temperature)),
    ])
      expect(loss).toThrow(/no gradient; expected at least 2 passages, got 1/);
  });

  it("keeps a gradient where log-likelihoods lie thousands of nats apart", () => {
    const far: Array64 = { values: Float64Array.from([-5000, -1, -9000, -2]), shape: [2, 2] };
    const near: Array64 = { values: Float64Array.from([0.9, 0.1, 0.2, 0.3]), shape: [2, 2] };
    for (const loss of [
      (s: Tensor): Tensor => pdist(s, fromBytes(far.values, "f64", far.shape), { temperature }).sum,
      (s: Tensor): Tensor => emdr2(s, fromBytes(far.values, "f64", far.shape), temperature).sum,
    ]) {
      const { value, gradients: found } = valueAndGradients([near], loss);
      expect(Number.isFinite(value)).toBe(true);
      expect(found[0]!.every((entry) => Number.isFinite(entry) && entry !== 0)).toBe(true);
    }
  });
});

describe("unlikelihood where the model is sure", () => {
  it("keeps its gradient at a logit gap of 40, and is 0 for an answer that repeats nothing it could have repeated", () => {
    const logits: Array64 = { values: Float64Array.from([0, 0, 0, 40, 0, 0]), shape: [1, 2, 3] };
    const loss = (z: Tensor): Tensor => unlikelihood(answerDistribution(z, indices([2])), [[0, 1]]).sum;
    const found = valueAndGradients([logits], loss);
    expect(found.value).toBeCloseTo(40 - Math.log(2), 9);
    expect(Math.abs(found.gradients[0]![3]! - 1)).toBeLessThan(1e-9);
    const single = valueAndGradients(
      [{ values: logits.values.slice(0, 3), shape: [1, 1, 3] }],
      (z) => unlikelihood(answerDistribution(z, indices([1])), [[2]]).sum,
    );
    expect(single.value).toBeCloseTo(0, 12);
  });
});
