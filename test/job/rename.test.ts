/**
 * Proves that the renaming of training batches gives one name one new name in all texts of a context, never draws a name of validation or test, is a pure function of seed and step, leaves what it
 * isn't asked to rename, and refuses span files that don't fit.
 * Alone: npx vitest run test/job/rename.test.ts
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { inventedNamesIn } from "../../src/corpus/invented-names.js";
import type { EntitySpan, Question } from "../../src/corpus/questions.js";
import { renaming, type Renaming } from "../../src/job/data/rename.js";
import type { QuestionSets } from "../../src/job/data/data.js";
import type { AskedContext } from "../../src/training/generator-examples.js";
import { writtenStore } from "../corpus/written-store.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";
import { dataConfig } from "./data-config.js";

const folder = temporaryFolder();
const HELD_OUT = ["Duvwuk", "Ada Hunter"];
const TEXTS = [
  { document: "Bovfen", title: "Bovfen", text: "Bovfen was first climbed by Flora Fisher in 1890. One sees Govbak from Bovfen." },
  { document: "Bovfen", title: "Bovfen", text: "The guides of Bovfen meet at the sign of the Hare." },
  { document: "Nenzal", title: "Nenzal", text: "Nenzal lies beside Bovfen." },
  { document: "Duvwuk", title: "Duvwuk", text: "Duvwuk was conquered by Ada Hunter." },
];
const store = writtenStore(path.join(folder, "store"), TEXTS);
const rowOfText = (i: number): number =>
  Array.from({ length: store.size }, (_, row) => row).find((row) => store.get(row).text === TEXTS[i]!.text)!;

/** Where the names of the grammar, the person and the year stand. */
function spansIn(text: string): EntitySpan[] {
  const kinds: [RegExp, string][] = [
    [/Bovfen|Govbak|Nenzal/g, "name"],
    [/Flora Fisher/g, "person"],
    [/1890/g, "year"],
  ];
  return kinds
    .flatMap(([pattern, kind]) =>
      Array.from(text.matchAll(pattern), ({ 0: word, index }) => ({ start: index, end: index + word.length, kind })),
    )
    .sort((a, b) => a.start - b.start);
}
const listed = (text: string): unknown => spansIn(text).map(({ start, end, kind }) => [start, end, kind]);

const entities = path.join(folder, "entities.jsonl");
writeFileSync(
  entities,
  [0, 1, 2]
    .map(
      (i) =>
        `${JSON.stringify({ passage_id: store.get(rowOfText(i)).id, title: listed(TEXTS[i]!.title), text: listed(TEXTS[i]!.text) })}\n`,
    )
    .join(""),
);

const asked = (id: string, question: string, answer: string, document: string): Question => ({
  id,
  question,
  answers: [answer],
  passageIds: [],
  document,
  entities: { question: spansIn(question), answers: [spansIn(answer)] },
});
const SETS: QuestionSets = {
  train: [asked("1", "Who first climbed Bovfen?", "Flora Fisher", "Bovfen"), asked("2", "What lies beside Bovfen?", "Nenzal", "Nenzal")],
  valid: [asked("3", "Who conquered Duvwuk?", "Ada Hunter", "Duvwuk")],
  test: [],
};
const CONTEXT: AskedContext = {
  passages: [0, 1, 2].map((i) => ({ row: rowOfText(i), title: TEXTS[i]!.title, text: TEXTS[i]!.text })),
  questions: SETS.train.map(({ question, answers }, index) => ({ index, question, answer: answers[0]! })),
};
const TEMPLATE = "{title}. {text}";

function renamingOf(seed = 1, ...words: string[]): Renaming {
  const data = dataConfig("data=quickstart", `data.rename.entities=${entities}`, ...words);
  const made = renaming(data, seed, store, SETS, TEMPLATE);
  expect(made).toBeDefined();
  return made!;
}

/** The new name of each old one, read off the first passage and the questions. */
function newNames({ passages, questions }: AskedContext): Record<string, string> {
  const [, mountain, person, year, other] =
    /^(\S+) was first climbed by (\S+ \S+) in (\S+)\. One sees (\S+) from \1\.$/.exec(passages[0]!.text) ?? [];
  return { mountain: mountain!, person: person!, year: year!, other: other!, beside: questions[1]!.answer };
}

describe("a renamed context", () => {
  const renamed = renamingOf().context(CONTEXT, 5);
  const names = newNames(renamed);

  it("gives one name one new name in titles, texts, questions and answers", () => {
    const { mountain, person, beside } = names;
    expect(renamed.passages.map(({ title }) => title)).toEqual([mountain, mountain, beside]);
    expect(renamed.passages[1]!.text).toBe(`The guides of ${mountain} meet at the sign of the Hare.`);
    expect(renamed.passages[2]!.text).toBe(`${beside} lies beside ${mountain}.`);
    expect(renamed.questions.map(({ question, answer }) => [question, answer])).toEqual([
      [`Who first climbed ${mountain}?`, person],
      [`What lies beside ${mountain}?`, beside],
    ]);
    expect(renamed.passages.map(({ row }) => row)).toEqual(CONTEXT.passages.map(({ row }) => row));
    expect(renamed.questions.map(({ index }) => index)).toEqual([0, 1]);
  });

  it("gives different names different ones, none of them the old", () => {
    expect(new Set(Object.values(names)).size).toBe(5);
    for (const old of ["Bovfen", "Flora Fisher", "1890", "Govbak", "Nenzal"]) expect(JSON.stringify(renamed)).not.toContain(old);
  });

  it("is a pure function of seed and step: the same again, another for each", () => {
    expect(renamingOf().context(CONTEXT, 5)).toEqual(renamed);
    expect(newNames(renamingOf().context(CONTEXT, 6))).not.toEqual(names);
    expect(newNames(renamingOf(2).context(CONTEXT, 5))).not.toEqual(names);
  });

  it("changes nothing of what it was given", () => {
    const before = structuredClone(CONTEXT);
    renamingOf().context(CONTEXT, 9);
    expect(CONTEXT).toEqual(before);
  });

  it("never holds a name of validation or test, over a thousand steps", () => {
    const make = renamingOf();
    const drawn = new Set<string>();
    for (let step = 0; step < 1000; step++) for (const name of Object.values(newNames(make.context(CONTEXT, step)))) drawn.add(name);
    expect(drawn.size).toBeGreaterThan(1000);
    for (const name of HELD_OUT) {
      expect(inventedNamesIn("Duvwuk was conquered by Ada Hunter.")).toContain(name);
      expect(drawn.has(name)).toBe(false);
    }
  });
});

