/**
 * Proves the penalties on written answers: values and gradients are the reference's (float64, 1e-9) in both modes and for unlikelihood on sequences, gradients are those that central differences find at held answers, and over
 * all answers of a tiny model the sequence mode's expected gradient is the exact one of the expected count; how the two other modes lean against it is printed.
 * Alone: npx vitest run test/training/penalty-modes.test.ts
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, gradients, indices, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { Gpt2, gpt2Config } from "../../src/nn/gpt2.js";
import { answerPositions } from "../../src/training/answer-positions.js";
import { answerCrossEntropy } from "../../src/training/losses/answer-cross-entropy.js";
import { answerCosts, countOverused, type AnswerCost, type WrittenAnswer } from "../../src/training/penalties/answer-costs.js";
import { drawAnswers } from "../../src/training/penalties/drawn-answers.js";
import type { PenaltyOptions } from "../../src/training/penalties/penalty-options.js";
import { leaveOneOut, sequenceSurrogate } from "../../src/training/penalties/sequence.js";
import { repeatedPositions, sequenceUnlikelihood } from "../../src/training/penalties/sequence-unlikelihood.js";
import { straightThrough } from "../../src/training/penalties/straight-through.js";
import { teacherForcedTerms } from "../../src/training/penalties/teacher-forced.js";
import { expectGradient, normals, relativeError, valueAndGradients, type Array64 } from "./central-differences.js";
import { array64 } from "./loss-goldens.js";

beforeAll(() => setThreads(1));

interface Case {
  readonly value: number;
  readonly gradient: number[][];
}

const cases = JSON.parse(readFileSync(path.join(import.meta.dirname, "../fixtures/penalties/cases.json"), "utf8")) as {
  readonly eos: number;
  readonly answers: number[][];
  readonly gold: number[][];
  readonly keywords: number[][];
  readonly weights: number[][];
  readonly temperature: number;
  readonly penalty_temperature: number;
  readonly n: number;
  readonly min_tokens: number;
  readonly label_smoothing_epsilon: number;
  readonly logits: number[][];
  readonly straight_through: Readonly<Record<string, Case>>;
  readonly sequence: Readonly<Record<string, Case>>;
  readonly sequence_unlikelihood: Case;
  readonly label_smoothing: Case;
};

const written = cases.answers.map((ids, i): WrittenAnswer & { row: number } => ({
  ids: Int32Array.from(ids),
  gold: Int32Array.from(cases.gold[i]!),
  keywords: { ids: Int32Array.from(cases.keywords[i]!), weights: Float64Array.from(cases.weights[i]!) },
  row: cases.answers.slice(0, i).flat().length,
}));
const logits = (): Array64 => array64(cases.logits);

function optionsOf(n: number, least: number, direction: "coverage" | "overlap"): PenaltyOptions {
  return {
    ngramRepeat: { n, weight: 1 },
    keyword: { direction, weight: 1 },
    shortAnswer: { minTokens: least, weight: 1 },
    unlikelihood: { weight: 1 },
  };
}

/** The five costs of the reference. */
function costsOf(n = cases.n, least = cases.min_tokens, eos = cases.eos): AnswerCost[] {
  const [both, other] = [answerCosts(optionsOf(n, least, "coverage"), eos), answerCosts(optionsOf(n, least, "overlap"), eos)];
  return [...both, ...other.filter(({ name }) => name === "keyword_overlap")];
}

const costNamed = (name: string): AnswerCost => costsOf().find((cost) => cost.name === name)!;
const NAMES = ["ngram_repeat", "keyword_coverage", "keyword_overlap", "short_answer", "unlikelihood"];

function expectCase(found: { value: number; gradients: Float64Array[] }, golden: Case): void {
  expect(Math.abs(found.value - golden.value)).toBeLessThan(1e-9 * Math.abs(golden.value));
  expect(relativeError(found.gradients[0]!, array64(golden.gradient).values)).toBeLessThan(1e-9);
}

