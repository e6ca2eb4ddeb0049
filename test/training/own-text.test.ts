/**
 * Proves that penalties on the model's own text work in a generator phase: answers are a function of seed, step and example whatever stands beside them, gradients don't depend on how a batch is cut, the audit sees every term in
 * every mode and refuses CoZyRAG's argmax forms, which are made here and change no gradient.
 * Alone: npx vitest run test/training/own-text.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { gradients, indices, ops, toFloat64Array, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { decodeGreedy } from "../../src/generation/greedy.js";
import { answerPositions } from "../../src/training/answer-positions.js";
import { auditGradients, auditTable } from "../../src/training/gradient-audit.js";
import { drawAnswers, type DrawingParts } from "../../src/training/penalties/drawn-answers.js";
import type { PenaltyMode, PenaltyOptions } from "../../src/training/penalties/penalty-options.js";
import { totalLoss, type LossTerms } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { WHOLE } from "../../src/training/share.js";
import { generatorPhase, type GeneratorBatch, type GeneratorPhaseOptions } from "../../src/training/phases/generator.js";
import { relativeError } from "./central-differences.js";
import { run, slopeAt } from "./phase-step.js";
import { EOS, gradientOf, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

function gpt2(dropout = 0): ReturnType<typeof tinyGpt2> {
  const model = tinyGpt2(dropout);
  owned.push(...model.parameters.values());
  return model;
}

/** Every penalty; a low temperature makes an untrained model repeat itself. */
function penaltiesOf(mode: PenaltyMode, change: Partial<PenaltyOptions> = {}): PenaltyOptions {
  return {
    mode,
    drawing: { answers: 3, temperature: 0.3, maxNewTokens: 7 },
    ngramRepeat: { n: 1, weight: 0.3 },
    keyword: { direction: "coverage", weight: 0.2 },
    shortAnswer: { minTokens: 30, weight: 0.1 },
    unlikelihood: { weight: 0.2 },
    sequenceUnlikelihood: { n: 1, weight: 0.4, decoding: "sampled" },
    ...change,
  };
}

const phaseOf = (model: ReturnType<typeof gpt2>, mode: PenaltyMode, change: Partial<GeneratorPhaseOptions> = {}): Phase<GeneratorBatch> =>
  generatorPhase(tinyGenerator(model, { copyWeight: 0, penalties: penaltiesOf(mode), ...change }));

const prompts = Array.from({ length: 6 }, (_, example) => ({
  example,
  ids: Int32Array.from({ length: 4 + 3 * example }, (__, i) => 1 + ((7 * i + example) % 800)),
}));

const drawing = (model: ReturnType<typeof gpt2>, change: Partial<DrawingParts> = {}): DrawingParts => ({
  model,
  eosId: EOS,
  seed: 3,
  answers: 3,
  temperature: 1,
  maxNewTokens: 6,
  greedy: true,
  ...change,
});

