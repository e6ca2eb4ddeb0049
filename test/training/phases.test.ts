/**
 * Proves that a phase's gradient doesn't depend on how its batch is cut, that only answers are learned, that batches are pure, and that the audit sees
 * what it should. Run alone: npx vitest run test/training/phases.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import { auditGradients, auditTable, gradientAlarms, inactiveWarnings, termGradientNorms } from "../../src/training/gradient-audit.js";
import { parameterGroups } from "../../src/training/optimiser.js";
import { sumOf, totalLoss, type LossTerms } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { WHOLE } from "../../src/training/share.js";
import { contrastivePhase } from "../../src/training/phases/contrastive.js";
import { generatorPhase, type GeneratorPhaseOptions } from "../../src/training/phases/generator.js";
import { teacherForcedTerms } from "../../src/training/penalties/teacher-forced.js";
import { relativeError } from "./central-differences.js";
import { run, slopeAt } from "./phase-step.js";
import { byteBpe, EOS, gradientOf, tinyContrastive, tinyEncoder, tinyExamples, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

function gpt2(dropout = 0, dtype: "f32" | "f64" = "f64"): ReturnType<typeof tinyGpt2> {
  const model = tinyGpt2(dropout, dtype);
  owned.push(...model.parameters.values());
  return model;
}

function encoder(dropout = 0, dtype: "f32" | "f64" = "f64"): ReturnType<typeof tinyEncoder> {
  const made = tinyEncoder(dropout, dtype);
  owned.push(made);
  return made;
}

describe("the generator phase", () => {
  it("cozyrag 41: the gradient and the terms are the same for any accumulation", () => {
    const model = gpt2();
    const whole = run(generatorPhase(tinyGenerator(model)));
    expect(Object.keys(whole.terms)).toEqual([
      "answer",
      "copy",
      "ngram_repeat",
      "keyword_coverage",
      "short_answer",
      "unlikelihood",
      "answer_in_context",
    ]);
    for (const parts of [2, 3, 5, 99]) {
      const cut = run(generatorPhase(tinyGenerator(model, { accumulate: parts })));
      expect(relativeError(cut.gradient, whole.gradient)).toBeLessThan(1e-12);
      for (const [name, [sum, count]] of Object.entries(whole.terms)) {
        expect(cut.terms[name]![0]).toBeCloseTo(sum!, 9);
        expect(cut.terms[name]![1]).toBe(count);
      }
    }
  });

  it("the gradient is that of Σ weight · sum / count, by central differences", () => {
    const model = gpt2();
    const phase = generatorPhase(tinyGenerator(model));
    const batch = phase.batch(0);
    const { gradient } = run(phase);
    const names = [...model.parameters.keys()];
    const loss = (): number => scope(() => totalLoss(phase.losses(batch)));
    let offset = 0;
    for (const name of names) {
      const parameter = model.parameters.get(name)!;
      if (/^(wte|h\.1\.mlp\.c_fc)\.weight$|ln_f\.bias/.test(name)) {
        const at = Math.floor(parameter.numel / 2) - 5;
        expect(Math.abs(slopeAt(parameter, at, loss) - gradient[offset + at]!)).toBeLessThan(
          1e-6 * Math.max(1, Math.abs(gradient[offset + at]!)),
        );
      }
      offset += parameter.numel;
    }
  });

  it("workers that reduce counts and sum gradients get one process's gradient", () => {
    const model = gpt2();
    const phase = generatorPhase(tinyGenerator(model));
    const whole = run(phase);
    const batch = phase.batch(0);
    const halves = [batch.members.slice(0, 2), batch.members.slice(2)].map((members) => ({ ...batch, members }));
    const counts = Object.fromEntries(Object.entries(whole.terms).map(([name, [, count]]) => [name, count!]));
    zeroGrads(model.parameters.values());
    scope(() => {
      for (const half of halves) phase.step(half, { ...WHOLE, counts: () => counts });
      expect(relativeError(gradientOf(model.parameters), whole.gradient)).toBeLessThan(1e-12);
    });
    zeroGrads(model.parameters.values());
  });

  it("cozyrag 18: the answer term counts the answers' tokens and one EOS each, nothing of prompt or padding", () => {
    const phase = generatorPhase(tinyGenerator(gpt2()));
    const batch = phase.batch(0);
    const tokenizer = byteBpe();
    const expected = batch.members.flatMap(({ asked, prompt }) =>
      asked.questions
        .slice(0, prompt.answers.length)
        .map(({ answer }) => tokenizer.encode(` ${answer}`, { specialTokens: false }).length + 1),
    );
    expect(run(phase).terms["answer"]![1]).toBe(expected.reduce((sum, length) => sum + length, 0));
    for (const { prompt } of batch.members) {
      for (const { start, end } of prompt.answers) expect([...prompt.ids.slice(start, end)].filter((id) => id === EOS)).toHaveLength(1);
    }
  });

  it("batches are a pure function of the step", () => {
    const model = gpt2();
    const first = generatorPhase(tinyGenerator(model));
    const later = generatorPhase(tinyGenerator(model));
    const seen = [0, 1, 2, 3, 4].map((step) => first.batch(step));
    expect([4, 2, 0].map((step) => later.batch(step))).toEqual([seen[4], seen[2], seen[0]]);
    expect(generatorPhase(tinyGenerator(model, { seed: 2 })).batch(0)).not.toEqual(seen[0]);
  });

  it("dropout is a function of seed, step and example", () => {
    const model = gpt2(0.2);
    const phase = generatorPhase(tinyGenerator(model));
    expect(run(phase).gradient).toEqual(run(phase).gradient);
    expect(relativeError(run(phase, 0).gradient, run(phase, 1).gradient)).toBeGreaterThan(1e-3);
    const off = generatorPhase(tinyGenerator(model, { dropout: false }));
    expect(relativeError(run(phase).gradient, run(off).gradient)).toBeGreaterThan(1e-3);
  });

  it("cozyrag 41: under bf16 autocast the model runs in bf16 and every loss in fp32 or better", () => {
    const model = gpt2(0, "f32");
    const logits: Tensor[] = [];
    const dtypes: string[] = [];
    const spied: GeneratorPhaseOptions["model"] = {
      parameters: model.parameters,
      config: model.config,
      forward: (input) => model.forward(input),
      logits: (hidden) => model.logits(hidden),
      logitsAt: (hidden, rows) => {
        const made = model.logitsAt(hidden, rows);
        dtypes.push(made.dtype);
        const copy = made.detach().toDtype("f64").keep();
        owned.push(copy);
        logits.push(copy);
        return made;
      },
    };
    const options = tinyGenerator(model, { model: spied, precision: "bf16", copyWeight: 0 });
    scope(() => {
      const phase = generatorPhase(options);
      const batch = phase.batch(0);
      const terms = phase.losses(batch);
      expect(dtypes).toEqual(["bf16"]);
      const lengths = batch.members.flatMap(({ prompt }) => prompt.answers.map(({ start, end }) => end - start));
      const keywords = batch.members.flatMap((member) => member.keywords);
      const targets_N = Int32Array.from(
        batch.members.flatMap(({ prompt }) => prompt.answers.flatMap(({ start, end }) => [...prompt.ids.slice(start, end)])),
      );
      const exact = teacherForcedTerms(options.penalties!, { logits_NV: logits[0]!, lengths, targets_N, keywords, eosId: EOS });
      for (const [name, term] of Object.entries(exact)) {
        expect(Math.abs(sumOf(terms[name]!) - sumOf(term))).toBeLessThan(1e-5 + 1e-4 * sumOf(term));
        expect((terms[name]!.sum as Tensor).dtype).toBe("f32");
      }
      expect((terms["answer"]!.sum as Tensor).dtype).toBe("f32");
    });
  });

  it("learns its eight questions, and leaves no tensor behind", () => {
    const model = gpt2();
    const phase = generatorPhase(tinyGenerator(model, { penalties: {}, copyWeight: 0, accumulate: 2 }));
    const optimiser = new AdamW(parameterGroups(phase.parameters, 0));
    owned.push(optimiser);
    const losses: number[] = [];
    let before = 0;
    for (let step = 0; step < 60; step += 1) {
      losses.push(
        scope(() => {
          optimiser.zeroGrad();
          const terms = phase.step(phase.batch(step));
          optimiser.step(1e-2);
          return totalLoss(terms);
        }),
      );
      if (step === 5) before = liveTensors().tensors;
    }
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4);
    expect(liveTensors().tensors).toBe(before);
  });

  it("cozyrag 37: measures how many contexts hold the answer", () => {
    const model = gpt2();
    const all = run(generatorPhase(tinyGenerator(model, { batch: 8 })));
    expect(all.terms["answer_in_context"]!.slice(0, 2)).toEqual([8, 8]);
    const missed = tinyExamples({ contexts: () => [1, 3] });
    expect(run(generatorPhase(tinyGenerator(model, { batch: 8, examples: missed }))).terms["answer_in_context"]!.slice(0, 2)).toEqual([
      4, 8,
    ]);
    // Room for a few tokens of the context only: the answers in it are cut off.
    const tight = run(generatorPhase(tinyGenerator(model, { batch: 8, maxTokens: 55 })));
    expect(tight.terms["answer_in_context"]![0]).toBeLessThan(8);
  });

  it("cozyrag 40: prompts longer than the model's positions are refused before training", () => {
    expect(() => generatorPhase(tinyGenerator(gpt2(), { maxTokens: 161 }))).toThrow(/generator\.max_tokens.*at most 160/);
    expect(() => generatorPhase({ ...tinyGenerator(gpt2()), batch: undefined })).toThrow(UserError);
  });
});

describe("the gradient audit", () => {
  it("cozyrag 20: every term reaches every tensor of the generator", () => {
    const rows = auditGradients(generatorPhase(tinyGenerator(gpt2())), { batches: 4 });
    const terms = new Set(rows.map((row) => row.term));
    expect(terms).toEqual(new Set(["answer", "copy", "ngram_repeat", "keyword_coverage", "short_answer", "unlikelihood"]));
    expect(rows.every((row) => row.status === "alive" && row.largest > 0)).toBe(true);
    expect(auditTable(rows)).toMatch(/generator\/ngram_repeat \(teacher_forced\): (\d+) of \1 tensors have a gradient/);
  });

  it("exempts key biases by rule and prints the reason; the rest of the retriever is alive", () => {
    const rows = auditGradients(contrastivePhase(tinyContrastive(encoder())), { batches: 2 });
    const exempt = rows.filter((row) => row.status === "exempt");
    expect(exempt.length).toBe(2);
    for (const row of exempt) expect(row.parameter).toMatch(/key\.bias$/);
    expect(rows.filter((row) => row.status === "alive")).toHaveLength(rows.length - 2);
    expect(auditTable(rows)).toMatch(/exempt: a key bias shifts/);
  });

  it("cozyrag 20: a term without a gradient stops training and is named with its parameter", () => {
    const phase = generatorPhase(tinyGenerator(gpt2()));
    const broken: Phase = {
      ...(phase as Phase),
      losses: (batch): LossTerms => {
        const terms = (phase as Phase).losses(batch);
        const term = terms["ngram_repeat"]!;
        return { ...terms, ngram_repeat: { ...term, sum: (term.sum as Tensor).detach() } };
      },
    };
    const audit = (): unknown => auditGradients(broken, { batches: 2 });
    expect(audit).toThrow(UserError);
    expect(audit).toThrow(/ngram_repeat has no gradient on wte\.weight.*within 2 batches/);
  });

  it("cozyrag 33: a parameter that isn't in the graph is named, unless it is declared frozen", () => {
    const model = gpt2();
    const dead = gpt2();
    const phase = generatorPhase(tinyGenerator(model, { penalties: {}, copyWeight: 0 }));
    const parameters = new Map([...model.parameters, ["ghost.weight", dead.parameters.get("ln_f.weight")!]]);
    const haunted: Phase = { ...(phase as Phase), parameters };
    expect(() => auditGradients(haunted, { batches: 1 })).toThrow(/answer has no gradient on ghost\.weight/);
    const rows = auditGradients(haunted, { batches: 1, frozen: [{ parameter: /^ghost\./, reason: "kept as it was" }] });
    expect(rows.find((row) => row.parameter === "ghost.weight")).toMatchObject({ status: "frozen", reason: "kept as it was" });
  });

  it("answers too short for an n-gram exempt the n-gram term, with the reason", () => {
    const penalties = { ngramRepeat: { n: 40, weight: 1 } };
    const rows = auditGradients(generatorPhase(tinyGenerator(gpt2(), { penalties, copyWeight: 0 })), { batches: 2 });
    const ngram = rows.filter((row) => row.term === "ngram_repeat");
    expect(ngram.length).toBeGreaterThan(0);
    expect(ngram.every((row) => row.status === "inactive" && /no answer has the 41 tokens/.test(row.reason!))).toBe(true);
    expect(inactiveWarnings(rows, 2)).toEqual([
      "gradient audit: generator/ngram_repeat (teacher_forced): inactive in all 2 audited batches: no answer has the 41 tokens that a repeated 40-gram needs; it trains nothing as long as that is so",
    ]);
  });

  it("changes neither gradients nor parameters", () => {
    const model = gpt2();
    const phase = generatorPhase(tinyGenerator(model));
    zeroGrads(model.parameters.values());
    auditGradients(phase, { batches: 1 });
    for (const parameter of model.parameters.values()) expect(parameter.grad).toBeUndefined();
  });

  it("reports each term's gradient norm, and alarms for 0 and for more than the cross-entropy's", () => {
    const penalties = { ngramRepeat: { n: 2, weight: 1e9 }, shortAnswer: { minTokens: 3, weight: 1e-3 } };
    const phase = generatorPhase(tinyGenerator(gpt2(), { penalties, copyWeight: 0 }));
    const norms = termGradientNorms(phase, phase.batch(0));
    expect(norms["answer"]).toBeGreaterThan(0);
    expect(norms["short_answer"]! / norms["answer"]!).toBeLessThan(0.1);
    expect(gradientAlarms(norms, "answer")).toEqual([expect.stringMatching(/^ngram_repeat: .* times answer's/)]);
    expect(gradientAlarms({ answer: 1, copy: 0 }, "answer")).toEqual([expect.stringMatching(/^copy: .*zero/)]);
  });
});
