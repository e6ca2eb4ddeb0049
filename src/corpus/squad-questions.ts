/**
 * The questions of a SQuAD file, each with its context as gold passage and the places where its answers stand. A bad question never stops the reading and never vanishes: it is returned
 * with its place and the reason. v2.0's unanswerable questions are counted and left out: nothing here trains or scores "no answer". The trap: `answer_start` counts code points,
 * JavaScript UTF-16 units, so the two differ behind any emoji; every answer is held against its context.
 */
import { wellFormed } from "./article.js";
import { passageId } from "./passage.js";
import type { AnswerPlace, Question } from "./question.js";
import { Rejection } from "./question-line.js";
import type { GoldPassage, QuestionSet } from "./question-set.js";
import { parseSquad, type SquadParagraph } from "./squad-file.js";

/** @throws UserError as {@link parseSquad} */
export function parseSquadQuestions(bytes: Uint8Array, file: string): QuestionSet {
  const gold = new Map<string, GoldPassage>();
  const set: QuestionSet = { questions: [], rejected: [], unanswerable: 0, gold };
  const placeOfId = new Map<string, string>();
  for (const { title, paragraphs } of parseSquad(bytes, file)) {
    for (const paragraph of paragraphs) {
      const passage = { title, text: paragraph.context.trim(), document: title };
      const id = passageId(passage);
      const before = set.questions.length;
      readParagraph(paragraph, id, placeOfId, set);
      if (set.questions.length > before) gold.set(id, passage);
    }
  }
  return set;
}

function readParagraph({ place, context, qas }: SquadParagraph, passage: string, placeOfId: Map<string, string>, set: QuestionSet): void {
  if (!Array.isArray(qas)) {
    set.rejected.push({ place, reason: `qas is ${qas === undefined ? "missing" : "not a list"}` });
    return;
  }
  const unitAt = unitsOf(context);
  qas.forEach((value: unknown, k) => {
    const own = `${place}.qas[${k}]`;
    try {
      const question = questionOf(value, context, unitAt, passage);
      if (question === undefined) set.unanswerable += 1;
      else {
        const before = placeOfId.get(question.id);
        if (before !== undefined) throw new Rejection(`duplicate id ${JSON.stringify(question.id)}, first at ${before}`);
        placeOfId.set(question.id, own);
        set.questions.push(question);
      }
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      set.rejected.push({ place: own, reason: error.message });
    }
  });
}

/** Undefined for an unanswerable one. */
function questionOf(value: unknown, context: string, unitAt: UnitAt, passage: string): Question | undefined {
  const record = recordOf(value, "the question");
  const id = textOf(record, "id");
  const question = textOf(record, "question");
  if (record.is_impossible === true) return undefined;
  if (!Array.isArray(record.answers)) throw new Rejection(`answers is ${record.answers === undefined ? "missing" : "not a list"}`);
  if (record.answers.length === 0) throw new Rejection("no answers, and not marked is_impossible");
  const found = record.answers.map((answer: unknown, n) => answerOf(answer, `answers[${n}]`, context, unitAt));
  const lead = context.length - context.trimStart().length;
  const places = found.map(({ start, end }): AnswerPlace => ({ passageId: passage, start: start - lead, end: end - lead }));
  return { id, question, answers: [...new Set(found.map(({ text }) => text))], passageIds: [passage], answerPlaces: places };
}

/** Trimmed, with its place in UTF-16 units of the context. */
function answerOf(value: unknown, what: string, context: string, unitAt: UnitAt): { text: string; start: number; end: number } {
  const record = recordOf(value, what);
  const { text: raw, answer_start: point } = record;
  if (typeof raw !== "string") throw new Rejection(`${what}.text is ${raw === undefined ? "missing" : "not text"}`);
  const whole = wellFormed(raw);
  const text = whole.trim();
  if (text === "") throw new Rejection(`${what}.text is empty`);
  if (typeof point !== "number" || !Number.isInteger(point) || point < 0) {
    throw new Rejection(`${what}.answer_start must be a whole number ≥ 0, not ${point === undefined ? "missing" : JSON.stringify(point)}`);
  }
  const unit = unitAt(point) ?? context.length;
  const there = context.slice(unit, unit + whole.length);
  if (there !== whole) {
    throw new Rejection(`${what}: ${shown(whole)} doesn't stand at answer_start ${point} (code points), but ${shown(there)}`);
  }
  const start = unit + whole.length - whole.trimStart().length;
  return { text, start, end: start + text.length };
}

type UnitAt = (point: number) => number | undefined;

/** From code points of a text to UTF-16 units. */
function unitsOf(text: string): UnitAt {
  if (!/[\u{10000}-\u{10ffff}]/u.test(text)) return (point) => point;
  const units: number[] = [];
  let unit = 0;
  for (const character of text) {
    units.push(unit);
    unit += character.length;
  }
  return (point) => units[point];
}

function recordOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Rejection(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function textOf(record: Record<string, unknown>, name: string): string {
  const value = record[name];
  if (value === undefined || value === null) throw new Rejection(`missing ${name}`);
  if (typeof value !== "string") throw new Rejection(`${name} is not text`);
  const text = wellFormed(value).trim();
  if (text === "") throw new Rejection(`missing ${name}`);
  return text;
}

function shown(text: string): string {
  const short = Array.from(text.slice(0, 80)).slice(0, 40).join("");
  return text === "" ? "nothing" : JSON.stringify(short) + (short.length < text.length ? " …" : "");
}
