/**
 * Proves that abstentions are counted where the passages answer and where they don't, that EM among the answered counts those alone, and that an empty kind has no rate instead of a wrong one.
 * Alone: npx vitest run test/evaluation/abstention.test.ts
 */
import { describe, expect, it } from "vitest";
import type { Question } from "../../src/corpus/question.js";
import { abstentionOf } from "../../src/evaluation/abstention.js";
import { scoreAnswer, type Answered } from "../../src/evaluation/answered.js";

const options = { samples: 200, confidence: 0.95 };
const MAYOR = { id: "p1", title: "Alder", score: 0.5, text: "Its mayor is Ida Renhan." };
const HILL = { id: "p2", title: "Birch", score: 0.4, text: "Birch is a mountain." };

function answered(id: string, prediction: string, passages: (typeof HILL)[], change: Partial<Question> = {}): Answered {
  const question: Question = { id, question: "Who?", answers: ["Ida Renhan"], passageIds: ["p1"], document: id, ...change };
  return scoreAnswer(question, prediction, passages, undefined, [1]);
}

describe("abstention", () => {
  const entries = [
    answered("a", "Ida Renhan", [MAYOR]),
    answered("b", "i DON'T know.", [MAYOR, HILL]),
    answered("c", "I don't know", [HILL]),
    answered("d", "Erik", [HILL]),
    answered("e", "I don't know", []),
    // Gold, though its answer is in words of its own.
    answered("f", "Ida", [HILL], { answers: ["the climber"], passageIds: ["p2"] }),
  ];

  it("is counted apart with and without an answer in the passages", () => {
    const found = abstentionOf(entries, "I don't know", options);
    expect(found).toMatchObject({ unknown_answer: "I don't know", with_answer: 3, without_answer: 3, answered: 3 });
    expect(found.rate_with_answer).toBeCloseTo(1 / 3, 12);
    expect(found.rate_without_answer).toBeCloseTo(2 / 3, 12);
    expect(found.em_answered).toBeCloseTo(1 / 3, 12);
    for (const kind of ["rate_with_answer", "rate_without_answer", "em_answered", "f1_answered"] as const) {
      const [low, high] = found[`${kind}_interval`]!;
      expect(low).toBeLessThanOrEqual(found[kind]!);
      expect(high).toBeGreaterThanOrEqual(found[kind]!);
    }
  });

  it("counts an answer that stands in a title, which is shown as well", () => {
    const titled = [answered("a", "x", [{ ...HILL, title: "Ida Renhan" }])];
    expect(abstentionOf(titled, "I don't know", options)).toMatchObject({ with_answer: 1, without_answer: 0 });
  });

  it("has no rate where there is no question of a kind", () => {
    const silent = abstentionOf(entries.slice(4, 5), "I don't know", options);
    expect(silent).toMatchObject({
      with_answer: 0,
      rate_with_answer: null,
      rate_with_answer_interval: null,
      answered: 0,
      em_answered: null,
    });
    expect(silent.rate_without_answer).toBe(1);
    expect(abstentionOf(entries.slice(0, 1), "I don't know", options)).toMatchObject({ rate_with_answer: 0, rate_without_answer: null });
  });
});
