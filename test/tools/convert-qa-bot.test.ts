/**
 * Proves that QA_bot's text becomes question files that our reader takes whole, whatever stands in the texts; that what can't be used is listed with its line; and that wrong files end in one line and
 * leave nothing behind. Alone: npx vitest run test/tools/convert-qa-bot.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readQuestions } from "../../src/corpus/questions.js";
import { parseQaBot, questionFile } from "../../tools/convert-qa-bot.js";
import { temporaryFolder } from "../corpus/temporary-folder.js";

const folder = temporaryFolder();
const root = path.join(import.meta.dirname, "../..");

const parsed = (text: string): ReturnType<typeof parseQaBot> => parseQaBot(text.split("\n").map((line, i) => ({ line, number: i + 1 })));

/** As QA_bot writes: a record for every answer. */
const written = (questions: readonly { question: string; answers: readonly string[] }[]): string =>
  questions.flatMap(({ question, answers }) => answers.map((answer) => `Q: ${question}\nA: ${answer}\n\n`)).join("");

const convert = (...words: string[]): { status: number | null; error: string } => {
  const tsx = path.join(root, "node_modules/.bin/tsx");
  const { status, stderr } = spawnSync(tsx, [path.join(root, "tools/convert-qa-bot.ts"), ...words], { encoding: "utf8", cwd: root });
  return { status, error: stderr };
};

describe("records", () => {
  it("that follow each other with one question are one, with its distinct answers; others stay apart", () => {
    const text = "Q: Who?\nA: Ida\n\nQ: Who?\nA: Ida\n\nQ: Who?\nA: Renhan\n\nQ: When?\nA: 1901\n\nQ: Who?\nA: Ole\n\n";
    expect(parsed(text)).toEqual({
      questions: [
        { question: "Who?", answers: ["Ida", "Renhan"] },
        { question: "When?", answers: ["1901"] },
        { question: "Who?", answers: ["Ole"] },
      ],
      rejected: [],
    });
  });

  it("may have tabs and line breaks in their texts, no blank line between them, and none at the end", () => {
    expect(parsed("Q: Who\t was\nit?\nA: Ida\u2028\n  Renhan\nQ: When?\r\nA:1901").questions).toEqual([
      { question: "Who was it?", answers: ["Ida Renhan"] },
      { question: "When?", answers: ["1901"] },
    ]);
  });

  it("that can't be used are listed with their line and the reason", () => {
    const text = ["title", "A: lone", "", "Q: no answer?", "", "Q: ", "A: x", "", "Q: empty?", "A: ", "", "Q: good?", "A: y", "", "stray"];
    expect(parsed(text.join("\n"))).toEqual({
      questions: [{ question: "good?", answers: ["y"] }],
      rejected: [
        { line: 1, reason: "neither Q: nor A:, outside a record" },
        { line: 2, reason: "an answer without a question" },
        { line: 4, reason: "a question without an answer" },
        { line: 6, reason: "missing question" },
        { line: 9, reason: "empty answer" },
        { line: 15, reason: "neither Q: nor A:, outside a record" },
      ],
    });
  });

  it("property: come through whole, in both formats", () => {
    // A text that begins a line with Q: or A: can't be told from a record.
    const text = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
      .map((raw) =>
        raw
          .replace(/\s+/g, " ")
          .replace(/\p{Surrogate}/gu, "")
          .trim(),
      )
      .filter((clean) => clean !== "");
    const questions = fc.uniqueArray(fc.record({ question: text, answers: fc.uniqueArray(text, { minLength: 1, maxLength: 3 }) }), {
      minLength: 1,
      maxLength: 8,
      selector: ({ question }) => question,
    });
    fc.assert(
      fc.property(questions, (given) => {
        const made = parsed(written(given));
        expect(made).toEqual({ questions: given, rejected: [] });
        const lines = readQuestions(folder.write("all.jsonl", questionFile(made, "jsonl", "set", false)));
        expect(lines.rejected).toEqual([]);
        expect(lines.questions.map(({ question, answers }) => ({ question, answers }))).toEqual(given);
        const first = readQuestions(folder.write("first.jsonl", questionFile(made, "jsonl", "set", true)));
        expect(first.questions.map(({ answers }) => answers)).toEqual(given.map(({ answers }) => answers.slice(0, 1)));
      }),
      { numRuns: 60 },
    );
  });
});

