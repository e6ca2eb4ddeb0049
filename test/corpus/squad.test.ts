/**
 * Proves that SQuAD's JSON is read as it is meant: offsets in code points, every answer held against its context, unanswerable questions counted; that its contexts are a corpus, and gold passages
 * of any store of the same articles; and that whatever isn't SQuAD's form is refused or listed with its place. Alone: npx vitest run test/corpus/squad.test.ts
 */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Article, ArticleSource } from "../../src/corpus/article.js";
import { buildCorpus } from "../../src/corpus/build-corpus.js";
import { alignGold } from "../../src/corpus/gold-alignment.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import { readQuestions } from "../../src/corpus/questions.js";
import { openSquad } from "../../src/corpus/squad-reader.js";
import { UserError } from "../../src/errors.js";
import { faultOf } from "../job/fault-of.js";
import { writtenStore } from "./written-store.js";
import { temporaryFolder } from "./temporary-folder.js";
import { writeTinyTokenizer } from "./tiny-tokenizer.js";

const folder = temporaryFolder();

interface Qa {
  id: string;
  question: string;
  answers: { text: string; answer_start: number }[];
  is_impossible?: boolean;
}

/** An answer with its offset as Python counts. */
function answer(context: string, text: string, from = 0): Qa["answers"][number] {
  return { text, answer_start: Array.from(context.slice(0, context.indexOf(text, from))).length };
}
const qa = (id: string, context: string, ...texts: string[]): Qa => ({
  id,
  question: `What about ${id}?`,
  answers: texts.map((text) => answer(context, text)),
});
const squad = (articles: { title: string; paragraphs: { context: string; qas: unknown }[] }[], version = "1.1"): string =>
  JSON.stringify({ version, data: articles });

const emoji = "The 🦊 fox and the 🐻 bear met in Gävle in 1901, and again in 1901 at night.";
const plain = "Alder is a town on the river Minn. Its mayor is Ida Renhan.";
const good = squad([
  { title: "Two_Animals", paragraphs: [{ context: emoji, qas: [qa("e1", emoji, "bear", "the 🐻 bear"), qa("e2", emoji, "Gävle")] }] },
  { title: "Alder", paragraphs: [{ context: plain, qas: [qa("a1", plain, "Ida Renhan", "Ida Renhan", "Renhan")] }] },
]);
const read = (content: string | Uint8Array, name = "squad.json"): ReturnType<typeof readQuestions> =>
  readQuestions(folder.write(name, content));
const one = (context: string, ...qas: unknown[]): string => squad([{ title: "T", paragraphs: [{ context, qas }] }]);

async function all(source: ArticleSource): Promise<Article[]> {
  const articles: Article[] = [];
  for await (const article of source.articles()) articles.push(article);
  return articles;
}

