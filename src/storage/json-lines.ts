/**
 * Text files line by line in constant memory: UTF-8 is checked, a byte-order mark and CRLF are taken away, every line keeps its number.
 * It isn't a CSV reader and knows nothing of quotes. The trap: a decoder over whole chunks would hide where a wrong byte stands, so lines are
 * cut as bytes first (no part of a UTF-8 character equals a line feed) and decoded one by one.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../errors.js";
import { aboutFile } from "./file-fault.js";
import { describeForeignFormat } from "./foreign-format.js";

const chunkBytes = 256 * 1024;

/** Nobody's line is longer; a file without line feeds must not fill the memory. */
const longestLine = 64 * 1024 * 1024;

/** A line without its end, and its number from 1 on. */
export interface Line {
  line: string;
  number: number;
}

/**
 * The lines of a UTF-8 text file, empty ones included. A line feed at the end of the file doesn't start another line. The file is closed when
 * the loop ends, early too.
 *
 * @throws UserError naming file and line: missing, a folder, not UTF-8 (UTF-16, compressed or binary files are named), a line above 64 MiB
 */
export function* readLines(path: string): Generator<Line, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let number = 0;
  for (const bytes of byteLines(path)) {
    number++;
    const end = bytes.length > 0 && bytes[bytes.length - 1] === 0x0d ? bytes.length - 1 : bytes.length;
    const start = number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    let line: string;
    try {
      line = decoder.decode(bytes.subarray(start, end));
    } catch {
      throw notUtf8(path, number, bytes);
    }
    yield { line, number };
  }
}

/**
 * One value for each line that isn't blank. `parse` gets the JSON value and its place (`file:line`) and throws a UserError when it isn't
 * what it should be; `expectObject` of json-file.ts is the usual first step.
 *
 * @throws UserError naming file and line, as {@link readLines}, and for a line that isn't JSON
 */
export function* readJsonLines<T>(path: string, parse: (value: unknown, where: string) => T): Generator<T, void, undefined> {
  for (const { line, number } of readLines(path)) {
    if (line.trim() === "") continue;
    const where = `${path}:${number}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new UserError(
        { where, what: "is not JSON", got: excerpt(line), remedy: "write one JSON value on each line" },
        { cause: error },
      );
    }
    yield parse(value, where);
  }
}

/** The lines as bytes, without the line feed. A yielded view is valid until the next one. */
function* byteLines(path: string): Generator<Uint8Array, void, undefined> {
  const descriptor = aboutFile(path, () => openSync(path, "r"));
  try {
    aboutFile(path, () => {
      if (fstatSync(descriptor).isDirectory()) throw Object.assign(new Error("a folder"), { code: "EISDIR" });
    });
    let buffer = Buffer.allocUnsafe(chunkBytes);
    let filled = 0;
    for (let lines = 0; ;) {
      if (filled === buffer.length) buffer = grown(path, buffer, lines + 1);
      const searched = filled;
      const count = aboutFile(path, () => readSync(descriptor, buffer, filled, buffer.length - filled, null));
      filled += count;
      let start = 0;
      for (let end = buffer.indexOf(0x0a, searched); end !== -1 && end < filled; end = buffer.indexOf(0x0a, start)) {
        yield buffer.subarray(start, end);
        start = end + 1;
        lines++;
      }
      if (count === 0) {
        if (start < filled) yield buffer.subarray(start, filled);
        return;
      }
      buffer.copyWithin(0, start, filled);
      filled -= start;
    }
  } finally {
    closeSync(descriptor);
  }
}

function grown(path: string, buffer: Buffer, line: number): Buffer<ArrayBuffer> {
  if (buffer.length >= longestLine) {
    throw new UserError({
      where: `${path}:${line}`,
      what: "the line is too long",
      expected: `at most ${longestLine} bytes`,
      remedy: "check that the file is text with one record a line",
    });
  }
  const larger = Buffer.allocUnsafe(buffer.length * 2);
  buffer.copy(larger);
  return larger;
}

function notUtf8(path: string, number: number, bytes: Uint8Array): UserError {
  const foreign = number === 1 ? describeForeignFormat(bytes) : undefined;
  return new UserError({
    where: `${path}:${number}`,
    what: "is not UTF-8",
    ...(foreign === undefined ? {} : { got: foreign.name }),
    remedy: foreign?.textRemedy ?? "convert it: iconv -f LATIN1 -t UTF-8 (or from the encoding it has)",
  });
}

/** The beginning of a text for a message: one line, at most 60 characters. */
function excerpt(text: string): string {
  const short = Array.from(text.slice(0, 120)).slice(0, 60).join("");
  return JSON.stringify(short) + (short.length < text.length ? " …" : "");
}
