/**
 * Proves that the committed quickstart is what its maker makes, and that it keeps its promises: splits share no name, spans hold their entities, every
 * answer stands in its gold passage, sizes. Alone: `npx vitest run test/tools/make-quickstart.test.ts`.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { FIRST_NAMES, inventedNamesIn, isInventedName } from "../../src/corpus/invented-names.js";
import { passageId } from "../../src/corpus/passage.js";
import { makeQuickstart, QUICKSTART_FOLDER } from "../../tools/make-quickstart.js";
import type { Span } from "../../tools/make-quickstart.js";
import { ARTICLE_TYPES } from "../../tools/quickstart-relations.js";

interface QuestionLine {
  id: string;
  question: string;
  answers: string[];
  passage_ids: string[];
  document: string;
  entities?: { question: Span[]; answers: Span[][] };
}

const made = makeQuickstart();
const parsed = <T>(name: string): T[] =>
  made[name]!.trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
const corpus = parsed<{ id: string; title: string; text: string }>("corpus.jsonl");
const questions = {
  train: parsed<QuestionLine>("train.jsonl"),
  valid: parsed<QuestionLine>("valid.jsonl"),
  test: parsed<QuestionLine>("test.jsonl"),
};
const passages = new Map(
  corpus.flatMap(({ title, text }) =>
    text.split("\n\n").map((paragraph) => [passageId({ title, text: paragraph, document: title }), { title, text: paragraph }]),
  ),
);

/** What each kind of span may hold. */
const shapes: Record<Span[2], RegExp> = { name: /^\p{L}{6}$/u, person: /^\p{L}+ \p{L}{6}$/u, year: /^1[4-8]\d\d$/, number: /^\d{3}$/ };

function checkSpans(text: string, spans: Span[]): void {
  let end = 0;
  for (const [from, to, kind] of spans) {
    expect(from).toBeGreaterThanOrEqual(end);
    const entity = text.slice(from, to);
    expect(entity).toMatch(shapes[kind]);
    if (kind === "name") expect(isInventedName(entity)).toBe(true);
    if (kind === "person") expect(isInventedName(entity.split(" ")[1]!) && FIRST_NAMES.includes(entity.split(" ")[0]!)).toBe(true);
    expect(`${text[from - 1] ?? " "}${text[to] ?? " "}`).toMatch(/^[^\p{L}\p{N}]{2}$/u);
    end = to;
  }
  const outside = spans.reduceRight((rest, [from, to]) => rest.slice(0, from) + rest.slice(to), text);
  expect(inventedNamesIn(outside)).toEqual([]);
  expect(outside).not.toMatch(/\d/);
}

describe("the committed files", () => {
  it("are what the maker makes, byte for byte", () => {
    for (const [name, content] of Object.entries(made)) {
      expect(existsSync(path.join(QUICKSTART_FOLDER, name)), name).toBe(true);
      expect(
        readFileSync(path.join(QUICKSTART_FOLDER, name), "utf8") === content,
        `${name} differs: run npx tsx tools/make-quickstart.ts`,
      ).toBe(true);
    }
  });

  it("stay under 1.5 MB together, with 600 articles, 2,000 passages and 1,000 test questions at least", () => {
    const bytes = [...Object.keys(made), "README.md"].reduce((sum, name) => sum + statSync(path.join(QUICKSTART_FOLDER, name)).size, 0);
    expect(bytes).toBeLessThan(1_500_000);
    expect(corpus.length).toBeGreaterThanOrEqual(600);
    expect(passages.size).toBeGreaterThanOrEqual(2_000);
    expect(questions.test.length).toBeGreaterThanOrEqual(1_000);
  });

  it("have counts that the README of the data states", () => {
    const readme = readFileSync(path.join(QUICKSTART_FOLDER, "README.md"), "utf8");
    const documents = (split: keyof typeof questions): number => new Set(questions[split].map(({ document }) => document)).size;
    expect(readme).toContain(`${corpus.length} articles, ${passages.size.toLocaleString("en")} paragraphs`);
    expect(readme).toContain(`${documents("train")} for training, ${documents("valid")} for validation, ${documents("test")} for test`);
  });
});

