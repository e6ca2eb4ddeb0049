/**
 * Proves that every line of a question set is either a question or a rejected line with its number and reason, and that nothing in between exists.
 * Alone: npx vitest run test/corpus/questions.test.ts
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readQuestions } from "../../src/corpus/questions.js";
import { UserError } from "../../src/errors.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();
const read = (content: string | Uint8Array, name = "set.txt"): ReturnType<typeof readQuestions> =>
  readQuestions(folder.write(name, content));
const failure = (content: string | Uint8Array): string => {
  try {
    read(content);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
};

describe("tab-separated sets", () => {
  it("cozyrag 19: rejects empty answers and more than two fields, with line numbers", () => {
    const { questions, rejected } = read(
      ["Who?\tKaldom ", "", "Only a question", "Trailing tab\t", "What?\ta\tb", "\tno question", "   \t  ", " When?\t1973"].join("\n"),
    );
    expect(questions.map(({ question, answers }) => [question, answers])).toEqual([
      ["Who?", ["Kaldom"]],
      ["When?", ["1973"]],
    ]);
    expect(rejected).toEqual([
      { line: 3, reason: "one field only, the answer is missing" },
      { line: 4, reason: "empty answer" },
      { line: 5, reason: "3 fields, expected question<TAB>answer" },
      { line: 6, reason: "missing question" },
    ]);
  });

  it("gives ids by content, the same whatever stands before, and keeps lines that repeat", () => {
    const first = read("a\tb\nc\td\na\tb\na\tb\n").questions.map(({ id }) => id);
    expect(new Set(first).size).toBe(4);
    expect(first[2]).toBe(`${first[0]!}-2`);
    expect(first[3]).toBe(`${first[0]!}-3`);
    expect(read("x\ty\nc\td").questions[1]!.id).toBe(first[1]);
  });

  it("rejects a line that isn't UTF-8 and reads the rest, with a byte-order mark and CRLF", () => {
    const bytes = Buffer.concat([Buffer.from("\uFEFFa\tb\r\n"), Buffer.from("caf\xe9\tx\r\n", "latin1"), Buffer.from("c\td")]);
    const { questions, rejected } = read(bytes);
    expect(questions.map(({ question, answers }) => [question, answers[0]])).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    expect(rejected).toEqual([{ line: 2, reason: "not UTF-8" }]);
  });
});

describe("JSON lines", () => {
  const good = { id: "q1", question: "Who?", answers: ["A", "B"], passage_ids: ["p1", "p1", 7] };

  it("reads id, question, answers, passage ids, document and entity spans", () => {
    const spans = { question: [{ start: 4, end: 10, kind: "name" }], answers: [[], [{ start: 0, end: 1, kind: "name" }]] };
    const lines = [
      good,
      {
        ...good,
        id: 2,
        question: "Who 😀Kaldom?",
        document: 12,
        passage_ids: null,
        entities: { ...spans, question: [{ start: 6, end: 12, kind: "name" }] },
      },
    ];
    const { questions, rejected } = read(lines.map((line) => JSON.stringify(line)).join("\n"));
    expect(rejected).toEqual([]);
    expect(questions[0]).toEqual({ id: "q1", question: "Who?", answers: ["A", "B"], passageIds: ["p1", "7"] });
    expect(questions[1]).toMatchObject({ id: "2", document: "12", passageIds: [] });
    expect(questions[1]!.question.slice(6, 12)).toBe("Kaldom");
    expect(questions[1]!.entities).toEqual({ question: [{ start: 6, end: 12, kind: "name" }], answers: spans.answers });
  });

  it("takes spans as [start, end, kind] too", () => {
    const line = { ...good, entities: { question: [[0, 3, "name"]], answers: [[[0, 1, "year"]], []] } };
    expect(read(JSON.stringify(line)).questions[0]!.entities).toEqual({
      question: [{ start: 0, end: 3, kind: "name" }],
      answers: [[{ start: 0, end: 1, kind: "year" }], []],
    });
    expect(
      read(`${JSON.stringify({ ...good, id: "x" })}\n${JSON.stringify({ ...good, entities: { question: [[0, 3]] } })}`).rejected,
    ).toHaveLength(1);
  });

  it("rejects each kind of bad line with a reason of its own", () => {
    const cases: [unknown, RegExp][] = [
      ["not json", /^not JSON/],
      [["list"], /^not a JSON object$/],
      [{ ...good, question: undefined }, /^missing question$/],
      [{ ...good, question: "  " }, /^missing question$/],
      [{ ...good, question: 7 }, /^question is not text$/],
      [{ ...good, answers: undefined }, /^missing answers$/],
      [{ ...good, answers: "A" }, /^answers is not a list$/],
      [{ ...good, answers: [] }, /^no answers$/],
      [{ ...good, answers: ["A", " "] }, /^empty answer$/],
      [{ ...good, answers: [{}] }, /^answers holds something that is not text$/],
      [{ ...good, passage_ids: "p" }, /^passage_ids is not a list$/],
      [{ ...good, id: {} }, /^id is not text$/],
      [{ ...good, document: [] }, /^document is not text$/],
      [good, /^duplicate id "q1", first in line 1$/],
      [{ ...good, entities: { question: 3 } }, /^entities\.question: spans must be a list/],
      [{ ...good, entities: { question: [{ start: 0, end: 99, kind: "name" }] } }, /^entities\.question: span 0–99 must be sorted/],
      [{ ...good, entities: { question: [{ start: 2, end: 2, kind: "name" }] } }, /must be sorted/],
      [{ ...good, entities: { question: [{ start: 0, end: 3 }] } }, /a span must be \{start, end, kind\}/],
      [{ ...good, entities: { question: [2, 0].map((start) => ({ start, end: start + 1, kind: "name" })) } }, /must be sorted/],
      [{ ...good, question: "😀", entities: { question: [{ start: 1, end: 2, kind: "name" }] } }, /cuts a character in two/],
      [{ ...good, entities: { answers: [[]] } }, /^entities\.answers must hold one list for each of the 2 answers$/],
    ];
    const lines = [good, ...cases.map(([line]) => line)].map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
    const { questions, rejected } = read(lines.join("\n"));
    expect(questions).toHaveLength(1);
    expect(rejected.map(({ line }) => line)).toEqual(cases.map((_, i) => i + 2));
    cases.forEach(([, reason], i) => expect(rejected[i]!.reason).toMatch(reason));
  });
});

describe("files that are no set", () => {
  it("are refused in one line", () => {
    expect(() => readQuestions(folder.join("missing.tsv"))).toThrow(/missing\.tsv/);
    expect(() => readQuestions(folder.path)).toThrow(UserError);
    expect(failure("")).toMatch(/set\.txt: no question in this file/);
    expect(failure("\n\n")).toMatch(/no question in this file/);
    expect(failure("x\ny\n")).toMatch(/set\.txt:1: no usable line in this file; .*one field only.*got 2 rejected lines/);
    expect(failure(Buffer.from("\uFEFFa\tb", "utf16le"))).toMatch(/UTF-16; convert it: iconv/);
    expect(failure(Uint8Array.from([0x1f, 0x8b, 8, 0]))).toMatch(/compressed/);
  });
});

describe("properties", () => {
  it("every line that isn't blank is a question or a rejected line, whatever its bytes", () => {
    const line = fc.oneof(
      fc.constantFrom("", " ", "a\tb", "a\t", "{}", '{"question":"q","answers":["a"]}'),
      fc.string({ unit: "binary", maxLength: 20 }),
    );
    fc.assert(
      fc.property(
        fc.array(
          line.map((text) => text.replace(/[\n\r]/g, "").replace(/\p{Surrogate}/gu, "")),
          { maxLength: 12 },
        ),
        (lines) => {
          const all = ["first\tline", ...lines];
          const { questions, rejected } = read(all.join("\n"));
          expect(questions.length + rejected.length).toBe(all.filter((text) => text.trim() !== "").length);
          for (const question of questions) {
            expect(question.question).not.toBe("");
            expect(question.answers.every((answer) => answer !== "")).toBe(true);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

const squad = process.env.TANDEM_SQUAD ?? path.join(fileURLToPath(new URL("../../", import.meta.url)), "../shared/data/squad");

describe.skipIf(!existsSync(squad))("the real SQuAD files (skipped where they aren't: TANDEM_SQUAD)", () => {
  it("are read whole", () => {
    for (const [file, count] of [
      ["train.jsonl", 7158],
      ["valid.jsonl", 1188],
      ["train.tsv", 7158],
    ] as const) {
      const { questions, rejected } = readQuestions(path.join(squad, file));
      expect(rejected).toEqual([]);
      expect(questions).toHaveLength(count);
    }
  });
});