describe("drawn answers", () => {
  it("are the same alone, in a batch and in another order, and the first of four are those of two", () => {
    const model = gpt2();
    scope(() => {
      const whole = drawAnswers(drawing(model), prompts, 4);
      for (const [i, prompt] of prompts.entries()) expect(drawAnswers(drawing(model), [prompt], 4)).toEqual([whole[i]]);
      expect(drawAnswers(drawing(model), prompts.toReversed(), 4)).toEqual(whole.toReversed());
      const fewer = drawAnswers(drawing(model, { answers: 2, greedy: false }), prompts, 4);
      expect(fewer.map(({ drawn }) => drawn)).toEqual(whole.map(({ drawn }) => drawn.slice(0, 2)));
    });
  });

  it("differ by seed, step, example and number", () => {
    const model = gpt2();
    scope(() => {
      const [first] = drawAnswers(drawing(model), prompts, 4);
      expect(drawAnswers(drawing(model), prompts, 5)[0]!.drawn).not.toEqual(first!.drawn);
      expect(drawAnswers(drawing(model, { seed: 4 }), prompts, 4)[0]!.drawn).not.toEqual(first!.drawn);
      expect(drawAnswers(drawing(model), [{ ...prompts[0]!, example: 9 }], 4)[0]!.drawn).not.toEqual(first!.drawn);
      expect(first!.drawn[0]).not.toEqual(first!.drawn[1]);
    });
  });

  it("hold the greedy answer where it is wanted, with its EOS if it ends", async () => {
    const model = gpt2();
    const greedy = await decodeGreedy(
      model,
      prompts.map(({ ids }) => ids),
      { maxNewTokens: 6, eosId: EOS },
    );
    const drawn = scope(() => drawAnswers(drawing(model), prompts, 0));
    for (const [i, tokens] of greedy.entries()) expect([...drawn[i]!.greedy!]).toEqual(tokens.length < 6 ? [...tokens, EOS] : [...tokens]);
    expect(scope(() => drawAnswers(drawing(model, { answers: 0 }), prompts, 0)).map((own) => own.drawn)).toEqual(prompts.map(() => []));
  });

  it("take the room that their own prompt leaves, whatever the longest of the batch is, and none where there is none", () => {
    const model = gpt2();
    const long = { example: 7, ids: Int32Array.from({ length: 157 }, (_, i) => 1 + (i % 800)) };
    const full = { example: 8, ids: Int32Array.from({ length: 160 }, (_, i) => 1 + (i % 800)) };
    scope(() => {
      const drawn = drawAnswers(drawing(model), [...prompts, long, full], 4);
      expect(drawn.slice(0, prompts.length)).toEqual(drawAnswers(drawing(model), prompts, 4));
      for (const text of drawn[prompts.length]!.drawn) expect(text.length).toBeLessThanOrEqual(3);
      expect(drawn.at(-1)).toEqual({ drawn: [], greedy: undefined });
    });
  });
});

const MODES = ["teacher_forced", "straight_through", "sequence"] as const;

