/**
 * Proves that the reader's judgement reaches the retriever with the right gradient: likelihoods are the reader's own, the gradient doesn't depend on how a step is cut, it is the one central differences find,
 * what isn't trained gets none, and candidates are ranked by the retriever as it is now.
 * Alone: npx vitest run test/training/reader-distillation.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { toFloat64Array, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { buildTrainingPrompts } from "../../src/generation/prompt.js";
import { parameterGroups } from "../../src/training/optimiser.js";
import { sumOf, totalLoss } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import { auditGradients } from "../../src/training/gradient-audit.js";
import { WHOLE } from "../../src/training/share.js";
import { generatorPhase, type GeneratorBatch } from "../../src/training/phases/generator.js";
import { jointPhase } from "../../src/training/phases/joint.js";
import {
  READER_PREFIX,
  readerPhase,
  RETRIEVER_PREFIX,
  type ReaderBatch,
  type ReaderPhaseOptions,
} from "../../src/training/phases/reader-distillation.js";
import { answerLengths, answerLikelihoods } from "../../src/training/phases/reader-likelihood.js";
import { relativeError } from "./central-differences.js";
import { run, slopeAt } from "./phase-step.js";
import { readerOptions } from "./tiny-reader.js";
import { EOS, gradientOf, PASSAGES, QUESTIONS, textOf, tinyEncoder, tinyExamples, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

const LOSSES = ["pdist", "emdr2", "rag_sequence", "rag_token"] as const;

const options = (change: Partial<ReaderPhaseOptions> = {}, dropout = 0): ReaderPhaseOptions => readerOptions(owned, change, dropout);

/** Every model that a phase could train. */
const bothOf = ({ encoder, reader }: ReaderPhaseOptions): Map<string, Tensor> =>
  new Map([
    ...[...encoder.parameters].map(([name, value]) => [RETRIEVER_PREFIX + name, value] as const),
    ...[...reader.model.parameters].map(([name, value]) => [READER_PREFIX + name, value] as const),
  ]);

describe("the reader's likelihoods", () => {
  it("are those that the generator is trained on, end of text included, however the prompts are cut into passes", () => {
    const { reader } = options();
    const asked = [0, 4, 2].map((question) => ({
      passages: [PASSAGES[QUESTIONS[question]!.goldRows[0]!]!],
      questions: [QUESTIONS[question]!],
    }));
    const prompts = buildTrainingPrompts(reader.tokenizer, reader.format, asked, reader.maxTokens, EOS).map((prompt, example) => ({
      prompt,
      example,
    }));
    const at = (tokensAtOnce: number): Float64Array =>
      scope(() =>
        noGrad(() => toFloat64Array(answerLikelihoods({ model: reader.model, seed: 1, dropout: false, tokensAtOnce }, prompts, 0))),
      );
    const whole = at(4096);
    for (const tokens of [1, 120, 200]) expect(relativeError(at(tokens), whole)).toBeLessThan(1e-12);
    const lengths = answerLengths(prompts);
    const longest = Math.max(...lengths);
    for (const [c, length] of lengths.entries()) {
      const row = whole.subarray(c * longest, (c + 1) * longest);
      expect(row.subarray(0, length).every((value) => value < 0)).toBe(true);
      expect(row.subarray(length).every((value) => value === 0)).toBe(true);
    }
    const model = tinyGpt2();
    owned.push(...model.parameters.values());
    const examples = tinyExamples({ questionsPerContext: 1 });
    const phase = generatorPhase(tinyGenerator(model, { examples, penalties: {}, copyWeight: 0, batch: 8 }));
    const batch = phase.batch(0);
    const answers = scope(() => sumOf(phase.losses(batch)["answer"]!));
    const scored = batch.members.map(({ prompt }, example) => ({ prompt, example }));
    const own = scope(() => noGrad(() => answerLikelihoods({ model, seed: 1, dropout: false, tokensAtOnce: 512 }, scored, 0).sum().item()));
    expect(Math.abs(own + answers) / answers).toBeLessThan(1e-12);
  });
});

