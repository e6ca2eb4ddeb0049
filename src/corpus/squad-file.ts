/**
 * SQuAD's JSON, v1.1 and v2.0: articles of paragraphs, each a context with its questions. Only the frame is checked here, up to the context; the corpus reader needs no more, and
 * squad-questions.ts checks the questions one by one. It is read whole: the largest file of the original has 42 MB. The trap: titles come as file names (`Super_Bowl_50`, in v1.1 some
 * with `%C3%A9`), and must read as an encyclopaedia's, or no other corpus has that article.
 */
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { UserError } from "../errors.js";
import { aboutFile } from "../storage/file-fault.js";
import { decodeJson } from "../storage/json-file.js";
import { wellFormed } from "./article.js";

export interface SquadParagraph {
  /** Where it stands in the file: `data[3].paragraphs[0]`. */
  place: string;
  /** As it stands in the file: answers are counted in it. */
  context: string;
  /** Unchecked. */
  qas: unknown;
}

export interface SquadArticle {
  title: string;
  paragraphs: SquadParagraph[];
}

/** A text of JavaScript holds half a gigabyte. */
const LARGEST_FILE = 500_000_000;
const HEAD_BYTES = 4096;

/** Whether a file's bytes begin as SQuAD's do: an object that opens with `data`, or with `version` and `data`. A line of questions opens with fields of its own. */
export function looksLikeSquad(bytes: Uint8Array): boolean {
  const head = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES));
  return /^\s*\{\s*(?:"version"\s*:\s*(?:"[^"]*"|null|[\d.]+)\s*,\s*)?"data"\s*:\s*\[/.test(head);
}

/** {@link looksLikeSquad} of a file that isn't read yet. @throws UserError if it can't be opened */
export function beginsLikeSquad(file: string): boolean {
  const descriptor = aboutFile(file, () => openSync(file, "r"));
  try {
    const bytes = Buffer.alloc(HEAD_BYTES);
    return looksLikeSquad(
      bytes.subarray(
        0,
        aboutFile(file, () => readSync(descriptor, bytes)),
      ),
    );
  } finally {
    closeSync(descriptor);
  }
}

/** @throws UserError as {@link parseSquad}, and if the file can't be read */
export function readSquad(file: string): SquadArticle[] {
  const bytes = aboutFile(file, () => {
    const { size } = statSync(file);
    if (size > LARGEST_FILE) throw tooLarge(file, size);
    return readFileSync(file);
  });
  return parseSquad(bytes, file);
}

/** @throws UserError naming the file and the place in it (`data[3].paragraphs[0]`) for whatever isn't SQuAD's form down to the contexts */
export function parseSquad(bytes: Uint8Array, file: string): SquadArticle[] {
  const root = objectAt(parse(bytes, file), file);
  return listAt(root, "data", file).map((value, i) => {
    const where = `${file}: data[${i}]`;
    const article = objectAt(value, where);
    const title = textAt(article, "title", where);
    const paragraphs = listAt(article, "paragraphs", where).map((entry, j): SquadParagraph => {
      const place = `data[${i}].paragraphs[${j}]`;
      const paragraph = objectAt(entry, `${file}: ${place}`);
      return { place, context: wellFormed(textAt(paragraph, "context", `${file}: ${place}`)), qas: paragraph.qas };
    });
    return { title: readableTitle(title), paragraphs };
  });
}

/** `Beyonc%C3%A9_Knowles` is "Beyoncé Knowles". Only escapes of characters beyond ASCII are undone: "100%25" may be meant so. */
function readableTitle(title: string): string {
  const decoded = title.replace(/(?:%[89A-F][0-9A-F])+/gi, (escaped) => {
    try {
      return decodeURIComponent(escaped);
    } catch {
      return escaped;
    }
  });
  return wellFormed(decoded)
    .replace(/[_\s]+/g, " ")
    .trim();
}

function tooLarge(file: string, size: number): UserError {
  return new UserError({
    where: file,
    what: "is too large to be read whole",
    expected: `at most ${LARGEST_FILE} bytes`,
    got: String(size),
    remedy: "divide its articles (data) among several files",
  });
}

function parse(bytes: Uint8Array, file: string): unknown {
  if (bytes.length > LARGEST_FILE) throw tooLarge(file, bytes.length);
  const text = decodeJson(bytes, file);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(
      { where: file, what: "not JSON", expected: "SQuAD's JSON, whole", got: (error as Error).message, remedy: "fetch the file again" },
      { cause: error },
    );
  }
}

function objectAt(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw fault(where, "not an object", "SQuAD's form", value);
}

function listAt(record: Record<string, unknown>, name: string, where: string): unknown[] {
  const value = record[name];
  if (Array.isArray(value)) return value;
  throw fault(where, `field '${name}'`, "a list", value);
}

function textAt(record: Record<string, unknown>, name: string, where: string): string {
  const value = record[name];
  if (typeof value === "string") return value;
  throw fault(where, `field '${name}'`, "text", value);
}

function fault(where: string, what: string, expected: string, got: unknown): UserError {
  const shown = got === undefined ? "nothing" : JSON.stringify(got).slice(0, 60);
  return new UserError({ where, what, expected, got: shown, remedy: "SQuAD's form is {data: [{title, paragraphs: [{context, qas}]}]}" });
}