describe.each(MODES)("mode %s", (mode) => {
  it("has the same gradient and terms for any accumulation, and for workers that sum theirs", () => {
    const model = gpt2(0.1);
    const whole = run(phaseOf(model, mode));
    expect(Object.keys(whole.terms)).toEqual([
      "answer",
      ...(mode === "teacher_forced" ? ["ngram_repeat", "keyword_coverage", "short_answer", "unlikelihood", "answer_in_context"] : []),
      ...(mode === "teacher_forced" ? [] : ["answer_in_context", "ngram_repeat", "keyword_coverage", "short_answer", "unlikelihood"]),
      "sequence_unlikelihood",
      "drawn_tokens",
    ]);
    for (const parts of [2, 5, 99]) {
      const cut = run(phaseOf(model, mode, { accumulate: parts }));
      expect(relativeError(cut.gradient, whole.gradient)).toBeLessThan(1e-11);
      for (const [name, [sum, count]] of Object.entries(whole.terms)) {
        expect(cut.terms[name]![0], name).toBeCloseTo(sum!, 8);
        expect(cut.terms[name]![1], name).toBe(count);
      }
    }
    const phase = phaseOf(model, mode);
    const batch = phase.batch(0);
    const halves = [batch.members.slice(0, 2), batch.members.slice(2)].map((members) => ({ ...batch, members }));
    const counts = Object.fromEntries(Object.entries(whole.terms).map(([name, [, count]]) => [name, count!]));
    zeroGrads(model.parameters.values());
    scope(() => {
      for (const half of halves) phase.step(half, { ...WHOLE, counts: () => counts });
      expect(relativeError(gradientOf(model.parameters), whole.gradient)).toBeLessThan(1e-11);
    });
    zeroGrads(model.parameters.values());
  });

  it("says the same every time at a step, another thing at another, and leaves no tensor", () => {
    const model = gpt2(0.1);
    const phase = phaseOf(model, mode);
    const first = run(phase, 1);
    const before = liveTensors().tensors;
    expect(run(phase, 1)).toEqual(first);
    expect(liveTensors().tensors).toBe(before);
    expect(relativeError(run(phase, 2).gradient, first.gradient)).toBeGreaterThan(1e-3);
    scope(() => expect(totalLoss(phase.losses(phase.batch(1)))).toBeCloseTo(first.loss, 9));
  });

  it("leaves label smoothing to the cross-entropy: no other term feels it", () => {
    const model = gpt2();
    const [plain, smoothed] = [0, 0.1].map((labelSmoothing) => run(phaseOf(model, mode, { labelSmoothing })));
    for (const [name, values] of Object.entries(plain!.terms))
      if (name === "answer") expect(smoothed!.terms[name]![0]).not.toBeCloseTo(values[0]!, 3);
      else expect(smoothed!.terms[name]).toEqual(values);
    const parts = run(phaseOf(model, mode, { labelSmoothing: 0.1, accumulate: 3 }));
    expect(relativeError(parts.gradient, smoothed!.gradient)).toBeLessThan(1e-11);
    expect(relativeError(smoothed!.gradient, plain!.gradient)).toBeGreaterThan(1e-6);
  });

  it("passes the audit with every term, its mode in the table", () => {
    const rows = auditGradients(phaseOf(gpt2(), mode), { batches: 4 });
    const alive = new Set(rows.filter(({ status }) => status === "alive").map(({ term }) => term));
    for (const term of ["answer", "ngram_repeat", "unlikelihood", "sequence_unlikelihood"]) expect(alive, term).toContain(term);
    // An untrained model draws no keyword and never ends: all answers cost the same, and the table says so.
    if (mode === "sequence") {
      const inactive = rows.filter(({ status }) => status === "inactive");
      expect(inactive.length).toBeGreaterThan(0);
      expect(rows.filter(({ status }) => status !== "alive")).toEqual(inactive);
      for (const { reason } of inactive) expect(reason).toMatch(/cost the same/);
    } else expect(rows.every(({ status }) => status === "alive")).toBe(true);
    expect(auditTable(rows)).toContain(`generator/ngram_repeat (${mode}): `);
  });

  it("refuses CoZyRAG's argmax forms, which leave the gradient as it was", () => {
    const model = gpt2();
    const plain = generatorPhase(tinyGenerator(model, { copyWeight: 0, penalties: {} }));
    const without = run(plain).gradient;
    for (const form of Object.keys(ARGMAX_FORMS)) {
      const phase = withArgmaxForm(plain, model, form, mode);
      expect(() => auditGradients(phase, { batches: 2 })).toThrow(new RegExp(`${form} has no gradient on wte\\.weight`));
      const with_ = scope(() => {
        const terms = Object.values(phase.losses(phase.batch(0))).filter(({ weight }) => weight > 0);
        expect(terms).toHaveLength(2);
        const total = terms.map(({ sum, count, weight }) => (sum as Tensor).mul(weight / count)).reduce((all, term) => all.add(term));
        const found = gradients([total], [...model.parameters.values()]);
        return Float64Array.from(found.flatMap((gradient) => [...toFloat64Array(gradient!)]));
      });
      expect(relativeError(with_, without)).toBeLessThan(1e-13);
    }
  });
});