describe("the command", () => {
  const questions = [
    { question: "Who is the mayor?", answers: ["Ida Renhan", "Renhan"] },
    { question: "Where is Gävle? 🦊", answers: ["in the\tnorth"] },
  ];
  const input = folder.write("custom_qa_dataset_dev.txt", `${written(questions)}Q: lost?\n`);

  it("writes a file that our reader takes, and lists what it left out", () => {
    const lines = convert(input, folder.join("dev.jsonl"));
    expect(lines.status).toBe(0);
    expect(lines.error).toContain(`warning: ${input}:10: left out: a question without an answer\n`);
    expect(lines.error).toContain("dev.jsonl: 2 questions, 1 records left out");
    expect(readQuestions(folder.join("dev.jsonl")).questions.map(({ id, answers }) => [id, answers])).toEqual([
      ["custom_qa_dataset_dev-1", ["Ida Renhan", "Renhan"]],
      ["custom_qa_dataset_dev-2", ["in the north"]],
    ]);
    expect(convert("--first-answer", input, folder.join("dev.tsv")).status).toBe(0);
    expect(readFileSync(folder.join("dev.tsv"), "utf8")).toBe("Who is the mayor?\tIda Renhan\nWhere is Gävle? 🦊\tin the north\n");
  }, 30_000);

  it.each([
    ["a missing file", () => [folder.join("nowhere.txt"), folder.join("out.tsv")], /nowhere\.txt: no such file/],
    ["an empty file", () => [folder.write("empty.txt", "\n"), folder.join("out.tsv")], /empty\.txt: no question in this file/],
    [
      "another format",
      () => [folder.write("qa.tsv", "Who?\tIda\n"), folder.join("out.tsv")],
      /qa\.tsv:1: no usable record.*neither Q: nor A:/,
    ],
    [
      "Latin-1",
      () => [folder.write("latin.txt", Buffer.from("Q: G\xe4vle?\nA: x\n", "latin1")), folder.join("out.tsv")],
      /latin\.txt:1: is not UTF-8/,
    ],
    ["UTF-16", () => [folder.write("wide.txt", Buffer.from("\uFEFFQ: Who?\nA: x\n", "utf16le")), folder.join("out.tsv")], /UTF-16/],
    ["a compressed file", () => [folder.write("qa.txt.gz", gzipSync("Q: Who?\nA: x\n")), folder.join("out.tsv")], /gzip/],
    ["an output of another ending", () => [input, folder.join("out.csv")], /out\.csv: has no known ending; expected \.jsonl or \.tsv/],
    ["an output that is there", () => [input, folder.write("mine.tsv", "years of work")], /mine\.tsv: is there already/],
    ["one file", () => [input], /two files are needed/],
    ["an unknown option", () => ["--all", input, folder.join("out.tsv")], /command line: Unknown option '--all'/],
  ])(
    "refuses %s in one line and leaves nothing behind",
    (_, words, expected) => {
      const given = words();
      const { status, error } = convert(...given);
      expect(status).toBe(2);
      expect(error).toMatch(expected);
      expect(error.trimEnd().split("\n")).toHaveLength(1);
      expect(readdirSync(folder.path).filter((name) => name.startsWith("out."))).toEqual([]);
      if (existsSync(folder.join("mine.tsv"))) expect(readFileSync(folder.join("mine.tsv"), "utf8")).toBe("years of work");
    },
    30_000,
  );
});