/** Mean count of the reference's answers with the straight-through gradient. */
function straightTerm(z: Tensor, cost: AnswerCost): Tensor {
  const n = written.length;
  const leaning = written.map((answer) => ({
    row: answer.row,
    slopes: cost.slopes(answer).map((own) => ({ ...own, slope: own.slope / n })),
  }));
  return straightThrough(z, leaning, cases.penalty_temperature)!.add(written.reduce((sum, answer) => sum + cost.cost(answer), 0) / n);
}

function sequenceTerm(z: Tensor, cost: AnswerCost): Tensor {
  const costs = written.map(cost.cost);
  const weights = leaveOneOut(costs);
  const counted = written.map(({ row, ids }, i) => ({ row, ids, weight: weights[i]! }));
  return sequenceSurrogate(z, counted, cases.temperature)!.add(costs.reduce((sum, own) => sum + own, 0) / costs.length);
}

describe("against the reference, values and gradients", () => {
  it.each(NAMES)("straight-through %s", (name) => {
    expectCase(
      valueAndGradients([logits()], (z) => straightTerm(z, costNamed(name))),
      cases.straight_through[name]!,
    );
  });

  it.each(NAMES)("sequence %s", (name) => {
    expectCase(
      valueAndGradients([logits()], (z) => sequenceTerm(z, costNamed(name))),
      cases.sequence[name]!,
    );
  });

  it("unlikelihood on sequences, and central differences", () => {
    const loss = (z: Tensor): Tensor => sequenceUnlikelihood(z, written, cases.n, cases.penalty_temperature)!.div(cases.logits.length);
    expectCase(valueAndGradients([logits()], loss), cases.sequence_unlikelihood);
    expectGradient([logits()], loss);
  });

  it("label smoothing", () => {
    const targets = cases.answers.flat();
    const found = valueAndGradients([logits()], (z) =>
      answerCrossEntropy(z, indices(targets), cases.label_smoothing_epsilon).sum.div(targets.length),
    );
    expectCase(found, cases.label_smoothing);
  });
});

describe("central differences at held answers", () => {
  it.each(NAMES)("straight-through %s: the gradient of Σ ∂F/∂e · P", (name) => {
    const slopes = written.flatMap((answer) =>
      costNamed(name)
        .slopes(answer)
        .map(({ position, token, slope }) => ({ row: answer.row + position, token, slope })),
    );
    const plain = (z: Tensor): Tensor => {
      const p = z.softmax(-1);
      const parts = slopes.map(({ row, token, slope }) => p.select(0, row).select(0, token).mul(slope));
      return parts.reduce((sum, part) => sum.add(part));
    };
    expectGradient([logits()], plain);
    const leaning = written.map((answer) => ({ row: answer.row, slopes: costNamed(name).slopes(answer) }));
    const [ours, theirs] = [(z: Tensor): Tensor => straightThrough(z, leaning)!, plain].map(
      (loss) => valueAndGradients([logits()], loss).gradients[0]!,
    );
    expect(relativeError(ours!, theirs!)).toBeLessThan(1e-12);
  });

  it("sequence: the gradient of Σ w log p(y), and a value of 0", () => {
    const counted = written.map(({ row, ids }, i) => ({ row, ids, weight: [0.5, -1, 0.25, 0][i]! }));
    const plain = (z: Tensor): Tensor => {
      const log = z.div(0.7).logSoftmax(-1);
      const parts = counted.flatMap(({ row, ids, weight }) =>
        [...ids].map((id, t) =>
          log
            .select(0, row + t)
            .select(0, id)
            .mul(weight),
        ),
      );
      return parts.reduce((sum, part) => sum.add(part));
    };
    expectGradient([logits()], plain);
    const found = valueAndGradients([logits()], (z) => sequenceSurrogate(z, counted, 0.7)!);
    expect(found.value).toBe(0);
    expect(relativeError(found.gradients[0]!, valueAndGradients([logits()], plain).gradients[0]!)).toBeLessThan(1e-12);
  });
});

