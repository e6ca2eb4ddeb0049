/**
 * Proves that the committed quickstart is what its maker makes, and that it keeps its promises: splits share no name, spans hold their entities, every
 * answer stands in its gold passage, sizes. Alone: `npx vitest run test/tools/make-quickstart.test.ts`.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { FAMILY_NAMES, FIRST_NAMES, inventedNamesIn, isInventedName } from "../../src/corpus/invented-names.js";
import { chunkArticles } from "../../src/corpus/chunk-paragraphs.js";
import { passageId } from "../../src/corpus/passage.js";
import { readQuestions } from "../../src/corpus/questions.js";
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
const shapes: Record<Span[2], RegExp> = { name: /^\p{L}{6}$/u, person: /^\p{L}+ \p{L}+$/u, year: /^1[78]\d[05]$/, number: /^\d\d$/ };

/** What is wrong with the spans of a text; an assertion a span would take half a minute. */
function spanFaults(text: string, spans: Span[]): string[] {
  let end = 0;
  const faults = spans.flatMap(([from, to, kind]) => {
    const entity = text.slice(from, to);
    const [first = "", last = ""] = entity.split(" ");
    const known =
      kind === "person" ? FIRST_NAMES.includes(first) && FAMILY_NAMES.includes(last) : kind !== "name" || isInventedName(entity);
    const whole = /^[^\p{L}\p{N}]{2}$/u.test(`${text[from - 1] ?? " "}${text[to] ?? " "}`);
    const sound = from >= end && shapes[kind].test(entity) && known && whole;
    end = to;
    return sound ? [] : [`${kind} ${from}–${to} in ${text}`];
  });
  const outside = spans.reduceRight((rest, [from, to]) => rest.slice(0, from) + rest.slice(to), text);
  return inventedNamesIn(outside).length > 0 || /\d/.test(outside) ? [...faults, `an entity without a span in ${text}`] : faults;
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

describe("the readers", () => {
  it("take every line of the question files, spans included", () => {
    for (const [split, lines] of Object.entries(questions)) {
      const { questions: read, rejected } = readQuestions(path.join(QUICKSTART_FOLDER, `${split}.jsonl`));
      expect(rejected).toEqual([]);
      expect(read.map(({ id }) => id)).toEqual(lines.map(({ id }) => id));
      const spans = lines[0]!.entities?.question.map(([start, end, kind]) => ({ start, end, kind }));
      expect(read[0]!.entities?.question).toEqual(spans);
    }
  });

  it("make one passage of each paragraph, with the id that the questions use", async () => {
    const words = (text: string): [number, number][] =>
      Array.from(text.matchAll(/\S+/g), ({ 0: word, index }) => [index, index + word.length]);
    const counts = (texts: readonly string[]): Int32Array[] => texts.map((text) => new Int32Array(words(text).length));
    const tokenizer = {
      encodeBatch: counts,
      encodeBatchAsync: (texts: readonly string[]) => Promise.resolve(counts(texts)),
      encodeWithOffsets: (text: string) => ({ offsets: words(text) }),
    };
    const articles = corpus.map(({ title, text }) => ({ document: title, title, text }));
    const options = { split: "blank", maxTokens: 128, minCharacters: 30, titleTemplate: "{title}. {text}" } as const;
    const { passages: chunks, facts } = await chunkArticles(articles, options, tokenizer);
    expect(facts.mergedParagraphs).toBe(0);
    expect(new Set(chunks.map(({ id }) => id))).toEqual(new Set(passages.keys()));
  });
});

describe("the splits", () => {
  it("share no document and no invented name; a name of a validation or test article comes in no other article", () => {
    const heldOut = new Set([...questions.valid, ...questions.test].map(({ document }) => document));
    const owners = new Map<string, Set<string>>();
    for (const { title, text } of corpus) {
      for (const name of inventedNamesIn(`${title} ${text}`)) owners.set(name, (owners.get(name) ?? new Set()).add(title));
    }
    const shared = [...owners].filter(([, titles]) => titles.size > 1 && [...titles].some((title) => heldOut.has(title)));
    expect(shared).toEqual([]);
    expect(owners.size).toBeGreaterThan(2_000);
    expect(new Set(corpus.map(({ title }) => title)).size).toBe(corpus.length);
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
  it("have every answer once in the gold passage, word for word, and the subject in the question", () => {
    const faults = Object.values(questions)
      .flat()
      .filter(({ question, answers, passage_ids, document }) => {
        const passage = passages.get(passage_ids[0]!);
        const mentions = (passage?.text.split(new RegExp(`(?<![\\p{L}\\d])${answers[0]!}(?![\\p{L}\\d])`, "u")).length ?? 0) - 1;
        return !(
          mentions === 1 &&
          passage?.title === document &&
          passage_ids.length === 1 &&
          answers.length === 1 &&
          question.includes(document)
        );
      });
    expect(faults).toEqual([]);
  });

  it("have spans that hold their entities, all of them, in order and without overlap", () => {
    const lines = parsed<{ passage_id: string; title: Span[]; text: Span[] }>("entities.jsonl");
    const inPassages = lines.flatMap(({ passage_id, title, text }) => {
      const passage = passages.get(passage_id)!;
      return [...spanFaults(passage.title, title), ...spanFaults(passage.text, text)];
    });
    const inQuestions = questions.train.flatMap(({ question, answers, entities }) => [
      ...spanFaults(question, entities!.question),
      ...answers.flatMap((answer, i) => spanFaults(answer, entities!.answers[i]!)),
    ]);
    expect([...inPassages, ...inQuestions]).toEqual([]);
    expect(lines.length).toBe(3 * new Set(questions.train.map(({ document }) => document)).size);
    expect(spanFaults("Kaldom lies by Kaldom.", [[0, 6, "name"]])).toHaveLength(1);
    expect(spanFaults("Kaldom", [[0, 5, "name"]])).not.toEqual([]);
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