describe("renamed texts of a contrastive batch", () => {
  const texts = {
    passages: [0, 1, 2].map((i) => ({ row: rowOfText(i), text: `${TEXTS[i]!.title}. ${TEXTS[i]!.text}` })),
    questions: SETS.train.map(({ question, answers }, index) => ({ index, question, answers })),
  };

  it("agree within a document, question and answers included", () => {
    const { passages, questions } = renamingOf().texts(texts, 3);
    const mountain = /^(\S+)\. /.exec(passages[0]!.text)![1]!;
    expect(mountain).not.toBe("Bovfen");
    expect(passages[1]!.text).toBe(`${mountain}. The guides of ${mountain} meet at the sign of the Hare.`);
    expect(questions[0]!.question).toBe(`Who first climbed ${mountain}?`);
    expect(passages[0]!.text).toContain(`climbed by ${questions[0]!.answers[0]!} in`);
    const other = /^(\S+)\. /.exec(passages[2]!.text)![1]!;
    expect(questions[1]!.answers).toEqual([other]);
    expect(other).not.toBe("Nenzal");
    expect(renamingOf().texts(texts, 3)).toEqual({ passages, questions });
    expect(texts.passages[0]!.text).toContain("Bovfen");
  });

  it("of a passage without a title are its text alone, with or without renaming", () => {
    const untitled = { document: "Bovfen", title: "", text: "One sees Bovfen from afar." };
    const own = writtenStore(path.join(folder, "untitled"), [untitled]);
    const file = path.join(folder, "untitled.jsonl");
    writeFileSync(file, `${JSON.stringify({ passage_id: own.get(0).id, title: [], text: listed(untitled.text) })}\n`);
    const make = renaming(dataConfig("data=quickstart", `data.rename.entities=${file}`), 1, own, SETS, TEMPLATE)!;
    const [passage] = make.texts({ passages: [{ row: 0, text: untitled.text }], questions: [] }, 3).passages;
    expect(passage!.text).toMatch(/^One sees (?!Bovfen)\S+ from afar\.$/);
  });

  it("stay as they are for a document without spans", () => {
    const held = { passages: [{ row: rowOfText(3), text: `Duvwuk. ${TEXTS[3]!.text}` }], questions: [] };
    expect(renamingOf().texts(held, 3)).toEqual(held);
  });
});

describe("whether there is a renaming", () => {
  it("is up to the config", () => {
    expect(renaming(dataConfig("data=quickstart", "data.rename.enabled=false"), 1, store, SETS, TEMPLATE)).toBeUndefined();
  });

  it("of a share below 1 leaves about the rest of the contexts as they are, the same ones every time", () => {
    const half = renamingOf(1, "data.rename.share=0.5");
    const untouched = (make: Renaming): number[] =>
      Array.from({ length: 200 }, (_, step) => step).filter((step) => make.context(CONTEXT, step) === CONTEXT);
    const steps = untouched(half);
    expect(steps.length).toBeGreaterThan(60);
    expect(steps.length).toBeLessThan(140);
    expect(untouched(renamingOf(1, "data.rename.share=0.5"))).toEqual(steps);
  });

  it.each<[string, string, RegExp]>([
    ["of other passages", '{"passage_id":"none","title":[],"text":[]}\n', /its spans fit no passage of the corpus.*got 1 unknown ids/],
    ["without an id", '{"title":[],"text":[]}\n', /has no passage_id/],
    ["whose spans are no list", '{"passage_id":"x","title":{},"text":[]}\n', /spans are no list/],
    ["with half a span", '{"passage_id":"x","title":[[1,2]],"text":[]}\n', /a span is wrong; expected \[start, end, kind\], got \[1,2\]/],
    ["with a span between characters", '{"passage_id":"x","title":[[0.5,2,"name"]],"text":[]}\n', /a span is wrong/],
    ["that is null", "null\n", /has no passage_id/],
    ["that is no JSON", "{\n", /1/],
    ["that is empty", "", /spans\.jsonl/],
  ])("refuses a span file %s in one line", (_, text, message) => {
    const file = path.join(folder, "spans.jsonl");
    writeFileSync(file, text);
    const data = dataConfig("data=quickstart", `data.rename.entities=${file}`);
    expect(faultOf(() => renaming(data, 1, store, SETS, TEMPLATE))).toMatch(message);
  });

  it("refuses to rename without a span file", () => {
    const data = dataConfig("data=quickstart", "data.rename.entities=null");
    expect(faultOf(() => renaming(data, 1, store, SETS, TEMPLATE))).toMatch(
      /data\.rename\.entities: is not set though data\.rename\.enabled is true/,
    );
  });
});
