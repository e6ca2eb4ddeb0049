/**
 * The value of a sweep, Hydra's grammar: `1e-5,3e-5`, `choice(a,b)`, `range(3)`, `range(0,1,0.25)`, `glob(*,exclude=x)`, with `sort`, `shuffle`, `tag` and casts around them. It gives the values in
 * their order; the product over keys is sweep.ts. The trap: brackets make one value, `[1,2]`, and only a comma outside of them makes two.
 * Source: Hydra 1.3, "Extended Override syntax", and its grammar_functions.py. Other than there, `shuffle` draws the same order each time, so that a sweep that is resumed is the same sweep, `str(1,2)` stays
 * text, and a range's fractions are rounded to 15 digits.
 */
import { UserError } from "../errors.js";
import { callName, castValue, element, isCast, nested, type Reader, skipSpace, unexpected } from "./override-value.js";
import { matchesPattern } from "./sweep-glob.js";
import { type ConfigNode, plainValue, type Scalar, scalarNode } from "./tree.js";

/** Names of the options of the group that a key names. */
export type OptionsOfKey = () => readonly string[];

/** Several values, or one that is none of a sweep's. `simple`: written with bare commas, which `choice(…)` may wrap. */
type Parsed =
  | { readonly kind: "sweep"; readonly values: readonly ConfigNode[]; readonly simple: boolean }
  | { readonly kind: "one"; readonly value: ConfigNode };

interface Argument {
  readonly name: string | undefined;
  readonly parsed: Parsed;
}

interface Sweep extends Reader {
  readonly options: OptionsOfKey;
}

const SWEEPS = new Set(["choice", "range", "glob", "interval", "sort", "shuffle", "tag"]);

/**
 * The values of a sweep, or undefined where the text is one value.
 *
 * @param text what stands after `=`
 * @param source how errors name the override
 * @throws UserError naming the override, and the column where the grammar is broken
 */
