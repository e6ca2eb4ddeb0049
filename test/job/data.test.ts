/**
 * Proves that what is wrong with the questions is said, not dropped in silence: rejected lines by number, gold passages that the corpus lacks, documents in two splits, paths that aren't set.
 * Alone: npx vitest run test/job/data.test.ts
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { corpusSource, prepareQuestions, questionTexts, readReported } from "../../src/job/data/data.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { UserError } from "../../src/errors.js";
import { writtenStore } from "../corpus/written-store.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";
import { dataConfig } from "./data-config.js";

const folder = temporaryFolder();
const store = writtenStore(
  path.join(folder, "store"),
  Array.from({ length: 12 }, (_, i) => ({ document: `d${i}`, title: `T${i}`, text: `Passage ${i} says number${i}.` })),
);
const row = (i: number): number => Array.from({ length: 12 }, (_, at) => at).find((at) => store.get(at).document === `d${i}`)!;
const question = (i: number, change: object = {}): object => ({
  id: `q${i}`,
  question: `What does passage ${i} say?`,
  answers: [`number${i}`],
  passage_ids: [store.get(row(i)).id],
  document: `d${i}`,
  ...change,
});
function file(name: string, entries: readonly (object | string)[]): string {
  const target = path.join(folder, name);
  writeFileSync(target, entries.map((entry) => `${typeof entry === "string" ? entry : JSON.stringify(entry)}\n`).join(""));
  return target;
}
const range = (from: number, to: number): object[] => Array.from({ length: to - from }, (_, i) => question(from + i));

/** A report that is written down. */
function notebook(): { said: string[]; report: (message: JobMessage) => void } {
  const said: string[] = [];
  const report = (message: JobMessage): void => {
    if (message.type === "warning" || message.type === "note") said.push(`${message.type}: ${message.text}`);
  };
  return { said, report };
}
const dataOf = (...words: string[]): ReturnType<typeof dataConfig> => dataConfig("data=files", "data.corpus.path=/nowhere", ...words);

describe("rejected lines", () => {
  it("are reported with file, number and reason; the others are read", () => {
    const { said, report } = notebook();
    const target = file("some.jsonl", [question(0), "{", question(1), { id: "x", question: "", answers: ["a"] }]);
    expect(readReported(target, report).questions.map(({ id }) => id)).toEqual(["q0", "q1"]);
    expect(said).toHaveLength(2);
    expect(said[0]).toContain(`warning: ${target}:2: left out: `);
    expect(said[1]).toContain(`warning: ${target}:4: left out: `);
  });

  it("of SQuAD's JSON are named by their place, and unanswerable ones counted", () => {
    const { said, report } = notebook();
    const context = "Alder lies on the Minn.";
    const qas = [
      { id: "a", question: "Where is Alder?", answers: [{ text: "on the Minn", answer_start: 11 }] },
      { id: "b", question: "Where is Birch?", answers: [], is_impossible: true },
      { id: "c", question: "Where is Cedar?", answers: [{ text: "Minn", answer_start: 3 }] },
    ];
    const target = file("squad.json", [{ version: "v2.0", data: [{ title: "Alder", paragraphs: [{ context, qas }] }] }]);
    expect(readReported(target, report).questions.map(({ id }) => id)).toEqual(["a"]);
    expect(said).toHaveLength(2);
    expect(said[0]).toContain(`warning: ${target}:data[0].paragraphs[0].qas[2]: left out: answers[0]: "Minn" doesn't stand at`);
    expect(said[1]).toContain(`${target}: 1 left out that are marked as unanswerable`);
  });

  it("beyond the first few are counted", () => {
    const { said, report } = notebook();
    readReported(file("many.jsonl", [question(0), ...Array.from({ length: 9 }, () => "{")]), report);
    expect(said).toHaveLength(6);
    expect(said.at(-1)).toMatch(/: 4 more lines left out/);
  });
});