describe("a generator phase that looks at what it writes", () => {
  it("unlikelihood on sequences has the gradient that central differences find through the whole model", () => {
    const model = gpt2();
    const penalties: PenaltyOptions = {
      drawing: { answers: 1, temperature: 1, maxNewTokens: 7 },
      sequenceUnlikelihood: { n: 1, weight: 5, temperature: 0.8, decoding: "greedy" },
    };
    const phase = phaseOf(model, "teacher_forced", { penalties });
    const batch = phase.batch(0);
    const { gradient, terms } = run(phase);
    expect(terms["sequence_unlikelihood"]![0]).toBeGreaterThan(0);
    expect(Object.keys(terms)).not.toContain("drawn_tokens");
    const loss = (): number => scope(() => totalLoss(phase.losses(batch)));
    let offset = 0;
    for (const [name, parameter] of model.parameters) {
      if (/^h\.1\.mlp\.c_fc\.weight$|ln_f\.bias/.test(name)) {
        const at = Math.floor(parameter.numel / 2) - 5;
        expect(Math.abs(slopeAt(parameter, at, loss) - gradient[offset + at]!)).toBeLessThan(
          1e-6 * Math.max(1, Math.abs(gradient[offset + at]!)),
        );
      }
      offset += parameter.numel;
    }
  });

  it("refuses mode sequence with one answer, before a step", () => {
    const penalties = penaltiesOf("sequence", { drawing: { answers: 1, temperature: 1, maxNewTokens: 4 } });
    expect(() => phaseOf(gpt2(), "sequence", { penalties })).toThrow(/train\.penalties\.sampling\.answers: .*at least 2 answers, got 1/);
  });

  it.each(["straight_through", "sequence"] as const)("under bf16 autocast %s draws and reads, and every term is in fp32", (mode) => {
    const model = tinyGpt2(0, "f32");
    owned.push(...model.parameters.values());
    const phase = phaseOf(model, mode, { precision: "bf16" });
    const { gradient } = run(phase);
    expect(gradient.every(Number.isFinite)).toBe(true);
    scope(() => {
      for (const [name, { sum }] of Object.entries(phase.losses(phase.batch(0))))
        if (typeof sum !== "number") expect(sum.dtype, name).toBe("f32");
    });
    expect(run(phase).gradient).toEqual(gradient);
  });

  it("draws nothing where no penalty is on", () => {
    const off = { weight: 0 };
    const penalties = penaltiesOf("sequence", {
      ngramRepeat: { n: 2, ...off },
      keyword: { direction: "coverage", ...off },
      shortAnswer: { minTokens: 2, ...off },
      unlikelihood: off,
      sequenceUnlikelihood: { n: 2, decoding: "greedy", ...off },
    });
    expect(Object.keys(run(phaseOf(gpt2(), "sequence", { penalties })).terms)).toEqual(["answer", "answer_in_context"]);
  });
});

/** CoZyRAG's three penalties: of the likeliest tokens under teacher forcing, counted. */
const ARGMAX_FORMS: Readonly<Record<string, (top_N: Tensor, vocabulary: number) => Tensor>> = {
  ngram_repeat: (top_N) => top_N.unsqueeze(0).eq(top_N.unsqueeze(1)).toDtype("f64").triu(1).sum(),
  keyword_overlap: (top_N, vocabulary) =>
    ops.arange(0, vocabulary, 1, "i64").unsqueeze(0).eq(top_N.unsqueeze(1)).toDtype("f64").amax([0]).sum().rsub(vocabulary),
  short_answer: (top_N) => top_N.ne(EOS).toDtype("f64").sum().rsub(100).clampMin(0),
};

/** The phase with one of them beside its terms. */
function withArgmaxForm(phase: Phase<GeneratorBatch>, model: ReturnType<typeof gpt2>, form: string, mode: string): Phase {
  const term = (batch: GeneratorBatch): LossTerms => {
    const positions = answerPositions(batch.members.map(({ prompt }) => prompt));
    const ids_BT = indices(positions.ids_BT, [positions.prompts, positions.width]);
    const logits_NV = model.logitsAt(model.forward({ ids_BT }), indices(positions.rows_N));
    const sum = ARGMAX_FORMS[form]!(logits_NV.argmax(-1), logits_NV.size(1));
    return { [form]: { sum, count: batch.members.length, weight: 10, mode } };
  };
  return { ...(phase as Phase), losses: (batch) => ({ ...phase.losses(batch as GeneratorBatch), ...term(batch as GeneratorBatch) }) };
}
