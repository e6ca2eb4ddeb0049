/**
 * Small JSON files, read whole; and the first check that every reader of JSON makes.
 * The trap: `JSON.parse` keeps the last of two equal keys without a word. Where that matters see json-keys.ts.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../errors.js";
import { aboutFile } from "./file-fault.js";
import { describeForeignFormat } from "./foreign-format.js";
import { jsonFailureOffset } from "./json-place.js";

/**
 * The value of a JSON file in UTF-8 (a byte-order mark is let pass).
 *
 * @throws UserError naming the file, and the line and column where it stops being JSON
 */
export function readJson(path: string): unknown {
  return parseJson(
    decodeJson(
      aboutFile(path, () => readFileSync(path)),
      path,
    ),
    path,
  );
}

/** The text of a JSON file's bytes, without a byte-order mark. @throws UserError when they aren't UTF-8, with what they look like */
export function decodeJson(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const foreign = describeForeignFormat(bytes);
    const got = foreign === undefined ? {} : { got: foreign.name };
    throw new UserError(
      { where, what: "is not UTF-8", ...got, remedy: foreign?.textRemedy ?? "convert it: iconv -t UTF-8" },
      { cause: error },
    );
  }
}

/**
 * `JSON.parse` whose error names the place.
 *
 * @throws UserError `where:line:column: is not JSON`
 */
export function parseJson(text: string, where: string): unknown {
  if (text.trim() === "") throw new UserError({ where, what: "is empty", expected: "JSON", remedy: "make or fetch it again" });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(
      { where: `${where}${failurePlace(text)}`, what: "is not JSON", remedy: "mend it, or make or fetch it again" },
      { cause: error },
    );
  }
}

/**
 * The value as an object with string keys.
 *
 * @throws UserError when it is an array, a text, a number, null …
 */
export function expectObject(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  const got = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
  throw new UserError({ where, what: "is not what it should be", expected: "a JSON object", got });
}

/** `:line:column` of the first thing that is not JSON. */
function failurePlace(text: string): string {
  const before = text.slice(0, jsonFailureOffset(text));
  return `:${before.split("\n").length}:${before.length - before.lastIndexOf("\n")}`;
}