describe("prepareQuestions", () => {
  const sets = (train: string, valid: string, test: string): ReturnType<typeof dataConfig> =>
    dataOf(`data.questions.train=${train}`, `data.questions.valid=${valid}`, `data.questions.test=${test}`);

  it("reads three files and says how many questions there are", async () => {
    const { said, report } = notebook();
    const data = sets(file("train.jsonl", range(0, 6)), file("valid.jsonl", range(6, 9)), file("test.jsonl", range(9, 12)));
    const made = await prepareQuestions(data, store, report);
    expect([made.train, made.valid, made.test].map(({ length }) => length)).toEqual([6, 3, 3]);
    expect(said).toEqual(["note: 6 training, 3 validation and 3 test questions, no document in two of them"]);
  });

  it("refuses a document that is in training and in another split", async () => {
    const train = file("train.jsonl", range(0, 6));
    const clean = file("clean.jsonl", range(6, 9));
    const leaking = file("leaking.jsonl", [question(9), question(3, { id: "other", question: "Another question?" })]);
    for (const [valid, test] of [
      [leaking, clean],
      [clean, leaking],
      [leaking, leaking],
    ] as const) {
      const preparing = prepareQuestions(sets(train, valid, test), store, notebook().report);
      await expect(preparing).rejects.toThrow(UserError);
      await expect(preparing).rejects.toThrow(/d3/);
    }
  });

  it("lets a document be in two sets by name, saying so, and asks about wordings only before training began", async () => {
    const train = file("train.jsonl", range(0, 6));
    const leaking = file("leaking.jsonl", [question(9), question(3, { id: "other", question: "Another question?" })]);
    const data = sets(train, leaking, file("clean.jsonl", range(6, 9)));
    const allowed = { ...data, questions: { ...data.questions, allow_leaks: ["shared_documents"] as const } };
    const book = notebook();
    await prepareQuestions(allowed, store, book.report);
    expect(JSON.stringify(book)).toMatch(
      /train and valid share 1 document \(1 of 2 questions of valid\), for example \\"d3\\".*, as data\.questions\.allow_leaks allows/,
    );
    expect(JSON.stringify(book)).not.toContain("no document in two of them");
    const copied = file(
      "copied.jsonl",
      range(6, 10).map((entry, i) => ({ ...entry, question: `What does passage ${i} say?` })),
    );
    const copies = sets(train, copied, copied);
    await expect(prepareQuestions(copies, store, notebook().report)).rejects.toThrow(/near_duplicates/);
    expect((await prepareQuestions(copies, store, notebook().report, true)).valid).toHaveLength(4);
  });

  it("takes one file for validation and test", async () => {
    const held = file("held.jsonl", range(6, 9));
    const made = await prepareQuestions(sets(file("train.jsonl", range(0, 6)), held, held), store, notebook().report);
    expect(made.valid).toEqual(made.test);
  });

  it("splits one file by document when there is no other, the same way every time", async () => {
    const train = file("all.jsonl", [
      ...range(0, 12),
      ...range(0, 12).map((entry, i) => ({ ...entry, id: `second${i}`, question: `And ${i}?` })),
    ]);
    const data = dataOf(`data.questions.train=${train}`, "data.questions.split.valid=0.25", "data.questions.split.test=0.25");
    const made = await prepareQuestions(data, store, notebook().report);
    const documents = [made.train, made.valid, made.test].map((set) => new Set(set.map(({ document }) => document)));
    expect(documents.reduce((sum, set) => sum + set.size, 0)).toBe(12);
    expect(Math.min(...documents.map(({ size }) => size))).toBeGreaterThan(0);
    expect(await prepareQuestions(data, store, notebook().report)).toEqual(made);
  });

  it("takes SQuAD's JSON, whose paragraphs are the gold passages; an article on two sides is refused by the store's name for it", async () => {
    const squad = (name: string, numbers: number[]): string => {
      const data = numbers.map((i) => {
        const context = `Passage ${i} says number${i}.`;
        const answers = [{ text: `number${i}`, answer_start: context.indexOf("number") }];
        return { title: `T${i}`, paragraphs: [{ context, qas: [{ id: `${name}${i}`, question: `What does ${i} say?`, answers }] }] };
      });
      return file(name, [{ version: "1.1", data }]);
    };
    const rest = [file("valid.jsonl", range(6, 9)), file("test.jsonl", range(9, 12))] as const;
    const made = await prepareQuestions(sets(squad("squad-train.json", [0, 1, 2]), ...rest), store, notebook().report);
    expect(made.train.map(({ passageIds, document }) => [passageIds, document])).toEqual(
      [0, 1, 2].map((i) => [[store.get(row(i)).id], `d${i}`]),
    );
    await expect(prepareQuestions(sets(squad("leaking.json", [0, 7]), ...rest), store, notebook().report)).rejects.toThrow(/d7/);
  });

  it("says when gold passages are not in the corpus", async () => {
    const { said, report } = notebook();
    const train = file("lost.jsonl", [question(0, { passage_ids: ["0123456789abcdef0123456789abcdef"] }), ...range(1, 6)]);
    await prepareQuestions(sets(train, file("valid.jsonl", range(6, 9)), file("test.jsonl", range(9, 12))), store, report);
    expect(said.filter((line) => line.includes("gold passages are not in the corpus, for example 0123456789abcdef"))).toHaveLength(1);
  });

  it("cuts training to the limit and leaves the others whole", async () => {
    const files = [file("train.jsonl", range(0, 6)), file("valid.jsonl", range(6, 9)), file("test.jsonl", range(9, 12))] as const;
    const data = dataOf(
      `data.questions.train=${files[0]}`,
      `data.questions.valid=${files[1]}`,
      `data.questions.test=${files[2]}`,
      "data.questions.limit=2",
    );
    const made = await prepareQuestions(data, store, notebook().report);
    expect([made.train.length, made.valid.length, made.test.length]).toEqual([2, 3, 3]);
  });
});

describe("paths that aren't set", () => {
  it("are refused with what to set", async () => {
    const given = dataConfig("data=quickstart");
    const none = { ...given, corpus: { ...given.corpus, path: null } };
    expect(faultOf(() => corpusSource(none))).toMatch(/data\.corpus\.path: is not set.*data\.corpus\.path=…/);
    const without = { ...given, questions: { ...given.questions, train: null } };
    await expect(prepareQuestions(without, store, notebook().report)).rejects.toThrow(
      /data\.questions\.train: is not set.*data\.questions\.train=…/,
    );
    expect(questionTexts(without)).toEqual([]);
  });
});
