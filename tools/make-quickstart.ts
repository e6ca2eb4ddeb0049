/**
 * Makes the quickstart's data: an encyclopaedia of Talvenia, a country that doesn't exist, with questions. `npx tsx tools/make-quickstart.ts` writes the
 * five files of data/quickstart/ (their formats stand in its README.md); the result is committed and the same on every machine. What can be said stands in
 * quickstart-relations.ts, the names in src/corpus/invented-names.ts.
 * The traps: the invented names of a validation or test article come in no other article, so none was ever trained on; a paragraph is one passage only as long as it is within
 * the chunker's limits (30 characters, 128 tokens), for the gold ids are those of whole paragraphs.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { entityMaker, inventedNamesIn } from "../src/corpus/invented-names.js";
import type { EntityKind } from "../src/corpus/invented-names.js";
import { passageId } from "../src/corpus/passage.js";
import { pick, seededRandom, shuffled } from "../src/corpus/seeded-random.js";
import type { Random } from "../src/corpus/seeded-random.js";
import { ARTICLE_TYPES, DESCRIPTION_QUESTIONS, DESCRIPTIONS } from "./quickstart-relations.js";
import type { ArticleType, Relation } from "./quickstart-relations.js";

export const QUICKSTART_FOLDER = fileURLToPath(new URL("../data/quickstart", import.meta.url));

const SEED = "talvenia";
const ARTICLES_PER_TYPE = { train: 75, valid: 13, test: 27 };
const PARAGRAPHS = 3;
/** Of the articles of the training split, the share that is asked for a description. */
const TRAIN_DESCRIPTION_SHARE = 0.5;

type Split = keyof typeof ARTICLES_PER_TYPE;

/** `[start, end, kind]` in UTF-16 positions. */
export type Span = [number, number, EntityKind];

/** A text in which the places of its entities are known. */
interface Marked {
  text: string;
  spans: Span[];
}

interface MadeQuestion {
  question: Marked;
  answer: Marked;
  paragraph: number;
}

interface MadeArticle {
  split: Split;
  title: Marked;
  paragraphs: Marked[];
  questions: MadeQuestion[];
}

/** What may fill a place: text, and its kind if it is an entity. */
interface Filling {
  text: string;
  kind?: EntityKind;
}

/** Fills `{X}` places and notes where entities came to stand. */
function fill(template: string, fillings: Readonly<Record<string, () => Filling>>): Marked {
  let text = "";
  const spans: Span[] = [];
  for (const part of template.split(/(\{[A-Z]\})/)) {
    const filling = /^\{[A-Z]\}$/.test(part) ? fillings[part.slice(1, -1)]?.() : { text: part };
    if (filling === undefined) throw new Error(`${template}: nothing for ${part}`);
    if (filling.kind !== undefined) spans.push([text.length, text.length + filling.text.length, filling.kind]);
    text += filling.text;
  }
  return { text, spans };
}

/** Several marked texts, joined by a space. */
function joined(parts: readonly Marked[]): Marked {
  let text = "";
  const spans: Span[] = [];
  for (const part of parts) {
    if (text !== "") text += " ";
    const offset = text.length;
    spans.push(...part.spans.map(([start, end, kind]): Span => [start + offset, end + offset, kind]));
    text += part.text;
  }
  return { text, spans };
}

function whole(filling: Filling): Marked {
  return { text: filling.text, spans: filling.kind === undefined ? [] : [[0, filling.text.length, filling.kind]] };
}

/** One article: a description in the first paragraph, two facts and a distractor in each, sentences shuffled. */
function makeArticle(type: ArticleType, split: Split, random: Random, taken: ReadonlySet<string>): MadeArticle {
  const make = entityMaker(random, taken);
  const entity = (kind: EntityKind): Filling => ({ text: make(kind), kind });
  const subject = entity("name");
  const places = {
    S: () => subject,
    N: () => entity("name"),
    P: () => entity("person"),
    Y: () => entity("year"),
    M: () => entity("number"),
  };
  const sentences: Marked[][] = Array.from({ length: PARAGRAPHS }, () => []);
  const questions: MadeQuestion[] = [];
  const chosen = new Set<string>();
  const paragraphOf = shuffled(
    random,
    Array.from(type.relations, (_, i) => i % PARAGRAPHS),
  );
  type.relations.forEach((relation, i) => {
    const paragraph = paragraphOf[i] ?? 0;
    const answer = drawAnswer(relation, entity, chosen, random);
    sentences[paragraph]?.push(fill(pick(random, relation.statements), { ...places, A: () => answer }));
    questions.push({ question: fill(pick(random, relation.questions), places), answer: whole(answer), paragraph });
  });
  const distractors = shuffled(random, type.distractors);
  sentences.forEach((list, i) => list.push(fill(distractors[i] ?? "", places)));
  const description = fill(pick(random, DESCRIPTIONS), {
    ...places,
    D: () => ({ text: `${pick(random, type.adjectives)} ${pick(random, type.nouns)} ${pick(random, type.places)}` }),
  });
  sentences[0]?.push(description);
  if (split !== "train" || random() < TRAIN_DESCRIPTION_SHARE) {
    questions.push({ question: fill(pick(random, DESCRIPTION_QUESTIONS), places), answer: description, paragraph: 0 });
  }
  const paragraphs = sentences.map((list) => joined(shuffled(random, list)));
  return { split, title: whole(subject), paragraphs, questions };
}

