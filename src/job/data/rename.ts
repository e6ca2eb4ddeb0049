/**
 * The seeded renaming of training batches, as the config's `data.rename` asks for: entity spans of passages and questions, new names by the invented-name grammar, names of validation and test
 * never drawn. Validation, test and asking never pass through here. The trap: what is renamed together must agree, so all texts of one context are one group, and of a contrastive batch all texts of
 * one document.
 */
import type { DataConfig } from "../../config/schema.js";
import { entityMaker, inventedNamesIn, type EntityKind } from "../../corpus/invented-names.js";
import { passageText, type Passage } from "../../corpus/passage.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { EntitySpan, Question } from "../../corpus/questions.js";
import { renameEntities, type MarkedText, type NameMaker, type RenameDraw } from "../../corpus/rename-entities.js";
import { UserError } from "../../errors.js";
import { readJsonLines } from "../../storage/json-lines.js";
import { uniform } from "../../training/counter-random.js";
import type { AskedContext } from "../../training/generator-examples.js";
import type { ContrastiveTexts } from "../../training/phases/contrastive.js";
import { heldOutDocuments, type QuestionSets } from "./data.js";

/** Where names stand in a passage's title and text. */
interface PassageSpans {
  readonly title: readonly EntitySpan[];
  readonly text: readonly EntitySpan[];
}

export interface Renaming {
  readonly context: (context: AskedContext, step: number) => AskedContext;
  readonly texts: (texts: ContrastiveTexts, step: number) => ContrastiveTexts;
}

const nameMaker: NameMaker = (random, forbidden) => {
  const make = entityMaker(random, forbidden);
  return (kind) => make(kind as EntityKind);
};

/** The transforms, or undefined when renaming is off. @throws UserError when the spans' file is missing or wrong */
export function renaming(data: DataConfig, seed: number, store: PassageStore, sets: QuestionSets, template: string): Renaming | undefined {
  const { enabled, entities, share } = data.rename;
  if (!enabled) return undefined;
  if (entities === null)
    throw new UserError({
      where: "data.rename.entities",
      what: "is not set though data.rename.enabled is true",
      expected: "a JSONL file of entity spans",
      remedy: "set it, or data.rename.enabled=false",
    });
  const followUp = sets.train.find(({ history = [] }) => history.length > 0);
  if (followUp !== undefined)
    throw new UserError({
      where: "data.rename.enabled",
      what: `is true, but question ${followUp.id} has a history, whose names have no spans`,
      remedy: "set data.rename.enabled=false, or take the histories out",
    });
  const spans = readPassageSpans(entities, store);
  const forbidden = heldOutNames(sets, store);
  const draw = (step: number): RenameDraw => ({ seed, step, forbidden });
  const isRenamed = (step: number, example: number): boolean => share >= 1 || uniform(seed, step, example, 0x72656e) < share;
  return {
    context: (context, step) =>
      isRenamed(step, context.questions[0]?.index ?? 0) ? renamedContext(context, spans, sets.train, draw(step)) : context,
    texts: (texts, step) =>
      renamedTexts(texts, {
        spans,
        questions: sets.train,
        store,
        template,
        draw: draw(step),
        isRenamed: (example) => isRenamed(step, example),
      }),
  };
}

function renamedContext(
  context: AskedContext,
  spans: ReadonlyMap<number, PassageSpans>,
  questions: readonly Question[],
  draw: RenameDraw,
): AskedContext {
  const texts = [
    ...context.passages.flatMap(({ row, title, text }) => [marked(title, spans.get(row)?.title), marked(text, spans.get(row)?.text)]),
    ...context.questions.flatMap(({ index, question, answer }) => [
      marked(question, questions[index]?.entities?.question),
      marked(answer, questions[index]?.entities?.answers[0]),
    ]),
  ];
  const id = `context ${context.questions[0]?.index ?? 0}`;
  const renamed = renameEntities({ id, texts }, nameMaker, draw).texts.map(({ text }) => text);
  let next = 0;
  const take = (): string => renamed[next++] ?? "";
  return {
    passages: context.passages.map((passage) => ({ ...passage, title: take(), text: take() })),
    questions: context.questions.map((question) => ({ ...question, question: take(), answer: take() })),
  };
}

