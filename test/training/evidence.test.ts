/**
 * Proves that contexts lose their evidence as often as asked and wholly: no passage that answers is left or put in, the place is filled, and the target says that it isn't known exactly where no passage answers; all of it a pure
 * function of seed, step and example. Alone: npx vitest run test/training/evidence.test.ts
 */
import { describe, expect, it } from "vitest";
import { isAnswerable, withoutEvidence } from "../../src/training/evidence.js";
import type { GeneratorExamplesOptions } from "../../src/training/generator-examples.js";
import { generatorPhase } from "../../src/training/phases/generator.js";
import { run } from "./phase-step.js";
import { PASSAGES, QUESTIONS, tinyExamples, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

const UNKNOWN = "I don't know";
const passage = (row: number): (typeof PASSAGES)[number] => PASSAGES[row]!;
const all = (): number[] => [0, 1, 2, 3];
const STEPS = Array.from({ length: 200 }, (_, step) => step);
const found: Partial<GeneratorExamplesOptions> = {
  contexts: (question) => [QUESTIONS[question]!.goldRows[0]!, (QUESTIONS[question]!.goldRows[0]! + 1) % 4],
  questionsPerContext: 1,
};

describe("a context without evidence", () => {
  it("has no gold passage and none that holds the answer, in title or text, and as many as before", () => {
    const sought = { answers: ["Tunwut", "salt"], goldRows: [0] };
    expect(withoutEvidence([0, 1], all(), sought, passage)).toEqual([1]);
    expect(withoutEvidence([0], [0, 3, 2, 1, 1], sought, passage)).toEqual([1]);
    expect(withoutEvidence([0], [-1, 3, 2], sought, passage)).toEqual([]);
    expect(withoutEvidence([1, 0, 2], all(), { answers: ["Alder"], goldRows: [] }, passage)).toEqual([1, 2, 3]);
    // By whole tokens: "ship" is in no "shipping", and "art" in no "party".
    const words = [{ title: "t", text: "A party of shipping clerks." }];
    expect(withoutEvidence([0], [], { answers: ["art", "ship"], goldRows: [] }, (row) => words[row]!)).toEqual([0]);
  });

  it("answers if it holds an answer, or its gold passage answers in words of its own", () => {
    const shown = [{ ...passage(0), row: 0 }];
    expect(isAnswerable(shown, ["Ida Renhan"], { answers: ["Ida Renhan"], goldRows: [9] }, passage)).toBe(true);
    expect(isAnswerable(shown, ["a mayor"], { answers: ["a mayor"], goldRows: [9] }, passage)).toBe(false);
    expect(isAnswerable(shown, ["a mayor"], { answers: ["a mayor"], goldRows: [0] }, passage)).toBe(true);
    // The gold passage held the answer and was cut.
    const cut = [{ title: "Alder", text: "Alder is a town on the Mire.", row: 0 }];
    expect(isAnswerable(cut, ["Ida Renhan"], { answers: ["Ida Renhan"], goldRows: [0] }, passage)).toBe(false);
    expect(isAnswerable([], ["x"], { answers: ["x"], goldRows: [0] }, passage)).toBe(false);
  });
});

describe("examples with evidence dropped", () => {
  const dropping: Partial<GeneratorExamplesOptions> = { ...found, dropGold: 0.4, distractors: all, unknownAnswer: UNKNOWN };

  it("lose it in the share that is asked for, and say so there and only there", () => {
    const examples = tinyExamples(dropping);
    let dropped = 0;
    for (const step of STEPS)
      for (const [lead, { answer, goldRows }] of QUESTIONS.entries()) {
        const { passages, questions, isUnknown } = examples.at(lead, step);
        const hasGold = passages.some(({ row }) => goldRows.includes(row));
        expect(passages).toHaveLength(2);
        expect(new Set(passages.map(({ row }) => row)).size).toBe(2);
        expect(questions[0]!.answer).toBe(hasGold ? answer : UNKNOWN);
        expect(isUnknown).toBe(hasGold ? undefined : true);
        dropped += hasGold ? 0 : 1;
      }
    const share = dropped / (STEPS.length * QUESTIONS.length);
    expect(Math.abs(share - 0.4)).toBeLessThan(0.05);
  });

  it("are a pure function of seed, step and example", () => {
    const [once, again, other] = [tinyExamples(dropping), tinyExamples(dropping), tinyExamples({ ...dropping, seed: 2 })];
    const seen = STEPS.map((step) => once.at(3, step));
    expect(STEPS.toReversed().map((step) => again.at(3, step))).toEqual(seen.toReversed());
    expect(STEPS.map((step) => other.at(3, step))).not.toEqual(seen);
  });

  it("keep the gold answer where no unknown one is configured", () => {
    const examples = tinyExamples({ ...dropping, dropGold: 1, unknownAnswer: undefined });
    for (const [lead, { answer, goldRows }] of QUESTIONS.entries()) {
      const { passages, questions } = examples.at(lead, 0);
      expect(questions[0]!.answer).toBe(answer);
      expect(passages.some(({ row }) => goldRows.includes(row))).toBe(false);
    }
  });

  it("teach the unknown answer where the retriever missed, too, and no other question than the lead", () => {
    const missed = tinyExamples({ contexts: () => [0, 3], questionsPerContext: 3, unknownAnswer: UNKNOWN });
    const example = missed.at(2, 0);
    expect(example.questions[0]).toMatchObject({ index: 2, answer: UNKNOWN });
    expect(example.questions).toHaveLength(3);
    for (const { index, answer } of example.questions.slice(1)) expect(answer).toBe(QUESTIONS[index]!.answer);
    expect(missed.at(0, 0).questions[0]!.answer).toBe("Ida Renhan");
  });

  it("have all gold answers kept out, not the first alone", () => {
    const questions = QUESTIONS.map((question, i) => (i === 0 ? { ...question, answers: ["Ida Renhan", "Erik Vivfum"] } : question));
    for (const step of STEPS.slice(0, 20)) {
      const { passages } = tinyExamples({ ...dropping, questions, dropGold: 1 }).at(0, step);
      expect(passages.some(({ row }) => row === 0 || row === 1)).toBe(false);
    }
  });

  it("give no hint by their length while contexts grow", () => {
    const curriculum = { share: 1, start: 1, shuffle: false };
    const examples = tinyExamples({ ...dropping, contexts: (question) => QUESTIONS[question]!.goldRows, dropGold: 0.5, curriculum });
    const sentences = STEPS.slice(0, 30).map((step) => examples.at(0, step).passages.map(({ text }) => text.split(". ").length));
    expect(new Set(sentences.flat())).toEqual(new Set([1]));
  });
});

describe("a phase with an unknown answer", () => {
  it("counts the contexts that are taught it", () => {
    const model = tinyGpt2();
    const phase = (unknownAnswer: string | undefined): ReturnType<typeof run> =>
      run(
        generatorPhase(
          tinyGenerator(model, {
            batch: 8,
            penalties: {},
            copyWeight: 0,
            examples: tinyExamples({ ...found, contexts: () => [1, 3], unknownAnswer }),
          }),
        ),
      );
    expect(phase(UNKNOWN).terms["unknown_target"]).toEqual([4, 8, 0]);
    expect(phase(UNKNOWN).terms["answer_in_context"]!.slice(0, 2)).toEqual([4, 8]);
    expect(Object.keys(phase(undefined).terms)).toEqual(["answer", "answer_in_context"]);
    for (const parameter of model.parameters.values()) parameter.dispose();
  });
});