export function sweepValues(text: string, source: string, options: OptionsOfKey): readonly ConfigNode[] | undefined {
  if (text.trim() === "") return undefined;
  const reader: Sweep = { text, position: 0, depth: 0, source, options };
  const parsed = simpleChoice(reader, "");
  if (reader.position < text.length) throw unexpected(reader);
  // sort([2,1]) is one value that only this grammar knows.
  if (parsed.kind === "one") return /^\s*(?:sort|shuffle)\(/.test(text) ? [parsed.value] : undefined;
  if (parsed.values.length === 0) throw new UserError({ where: source, what: "a sweep over no value", expected: "at least one value" });
  return parsed.values;
}

/** `a,b,c`, or one item. */
function simpleChoice(reader: Sweep, closing: string): Parsed {
  const first = item(reader, closing);
  skipSpace(reader);
  if (reader.text[reader.position] !== ",") return first;
  const values = [oneValue(first, reader)];
  while (reader.text[reader.position] === ",") {
    reader.position += 1;
    values.push(oneValue(item(reader, closing), reader));
    skipSpace(reader);
  }
  return { kind: "sweep", values, simple: true };
}

function item(reader: Sweep, closing: string): Parsed {
  skipSpace(reader);
  const name = callName(reader);
  if (name !== undefined && (SWEEPS.has(name) || isCast(name))) return nested(reader, () => call(reader, name));
  return { kind: "one", value: element(reader, `,${closing}`) };
}

function call(reader: Sweep, name: string): Parsed {
  reader.position += name.length + 1;
  const list: Argument[] = [];
  skipSpace(reader);
  while (reader.text[reader.position] !== ")") {
    if (list.length > 0) {
      if (reader.text[reader.position] !== ",") throw unexpected(reader, "')'");
      reader.position += 1;
    }
    list.push(argument(reader));
    skipSpace(reader);
  }
  reader.position += 1;
  return applied(name, list, reader);
}

function argument(reader: Sweep): Argument {
  skipSpace(reader);
  const name = /^([A-Za-z_]\w*)\s*=/.exec(reader.text.slice(reader.position));
  reader.position += name?.[0].length ?? 0;
  return { name: name?.[1], parsed: item(reader, ")") };
}

function applied(name: string, given: readonly Argument[], reader: Sweep): Parsed {
  if (name === "range") return { kind: "sweep", values: range(given, reader), simple: false };
  if (name === "glob") return { kind: "sweep", values: glob(given, reader), simple: false };
  if (name === "interval")
    throw refusal(reader, "interval(…) has no values to try one after another", "name them: range(start,stop,step) or a,b,c");
  if (name === "tag") return tagged(given, reader);
  if (name === "choice") return choice(given, reader);
  if (name === "sort" || name === "shuffle") return reordered(name, given, reader);
  const only = inner(given, reader, name);
  if (only.kind === "one") return { kind: "one", value: castValue(name, only.value, reader.source) };
  return { ...only, values: only.values.map((value) => castValue(name, value, reader.source)) };
}

/** The arguments as one sweep: several values, or the one sweep or value that stands there. */
function inner(given: readonly Argument[], reader: Sweep, name: string): Parsed {
  const named = given.find((entry) => entry.name !== undefined);
  if (named !== undefined) throw refusal(reader, `${name}(…) has no argument '${named.name ?? ""}' here`, "give values alone");
  const [first, ...more] = given;
  if (first === undefined) throw refusal(reader, `${name}() has no argument`, `${name}(a,b)`);
  if (more.length === 0) return first.parsed;
  return { kind: "sweep", values: given.map(({ parsed }) => oneValue(parsed, reader)), simple: true };
}

function choice(given: readonly Argument[], reader: Sweep): Parsed {
  const parsed = inner(given, reader, "choice");
  if (parsed.kind === "one") return { kind: "sweep", values: [parsed.value], simple: false };
  if (!parsed.simple) throw refusal(reader, "a sweep inside choice(…)", "name the values themselves");
  return { ...parsed, simple: false };
}

function tagged(given: readonly Argument[], reader: Sweep): Parsed {
  const last = given.at(-1)?.parsed;
  if (last?.kind !== "sweep") throw refusal(reader, "tag(…) ends with no sweep", "tag(word, choice(a,b))");
  return last;
}

function reordered(name: "sort" | "shuffle", given: readonly Argument[], reader: Sweep): Parsed {
  const flag = given.find((entry) => entry.name === "reverse");
  if (flag !== undefined && name === "shuffle") throw refusal(reader, "shuffle(…) knows no 'reverse'", "take it out");
  const isReversed = flag === undefined ? false : flag.parsed.kind === "one" ? plainValue(flag.parsed.value) : undefined;
  if (typeof isReversed !== "boolean") throw refusal(reader, "'reverse' of sort(…) is neither yes nor no", "reverse=true or false");
  const parsed = inner(
    given.filter((entry) => entry !== flag),
    reader,
    name,
  );
  const order = (values: readonly ConfigNode[]): ConfigNode[] => (name === "sort" ? sorted(values, isReversed, reader) : shuffled(values));
  if (parsed.kind === "sweep") return { ...parsed, values: order(parsed.values), simple: false };
  const { value } = parsed;
  return { kind: "one", value: value.kind === "list" ? { ...value, items: order(value.items) } : value };
}

/** Numbers by size, texts by code points, as Python's sorted. */
function sorted(values: readonly ConfigNode[], isReversed: boolean, reader: Sweep): ConfigNode[] {
  const keyed = values.map((value) => ({ value, key: plainValue(value) }));
  const isNumber = keyed.every(({ key }) => typeof key === "number" || typeof key === "boolean");
  if (!isNumber && !keyed.every(({ key }) => typeof key === "string"))
    throw refusal(reader, "sort(…) can't compare its values", "give only numbers or only texts");
  const rank = (left: unknown, right: unknown): number => {
    const [first, second] = isNumber ? [Number(left), Number(right)] : [String(left), String(right)];
    return first < second ? -1 : first > second ? 1 : 0;
  };
  return keyed.sort((left, right) => (isReversed ? rank(right.key, left.key) : rank(left.key, right.key))).map(({ value }) => value);
}

/** Fisher–Yates with a fixed linear congruential generator (Numerical Recipes' constants): the same order each time. */
function shuffled(values: readonly ConfigNode[]): ConfigNode[] {
  const result = [...values];
  let state = 1;
  for (let last = result.length - 1; last > 0; last -= 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (last + 1));
    [result[last], result[other]] = [result[other] as ConfigNode, result[last] as ConfigNode];
  }
  return result;
}

const MOST_VALUES = 10_000;