interface TextsRenaming {
  readonly spans: ReadonlyMap<number, PassageSpans>;
  readonly questions: readonly Question[];
  readonly store: PassageStore;
  readonly template: string;
  readonly draw: RenameDraw;
  readonly isRenamed: (example: number) => boolean;
}

function renamedTexts(texts: ContrastiveTexts, options: TextsRenaming): ContrastiveTexts {
  const { spans, questions, store, template, draw } = options;
  const groups = new Map<string, { id: string; texts: MarkedText[]; apply: ((texts: string[]) => void)[]; example: number }>();
  const groupOf = (document: string): { id: string; texts: MarkedText[]; apply: ((texts: string[]) => void)[]; example: number } => {
    const group = groups.get(document) ?? { id: document, texts: [], apply: [], example: groups.size };
    groups.set(document, group);
    return group;
  };
  const passages = texts.passages.map((passage) => ({ ...passage }));
  const asked = texts.questions.map((question) => ({ ...question }));
  passages.forEach((passage) => {
    const { title, text, document } = store.get(passage.row);
    const group = groupOf(document);
    const place = group.texts.push(marked(title, spans.get(passage.row)?.title), marked(text, spans.get(passage.row)?.text)) - 2;
    group.apply.push((renamed) => (passage.text = passageText({ title: renamed[place] ?? "", text: renamed[place + 1] ?? "" }, template)));
  });
  asked.forEach((question) => {
    const source = questions[question.index];
    const group = groupOf(source?.document ?? `question ${question.index}`);
    const place =
      group.texts.push(
        marked(question.question, source?.entities?.question),
        ...question.answers.map((answer, i) => marked(answer, source?.entities?.answers[i])),
      ) -
      1 -
      question.answers.length;
    group.apply.push((renamed) => {
      question.question = renamed[place] ?? "";
      question.answers = renamed.slice(place + 1, place + 1 + question.answers.length);
    });
  });
  for (const group of groups.values()) {
    if (!options.isRenamed(group.example)) continue;
    const renamed = renameEntities(group, nameMaker, draw).texts.map(({ text }) => text);
    for (const apply of group.apply) apply(renamed);
  }
  return { questions: asked, passages };
}

function marked(text: string, spans: readonly EntitySpan[] | undefined): MarkedText {
  return { text, spans: spans ?? [] };
}

/** Every invented name of the validation and test articles, their questions and answers. */
function heldOutNames(sets: QuestionSets, store: PassageStore): Set<string> {
  const heldOut = [...sets.valid, ...sets.test];
  const documents = heldOutDocuments(sets, store);
  const names = new Set(heldOut.flatMap(({ question, answers }) => [question, ...answers].flatMap(inventedNamesIn)));
  for (let row = 0; row < store.size; row++) {
    const passage: Passage = store.get(row);
    if (documents.has(passage.document)) for (const name of inventedNamesIn(`${passage.title} ${passage.text}`)) names.add(name);
  }
  return names;
}

function readPassageSpans(file: string, store: PassageStore): Map<number, PassageSpans> {
  const spans = new Map<number, PassageSpans>();
  let missing = 0;
  for (const { id, title, text } of readJsonLines(file, parseSpans)) {
    const row = store.rowOf(id);
    if (row === undefined) missing++;
    else spans.set(row, { title, text });
  }
  if (spans.size === 0)
    throw new UserError({
      where: file,
      what: "its spans fit no passage of the corpus",
      expected: "passage ids of the corpus",
      got: `${missing} unknown ids`,
      remedy: "chunk the corpus as the spans were made, or set data.rename.enabled=false",
    });
  return spans;
}

function parseSpans(value: unknown, where: string): { id: string; title: EntitySpan[]; text: EntitySpan[] } {
  const { passage_id: id, title, text } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof id !== "string") throw new UserError({ where, what: "has no passage_id", expected: "{passage_id, title, text}" });
  return { id, title: spanList(title, where), text: spanList(text, where) };
}

function spanList(value: unknown, where: string): EntitySpan[] {
  if (!Array.isArray(value)) throw new UserError({ where, what: "spans are no list", expected: "[[start, end, kind], …]" });
  return value.map((entry: unknown) => {
    const [start, end, kind] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || typeof kind !== "string")
      throw new UserError({ where, what: "a span is wrong", expected: "[start, end, kind]", got: JSON.stringify(entry) });
    return { start: start as number, end: end as number, kind };
  });
}