describe("questions", () => {
  it("have their id, all distinct answers, and the context as gold passage", () => {
    const { questions, rejected, unanswerable, gold } = read(good);
    expect(rejected).toEqual([]);
    expect(unanswerable).toBe(0);
    expect(questions.map(({ id, question, answers }) => [id, question, answers])).toEqual([
      ["e1", "What about e1?", ["bear", "the 🐻 bear"]],
      ["e2", "What about e2?", ["Gävle"]],
      ["a1", "What about a1?", ["Ida Renhan", "Renhan"]],
    ]);
    expect(questions.map(({ passageIds }) => passageIds.map((id) => gold.get(id)))).toEqual([
      [{ title: "Two Animals", text: emoji, document: "Two Animals" }],
      [{ title: "Two Animals", text: emoji, document: "Two Animals" }],
      [{ title: "Alder", text: plain, document: "Alder" }],
    ]);
  });

  it("property: an answer's place is found in any text, whatever stands before it", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 30 });
    fc.assert(
      fc.property(text, fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), text, (before, wanted, after) => {
        fc.pre(wanted.trim() !== "");
        const context = `${before}${wanted}${after}`;
        const start = Array.from(before).length;
        const { questions, gold } = read(one(context, { id: "q", question: "?", answers: [{ text: wanted, answer_start: start }] }));
        const [{ answers, answerPlaces = [], passageIds } = { answers: [], passageIds: [] }] = questions;
        const [place] = answerPlaces;
        const body = gold.get(passageIds[0] ?? "")?.text ?? "";
        // A half of a pair has no place in UTF-8 and is read as U+FFFD.
        expect(answers).toEqual([wanted.replace(/\p{Surrogate}/gu, "\uFFFD").trim()]);
        expect(body.slice(place?.start, place?.end)).toBe(answers[0]);
      }),
      { numRuns: 60 },
    );
  });

  it("of v2.0 that have no answer are counted and left out, plausible answers unread", () => {
    const none = { id: "n", question: "Who?", answers: [], is_impossible: true, plausible_answers: [{ text: "x", answer_start: 900 }] };
    const { questions, unanswerable } = read(one(plain, qa("a", plain, "Minn"), none));
    expect(questions.map(({ id }) => id)).toEqual(["a"]);
    expect(unanswerable).toBe(1);
    expect(faultOfRead(one(plain, none))).toMatch(/no question in this file.*got 1 marked as unanswerable/);
  });

  it("are known by how the file begins, pretty-printed, without a version and with a byte-order mark too", () => {
    const value = JSON.parse(good) as { data: unknown };
    for (const text of [JSON.stringify(value, null, 2), JSON.stringify({ data: value.data, version: "x" }), `\uFEFF\n ${good}`])
      expect(read(text).questions).toHaveLength(3);
    // Lines with a field of that name are lines.
    expect(read('{"data": 1, "question": "Q?", "answers": ["a"]}\n{"data": 2, "question": "R?", "answers": ["a"]}').questions).toHaveLength(
      2,
    );
  });

  it("that can't be used are listed with their place and the reason; the others are read", () => {
    const bad = [
      qa("ok", plain, "Minn"),
      null,
      { ...qa("x", plain, "Minn"), id: 7 },
      { ...qa("x", plain, "Minn"), question: " " },
      { id: "x", question: "Q?" },
      { id: "x", question: "Q?", answers: { text: ["Minn"], answer_start: [29] } },
      { id: "x", question: "Q?", answers: [] },
      { id: "x", question: "Q?", answers: [{ text: "Minn", answer_start: 28 }] },
      { id: "x", question: "Q?", answers: [{ text: "Minn", answer_start: 1e9 }] },
      { id: "x", question: "Q?", answers: [{ text: "Minn", answer_start: "29" }] },
      { id: "x", question: "Q?", answers: [{ text: "Minn" }] },
      { id: "x", question: "Q?", answers: [{ text: " ", answer_start: 5 }] },
      { id: "x", question: "Q?", answers: ["Minn"] },
      qa("ok", plain, "Ida"),
    ];
    const { questions, rejected } = read(one(plain, ...bad));
    expect(questions.map(({ id }) => id)).toEqual(["ok"]);
    expect(rejected.map(({ place, reason }) => `${place?.replace("data[0].paragraphs[0].", "") ?? ""}: ${reason}`)).toEqual([
      "qas[1]: the question is not an object",
      "qas[2]: id is not text",
      "qas[3]: missing question",
      "qas[4]: answers is missing",
      "qas[5]: answers is not a list",
      "qas[6]: no answers, and not marked is_impossible",
      `qas[7]: answers[0]: "Minn" doesn't stand at answer_start 28 (code points), but " Min"`,
      `qas[8]: answers[0]: "Minn" doesn't stand at answer_start 1000000000 (code points), but nothing`,
      `qas[9]: answers[0].answer_start must be a whole number ≥ 0, not "29"`,
      "qas[10]: answers[0].answer_start must be a whole number ≥ 0, not missing",
      "qas[11]: answers[0].text is empty",
      "qas[12]: answers[0] is not an object",
      `qas[13]: duplicate id "ok", first at data[0].paragraphs[0].qas[0]`,
    ]);
    const { rejected: lists } = read(
      squad([
        {
          title: "T",
          paragraphs: [
            { context: plain, qas: [qa("ok", plain, "Minn")] },
            { context: plain, qas: "none" },
          ],
        },
      ]),
    );
    expect(lists).toEqual([{ place: "data[0].paragraphs[1]", reason: "qas is not a list" }]);
  });

  it("with offsets in UTF-16 units behind an emoji are listed, not taken at a wrong place", () => {
    const { questions, rejected } = read(
      one(emoji, qa("ok", emoji, "fox"), { id: "u", question: "Q?", answers: [{ text: "Gävle", answer_start: emoji.indexOf("Gävle") }] }),
    );
    expect(questions.map(({ id }) => id)).toEqual(["ok"]);
    expect(rejected[0]?.reason).toMatch(/"Gävle" doesn't stand at/);
  });
});