/** `range(stop)`, `range(start, stop[, step])`: start + step·i, the stop left out. */
function range(given: readonly Argument[], reader: Sweep): ConfigNode[] {
  const numbers = new Map<string, number>();
  const names = ["start", "stop", "step"];
  given.forEach(({ name, parsed }, index) => {
    const key = name ?? names[index];
    const value = parsed.kind === "one" ? plainValue(parsed.value) : undefined;
    if (key === undefined || !names.includes(key) || numbers.has(key) || typeof value !== "number" || !Number.isFinite(value))
      throw refusal(reader, "range(…) takes numbers: start, stop and step", "range(3), range(1,5) or range(0,1,0.25)");
    numbers.set(key, value);
  });
  const first = numbers.get("start");
  if (first === undefined) throw refusal(reader, "range(…) has no stop", "range(3)");
  const stop = numbers.get("stop");
  const [from, to] = stop === undefined ? [0, first] : [first, stop];
  const step = numbers.get("step") ?? 1;
  if (step === 0) throw refusal(reader, "range(…) has a step of 0", "give it another");
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (count > MOST_VALUES) throw refusal(reader, `range(…) has ${count} values`, `give it at most ${MOST_VALUES}`);
  const values = Array.from({ length: count }, (_, index) => written(from + step * index)).filter((value) =>
    step > 0 ? value < to : value > to,
  );
  if (new Set(values).size < values.length)
    throw refusal(reader, "range(…) has steps too small for numbers of this size", "name them: a,b,c");
  return values.map((value) => scalarNode(value, reader.source));
}

/** Fifteen digits of a fraction: 3 · 0.1 is 0.3 to whoever wrote it. Whole numbers are exact as they are. */
function written(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(15));
}

/** `glob(a*)`, `glob([a*,b*], exclude=c)`: options of the group that the key names. */
function glob(given: readonly Argument[], reader: Sweep): ConfigNode[] {
  const patterns = new Map<string, string[]>();
  given.forEach(({ name, parsed }, index) => {
    const key = name ?? ["include", "exclude"][index];
    const value = parsed.kind === "one" ? plainValue(parsed.value) : undefined;
    const list = Array.isArray(value) ? (value as unknown[]) : [value];
    if ((key !== "include" && key !== "exclude") || patterns.has(key) || !list.every((entry): entry is string => typeof entry === "string"))
      throw refusal(reader, "glob(…) takes patterns: include and exclude", "glob(*), or glob(*,exclude=x)");
    patterns.set(key, list);
  });
  const isOneOf = (name: string, key: string): boolean => (patterns.get(key) ?? []).some((pattern) => matchesPattern(name, pattern));
  if (!patterns.has("include")) throw refusal(reader, "glob(…) has no pattern", "glob(*)");
  const options = reader.options();
  const found = options.filter((name) => isOneOf(name, "include") && !isOneOf(name, "exclude"));
  if (found.length === 0)
    throw refusal(
      reader,
      "glob(…) finds no option",
      options.length === 0 ? "it works for groups: data=glob(*)" : `options: ${options.join(", ")}`,
    );
  return found.map((name) => scalarNode(name, reader.source));
}

function oneValue(parsed: Parsed, reader: Sweep): ConfigNode {
  if (parsed.kind === "one") return parsed.value;
  throw refusal(reader, "a sweep inside a list of values", "name the values themselves, or sweep over another key");
}

function refusal(reader: Sweep, what: string, remedy: string): UserError {
  return new UserError({ where: reader.source, what, remedy });
}

/** Words that `scalarOfWord` would read as something else than text, or that break the grammar, need quotes. */
const PLAIN = /^[A-Za-z_/.][\w/.+-]*$/;

/** A value as the override grammar reads it back. */
export function renderValue(node: ConfigNode): string {
  if (node.kind === "list") return `[${node.items.map(renderValue).join(",")}]`;
  if (node.kind === "map") return `{${[...node.entries].map(([key, value]) => `${renderScalar(key)}:${renderValue(value)}`).join(",")}}`;
  return renderScalar(node.value);
}

function renderScalar(value: Scalar): string {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (typeof value !== "string") return String(value);
  if (PLAIN.test(value) && !/^(?:null|true|false|inf|nan|\.\d.*)$/i.test(value)) return value;
  // In quotes a backslash counts only before a quote or before others that stand before one.
  return `'${value.replace(/(\\*)'/g, "$1$1\\'").replace(/(\\+)$/, "$1$1")}'`;
}
