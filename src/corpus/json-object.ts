/**
 * One line of JSON that has to be an object. Storage's `readJsonLines` parses whole files; this is for readers that mix formats or go on after
 * a bad line. It checks the outermost type only.
 */
import { UserError } from "../errors.js";

/** @throws UserError naming `where` if the line isn't JSON or not an object; `expected` says what the line should hold. */
export function parseJsonObject(line: string, where: string, expected: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new UserError(
      { where, what: "not JSON", expected, got: (error as Error).message, remedy: "mend or delete the line" },
      { cause: error },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const got = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
    throw new UserError({ where, what: "not an object", expected, got });
  }
  return value as Record<string, unknown>;
}
