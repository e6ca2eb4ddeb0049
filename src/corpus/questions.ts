/**
 * Question sets: `question<TAB>answer` lines, JSON lines `{id, question, answers[], passage_ids[], document?, entities?}`, or SQuAD's JSON. A bad line never
 * stops the reading and never vanishes: it is returned with its number and the reason. The trap: CoZyRAG trained on one-column lines as on empty
 * answers and dropped three-column lines without a word; both are rejected lines here.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../errors.js";
import { aboutFile } from "../storage/file-fault.js";
import type { Question } from "./question.js";
import { parseQuestionFields, parseQuestionObject, Rejection } from "./question-line.js";
import { placeOf, type QuestionSet } from "./question-set.js";
import { looksLikeSquad } from "./squad-file.js";
import { parseSquadQuestions } from "./squad-questions.js";

export type { EntitySpan, Question } from "./question.js";

/**
 * Reads a whole set. It is SQuAD's if it begins with `{"data": [` or `{"version": …, "data": [`, JSON lines if the first line that isn't blank begins with `{`, else tab-separated. Blank lines are passed over.
 * Tab-separated lines have no id of their own: theirs is the hash of the text, with a counter where a line repeats.
 * @throws UserError if the file is missing, empty, not text at all, or has no usable line (then with the first reason).
 */
export function readQuestions(file: string): QuestionSet {
  const bytes = aboutFile(file, () => readFileSync(file));
  refuseForeignBytes(bytes, file);
  const set = looksLikeSquad(bytes) ? parseSquadQuestions(bytes, file) : parseLines(bytes);
  if (set.questions.length === 0) throw nothingUsable(file, set);
  return set;
}

function parseLines(bytes: Buffer): QuestionSet {
  const set: QuestionSet = { questions: [], rejected: [], unanswerable: 0, gold: new Map() };
  const firstLineOf = new Map<string, number>();
  let parse: ((line: string) => Question) | undefined;
  for (const { line, number } of decodeLines(bytes)) {
    try {
      if (line === undefined) throw new Rejection("not UTF-8");
      if (line.trim() === "") continue;
      parse ??= line.trimStart().startsWith("{") ? parseQuestionObject : countRepeats(parseQuestionFields);
      const question = parse(line);
      const before = firstLineOf.get(question.id);
      if (before !== undefined) throw new Rejection(`duplicate id ${JSON.stringify(question.id)}, first in line ${before}`);
      firstLineOf.set(question.id, number);
      set.questions.push(question);
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      set.rejected.push({ line: number, reason: error.message });
    }
  }
  return set;
}

function nothingUsable(file: string, { rejected, unanswerable }: QuestionSet): UserError {
  const first = rejected[0];
  const what = first?.place === undefined ? "line" : "question";
  return new UserError({
    where: first === undefined ? file : placeOf(file, first),
    what: first === undefined ? "no question in this file" : `no usable ${what} in this file; the first reason: ${first.reason}`,
    expected: "question<TAB>answer, or a JSON object with id, question and answers, on each line; or SQuAD's JSON",
    got:
      [
        ...(rejected.length === 0 ? [] : [`${rejected.length} rejected ${what}s`]),
        ...(unanswerable === 0 ? [] : [`${unanswerable} marked as unanswerable`]),
      ].join(" and ") || "nothing",
  });
}

/** UTF-16 and archives would come out as thousands of rejected lines; one line about the file says more. */
function refuseForeignBytes(bytes: Uint8Array, file: string): void {
  const [first, second] = bytes;
  const utf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  const compressed = (first === 0x1f && second === 0x8b) || (first === 0x50 && second === 0x4b);
  if (!utf16 && !compressed) return;
  throw new UserError({
    where: file,
    what: "not a text file in UTF-8",
    got: utf16 ? "UTF-16" : "a compressed file",
    remedy: utf16 ? "convert it: iconv -f UTF-16 -t UTF-8" : "unpack it first",
  });
}

/** Lines with their numbers; a line that isn't UTF-8 comes as undefined. */
function* decodeLines(bytes: Buffer): Generator<{ line: string | undefined; number: number }> {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  for (let number = 1; start < bytes.length; number++) {
    const found = bytes.indexOf(10, start);
    const end = found < 0 ? bytes.length : found;
    const trimmed = end > start && bytes[end - 1] === 13 ? end - 1 : end;
    let line: string | undefined;
    try {
      line = utf8.decode(bytes.subarray(start, trimmed));
    } catch {
      line = undefined;
    }
    yield { line, number };
    start = end + 1;
  }
}

/** Gives the second, third … question of the same id the ids `id-2`, `id-3` …: tab-separated sets repeat lines, and each counts. */
function countRepeats(parse: (line: string) => Question): (line: string) => Question {
  const seen = new Map<string, number>();
  return (line) => {
    const question = parse(line);
    const repeats = (seen.get(question.id) ?? 0) + 1;
    seen.set(question.id, repeats);
    return repeats === 1 ? question : { ...question, id: `${question.id}-${repeats}` };
  };
}