describe("counts and their edges", () => {
  it("by hand", () => {
    expect(repeatedPositions(Int32Array.of(3, 4, 3, 4, 5), 2)).toEqual([2, 3]);
    expect(repeatedPositions(Int32Array.of(6, 6, 6), 2)).toEqual([1, 2]);
    expect(repeatedPositions(Int32Array.of(1, 2, 3), 2)).toEqual([]);
    expect(repeatedPositions(Int32Array.of(1), 2)).toEqual([]);
    expect(() => repeatedPositions(Int32Array.of(1), 0)).toThrow(RangeError);
    expect(countOverused(Int32Array.of(5, 5, 5), Int32Array.of())).toBe(2);
    expect(countOverused(Int32Array.of(5, 5, 5), Int32Array.of(5, 5))).toBe(1);
    expect(leaveOneOut([1, 3])).toEqual([-1, 1]);
    expect(leaveOneOut([2, 2, 2])).toEqual([0, 0, 0]);
    expect(() => leaveOneOut([1])).toThrow(/at least 2 answers, got 1/);
    const [none] = answerCosts({ keyword: { weight: 1, direction: "coverage" } }, 0);
    const empty = { ids: Int32Array.of(1, 0), gold: Int32Array.of(1), keywords: { ids: new Int32Array(), weights: new Float64Array() } };
    expect([none!.cost(empty), none!.slopes(empty)]).toEqual([0, []]);
  });

  it("nothing to do makes no graph", () => {
    scope(() => {
      const z = fromBytes(normals(1, 6), "f64", [2, 3]);
      expect(sequenceUnlikelihood(z, [{ row: 0, ids: Int32Array.of(1, 0) }], 1)).toBeUndefined();
      expect(straightThrough(z, [{ row: 0, slopes: [] }])).toBeUndefined();
      expect(sequenceSurrogate(z, [{ row: 0, ids: Int32Array.of(1, 0), weight: 0 }])).toBeUndefined();
    });
  });

  it("a third mention leans in the straight-through form as a second does, where the product form wouldn't", () => {
    const [cost] = answerCosts({ ngramRepeat: { n: 1, weight: 1 } }, 0);
    const ids = Int32Array.of(3, 3, 3);
    const third = cost!.slopes({ ...written[0]!, ids }).find(({ position, token }) => position === 2 && token === 3);
    expect(third?.slope).toBe(1);
  });

  it("unlikelihood on sequences keeps its gradient at a logit gap of 60 in f32, where straight-through's is gone", () => {
    scope(() => {
      const z = fromBytes(Float32Array.of(60, 0, 0, 60, 0, 0), "f32", [2, 3]).setRequiresGrad();
      const twice = { row: 0, ids: Int32Array.of(0, 0) };
      const [slope] = gradients([sequenceUnlikelihood(z, [twice], 1)!], [z]);
      expect(slope!.abs().amax().item()).toBeGreaterThan(0.4);
      const through = straightThrough(z, [{ row: 0, slopes: [{ position: 1, token: 0, slope: 1 }] }])!;
      expect(gradients([through], [z])[0]!.abs().amax().item()).toBeLessThan(1e-20);
    });
  });
});

const V = 4;
const EOS = 0;
const LONGEST = 3;
const PROMPT = Int32Array.of(1, 3);

/** Every answer that can be drawn: tokens other than EOS, then EOS, or LONGEST tokens without one. */
function allAnswers(before: number[] = []): Int32Array[] {
  if (before.length === LONGEST) return [Int32Array.from(before)];
  const longer = Array.from({ length: V - 1 }, (_, i) => allAnswers([...before, i + 1]));
  return [Int32Array.from([...before, EOS]), ...longer.flat()];
}

