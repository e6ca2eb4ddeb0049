/**
 * One line of a question set to a {@link Question}, or a {@link Rejection} that says what is wrong with it. It knows neither files nor line numbers.
 * The trap: a JSON line may hold anything, so every field is checked before it is used.
 */
import { historyOf } from "./history.js";
import { hashBytes } from "../storage/content-hash.js";
import { wellFormed } from "./article.js";
import type { EntitySpan, Question, QuestionEntities } from "./question.js";

/** A line that can't be used; `message` is the reason shown to the user. */
export class Rejection extends Error {
  override readonly name = "Rejection";
}

/** `question<TAB>answer`: exactly two fields, both with text; outer white space doesn't count. The id is the hash of both. */
export function parseQuestionFields(line: string): Question {
  const fields = line.split("\t").map((field) => field.trim());
  const [question = "", answer = ""] = fields;
  if (fields.length > 2) throw new Rejection(`${fields.length} fields, expected question<TAB>answer`);
  if (question === "") throw new Rejection("missing question");
  if (fields.length === 1) throw new Rejection("one field only, the answer is missing");
  if (answer === "") throw new Rejection("empty answer");
  return { id: contentId(question, [answer]), question, answers: [answer], passageIds: [] };
}

/** `{id?, question, answers[], passage_ids[]?, document?, entities?, history?}`. Without an id it is the hash of question and answers. Other fields are ignored. */
export function parseQuestionObject(line: string): Question {
  const record = parseRecord(line);
  const question = textOf(record.question, "question");
  const answers = listOf(record.answers, "answers");
  if (answers.length === 0) throw new Rejection("no answers");
  if (answers.includes("")) throw new Rejection("empty answer");
  const passageIds = record.passage_ids === undefined || record.passage_ids === null ? [] : listOf(record.passage_ids, "passage_ids");
  const id = isAbsent(record.id) ? contentId(question, answers) : textOf(record.id, "id");
  const parsed: Question = { id, question, answers, passageIds: [...new Set(passageIds)] };
  if (!isAbsent(record.document)) parsed.document = textOf(record.document, "document");
  if (!isAbsent(record.entities)) {
    // Spans count characters of the text as it stands in the file.
    parsed.question = record.question as string;
    parsed.answers = record.answers as string[];
    parsed.entities = entitiesOf(record.entities, parsed);
  }
  if (!isAbsent(record.history)) parsed.history = historyOf(record.history, (what) => new Rejection(what));
  return parsed;
}

/**
 * Checks spans against their text: sorted, inside, not empty, apart, and no surrogate pair cut. A span is `{start, end, kind}` or, shorter, `[start, end, kind]`.
 * @throws Rejection naming `what`.
 */
function checkSpans(value: unknown, text: string, what: string): EntitySpan[] {
  if (!Array.isArray(value)) throw new Rejection(`${what}: spans must be a list of {start, end, kind}`);
  let end = 0;
  return value.map((item: unknown) => {
    const { start: from, end: to, kind } = spanFields(item);
    const numbers = typeof from === "number" && typeof to === "number" && Number.isInteger(from) && Number.isInteger(to);
    if (!numbers || typeof kind !== "string")
      throw new Rejection(`${what}: a span must be {start, end, kind}, not ${JSON.stringify(item)}`);
    if (from < end || to <= from || to > text.length) {
      throw new Rejection(`${what}: span ${from}–${to} must be sorted, apart from others and within the ${text.length} characters`);
    }
    if (cutsPair(text, from) || cutsPair(text, to))
      throw new Rejection(`${what}: span ${from}–${to} cuts a character in two (offsets are UTF-16)`);
    end = to;
    return { start: from, end: to, kind };
  });
}

function spanFields(item: unknown): { start?: unknown; end?: unknown; kind?: unknown } {
  if (Array.isArray(item)) {
    const fields: unknown[] = item;
    return fields.length === 3 ? { start: fields[0], end: fields[1], kind: fields[2] } : {};
  }
  return typeof item === "object" && item !== null ? item : {};
}

function entitiesOf(value: unknown, { question, answers }: Question): QuestionEntities {
  const record = (typeof value === "object" && value !== null ? value : {}) as { question?: unknown; answers?: unknown };
  const lists: unknown = record.answers ?? answers.map(() => []);
  if (!Array.isArray(lists) || lists.length !== answers.length) {
    throw new Rejection(`entities.answers must hold one list for each of the ${answers.length} answers`);
  }
  return {
    question: checkSpans(record.question ?? [], question, "entities.question"),
    answers: answers.map((answer, i) => checkSpans(lists[i], answer, `entities.answers[${i}]`)),
  };
}

function parseRecord(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new Rejection(`not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Rejection("not a JSON object");
  return value as Record<string, unknown>;
}

function textOf(value: unknown, name: string): string {
  if (isAbsent(value)) throw new Rejection(`missing ${name}`);
  if (typeof value === "number" && name !== "question") return String(value);
  if (typeof value !== "string") throw new Rejection(`${name} is not text`);
  const text = wellFormed(value).trim();
  if (text === "") throw new Rejection(`missing ${name}`);
  return text;
}

function listOf(value: unknown, name: string): string[] {
  if (isAbsent(value)) throw new Rejection(`missing ${name}`);
  if (!Array.isArray(value)) throw new Rejection(`${name} is not a list`);
  return value.map((item: unknown) => {
    if (typeof item === "number") return String(item);
    if (typeof item !== "string") throw new Rejection(`${name} holds something that is not text`);
    return wellFormed(item).trim();
  });
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

function contentId(question: string, answers: readonly string[]): string {
  return hashBytes(JSON.stringify([question, ...answers])).slice(0, 16);
}

/** Whether a position lies between the two halves of a surrogate pair. */
function cutsPair(text: string, at: number): boolean {
  return /^[\uDC00-\uDFFF]$/.test(text.charAt(at)) && /^[\uD800-\uDBFF]$/.test(text.charAt(at - 1));
}
