/**
 * The value of an override, Hydra's grammar: words and numbers, quoted text, lists `[a,b]`, maps `{a:1,b:2}`, casts `int(3.7)`, and `${…}`, which
 * is kept for interpolate.ts. Sweeps (`a=1,2`, `choice(…)`) are recognised and refused: one run has one value, and sweep-value.ts reads them. The trap: in quotes a backslash
 * escapes only the quote and itself before it, so `\n` stays two characters, as in Hydra.
 */
import { UserError } from "../errors.js";
import { type ConfigNode, mapNode, type Scalar, scalarNode } from "./tree.js";

export interface Reader {
  readonly text: string;
  position: number;
  /** How many brackets are open. */
  depth: number;
  readonly source: string;
}

const sweeps = new Set(["choice", "range", "glob", "interval", "sort", "shuffle", "tag"]);
const special = "\\()[]{}:=,'\"";
/** What a backslash takes the meaning from: the special characters and white space. */
const escapable = /[\\()[\]{}:=,'"\s]/;

/** @throws UserError naming the override and the column */
export function parseValue(text: string, source: string): ConfigNode {
  if (text.trim() === "") return scalarNode("", source);
  const reader: Reader = { text, position: 0, depth: 0, source };
  const value = element(reader, "");
  skipSpace(reader);
  if (reader.position === text.length) return value;
  if (text[reader.position] === ",") throw sweep(reader);
  throw unexpected(reader);
}

/** A plain word of YAML or an override as the scalar it means: `5e-5`, `1_000`, `true`, `null`, `-inf`, or text. */
export function scalarOfWord(word: string): Scalar {
  if (/^null$/i.test(word)) return null;
  if (/^true$/i.test(word)) return true;
  if (/^false$/i.test(word)) return false;
  const digits = word.replace(/(?<=\d)_(?=\d)/g, "");
  // A leading zero is an id's, not a number's: 007 stays text.
  if (!/^[-+]?0\d/.test(digits) && /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(digits)) return Number(digits);
  if (/^[-+]?inf$/i.test(word)) return word.startsWith("-") ? -Infinity : Infinity;
  if (/^nan$/i.test(word)) return NaN;
  return word;
}

/** One value up to one of the closing characters, or to the text's end. */
export function element(reader: Reader, closing: string): ConfigNode {
  skipSpace(reader);
  const next = reader.text[reader.position];
  if (next === "[") return nested(reader, () => list(reader));
  if (next === "{") return nested(reader, () => map(reader));
  const call = callName(reader);
  return call === undefined ? primitive(reader, closing) : nested(reader, () => cast(reader, call));
}

/** No key holds nearly as much; thousands would end the call stack. */
const DEEPEST = 100;

/** Reads what is in brackets. @throws UserError when too many are open */
export function nested<Value>(reader: Reader, read: () => Value): Value {
  if (reader.depth === DEEPEST) throw tooDeep(reader);
  reader.depth += 1;
  const value = read();
  reader.depth -= 1;
  return value;
}

function tooDeep(reader: Reader): UserError {
  return new UserError({
    where: reader.source,
    what: `the value is nested more than ${DEEPEST} deep`,
    remedy: "close the brackets, or put the text in quotes",
  });
}

/** The name of the function that is called here, if one is. */
export function callName(reader: Reader): string | undefined {
  return /^([A-Za-z_]\w*)\(/.exec(reader.text.slice(reader.position))?.[1];
}

function list(reader: Reader): ConfigNode {
  const items: ConfigNode[] = [];
  reader.position += 1;
  while (!closes(reader, "]", items.length > 0)) items.push(element(reader, ",]"));
  return { kind: "list", items, source: reader.source };
}

function map(reader: Reader): ConfigNode {
  const entries: [string, ConfigNode][] = [];
  reader.position += 1;
  while (!closes(reader, "}", entries.length > 0)) {
    const key = primitive(reader, ":");
    if (reader.text[reader.position] !== ":") throw unexpected(reader);
    reader.position += 1;
    entries.push([String(key.value), element(reader, ",}")]);
  }
  return mapNode(entries, reader.source);
}

/** Reads the closing bracket, or the comma before another element. */
function closes(reader: Reader, bracket: string, hasElements: boolean): boolean {
  skipSpace(reader);
  const next = reader.text[reader.position];
  if (next === bracket) {
    reader.position += 1;
    return true;
  }
  if (!hasElements && next !== undefined) return false;
  if (next !== ",") throw unexpected(reader, `'${bracket}'`);
  reader.position += 1;
  return false;
}

const casts: Readonly<Record<string, (value: Scalar) => Scalar>> = {
  int: (value) => Math.trunc(Number(value)),
  float: Number,
  str: String,
  bool: toBoolean,
};

export function isCast(name: string): boolean {
  return Object.hasOwn(casts, name);
}

function cast(reader: Reader, name: string): ConfigNode {
  if (sweeps.has(name)) throw sweep(reader);
  if (!isCast(name)) {
    throw new UserError({
      where: reader.source,
      what: `no function '${name}'`,
      expected: "int, float, str or bool",
      remedy: "put the value in quotes",
    });
  }
  reader.position += name.length + 1;
  const inner = element(reader, ")");
  skipSpace(reader);
  if (reader.text[reader.position] !== ")") throw unexpected(reader, "')'");
  reader.position += 1;
  return castValue(name, inner, reader.source);
}

/** One value through `int`, `float`, `str` or `bool`. */
export function castValue(name: string, node: ConfigNode, source: string): ConfigNode {
  const value = node.kind === "scalar" ? casts[name]?.(node.value) : undefined;
  if (value === undefined || Number.isNaN(value)) {
    throw new UserError({ where: source, what: `${name}(…) can't convert its argument`, expected: "one word or number" });
  }
  return scalarNode(value, source);
}

function toBoolean(value: Scalar): Scalar {
  if (typeof value !== "string") return Boolean(value);
  return /^true$/i.test(value) ? true : /^false$/i.test(value) ? false : NaN;
}

/** A word, a quoted text or an interpolation, and what follows it up to the closing character. */
function primitive(reader: Reader, closing: string): { kind: "scalar"; value: Scalar; source: string } {
  skipSpace(reader);
  const quote = reader.text[reader.position];
  if (quote === "'" || quote === '"') return { kind: "scalar", value: quoted(reader, quote), source: reader.source };
  let word = "";
  let escaped = false;
  for (;;) {
    const next = reader.text[reader.position];
    if (next === undefined || next === ",") break;
    if (closing.includes(next)) break;
    if (reader.text.startsWith("${", reader.position)) {
      word += interpolation(reader);
    } else if (next === "\\" && escapable.test(reader.text[reader.position + 1] ?? "")) {
      word += reader.text[reader.position + 1] ?? "";
      escaped = true;
      reader.position += 2;
    } else if (special.includes(next) && !(next === ":" && closing !== ":") && next !== "\\") {
      throw unexpected(reader);
    } else {
      word += next;
      reader.position += 1;
    }
  }
  word = word.trim();
  if (word === "" && !escaped) throw unexpected(reader, "a value");
  return { kind: "scalar", value: escaped ? word : scalarOfWord(word), source: reader.source };
}

function quoted(reader: Reader, quote: string): string {
  const body = new RegExp(`^${quote}((?:\\\\.|[^\\\\${quote}])*)${quote}`, "s").exec(reader.text.slice(reader.position))?.[1];
  if (body === undefined) throw unexpected(reader, `a closing ${quote}`);
  reader.position += body.length + 2;
  // The closing quote is put back, since a backslash right before it counts too.
  return (body + quote).replace(new RegExp(`\\\\(?=\\\\*${quote})(.)`, "gs"), "$1").slice(0, -1);
}

/** `${…}` with its nested braces, as it stands. */
function interpolation(reader: Reader): string {
  const start = reader.position;
  let depth = 0;
  for (; reader.position < reader.text.length; reader.position += 1) {
    const character = reader.text[reader.position];
    if (character === "{" && ++depth > DEEPEST) throw tooDeep(reader);
    if (character === "}" && --depth === 0) {
      reader.position += 1;
      return reader.text.slice(start, reader.position);
    }
  }
  throw unexpected(reader, "'}'");
}

export function skipSpace(reader: Reader): void {
  while (/\s/.test(reader.text[reader.position] ?? "")) reader.position += 1;
}

export function unexpected(reader: Reader, expected?: string): UserError {
  const next = reader.text[reader.position];
  return new UserError({
    where: reader.source,
    what: next === undefined ? "the value ends too soon" : `'${next}' at character ${reader.position + 1} of the value`,
    ...(expected === undefined ? {} : { expected }),
    remedy: "put text with special characters in quotes: key='\"a, b\"' in a shell",
  });
}

function sweep(reader: Reader): UserError {
  return new UserError({
    where: reader.source,
    what: "several values for one key",
    expected: "one value a run",
    remedy: "put a list in brackets, [1,2], or text with commas in quotes; tandem train --multirun makes a run of each",
  });
}