/** A word of a list comes once in an article, so that it has one meaning there. */
function drawAnswer(relation: Relation, entity: (kind: EntityKind) => Filling, chosen: Set<string>, random: Random): Filling {
  if (relation.kind !== "choice") return entity(relation.kind);
  const text = pick(
    random,
    (relation.choices ?? []).filter((word) => !chosen.has(word)),
  );
  chosen.add(text);
  return { text };
}

/**
 * All articles in the order of the corpus. Test and validation come first and share no invented name with any article; training articles may share
 * names among themselves (there are 3,600), but not their subjects.
 */
function makeArticles(): MadeArticle[] {
  const heldOut = new Set<string>();
  const subjects = new Set<string>();
  const articles: MadeArticle[] = [];
  for (const split of ["test", "valid", "train"] as const) {
    for (const type of ARTICLE_TYPES) {
      for (let i = 0; i < ARTICLES_PER_TYPE[split]; i++) {
        const article = makeApart(type, split, i, heldOut, subjects);
        const names = inventedNamesIn(joined([article.title, ...article.paragraphs]).text);
        if (split !== "train") for (const name of names) heldOut.add(name);
        for (const name of inventedNamesIn(article.title.text)) subjects.add(name);
        articles.push(article);
      }
    }
  }
  return shuffled(seededRandom(`${SEED}/order`), articles);
}

/** Makes an article again with another key until its subject is new. */
function makeApart(
  type: ArticleType,
  split: Split,
  number: number,
  heldOut: ReadonlySet<string>,
  subjects: ReadonlySet<string>,
): MadeArticle {
  for (let attempt = 0; ; attempt++) {
    const article = makeArticle(type, split, seededRandom(`${SEED}/${split}/${type.type}/${number}/${attempt}`), heldOut);
    if (inventedNamesIn(article.title.text).every((name) => !subjects.has(name))) return article;
  }
}

/** The content of the five files by name. A pure function: nothing is read or written. */
export function makeQuickstart(): Record<string, string> {
  const lines: Record<"corpus" | "entities" | Split, object[]> = { corpus: [], entities: [], train: [], valid: [], test: [] };
  makeArticles().forEach((article, i) => {
    const id = String(i + 1);
    const document = article.title.text;
    lines.corpus.push({ id, title: document, text: article.paragraphs.map(({ text }) => text).join("\n\n") });
    const ids = article.paragraphs.map(({ text }) => passageId({ title: document, text, document }));
    const training = article.split === "train";
    article.paragraphs.forEach(({ spans }, p) => {
      if (training) lines.entities.push({ passage_id: ids[p], title: article.title.spans, text: spans });
    });
    article.questions.forEach(({ question, answer, paragraph }, q) => {
      lines[article.split].push({
        id: `${id}-${q + 1}`,
        question: question.text,
        answers: [answer.text],
        passage_ids: [ids[paragraph]],
        document,
        ...(training ? { entities: { question: question.spans, answers: [answer.spans] } } : {}),
      });
    });
  });
  return Object.fromEntries(
    Object.entries(lines).map(([name, objects]) => [`${name}.jsonl`, objects.map((line) => `${JSON.stringify(line)}\n`).join("")]),
  );
}

function main(): void {
  mkdirSync(QUICKSTART_FOLDER, { recursive: true });
  for (const [name, content] of Object.entries(makeQuickstart())) {
    writeFileSync(path.join(QUICKSTART_FOLDER, name), content);
    console.log(`${name}: ${content.trimEnd().split("\n").length} lines, ${Buffer.byteLength(content)} bytes`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