describe("over all answers of a tiny model", () => {
  const config = gpt2Config({
    vocabSize: V,
    nPositions: 8,
    nEmbd: 8,
    nLayer: 1,
    nHead: 2,
    nInner: 16,
    residPdrop: 0,
    embdPdrop: 0,
    attnPdrop: 0,
  });
  const model = Gpt2.initialise(config, 7, { dtype: "f64", std: 0.5 });
  const parameters = [...model.parameters.values()];
  const answers = allAnswers();
  const gold = Int32Array.of(2, 1);
  const keywords = { ids: Int32Array.of(2, 3), weights: Float64Array.of(0.75, 0.25) };
  const judged = answers.map((ids) => ({ ids, gold, keywords }));
  afterAll(() => parameters.forEach((parameter) => parameter.dispose()));

  /** Logits of every answer's positions, answer by answer. */
  function logitsOf(texts: readonly Int32Array[]): { z: Tensor; rows: number[] } {
    const start = PROMPT.length;
    const prompts = texts.map((ids) => ({ ids: Int32Array.from([...PROMPT, ...ids]), answers: [{ start, end: start + ids.length }] }));
    const positions = answerPositions(prompts);
    const hidden = model.forward({ ids_BT: indices(positions.ids_BT, [positions.prompts, positions.width]) });
    const rows = positions.lengths.map((_, i) => positions.lengths.slice(0, i).reduce((sum, length) => sum + length, 0));
    return { z: model.logitsAt(hidden, indices(positions.rows_N)), rows };
  }

  function gradientBy(loss: (z: Tensor, rows: number[]) => Tensor, texts: readonly Int32Array[] = answers): Float64Array {
    return scope(() => {
      const { z, rows } = logitsOf(texts);
      const found = gradients([loss(z, rows)], parameters);
      return Float64Array.from(
        found.flatMap((gradient, i) =>
          gradient === undefined ? Array<number>(parameters[i]!.numel).fill(0) : [...toFloat64Array(gradient)],
        ),
      );
    });
  }

  const likelihoods = (z: Tensor, rows: number[], temperature: number): Tensor[] => {
    const log = z.div(temperature).logSoftmax(-1);
    return answers.map((ids, i) => [...ids].map((id, t) => log.select(0, rows[i]! + t).select(0, id)).reduce((sum, part) => sum.add(part)));
  };
  const probabilities = (temperature: number): number[] =>
    scope(() => {
      const { z, rows } = logitsOf(answers);
      return likelihoods(z, rows, temperature).map((log) => Math.exp(log.item()));
    });
  /** ∇ Σ_y p(y) c(y). */
  const exact = (cost: AnswerCost, temperature: number): Float64Array =>
    gradientBy((z, rows) =>
      likelihoods(z, rows, temperature)
        .map((log, i) => log.exp().mul(cost.cost(judged[i]!)))
        .reduce((sum, part) => sum.add(part)),
    );
  /** What the surrogate's weights are for each answer, expected over every n answers that can be drawn. */
  function expectedWeights(costs: readonly number[], p: readonly number[], n: number): number[] {
    const weights = costs.map(() => 0);
    const visit = (tuple: number[], chance: number): void => {
      if (tuple.length < n) {
        for (let y = 0; y < p.length; y += 1) visit([...tuple, y], chance * p[y]!);
        return;
      }
      const own = leaveOneOut(tuple.map((y) => costs[y]!));
      for (const [i, y] of tuple.entries()) weights[y]! += chance * own[i]!;
    };
    visit([], 1);
    return weights;
  }
  const sequenceExpected = (cost: AnswerCost, temperature: number, n: number): Float64Array => {
    const weights = expectedWeights(judged.map(cost.cost), probabilities(temperature), n);
    return gradientBy((z, rows) =>
      sequenceSurrogate(
        z,
        answers.map((ids, i) => ({ ids, row: rows[i]!, weight: weights[i]! })),
        temperature,
      )!,
    );
  };
  const straightExpected = (cost: AnswerCost): Float64Array => {
    const p = probabilities(1);
    return gradientBy((z, rows) =>
      straightThrough(
        z,
        judged.map((answer, i) => ({ row: rows[i]!, slopes: cost.slopes(answer).map((own) => ({ ...own, slope: own.slope * p[i]! })) })),
      )!,
    );
  };
  const cosine = (a: Float64Array, b: Float64Array): number => {
    const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  const costs = costsOf(1, 2, EOS);

  it("are forty, and their probabilities add up to 1", () => {
    expect(answers).toHaveLength(40);
    for (const temperature of [1, 0.6]) expect(probabilities(temperature).reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 12);
  });

  it.each(costs.map((cost) => [cost.name, cost] as const))(
    "sequence %s: the expected estimate is the exact gradient, for pairs and triples",
    (_, cost) => {
      expect(relativeError(sequenceExpected(cost, 1, 2), exact(cost, 1))).toBeLessThan(1e-10);
      expect(relativeError(sequenceExpected(cost, 1, 3), exact(cost, 1))).toBeLessThan(1e-10);
      expect(relativeError(sequenceExpected(cost, 0.6, 2), exact(cost, 0.6))).toBeLessThan(1e-10);
      // What is drawn at another temperature is another expectation.
      expect(relativeError(sequenceExpected(cost, 0.6, 2), exact(cost, 1))).toBeGreaterThan(1e-3);
    },
  );

  it("prints how the other modes lean against the exact gradient", () => {
    const lines = costs.map((cost) => {
      const truth = exact(cost, 1);
      const forced = gradientBy(
        (z) => {
          const name = cost.name === "keyword_overlap" ? "overlap" : "coverage";
          const answersOf = { logits_NV: z, lengths: [3], targets_N: Int32Array.from([...gold, EOS]), keywords: [keywords], eosId: EOS };
          return teacherForcedTerms(optionsOf(1, 2, name), answersOf)[cost.name]!.sum as Tensor;
        },
        [Int32Array.from([...gold, EOS])],
      );
      const found = { straight: cosine(straightExpected(cost), truth), forced: cosine(forced, truth) };
      expect(Number.isFinite(found.straight) && Number.isFinite(found.forced)).toBe(true);
      return `${cost.name}: cosine with the exact gradient: straight_through ${found.straight.toFixed(3)}, teacher_forced ${found.forced.toFixed(3)}`;
    });
    process.stdout.write(`${lines.join("\n")}\n`);
  });

  it("answers are drawn with their probabilities, at any temperature", () => {
    for (const temperature of [1, 0.6]) {
      const p = probabilities(temperature);
      const asked = Array.from({ length: 3000 }, (_, example) => ({ example, ids: PROMPT }));
      const drawn = scope(() =>
        drawAnswers({ model, eosId: EOS, seed: 5, answers: 2, temperature, maxNewTokens: LONGEST, greedy: false }, asked, 9),
      );
      const counts = new Map<string, number>();
      for (const text of drawn.flatMap((own) => own.drawn)) counts.set(text.join(" "), (counts.get(text.join(" ")) ?? 0) + 1);
      const total = 2 * asked.length;
      expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBe(total);
      for (const [i, ids] of answers.entries()) {
        const expected = total * p[i]!;
        expect(Math.abs((counts.get(ids.join(" ")) ?? 0) - expected), ids.join(" ")).toBeLessThan(
          4.5 * Math.sqrt(expected * (1 - p[i]!)) + 2,
        );
      }
    }
  });
});

describe("straight-through where its reasons to err are absent", () => {
  it("is unbiased for a count that is linear in each row, of positions that don't depend on each other", () => {
    const free: Array64 = { values: normals(21, 3 * V), shape: [3, V] };
    const keywords = { ids: Int32Array.of(2, 3), weights: Float64Array.of(0.75, 0.25) };
    const texts = Array.from({ length: V ** 3 }, (_, i) => Int32Array.of(Math.floor(i / V ** 2), Math.floor(i / V) % V, i % V));
    for (const direction of ["coverage", "overlap"] as const) {
      const [cost] = answerCosts({ keyword: { weight: 1, direction } }, -1);
      const judged = texts.map((ids) => ({ ids, gold: new Int32Array(), keywords }));
      const chance = (z: Tensor, ids: Int32Array): Tensor =>
        [...ids].map((id, t) => z.softmax(-1).select(0, t).select(0, id)).reduce((product, p) => product.mul(p));
      const exact = valueAndGradients([free], (z) =>
        judged.map((own) => chance(z, own.ids).mul(cost!.cost(own))).reduce((sum, part) => sum.add(part)),
      );
      const p = scope(() => texts.map((ids) => chance(fromBytes(free.values, "f64", free.shape), ids).item()));
      const through = valueAndGradients([free], (z) =>
        straightThrough(
          z,
          judged.map((own, i) => ({ row: 0, slopes: cost!.slopes(own).map((slope) => ({ ...slope, slope: slope.slope * p[i]! })) })),
        )!,
      );
      expect(relativeError(through.gradients[0]!, exact.gradients[0]!)).toBeLessThan(1e-12);
    }
  });
});
