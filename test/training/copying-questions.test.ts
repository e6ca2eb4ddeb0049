/**
 * Proves that copying questions are what they say: words that stand once in a passage ask for the very words that follow them there, by a rule and not by chance; the same for a seed, and only of the
 * passages that were given.
 * Alone: npx vitest run test/training/copying-questions.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { splitSentences } from "../../src/text/sentence-split.js";
import { copyingQuestions } from "../../src/training/copying-questions.js";
import { generatorExamples } from "../../src/training/generator-examples.js";

const TEXT = 'The crisis began in October 1973, when members met. Oil rose from three dollars (in "old" money) to twelve within a year.';

describe("copying questions", () => {
  it("ask with three words for the next ones, up to the end of the clause", () => {
    const made = copyingQuestions({ seed: 1, rows: [7], text: () => TEXT, perPassage: 1000 });
    const answers = new Map(made.map(({ question, answer }) => [question, answer]));
    expect(answers.get("The crisis began")).toBe("in October 1973");
    expect(answers.get("crisis began in")).toBe("October 1973");
    expect(answers.get("Oil rose from")).toBe("three dollars (in");
    expect(answers.get('dollars (in "old"')).toBe("money");
    expect(answers.get("to twelve within")).toBe("a year");
    // No question reaches into the next sentence, and no answer is a lone mark.
    expect([...answers.keys()].some((question) => question.includes("met. Oil"))).toBe(false);
    expect(made.every(({ goldRows }) => goldRows.length === 1 && goldRows[0] === 7)).toBe(true);
  });

  it("leave out words that stand twice: they would have two answers", () => {
    const made = copyingQuestions({
      seed: 1,
      rows: [0],
      text: () => "Seen from the north it falls. Seen from the south it rises.",
      perPassage: 99,
    });
    expect(made.map(({ question }) => question)).not.toContain("Seen from the");
    expect(made.map(({ question }) => question)).toContain("from the north");
  });

  it("leave out words that come again across a line's end: a reader sees them twice", () => {
    const made = copyingQuestions({
      seed: 1,
      rows: [0],
      text: () => "Seen from the north it falls.\nIt was seen\nSeen from\n the south it rises again.",
      perPassage: 99,
    });
    expect(made.map(({ question }) => question)).not.toContain("Seen from the");
    expect(made.map(({ question }) => question)).toContain("from the north");
  });

  it("are shown, where a context is shortened, the sentence that they were taken from, and asked along only where theirs is shown", () => {
    const text = "Oil rose in October 1973, they say. The war ended in October 1973, too. Nobody saw the  ships that came in October 1973.";
    const questions = copyingQuestions({ seed: 1, rows: [0], text: () => text, perPassage: 99 });
    expect(questions.filter(({ answer }) => answer === "October 1973").map(({ question }) => question)).toEqual(
      expect.arrayContaining(["Oil rose in", "war ended in", "that came in"]),
    );
    const examples = generatorExamples({
      seed: 1,
      questions,
      contexts: () => [0],
      passage: () => ({ title: "War", text }),
      questionsPerContext: 8,
      curriculum: { share: 1, start: 1, shuffle: false },
      totalSteps: 100,
    });
    for (let lead = 0; lead < examples.size; lead++) {
      for (const step of [0, 40]) {
        const { passages, questions: asked } = examples.at(lead, step);
        const shown = passages.map((passage) => passage.text.replace(/\s+/g, " ")).join(" ");
        for (const { question, answer } of asked) expect(shown).toContain(`${question} ${answer}`);
      }
      expect(splitSentences(examples.at(lead, 0).passages[0]!.text)).toHaveLength(1);
    }
  });

  it("hold in any text: the question and its answer stand there side by side, in one sentence's words", () => {
    const word = fc.stringMatching(/^[a-z]{1,6}[.,]?$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 8, maxLength: 60 }), fc.nat(), (words, seed) => {
        const text = words.join(" ");
        let made;
        try {
          made = copyingQuestions({ seed, rows: [0], text: () => text });
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
          return;
        }
        expect(made.length).toBeLessThanOrEqual(64);
        for (const { question, answer } of made) {
          expect(question.split(" ")).toHaveLength(3);
          expect(text).toContain(`${question} ${answer}`);
          expect(text.indexOf(question)).toBe(text.lastIndexOf(question));
        }
      }),
    );
  });

  it("depend on the seed and nothing else, and keep to the passages given and to the most", () => {
    const rows = Array.from({ length: 40 }, (_, row) => row * 3);
    const text = (row: number): string => `Town ${row} has a mayor who came from village ${row + 1} on the river bank.`;
    const options = { rows, text, perPassage: 4 };
    const made = copyingQuestions({ ...options, seed: 5 });
    expect(copyingQuestions({ ...options, seed: 5 })).toEqual(made);
    expect(copyingQuestions({ ...options, seed: 6 })).not.toEqual(made);
    expect(new Set(made.map(({ goldRows }) => goldRows[0]))).toEqual(new Set(rows));
    expect(made).toHaveLength(160);
    expect(copyingQuestions({ ...options, seed: 5, most: 30 })).toEqual(made.slice(0, 30));
  });

  it("refuse a corpus that gives none", () => {
    expect(() => copyingQuestions({ seed: 1, rows: [0], text: () => "Too short." })).toThrow(/finds nothing to copy/);
    expect(() => copyingQuestions({ seed: 1, rows: [], text: () => "" })).toThrow(UserError);
  });
});