const faultOfRead = (content: string | Uint8Array): string => {
  try {
    read(content);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return "nothing was wrong";
};

describe("a file that isn't whole or of another form", () => {
  it.each([
    ["is cut off", good.slice(0, -20), /squad\.json: not JSON; expected SQuAD's JSON, whole/],
    ["is Latin-1", Buffer.from(good, "latin1"), /squad\.json: is not UTF-8/],
    ["is UTF-16", Buffer.from(`\uFEFF${good}`, "utf16le"), /UTF-16/],
    ["is compressed", gzipSync(good), /compressed/],
    ["has an article that is none", '{"data": [3]}', /data\[0\]: not an object; expected SQuAD's form, got 3/],
    ["has no title", '{"data": [{"paragraphs": []}]}', /data\[0\]: field 'title'; expected text, got nothing/],
    ["has no paragraphs", '{"data": [{"title": "T", "paragraphs": {}}]}', /field 'paragraphs'; expected a list, got \{\}/],
    ["has no context", '{"data": [{"title": "T", "paragraphs": [{"qas": []}]}]}', /data\[0\]\.paragraphs\[0\]: field 'context'/],
    ["has no article", '{"data": []}', /no question in this file/],
    ["has only bad questions", one(plain, { id: "x" }), /qas\[0\]: no usable question in this file; the first reason: missing question/],
  ])("that %s is refused", (_, content, expected) => {
    expect(faultOfRead(content)).toMatch(expected);
  });

  it("property: cut anywhere, or with any value in any place, is read or refused in one line", () => {
    const text = JSON.stringify(JSON.parse(good), null, 1);
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(20), fc.jsonValue(), (at, length, value) => {
        for (const broken of [text.slice(0, at), text.slice(0, at) + JSON.stringify(value) + text.slice(at + length)]) {
          const fault = faultOfRead(broken);
          expect(fault.split("\n")).toHaveLength(1);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe("a corpus", () => {
  it("has the contexts as paragraphs, titles without underscores and escapes", async () => {
    const content = squad([
      {
        title: "Beyonc%C3%A9_Knowles",
        paragraphs: [
          { context: ` ${plain} `, qas: [] },
          { context: emoji, qas: "unread" },
        ],
      },
      { title: "100%25_wool", paragraphs: [{ context: plain, qas: [] }] },
      { title: "Empty", paragraphs: [{ context: " ", qas: [] }] },
    ]);
    const source = openSquad(folder.write("corpus.json", content));
    expect(await all(source)).toEqual([
      { document: "Beyoncé Knowles", title: "Beyoncé Knowles", text: `${plain}\n\n${emoji}` },
      { document: "100%25 wool", title: "100%25 wool", text: plain },
    ]);
    expect(source.skipped).toEqual({ empty: 1, redirects: 0 });
    expect(source.bytesRead()).toBe(source.bytes);
  });

  it("of several files is read in the order of their names; one that is no SQuAD is refused", async () => {
    folder.write("several/b.json", squad([{ title: "B", paragraphs: [{ context: "b", qas: [] }] }]));
    folder.write("several/a.json", squad([{ title: "A", paragraphs: [{ context: "a", qas: [] }] }]));
    folder.write("several/notes.txt", "x");
    const source = openSquad(folder.join("several"));
    expect((await all(source)).map(({ title }) => title)).toEqual(["A", "B"]);
    expect(source.ignoredFiles).toHaveLength(1);
    folder.write("several/c.json", '{"data": 1}');
    expect(await faultOf(() => all(openSquad(folder.join("several"))))).toMatch(/c\.json: field 'data'; expected a list, got 1/);
    expect(await faultOf(() => Promise.resolve(openSquad(folder.join("nowhere"))))).toMatch(/nowhere/);
  });

  it("built into a store holds the questions' gold passages under their own ids", async () => {
    const file = folder.write("own.json", good);
    const chunk = { split: "blank", maxTokens: 256, minCharacters: 0, titleTemplate: "{title}. {text}" } as const;
    const tokenizer = writeTinyTokenizer(folder.join("tokenizer"));
    await buildCorpus({ source: { format: "squad", path: file }, chunk, tokenizer, output: folder.join("store"), threads: 0 });
    const store = PassageStore.open(folder.join("store"));
    const set = readQuestions(file);
    const { questions, report } = alignGold(set.questions, set.gold, store);
    expect(report).toMatchObject({ questions: 3, mapped: 3, withAnswer: 3, goldPassages: 2, identical: 2, unmapped: [] });
    expect(questions.map(({ passageIds }) => passageIds)).toEqual(set.questions.map(({ passageIds }) => passageIds));
    expect(questions.some((question) => "answerPlaces" in question)).toBe(false);
    expect(questions.map(({ document }) => document)).toEqual(["Two Animals", "Two Animals", "Alder"]);
  });
});

describe("gold passages in another store", () => {
  const first = "In 1901 the fox of Gävle met the bear for the first time, which the papers of the town reported on the front page.";
  const second = "Twenty years went by before the fox was seen again, and then, in 1901 by the old calendar, the bear left the town.";
  const context = `${first} ${second}`;
  const store = writtenStore(folder.join("cut"), [
    { document: "12", title: "Two Animals", text: first },
    { document: "12", title: "Two Animals", text: second },
    { document: "13", title: "Alder", text: plain },
  ]);
  const aligned = (answerText: Qa["answers"][number]): ReturnType<typeof alignGold>["questions"][number] | undefined => {
    const set = read(
      squad([{ title: "Two_Animals", paragraphs: [{ context, qas: [{ id: "q", question: "Q?", answers: [answerText] }] }] }]),
    );
    return alignGold(set.questions, set.gold, store).questions[0];
  };
  const texts = (ids: string[] = []): string[] => ids.map((id) => store.get(store.rowOf(id) ?? -1).text);

  it("are the chunk where the answer stands, not another that holds the same words", () => {
    expect(texts(aligned(answer(context, "1901"))?.passageIds)).toEqual([first]);
    expect(texts(aligned(answer(context, "1901", 40))?.passageIds)).toEqual([second]);
    expect(texts(aligned(answer(context, "bear", 100))?.passageIds)).toEqual([second]);
  });

  it("give the document of the store; where no passage is found too, if the article is there", () => {
    expect(aligned(answer(context, "1901"))?.document).toBe("12");
    const lost = read(
      one("Nothing of this is in the store at all.", { id: "q", question: "Q?", answers: [{ text: "Nothing", answer_start: 0 }] }),
    );
    const { questions, report } = alignGold(lost.questions, lost.gold, store);
    expect(questions[0]).toMatchObject({ passageIds: [], document: "T" });
    expect(report.unmapped).toHaveLength(1);
    const known = read(
      squad([
        {
          title: "Alder",
          paragraphs: [{ context: "Other words altogether here.", qas: [qa("q", "Other words altogether here.", "Other")] }],
        },
      ]),
    );
    expect(alignGold(known.questions, known.gold, store).questions[0]).toMatchObject({ passageIds: [], document: "13" });
  });
});
