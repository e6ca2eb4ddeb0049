/**
 * Proves that `tandem corpus check` shows what the sets of a config share, by the files alone and by a store, in words and as JSON; that what training refuses fails here too; and that wrong files and
 * options are one line. Alone: npx vitest run test/cli/corpus-check.test.ts
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { command as corpus } from "../../src/cli/corpus.js";
import type { LeakReport } from "../../src/job/data/check-leaks.js";
import { writtenStore } from "../corpus/written-store.js";
import { faultOf } from "../job/fault-of.js";
import { jsonLines } from "../job/trained-run.js";
import { captured, type Captured } from "./captured.js";

const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-check-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string | Uint8Array): string => {
  const full = path.join(folder, name);
  writeFileSync(full, text);
  return full;
};
const long = "In which year did the town council of the old harbour decide to build the stone bridge over the river";
const asked = (name: string, entries: { question: string; document?: string; passage_ids?: string[] }[]): string =>
  file(name, jsonLines(entries.map((entry, i) => ({ id: `${name}-${i}`, answers: ["x"], ...entry }))));

const train = asked("train", [
  { question: "When was it built?", document: "a" },
  { question: `${long} Minn?`, document: "a" },
  { question: "Who lives in Alder?", document: "b" },
]);
const valid = asked("valid", [
  { question: "when was it built", document: "c" },
  { question: `${long} Elbe?\u001b[31m`, document: "d" },
]);
const clean = asked("clean", [{ question: "How high is Birch?", document: "e" }]);
const words = (given: Record<string, string>): string[] => Object.entries(given).map(([key, where]) => `data.questions.${key}=${where}`);
const check = (...given: string[]): Promise<Captured> => captured(corpus, ["corpus", "check", "data=files", ...given]);

describe("tandem corpus check", () => {
  it("shows wordings and near wordings with their questions, and ends well", async () => {
    const { out, error } = await check(...words({ train, valid, test: clean }));
    expect(error).toBe("");
    expect(out.split("\n")).toEqual([
      "train: 3 questions",
      "valid: 2 questions",
      "test: 1 question",
      "",
      "train and valid",
      "  no documents",
      "  no gold passages",
      "  1 wording: 1 question of train, 1 question of valid",
      "    When was it built? [train-0] | when was it built [valid-0]",
      "  2 near wordings (0.8 or more): 1 question of train, 1 question of valid",
      expect.stringMatching(/^ {4}0\.\d\d In which .* Minn\? \[train-1\] \| In which .* Elbe\? \[31m \[valid-1\]$/) as string,
      "",
      "train and test",
      ...["  no documents", "  no gold passages", "  no wordings", "  no near wordings (0.8 or more)"],
      "",
      "valid and test",
      ...["  no documents", "  no gold passages", "  no wordings", "  no near wordings (0.8 or more)"],
      "",
    ]);
  });

  it("fails after its report where training would refuse", async () => {
    const leaking = asked("leaking", [{ question: "What else?", document: "b" }]);
    const printed = { out: "" };
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (text: string) => (printed.out += text) !== "";
    try {
      const given = ["corpus", "check", "data=files", ...words({ train, valid: leaking, test: clean })];
      const fault = await faultOf(async () => {
        const { default: yargs } = await import("yargs");
        await yargs()
          .exitProcess(false)
          .fail((_, error) => {
            throw error;
          })
          .command(corpus)
          .parseAsync(given);
      });
      expect(fault).toMatch(/^train and valid: the sets share 1 document, which training refuses; .*split by document/);
    } finally {
      process.stdout.write = write;
    }
    expect(printed.out).toContain(
      "  1 document: 1 question of train, 1 question of valid\n    b: Who lives in Alder? [train-2] | What else? [leaking-0]",
    );
  });

  it("shows answers inside questions, and fails where they are more than training lets pass or allows", async () => {
    const inside = file(
      "inside",
      jsonLines(
        Array.from({ length: 9 }, (_, i) => ({
          id: `i${i}`,
          question: `Is salt or sugar sold in ${i}?`,
          answers: ["salt"],
          document: `i${i}`,
        })),
      ),
    );
    const given = words({ train: inside, valid: clean, test: clean });
    const allowed = await check(...given, "data.questions.allow_leaks=[answer_in_question]", "--examples", "1");
    expect(allowed.out.split("\n").slice(0, 3)).toEqual([
      "train: 9 questions, 9 of them with an answer inside",
      "  Is salt or sugar sold in 0? [i0]: salt",
      "valid: 1 question",
    ]);
    expect((await check(...given, "data.questions.leak_tolerance=1")).out).toBe(
      (await check(...given, "data.questions.allow_leaks=[answer_in_question]")).out,
    );
    expect(await faultOf(() => check(...given))).toMatch(
      /^train: 9 of 9 questions \(100\.0 %\) of train hold one of their own answers.*data\.questions\.allow_leaks=\[answer_in_question\]/,
    );
    const leaking = asked("both-sides", [{ question: "What else?", document: "b" }]);
    const shared = [...words({ train, valid: leaking, test: clean }), "data.questions.allow_leaks=[shared_documents]"];
    expect((await check(...shared)).out).toContain("  1 document: ");
  });

  it("prints everything as JSON, with as many examples and as near as asked", async () => {
    const { out } = await check(...words({ train, valid, test: clean }), "--json", "--near", "1", "--examples", "0");
    const { sets, leaks } = JSON.parse(out) as LeakReport;
    expect(sets).toEqual({ train: 3, valid: 2, test: 1 });
    expect(leaks).toHaveLength(12);
    expect(leaks[2]).toEqual({ sets: ["train", "valid"], kind: "question", shared: 1, affected: [1, 1], examples: [] });
    expect(leaks[3]).toMatchObject({ kind: "near-question", shared: 0 });
  });

  it("with a store looks documents up as training does", async () => {
    const store = writtenStore(path.join(folder, "store"), [
      { document: "7", title: "Alder", text: "Alder lies low." },
      { document: "7", title: "Alder", text: "Alder sells rope." },
    ]);
    const [one, two] = [store.get(0).id, store.get(1).id];
    const given = words({
      train: asked("first", [{ question: "Where?", passage_ids: [one] }]),
      valid: asked("second", [{ question: "What?", passage_ids: [two] }]),
      test: clean,
    });
    expect((await check(...given)).out).not.toContain("1 document");
    expect(await faultOf(() => check(...given, "--store", path.join(folder, "store")))).toMatch(/share 1 document/);
  });

  it("says that a file divided without a store may fall otherwise, and that one file for two sets isn't compared with itself", async () => {
    const many = asked(
      "many",
      Array.from({ length: 12 }, (_, i) => ({ question: `What is ${i}?`, document: `m${i}` })),
    );
    const { out, error } = await check(...words({ train: many }));
    expect(out).toMatch(/^train: \d+ questions\nvalid: /);
    expect(error).toMatch(/warning: one file is divided by the documents that it names itself; with --store/);
    expect((await check(...words({ train, valid: clean }), "data.questions.split.test=0")).error).toBe("");
    const shared = await check(...words({ train, valid: clean, test: clean }));
    expect(shared.error).toMatch(/validation and test are one file/);
    expect(shared.out).not.toContain("valid and test");
  });

  it.each([
    ["no training file", [], /data\.questions\.train' must be given/],
    ["a file that isn't there", words({ train: "/nowhere.jsonl" }), /\/nowhere\.jsonl/],
    ["a store that isn't there", [...words({ train, valid, test: clean }), "--store", "/nowhere"], /\/nowhere/],
    ["a share above 1", [...words({ train }), "--near", "2"], /--near: is no share.*got 2/],
    ["a share that is no number", [...words({ train }), "--near", "most"], /--near: is no share/],
    ["examples that are no number", [...words({ train }), "--examples", "-1"], /--examples: is no number of examples/],
  ])("refuses %s in one line", async (_, given, expected) => {
    expect(await faultOf(() => check(...given))).toMatch(expected);
  });
});
