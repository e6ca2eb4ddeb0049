/**
 * Proves that the contrastive phase's gradient doesn't depend on how its batch is cut (GradCache), that positives are gold passages and no batch has one twice, that other right answers are masked, and that batches are pure.
 * Run alone: npx vitest run test/training/contrastive-phase.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import type { Tensor } from "../../src/engine/tensor.js";
import { parameterGroups } from "../../src/training/optimiser.js";
import { totalLoss } from "../../src/training/loss-terms.js";
import { contrastivePhase } from "../../src/training/phases/contrastive.js";
import { relativeError } from "./central-differences.js";
import { run, slopeAt } from "./phase-step.js";
import { CONTRASTIVE, tinyContrastive, tinyEncoder } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

function encoder(dropout = 0, dtype: "f32" | "f64" = "f64"): ReturnType<typeof tinyEncoder> {
  const made = tinyEncoder(dropout, dtype);
  owned.push(made);
  return made;
}

describe("the contrastive phase", () => {
  it("cozyrag 25: GradCache's gradient is the whole batch's, for any number of parts", () => {
    const of = encoder();
    const whole = run(contrastivePhase(tinyContrastive(of)));
    for (const parts of [2, 3, 99]) {
      const cut = run(contrastivePhase(tinyContrastive(of, { accumulate: parts })));
      expect(relativeError(cut.gradient, whole.gradient)).toBeLessThan(1e-10);
      expect(cut.loss).toBeCloseTo(whole.loss, 10);
    }
  });

  it("cozyrag 29: trains with dropout, the same in both of GradCache's passes", () => {
    const of = encoder(0.2);
    const phase = contrastivePhase(tinyContrastive(of, { accumulate: 3 }));
    const { gradient, loss } = run(phase);
    expect(run(phase)).toEqual({ gradient, loss, terms: expect.anything() as unknown });
    expect(run(contrastivePhase(tinyContrastive(of, { dropout: false }))).loss).not.toBeCloseTo(loss, 6);
    // The gradient is the loss's own: were the second pass's masks others, it would not be.
    const batch = phase.batch(0);
    const [name, parameter] = [...of.parameters].find(([key]) => key.endsWith("embeddings.LayerNorm.weight"))!;
    const before = [...of.parameters.keys()].slice(0, [...of.parameters.keys()].indexOf(name));
    const offset = before.reduce((sum, key) => sum + of.parameters.get(key)!.numel, 0);
    const slope = slopeAt(parameter, 3, () => scope(() => totalLoss(phase.losses(batch))));
    expect(Math.abs(slope - gradient[offset + 3]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)));
  });

  it("cozyrag 24: positives are gold passages, each once in a batch; another question's is masked where it holds the answer", () => {
    const phase = contrastivePhase(
      tinyContrastive(encoder(), {
        batch: 8,
        questions: [...CONTRASTIVE.slice(0, 7), { question: "Salt?", answers: ["salt", "lake"], positives: [2] }],
      }),
    );
    const asked: number[] = [];
    for (let step = 0; step < 20; step += 1) {
      const batch = phase.batch(step);
      const columns = batch.passages.length;
      expect(new Set(batch.positives_Q).size).toBe(batch.queries.length);
      expect(new Set(batch.passages.map(({ example }) => example)).size).toBe(columns);
      const rows = batch.passages.map((passage) => passage.example - 2 ** 31);
      for (const [q, { example }] of batch.queries.entries()) {
        asked.push(example);
        expect(rows[batch.positives_Q[q]!]).toBe(example === 7 ? 2 : CONTRASTIVE[example]!.positives[0]);
        // Only the question about salt has an answer ("lake") in another passage, Dogwood's.
        const maskedRows = rows.filter((_, p) => batch.masked_QP[q * columns + p] === 1);
        expect(maskedRows).toEqual(example === 7 ? rows.filter((row) => row === 3) : []);
      }
    }
    expect(new Set(asked).size).toBe(8);
  });

  it("cozyrag 24: questions with several gold passages draw no passage twice in a batch, and each of theirs in time", () => {
    const shared = [
      { question: "What is Alder?", answers: [], positives: [0, 1] },
      { question: "Who made Alder?", answers: [], positives: [1, 0, 2] },
      { question: "Where is Alder?", answers: [], positives: [0, 1] },
      { question: "What is Cedar?", answers: [], positives: [2, 3] },
      { question: "What is Dogwood?", answers: [], positives: [3, 2] },
    ];
    const of = encoder();
    for (const batches of ["mixed", "document", "passage", "document-passages"] as const) {
      const phase = contrastivePhase(tinyContrastive(of, { questions: shared, batch: 4, batches }));
      const drawn = shared.map(() => new Set<number>());
      for (let step = 0; step < 60; step += 1) {
        const batch = phase.batch(step);
        const positives = [...batch.positives_Q].map((p) => batch.passages[p]!.example - 2 ** 31);
        batch.queries.forEach(({ example }, q) => drawn[example]!.add(positives[q]!));
        if (batches === "mixed" || batches === "document")
          expect(new Set(positives).size, `${batches}, step ${step}`).toBe(positives.length);
      }
      shared.forEach(({ positives }, i) => expect([...drawn[i]!].toSorted()).toEqual(positives.toSorted()));
    }
  });

  it("symmetric, Matryoshka, hard negatives and dropout together give one gradient, whole and in parts", () => {
    const of = encoder(0.1);
    const all = {
      matryoshka: [4, 8],
      hardNegatives: 1,
      negativesOf: (): number[] => [0, 1, 2, 3],
      symmetric: true,
      dropout: true,
      batch: 2,
    };
    const whole = run(contrastivePhase(tinyContrastive(of, all)));
    for (const accumulate of [2, 99]) {
      const cut = run(contrastivePhase(tinyContrastive(of, { ...all, accumulate })));
      expect(relativeError(cut.gradient, whole.gradient)).toBeLessThan(1e-10);
      expect(cut.loss).toBeCloseTo(whole.loss, 10);
    }
    // Each of them changes the loss.
    for (const without of [{ matryoshka: [] }, { hardNegatives: 0 }, { symmetric: false }, { dropout: false }])
      expect(run(contrastivePhase(tinyContrastive(of, { ...all, ...without }))).loss).not.toBeCloseTo(whole.loss, 6);
  });

  it("a question that two people asked is in a batch once, and neither's passage is the other's negative", () => {
    const twice = [
      { question: "What is Alder?", answers: [], positives: [0] },
      { question: "what is ALDER ?", answers: [], positives: [1] },
      { question: "What is Cedar?", answers: [], positives: [2] },
      { question: "What is Dogwood?", answers: [], positives: [3] },
    ];
    const of = encoder();
    const phase = contrastivePhase(tinyContrastive(of, { questions: twice, batch: 2, hardNegatives: 2, negativesOf: () => [0, 1] }));
    for (let step = 0; step < 12; step++) {
      const batch = phase.batch(step);
      const asked = batch.queries.map(({ example }) => example);
      expect(asked.filter((example) => example < 2).length).toBeLessThan(2);
      const rows = batch.passages.map(({ example }) => example - 2 ** 31);
      asked.forEach((example, q) => {
        if (example > 1) return;
        const other = rows.indexOf(1 - example);
        if (other >= 0) expect(batch.masked_QP[q * rows.length + other]).toBe(1);
      });
    }
  });

  it("with sampling: top takes the best-ranked negatives in every batch", () => {
    const of = encoder();
    const many = { hardNegatives: 1, negativesOf: (): number[] => [3, 1, 2], questions: CONTRASTIVE.slice(0, 4), batch: 4 };
    const rowsAt = (sampling: "top" | "random", step: number): number[] => {
      const batch = contrastivePhase(tinyContrastive(of, { ...many, sampling })).batch(step);
      return batch.passages.map(({ example }) => example - 2 ** 31).sort();
    };
    for (const step of [0, 1, 2, 3]) expect(rowsAt("top", step)).toEqual([0, 1, 3]);
    expect([0, 1, 2, 3, 4, 5].some((step) => rowsAt("random", step).includes(2))).toBe(true);
  });

  it("batches are pure and draw hard negatives anew each step", () => {
    const of = encoder();
    const many = { hardNegatives: 1, negativesOf: (): number[] => [0, 1, 2, 3] };
    const first = contrastivePhase(tinyContrastive(of, many));
    const later = contrastivePhase(tinyContrastive(of, many));
    const seen = [0, 1, 2, 3].map((step) => first.batch(step));
    expect([3, 0].map((step) => later.batch(step))).toEqual([seen[3], seen[0]]);
  });

  it("cozyrag 41: under bf16 autocast the loss is fp32, in parts and whole", () => {
    const of = encoder(0, "f32");
    const full = run(contrastivePhase(tinyContrastive(of))).loss;
    for (const accumulate of [1, 3]) {
      const phase = contrastivePhase(tinyContrastive(of, { precision: "bf16", accumulate }));
      const half = run(phase);
      expect(Math.abs(half.loss / full - 1)).toBeLessThan(0.05);
      expect(half.gradient.every(Number.isFinite)).toBe(true);
      scope(() => expect((phase.losses(phase.batch(0))["contrastive"]!.sum as Tensor).dtype).toBe("f32"));
    }
  });

  it("learns to rank, and leaves no tensor behind", () => {
    const of = encoder();
    const phase = contrastivePhase(tinyContrastive(of, { accumulate: 2, batch: 8 }));
    const optimiser = new AdamW(parameterGroups(phase.parameters, 0));
    owned.push(optimiser);
    const losses: number[] = [];
    let before = 0;
    for (let step = 0; step < 40; step += 1) {
      losses.push(
        scope(() => {
          optimiser.zeroGrad();
          const terms = phase.step(phase.batch(step));
          optimiser.step(5e-3);
          return totalLoss(terms);
        }),
      );
      if (step === 5) before = liveTensors().tensors;
    }
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 3);
    expect(liveTensors().tensors).toBe(before);
  });

  it("refuses a question without a positive, naming it", () => {
    const questions = [...CONTRASTIVE, { question: "Nobody knows?", answers: ["x"], positives: [] }];
    expect(() => contrastivePhase(tinyContrastive(encoder(), { questions }))).toThrow(/question 9 has no passage.*Nobody knows/);
  });
});
