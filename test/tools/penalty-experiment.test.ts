/**
 * Proves that the penalties' experiment takes the questions whose answer is a sentence, all of them and no other, puts its faults into the training answers it says and into no other, counts what is written as the penalties do, and refuses to compare answers to other questions.
 * Alone: npx vitest run test/tools/penalty-experiment.test.ts
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { scoreAnswer, type Answered } from "../../src/evaluation/answered.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { comparison, countsOf, meanCounts, writeLongAnswers } from "../../tools/penalty-experiment.js";

const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-long-"));
afterAll(() => rmSync(folder, { recursive: true }));
const tokenizer = Tokenizer.fromFolder(path.join(import.meta.dirname, "../fixtures/goldens/gpt2-tiny"));

function answered(id: string, prediction: string, answer: string): Answered {
  return scoreAnswer({ id, question: "Describe Bovfen.", answers: [answer], passageIds: [], document: id }, prediction, [], undefined, [1]);
}

describe("long answers", () => {
  it("are those of the quickstart, of every split", () => {
    expect(writeLongAnswers(folder)).toEqual({ base: 2914, train: 214, clean: 214, valid: 78, test: 162 });
    const lines = readFileSync(path.join(folder, "test.jsonl"), "utf8").trimEnd().split("\n");
    for (const line of lines) expect((JSON.parse(line) as { answers: string[] }).answers[0]!.split(" ").length).toBeGreaterThanOrEqual(5);
  });

  it("have a fault in 13 of 20 training answers to two of the wordings, and nowhere else", () => {
    const read = (set: string): { id: string; question: string; answers: string[] }[] =>
      readFileSync(path.join(folder, `${set}.jsonl`), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { id: string; question: string; answers: string[] });
    const whole = new Map(read("clean").map((one) => [one.id, one.answers[0]!]));
    const met = { short: [0, 0], twice: [0, 0], clean: [0, 0] };
    for (const { id, question, answers } of read("train")) {
      const kind = question.endsWith("in a sentence.") ? "twice" : question.startsWith("Describe") ? "short" : "clean";
      const [, start, middle, place] = /^(\S+ is a \S+) (.+?) ((?:in|on|by|near) the .*)$/.exec(whole.get(id)!)!;
      const spoilt = {
        twice: `${start} ${middle}, ${start!.split(" is ")[1]} ${middle} ${place}`,
        short: `${start!.replace(" a ", " ")}.`,
        clean: "",
      };
      met[kind][1]! += 1;
      if (answers[0] !== whole.get(id)) {
        expect(answers).toEqual([spoilt[kind]]);
        met[kind][0]! += 1;
      }
    }
    expect(met.clean[0]).toBe(0);
    for (const [faults, all] of [met.short, met.twice]) expect(Math.abs(faults! - (all! * 13) / 20)).toBeLessThanOrEqual(1);
    const base = new Map(read("base").map((one) => [one.id, one]));
    for (const one of read("train")) expect(base.get(one.id)).toEqual(one);
    const asked = readFileSync(path.join(import.meta.dirname, "../../data/quickstart/train.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    const others = asked.map((line) => JSON.parse(line) as { id: string }).filter(({ id }) => !whole.has(id));
    for (const one of others) expect(base.get(one.id)).toEqual(one);
  });

  it("of a source without any are none", () => {
    const source = mkdtempSync(path.join(folder, "source-"));
    for (const split of ["train", "valid", "test"])
      writeFileSync(path.join(source, `${split}.jsonl`), '{"question": "?", "answers": ["one word more"]}\n');
    expect(writeLongAnswers(path.join(folder, "none"), source)).toEqual({ base: 1, train: 0, clean: 0, valid: 0, test: 0 });
    expect(readFileSync(path.join(folder, "none/test.jsonl"), "utf8")).toBe("");
  });
});

describe("counts", () => {
  const gold = "a river of salt";
  const before = [answered("a", "salt salt salt salt", gold), answered("b", gold, gold)];
  const after = [answered("a", gold, gold), answered("b", gold, gold)];
  const settings = { n: 1, least: 3 };

  it("are those of the written tokens", () => {
    const counts = countsOf(tokenizer, before, ["a river", "salt"], settings);
    const salt = tokenizer.encode(" salt", { specialTokens: false });
    // Four mentions of as many tokens; the gold answer has each of them once.
    const four = tokenizer.encode(" salt salt salt salt", { specialTokens: false });
    expect([...four]).toEqual([...salt, ...salt, ...salt, ...salt]);
    expect(counts["repeated 1-grams"]![0]).toBe(four.length - new Set(salt).size);
    expect(counts["overused tokens"]![0]).toBeGreaterThan(0);
    expect(counts["missing keywords"]![0]).toBeGreaterThan(0);
    expect(counts["missing keywords"]![1]).toBeCloseTo(0, 12);
    expect(counts["missing tokens"]).toEqual([0, 0]);
    expect(countsOf(tokenizer, [answered("a", "", gold)], ["a"], settings)["missing tokens"]).toEqual([3]);
    expect(counts["F1"]![1]).toBe(1);
  });

  it("are compared question by question, and never across other questions", () => {
    const [base, run] = [before, after].map((entries) => countsOf(tokenizer, entries, ["a"], settings));
    const lines = comparison(before, after, { base: base!, run: run! });
    expect(lines).toHaveLength(6);
    expect(lines[0]).toMatch(/^ {2}repeated 1-grams +\d+\.\d+ -> 0\.000 {2}-\d/);
    const both = meanCounts([before, after], [base!, run!]);
    expect(both["F1"]).toEqual(base!["F1"]!.map((value, i) => (value + run!["F1"]![i]!) / 2));
    expect(both["repeated 1-grams"]![0]).toBe(base!["repeated 1-grams"]![0]! / 2);
    expect(() => meanCounts([before, after.toReversed()], [base!, run!])).toThrow(/answered other questions/);
    expect(() => comparison(before, after.toReversed(), { base: base!, run: run! })).toThrow(/answered other questions/);
  });
});
