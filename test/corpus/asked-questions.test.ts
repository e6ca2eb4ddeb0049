/**
 * Proves that questions to ask are read from plain lines, tab-separated lines and JSON lines, one for each line, and that a line that can't be asked stops the reading with its number.
 * Alone: npx vitest run test/corpus/asked-questions.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { askedQuestionsOf, readAskedQuestions } from "../../src/corpus/asked-questions.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";
import { writeFileSync } from "node:fs";
import path from "node:path";

const folder = temporaryFolder();
const of = (text: string): ReturnType<typeof askedQuestionsOf> => askedQuestionsOf(Buffer.from(text), "standard input");

describe("questions to ask", () => {
  it("are lines of text, with or without answers behind a tab, or JSON lines", () => {
    expect(of("Who?\r\n\n  When? \nWhere?\there\tthere\n")).toEqual([
      { question: "Who?" },
      { question: "When?" },
      { question: "Where?", answers: ["here", "there"] },
    ]);
    expect(of('{"id": 7, "question": " Who? ", "answers": ["a", "b"], "more": 1}\n{"question": "When?", "answers": "a"}')).toEqual([
      { question: "Who?", id: "7", answers: ["a", "b"] },
      { question: "When?" },
    ]);
  });

  it("come back from a file as from standard input, with a byte-order mark or without", () => {
    const file = path.join(folder, "questions.txt");
    writeFileSync(file, "\uFEFFWho?\nWhen?");
    expect(readAskedQuestions(file)).toEqual([{ question: "Who?" }, { question: "When?" }]);
    expect(of("\uFEFFWho?\nWhen?")).toEqual([{ question: "Who?" }, { question: "When?" }]);
  });

  it("any text of one line is the question that it is", () => {
    const line = fc.string({ unit: "grapheme" }).map((text) => text.replace(/[\s\p{Cc}\uFEFF]+/gu, " ").trim());
    fc.assert(
      fc.property(
        fc.array(
          line.filter((text) => text !== "" && !text.startsWith("{")),
          { minLength: 1 },
        ),
        (questions) => {
          expect(of(questions.join("\n")).map(({ question }) => question)).toEqual(questions);
        },
      ),
    );
  });

  it.each([
    ["nothing", "", /^standard input: holds no question/],
    ["blank lines", "\n \n", /^standard input: holds no question/],
    ["an answer without a question", "Who?\n\tanswer", /^standard input:2: the question is empty/],
    ["broken JSON", 'Who?\n{"question": ', /^standard input:2: is not JSON/],
    ["JSON without a question", '{"answers": []}', /^standard input:1: field 'question'; expected text, got nothing/],
    ["a question that is a number", '{"question": 3}', /expected text, got number/],
    ["an empty question in JSON", '{"question": " "}', /^standard input:1: the question is empty/],
  ])("%s is refused with its line", (_, text, expected) => {
    expect(faultOf(() => of(text))).toMatch(expected);
  });

  it("what is no UTF-8, and a file that isn't there, are refused", () => {
    expect(faultOf(() => askedQuestionsOf(Uint8Array.of(0x57, 0xff, 0x0a), "standard input"))).toMatch(/is not UTF-8/);
    const file = path.join(folder, "latin1.txt");
    writeFileSync(file, Uint8Array.of(0x57, 0x0a, 0xe9, 0x0a));
    expect(faultOf(() => readAskedQuestions(file))).toMatch(/latin1\.txt:2/);
    expect(faultOf(() => readAskedQuestions(path.join(folder, "none")))).toMatch(/none/);
    expect(faultOf(() => readAskedQuestions(folder))).toContain(folder);
  });
});