describe("the reader phase", () => {
  for (const loss of LOSSES) {
    for (const trainsReader of [false, true]) {
      it(`${loss}${trainsReader ? ", both trained" : ""}: the gradient and the terms are the same for any accumulation, re-ranked or not, dropout on`, () => {
        const whole = run(readerPhase(options({ loss, trainsReader }, 0.1)));
        expect(Object.keys(whole.terms)).toEqual([loss, "retrieval_entropy", "reader_agrees"]);
        expect(whole.terms[loss]![1]).toBe(4);
        for (const accumulate of [2, 5]) {
          const cut = run(readerPhase(options({ loss, trainsReader, accumulate, tokensAtOnce: 200 }, 0.1)));
          expect(relativeError(cut.gradient, whole.gradient)).toBeLessThan(1e-10);
          for (const [name, [sum]] of Object.entries(whole.terms)) expect(cut.terms[name]![0]).toBeCloseTo(sum!, 9);
        }
      });
    }

    it(`${loss}: the gradient is the one central differences find, on both models where both are trained`, () => {
      const made = options({ loss, trainsReader: true, normaliseLength: true, readerTemperature: 0.7 });
      const phase = readerPhase(made);
      const batch = phase.batch(0);
      const { gradient } = run(phase);
      const lossAt = (): number => scope(() => totalLoss(phase.losses(batch)));
      let offset = 0;
      let checked = 0;
      for (const [name, parameter] of phase.parameters) {
        if (/layer\.1\.output\.dense\.weight$|word_embeddings|wte\.weight$|h\.1\.mlp\.c_fc\.weight$/.test(name)) {
          const at = largestEntry(gradient.subarray(offset, offset + parameter.numel));
          expect(Math.abs(slopeAt(parameter, at, lossAt) - gradient[offset + at]!)).toBeLessThan(
            1e-6 * Math.max(1, Math.abs(gradient[offset + at]!)),
          );
          expect(gradient[offset + at]).not.toBe(0);
          checked += 1;
        }
        offset += parameter.numel;
      }
      expect(checked).toBe(loss.startsWith("rag") ? 4 : 2);
    });
  }

  it("a teacher isn't trained: pdist and emdr2 never, the RAG losses only in a joint phase", () => {
    for (const loss of LOSSES) {
      const made = options({ loss });
      zeroGrads(bothOf(made).values());
      const phase = readerPhase(made);
      scope(() => phase.step(phase.batch(0)));
      for (const parameter of made.reader.model.parameters.values()) expect(parameter.grad).toBeUndefined();
      expect([...phase.parameters.keys()]).toEqual([...made.encoder.parameters.keys()]);
      zeroGrads(bothOf(made).values());
    }
    const joint = readerPhase(options({ loss: "rag_token", trainsReader: true }));
    expect([...joint.parameters.keys()].some((name) => name.startsWith(READER_PREFIX))).toBe(true);
    expect(
      [...readerPhase(options({ loss: "pdist", trainsReader: true })).parameters.keys()].some((name) => name.startsWith(READER_PREFIX)),
    ).toBe(false);
  });

  it("an encoder of passages alone embeds them, without dropout and untrained, whatever becomes of the questions' encoder", () => {
    const made = options({ trainsPassages: false }, 0.1);
    const frozen = tinyEncoder();
    const phase = readerPhase({ ...made, passageEncoder: frozen });
    const lossNow = (): number => scope(() => totalLoss(phase.losses(phase.batch(0))));
    // The same weights, and none of them with dropout: the passages' side is what a still encoder gives.
    const still = readerPhase({ ...options({ trainsPassages: false }), passageEncoder: tinyEncoder() });
    const alike = readerPhase(options({ trainsPassages: false }));
    const lossOf = (one: typeof phase): number => scope(() => totalLoss(one.losses(one.batch(0))));
    expect(lossOf(still)).toBeCloseTo(lossOf(alike), 12);
    const before = lossNow();
    scope(() => phase.step(phase.batch(0)));
    for (const parameter of frozen.parameters.values()) expect(parameter.grad).toBeUndefined();
    zeroGrads(made.encoder.parameters.values());
    const [weight] = frozen.parameters.values();
    scope(() => noGrad(() => void weight?.add_(weight.sin())));
    expect(lossNow()).not.toBeCloseTo(before, 6);
    expect(() => readerPhase({ ...made, trainsPassages: true, passageEncoder: frozen })).toThrow(/isn't trained/);
  });

  it("fixed passages: the gradient comes through the questions alone", () => {
    const whole = options({ questions: options().questions.map((entry) => ({ ...entry, candidates: entry.candidates.slice(0, 3) })) });
    const fixed = { ...whole, trainsPassages: false };
    const [both, queries] = [whole, fixed].map((made) => run(readerPhase(made)));
    expect(queries!.loss).toBeCloseTo(both!.loss, 12);
    expect(relativeError(queries!.gradient, both!.gradient)).toBeGreaterThan(1e-3);
    const cut = run(readerPhase({ ...fixed, accumulate: 3 }));
    expect(relativeError(cut.gradient, queries!.gradient)).toBeLessThan(1e-10);
  });

  it("candidates are ranked by the retriever as it is now, whatever order the index gave them", () => {
    const made = options({ passages: 2 });
    const scores = noGrad(() =>
      scope(() => {
        const [queries, passages] = [
          made.encoder.tokenise(
            QUESTIONS.map(({ question }) => question),
            "query",
          ),
          made.encoder.tokenise(
            PASSAGES.map((_, row) => textOf(row)),
            "passage",
          ),
        ];
        return toFloat64Array(made.encoder.embedIds(queries).matmul(made.encoder.embedIds(passages).transpose(0, 1)));
      }),
    );
    const best = QUESTIONS.map((_, q) => [0, 1, 2, 3].sort((a, b) => scores[q * 4 + b]! - scores[q * 4 + a]!).slice(0, 2));
    const chosen = { ...made, questions: made.questions.map((entry, q) => ({ ...entry, candidates: best[q]! })) };
    const [reranked, given] = [made, chosen].map((each) => run(readerPhase(each)));
    expect(relativeError(reranked!.gradient, given!.gradient)).toBeLessThan(1e-10);
    const wrong = {
      ...made,
      questions: made.questions.map((entry, q) => ({ ...entry, candidates: [0, 1, 2, 3].filter((row) => !best[q]!.includes(row)) })),
    };
    expect(relativeError(run(readerPhase(wrong)).gradient, given!.gradient)).toBeGreaterThan(1e-3);
  });

  it("whatever changes a question with its answer and candidates changes them for retriever and reader alike, re-ranked too", () => {
    const change = (text: string): string => text.toUpperCase();
    const made = options({ loss: "emdr2" });
    const changed = {
      ...made,
      questions: made.questions.map((entry) => ({ ...entry, question: change(entry.question), answer: change(entry.answer) })),
      passage: (row: number) => ({ ...made.passage(row), title: change(PASSAGES[row]!.title), text: change(PASSAGES[row]!.text) }),
      textOf: (row: number) => change(textOf(row)),
    };
    const transform: ReaderPhaseOptions["transform"] = ({ index, question, answer, passages }, step) => {
      expect(step).toBe(0);
      return {
        ...{ index, question: change(question), answer: change(answer) },
        passages: passages.map(({ row, title, text, embedded }) => ({
          row,
          ...{ title: change(title), text: change(text), embedded: change(embedded) },
        })),
      };
    };
    const [whole, transformed, untouched] = [changed, { ...made, transform }, made].map((each) => run(readerPhase(each)));
    expect(relativeError(transformed!.gradient, whole!.gradient)).toBeLessThan(1e-10);
    expect(relativeError(untouched!.gradient, whole!.gradient)).toBeGreaterThan(1e-3);
  });

  it("a filter shortens what the reader is shown, and nothing of what the retriever embeds", () => {
    const cut = (text: string): string => text.slice(0, 20);
    const made = options({ loss: "emdr2" });
    const filter: ReaderPhaseOptions["filter"] = (items) =>
      items.map(({ passages }) => passages.map((passage) => ({ ...passage, text: cut(passage.text) })));
    const short = { ...made, passage: (row: number) => ({ ...made.passage(row), text: cut(PASSAGES[row]!.text) }) };
    const [filtered, expected, untouched] = [{ ...made, filter }, short, made].map((each) => run(readerPhase(each)));
    expect(relativeError(filtered!.gradient, expected!.gradient)).toBeLessThan(1e-10);
    expect(relativeError(untouched!.gradient, expected!.gradient)).toBeGreaterThan(1e-3);
  });

  it("workers that reduce counts and sum gradients get one process's gradient", () => {
    const made = options({ loss: "rag_token", trainsReader: true });
    const phase = readerPhase(made);
    const whole = run(phase);
    const batch = phase.batch(0);
    const parts = [
      [0, 1],
      [2, 3],
    ].map((own) => ({
      ...batch,
      members: own.map((i) => batch.members[i]!),
      queries: own.map((i) => batch.queries[i]!),
    }));
    zeroGrads(phase.parameters.values());
    scope(() => {
      for (const part of parts) phase.step(part, { ...WHOLE, counts: () => ({ rag_token: 4 }) });
      expect(relativeError(gradientOf(phase.parameters), whole.gradient)).toBeLessThan(1e-10);
    });
    zeroGrads(phase.parameters.values());
  });

  it("refuses K = 1, and questions for which nothing was found", () => {
    expect(() => readerPhase(options({ passages: 1 }))).toThrow(
      /train\.reader\.passages: with one passage .* expected at least 2 passages, got 1/,
    );
    expect(() => readerPhase(options({ passages: 5 }))).toThrow(
      /no training question has as many passages.*expected 5 found passages, got at most 4/,
    );
  });

  it("batches are a pure function of the step, and leave out questions with too few candidates", () => {
    const few = options().questions.map((entry, i) => (i % 2 === 0 ? entry : { ...entry, candidates: [0] }));
    const phase = readerPhase(options({ questions: few }));
    const asked = [0, 1, 2, 3].flatMap((step) => phase.batch(step).members.map(({ index }) => index));
    expect(asked.length).toBeGreaterThan(4);
    expect(asked.every((index) => index % 2 === 0)).toBe(true);
    expect(phase.batch(1)).toEqual(readerPhase(options({ questions: few })).batch(1));
  });

  it("teaches: the retriever's belief moves to the reader's, and no tensor is left behind", () => {
    const made = options({ batch: 8, temperature: 0.1, readerTemperature: 0.5 });
    const phase = readerPhase(made);
    const optimiser = new AdamW(parameterGroups(made.encoder.parameters, 0), { betas: [0.9, 0.99], eps: 1e-8 });
    const losses: number[] = [];
    let live = 0;
    for (let step = 0; step < 25; step += 1) {
      scope(() => {
        optimiser.zeroGrad();
        const batch = phase.batch(step);
        losses.push(totalLoss(phase.step(batch)));
        expect(phase.tokens(batch)).toBeGreaterThan(0);
        optimiser.step(3e-3);
      });
      if (step === 2) live = liveTensors().tensors;
    }
    expect(liveTensors().tensors).toBe(live);
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
    optimiser.dispose();
    zeroGrads(made.encoder.parameters.values());
  });
});

describe("the joint phase", () => {
  const joint = (
    change: Partial<ReaderPhaseOptions> = {},
  ): { reader: Phase<ReaderBatch>; generator: Phase<GeneratorBatch>; made: ReaderPhaseOptions } => {
    const made = options(change);
    const generator = generatorPhase(tinyGenerator(made.reader.model as ReturnType<typeof tinyGpt2>));
    return { made, generator, reader: readerPhase(made) };
  };

  it("has both parts' gradients, each on its own model, and declares what neither can reach", () => {
    for (const loss of ["pdist", "emdr2"] as const) {
      const { reader, generator } = joint({ loss });
      const phase = jointPhase(reader, generator);
      const gradients = scope(() => {
        zeroGrads(phase.parameters.values());
        const terms = phase.step(phase.batch(1));
        expect(Object.keys(terms)).toEqual(expect.arrayContaining([loss, "retrieval_entropy", "answer", "ngram_repeat"]));
        const found = gradientOf(phase.parameters);
        zeroGrads(phase.parameters.values());
        return found;
      });
      const alone = [reader, generator].flatMap((part) =>
        scope(() => {
          (part as Phase).step((part as Phase).batch(1));
          const found = [...gradientOf(part.parameters)];
          zeroGrads(part.parameters.values());
          return found;
        }),
      );
      expect(relativeError(gradients, alone)).toBe(0);
      const rows = auditGradients(phase, { batches: 4 });
      const statusOf = (term: string, prefix: string): Set<string> =>
        new Set(rows.filter((row) => row.term === term && row.parameter.startsWith(prefix)).map(({ status }) => status));
      expect(statusOf(loss, READER_PREFIX)).toEqual(new Set(["frozen"]));
      expect(statusOf("answer", RETRIEVER_PREFIX)).toEqual(new Set(["frozen"]));
      expect(statusOf(loss, RETRIEVER_PREFIX)).toEqual(new Set(["alive", "exempt"]));
      expect(statusOf("answer", READER_PREFIX)).toEqual(new Set(["alive"]));
    }
  });

  it("with the RAG losses trains both models by one term, and the audit sees it reach both", () => {
    for (const loss of ["rag_sequence", "rag_token"] as const) {
      const { reader } = joint({ loss, trainsReader: true });
      const phase = jointPhase(reader, undefined);
      const rows = auditGradients(phase, { batches: 4 });
      expect(new Set(rows.map(({ term }) => term))).toEqual(new Set([loss]));
      for (const prefix of [READER_PREFIX, RETRIEVER_PREFIX])
        expect(rows.filter(({ parameter, status }) => parameter.startsWith(prefix) && status === "alive").length).toBeGreaterThan(10);
      expect(rows.some(({ status }) => status === "frozen")).toBe(false);
    }
  });

  it("without the declaration the audit refuses a teacher that gets no gradient", () => {
    const { reader, generator } = joint();
    const { frozen, ...undeclared } = jointPhase(reader, generator);
    expect(frozen).toHaveLength(2);
    expect(() => auditGradients(undeclared, { batches: 2 })).toThrow(/has no gradient on/);
  });
});

function largestEntry(values: Float64Array): number {
  let best = 0;
  for (const [i, value] of values.entries()) if (Math.abs(value) > Math.abs(values[best]!)) best = i;
  return best;
}
