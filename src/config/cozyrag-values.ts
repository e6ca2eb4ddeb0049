/**
 * The values of CoZyRAG's config as they were written: text stays text, a number may be quoted, and each must be one that the key of ours takes which it goes to. What becomes of them is cozyrag-keys.ts.
 * The trap: PyYAML reads 5e-5 as text, so configs quote numbers as they like; only where a number is wanted is text read as one.
 */
import { UserError } from "../errors.js";
import type { Leaf } from "./leaf.js";
import { scalarOfWord } from "./override-value.js";
import { schema } from "./schema.js";
import { schemaLeaves } from "./schema-keys.js";
import { type ConfigNode, nodeAt, plainValue } from "./tree.js";

interface Found {
  readonly value: unknown;
  readonly where: string;
}

/** A value of the old config with its place; undefined: the key isn't there, or is null. */
export type Old = (key: string) => Found | undefined;

export function oldValues(tree: ConfigNode): Old {
  return (key) => {
    const node = nodeAt(tree, key.split("."));
    const value = node === undefined ? null : plainValue(node);
    return node === undefined || value === null ? undefined : { value, where: node.source };
  };
}

/** A key of ours, whose range the old value must keep. */
export function leafOf(key: string): Leaf<unknown> {
  const found = schemaLeaves(schema).find((one) => one.key === key);
  if (found === undefined) throw new Error(`the schema has no key ${key}`);
  return found.leaf;
}

/** @throws UserError when it isn't text that `leaf` takes */
export function textOf(old: Old, key: string, leaf: Leaf<unknown>): string | undefined {
  const found = old(key);
  if (found === undefined) return undefined;
  const { value } = found;
  // ??? stands for a value that is still to be given.
  if (typeof value !== "string" || value === "" || value === "???") throw wrong(key, found, "text");
  checkAgainst(leaf, value, key, found);
  return value;
}

/** @throws UserError when it isn't a number that `leaf` takes */
export function numberOf(old: Old, key: string, leaf: Leaf<unknown>): number | undefined {
  const found = old(key);
  if (found === undefined) return undefined;
  const value = typeof found.value === "string" ? scalarOfWord(found.value) : found.value;
  // A leaf lets null pass where it is nullable, and no number is meant by it here.
  if (value === null) throw wrong(key, found, "a number");
  checkAgainst(leaf, value, key, found);
  return value as number;
}

function checkAgainst(leaf: Leaf<unknown>, value: unknown, key: string, found: Found): void {
  try {
    leaf.format(value);
  } catch (error) {
    throw wrong(key, found, (error as Error).message.replace(/^expected /, "").replace(/ or null$/, ""));
  }
}

function wrong(key: string, { value, where }: Found, expected: string): UserError {
  return new UserError({ where, what: `'${key}' has a wrong value`, expected, got: JSON.stringify(value) });
}

/** Text of the old config has no references. */
export function escaped(text: string): string {
  return text.replaceAll("${", "\\${");
}

/** Text for one line of a comment or of a terminal: line breaks and control characters as their escapes. */
export function oneLine(text: string): string {
  const code = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  // The format characters are those that turn the direction of what is read.
  return text.replaceAll(
    /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069\uFEFF]/gu,
    (character) => named[character] ?? code(character),
  );
}