describe("the splits", () => {
  it("share no document and no invented name", () => {
    const owner = new Map<string, string>();
    for (const { title, text } of corpus) {
      for (const name of inventedNamesIn(`${title} ${text}`)) {
        expect(owner.get(name), `${name} comes in two articles`).toBeUndefined();
        owner.set(name, title);
      }
    }
    const documents = Object.values(questions).map((list) => new Set(list.map(({ document }) => document)));
    expect(new Set(documents.flatMap((set) => [...set])).size).toBe(corpus.length);
    expect(documents.reduce((sum, set) => sum + set.size, 0)).toBe(corpus.length);
  });

  it("name nothing in a question or answer that isn't in the question's article", () => {
    const texts = new Map(corpus.map(({ title, text }) => [title, new Set(inventedNamesIn(`${title} ${text}`))]));
    for (const { question, answers, document } of Object.values(questions).flat()) {
      for (const name of inventedNamesIn([question, ...answers].join(" "))) expect(texts.get(document)!.has(name)).toBe(true);
    }
  });

  it("have spans in the training files only", () => {
    expect(questions.train.every(({ entities }) => entities !== undefined)).toBe(true);
    expect([...questions.valid, ...questions.test].every(({ entities }) => entities === undefined)).toBe(true);
    const training = new Set(questions.train.map(({ document }) => document));
    for (const { passage_id } of parsed<{ passage_id: string }>("entities.jsonl"))
      expect(training.has(passages.get(passage_id)!.title)).toBe(true);
  });
});

describe("questions and passages", () => {
  it("have every answer in the gold passage, word for word, and the subject in the question", () => {
    for (const { question, answers, passage_ids, document } of Object.values(questions).flat()) {
      expect(passage_ids).toHaveLength(1);
      const passage = passages.get(passage_ids[0]!)!;
      expect(passage.title).toBe(document);
      expect(answers).toHaveLength(1);
      expect(passage.text).toContain(answers[0]);
      expect(question).toContain(document);
    }
  });

  it("give each paragraph one occurrence of each answer, so that no question has two right places", () => {
    for (const { answers, passage_ids } of Object.values(questions).flat()) {
      expect(passages.get(passage_ids[0]!)!.text.split(answers[0]!)).toHaveLength(2);
    }
  });

  it("have spans that hold their entities, all of them, in order and without overlap", () => {
    for (const { passage_id, title, text } of parsed<{ passage_id: string; title: Span[]; text: Span[] }>("entities.jsonl")) {
      checkSpans(passages.get(passage_id)!.title, title);
      checkSpans(passages.get(passage_id)!.text, text);
    }
    for (const { question, answers, entities } of questions.train) {
      checkSpans(question, entities!.question);
      answers.forEach((answer, i) => checkSpans(answer, entities!.answers[i]!));
    }
  });

  it("ask for sentences too, in every split", () => {
    for (const list of Object.values(questions)) {
      const share = list.filter(({ answers }) => answers[0]!.endsWith(".")).length / list.length;
      expect(share).toBeGreaterThan(0.05);
      expect(share).toBeLessThan(0.2);
    }
  });

  it("have ids of their own and are not blank", () => {
    const all = Object.values(questions).flat();
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(new Set(all.map(({ question, document }) => `${document}/${question}`)).size).toBe(all.length);
  });
});

describe("the templates", () => {
  it("put subject and relation before the answer, and name the subject in every sentence and question", () => {
    for (const { relations, distractors } of ARTICLE_TYPES) {
      for (const { statements, questions: asked } of relations) {
        for (const statement of statements) expect(statement).toMatch(/^[^{]*\{S\}[^{]*\{A\}[^{]{0,10}$/);
        for (const question of asked) expect(question).toMatch(/^[^{]*\{S\}[^{]*\?$/);
      }
      for (const sentence of distractors) expect(sentence).toContain("{S}");
    }
  });
});
