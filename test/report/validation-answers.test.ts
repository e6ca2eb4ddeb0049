/**
 * Proves that validation answers show question, gold, answer and passages with their scores, that no text of a corpus can break the Markdown, and that the JSON lines hold everything.
 * Alone: npx vitest run test/report/validation-answers.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Answered } from "../../src/evaluation/answered.js";
import { answersJsonLines, answersMarkdown, answersText } from "../../src/report/validation-answers.js";

const answered = (change: Partial<Answered> = {}): Answered => ({
  id: "q1",
  question: "Who is the mayor?",
  answers: ["Ida Renhan", "Renhan"],
  prediction: "Ida Renhan",
  em: 1,
  f1: 1,
  rougeL: 1,
  repetition: {},
  document: "d",
  gold: ["p1"],
  passages: [
    { id: "p1", title: "Alder", score: 0.91234, text: "Its mayor is Ida Renhan." },
    { id: "p2", title: "Birch", score: NaN, text: "A mountain." },
    { id: "p3", title: "Cedar", score: null, text: "A ship." },
  ],
  answerInContext: 1,
  retrieval: undefined,
  ...change,
});

describe("answersMarkdown", () => {
  it("shows question, answer with its mark, all gold answers, and passages with score and gold", () => {
    expect(answersMarkdown("Step 5", [answered()]).trimEnd().split("\n")).toEqual([
      ...["# Step 5", "", "## Who is the mayor?", ""],
      ...["- answer: Ida Renhan (correct)", "- gold: Ida Renhan / Renhan"],
      ...["- passage 1 (0.9123, gold): Alder [p1]", "  > Its mayor is Ida Renhan."],
      ...["- passage 2 (no score): Birch [p2]", "  > A mountain."],
      ...["- passage 3 (no score): Cedar [p3]", "  > A ship."],
    ]);
  });

  it("marks a half right answer with its F1 and a wrong one as wrong", () => {
    expect(answersMarkdown("t", [answered({ em: 0, f1: 0.5 })])).toContain("(F1 0.50)");
    expect(answersMarkdown("t", [answered({ em: 0, f1: 0 })])).toContain("(wrong)");
  });

  it("keeps every text on its line and its Markdown asleep, whatever it holds", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 30 });
    fc.assert(
      fc.property(text, text, text, (question, prediction, passage) => {
        const nasty = (own: string): string => `# [x](http://y) <b>|\n\n## ${own}\r\n> \`*_`;
        const entry = answered({
          question: nasty(question),
          prediction: nasty(prediction),
          passages: [{ id: "p", title: nasty("t"), score: 1, text: nasty(passage) }],
        });
        const lines = answersMarkdown("t", [entry, answered()]).split("\n");
        expect(lines.filter((line) => line.startsWith("#")).length).toBe(3);
        expect(lines.filter((line) => line.trimStart().startsWith(">")).length).toBe(4);
        expect(lines.join("\n")).not.toMatch(/(^|[^\\])(<b>|\[x\]|`)/);
      }),
      { numRuns: 50 },
    );
  });
});

describe("answersJsonLines", () => {
  it("holds every question on its line, whole, and nothing for none", () => {
    const entries = [answered({ question: "two\nlines" }), answered({ id: "q2" })];
    const lines = answersJsonLines(entries).split("\n");
    expect(lines).toHaveLength(3);
    // JSON has no NaN: a score that is none comes back as null.
    expect(JSON.parse(lines[0]!)).toMatchObject({
      id: "q1",
      question: "two\nlines",
      passages: [{ score: 0.91234 }, { score: null }, { score: null }],
    });
    expect(answersJsonLines([])).toBe("");
  });
});

describe("answersText", () => {
  it("shows the first few with a mark, the answer and where it came from", () => {
    const text = answersText([answered(), answered({ em: 0, passages: [] }), answered({ id: "q3" })], 2);
    expect(text.split("\n")).toEqual([
      "  + Who is the mayor?",
      "     answer: Ida Renhan   gold: Ida Renhan / Renhan",
      "     from: Alder (0.912)",
      "  - Who is the mayor?",
      "     answer: Ida Renhan   gold: Ida Renhan / Renhan",
    ]);
    expect(answersText([answered({ passages: [answered().passages[1]!] })], 5)).toContain("from: Birch (no score)");
  });
});
