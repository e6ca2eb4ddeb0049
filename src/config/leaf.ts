/**
 * The leaves of the configuration schema: one constructor for each kind of value, in the shape that convict reads (`doc`, `default`,
 * `format`) plus what our own errors, `tandem config schema` and the TypeScript types need. It isn't the schema: that is schema.ts.
 * The trap: convict turns strings into booleans and numbers when `format` is a constructor or a name (`Boolean("no")` is true), so every
 * format here is a function, which convict never coerces for.
 */

import { GrammarError } from "./grammar-error.js";

/** What a value is; the word is shown by `tandem config schema`. */
type LeafKind = "integer" | "number" | "boolean" | "string" | "choice" | "path" | "model" | "list" | "records" | "map";

/** One key of the configuration. `Value` is what the program gets. */
export interface Leaf<Value> {
  readonly kind: LeafKind;
  /** One sentence: what the key does. */
  readonly doc: string;
  /** Readonly and covariant, so that a section of leaves gives the section's type. */
  readonly default: Value;
  readonly nullable: boolean;
  readonly unit?: string;
  readonly range?: Range;
  /** The allowed words of a choice, or the words that a path may be besides a path. */
  readonly choices?: readonly string[];
  /** The elements of a list. */
  readonly item?: Leaf<unknown>;
  /** The keys of each record of a list of records. */
  readonly fields?: Section;
  /** Whether records may stand in `{repeat, phases}`, which expand-schedule.ts writes out. */
  readonly repeats?: boolean;
  /** Throws an Error whose message reads `expected …` when the value isn't one of this leaf. */
  readonly format: (value: unknown) => void;
}

/** Bounds of a number or of a list's length. */
export interface Range {
  readonly minimum?: number;
  readonly maximum?: number;
  /** The bound itself is refused. */
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
}

/** The sentence that says what a section is for, beside its keys. */
export const sectionDoc = Symbol("doc");

/** A branch of the schema: keys, each a leaf or another section. */
export interface Section {
  readonly [key: string]: Leaf<unknown> | Section;
  readonly [sectionDoc]?: string;
}

/** The TypeScript type of a section's values: the schema is the one home of types too. */
export type ConfigOf<Node> = Node extends Leaf<infer Value> ? Value : { readonly [Key in keyof Node as Key & string]: ConfigOf<Node[Key]> };

/** `null` where a leaf's options allow it: by a default of null or by saying so. */
type NullOf<Options> = Options extends { readonly default: null } | { readonly nullable: true } ? null : never;

interface LeafOptions {
  readonly doc: string;
  readonly unit?: string;
  readonly nullable?: boolean;
}
interface NumberOptions extends LeafOptions, Range {
  readonly default: number | null;
}

/** Whether a schema node is a leaf; convict draws the same line. */
export function isLeaf(node: Leaf<unknown> | Section): node is Leaf<unknown> {
  return "default" in node;
}

/** Gives a section its sentence. */
export function section<const Keys extends Section>(doc: string, keys: Keys): Keys {
  return Object.defineProperty(keys, sectionDoc, { value: doc, enumerable: false });
}

/** A whole number. */
export function integer<const Options extends NumberOptions>(options: Options): Leaf<number | NullOf<Options>> {
  return numeric("integer", options);
}

/** A finite number. */
export function number<const Options extends NumberOptions>(options: Options): Leaf<number | NullOf<Options>> {
  return numeric("number", options);
}

function numeric<Options extends NumberOptions>(kind: "integer" | "number", options: Options): Leaf<number | NullOf<Options>> {
  const range = rangeOf(options);
  const wanted = kind === "integer" ? "a whole number" : "a number";
  return leaf(kind, options, range === undefined ? {} : { range }, (value) => {
    const right = typeof value === "number" && (kind === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value));
    if (!right || !isWithin(value, options)) throw new Error(`expected ${wanted}${range === undefined ? "" : ` ${rangeText(range)}`}`);
  });
}

/** true or false; never "yes", 1 or "true". */
export function flag<const Options extends LeafOptions & { readonly default: boolean }>(options: Options): Leaf<boolean | NullOf<Options>> {
  return leaf("boolean", options, {}, (value) => {
    if (typeof value !== "boolean") throw new Error("expected true or false");
  });
}

/** Text. `pattern` narrows it, `wanted` says how in words; `grammar` throws a GrammarError. */
export function text<
  const Options extends LeafOptions & {
    readonly default: string | null;
    readonly pattern?: RegExp;
    readonly wanted?: string;
    readonly grammar?: (text: string) => unknown;
  },
>(options: Options): Leaf<string | NullOf<Options>> {
  return leaf("string", options, {}, (value) => {
    if (typeof value !== "string" || options.pattern?.test(value) === false) throw new Error(`expected ${options.wanted ?? "text"}`);
    options.grammar?.(value);
  });
}

/** A file or folder, relative to the current folder; `words` are allowed in its place. */
export function path<const Options extends LeafOptions & { readonly default: string | null; readonly words?: readonly string[] }>(
  options: Options,
): Leaf<string | NullOf<Options>> {
  const extra = options.words === undefined ? {} : { choices: options.words };
  const wanted = ["a path", ...(options.words ?? [])].join(" or ");
  return leaf("path", options, extra, (value) => {
    if (typeof value !== "string" || value === "" || value.includes("\0")) throw new Error(`expected ${wanted}`);
  });
}

/** A model: a folder, or a name on the hub (see model-name.ts). */
export function model<const Options extends LeafOptions & { readonly default: string | null }>(
  options: Options,
): Leaf<string | NullOf<Options>> {
  return leaf("model", options, {}, (value) => {
    if (typeof value !== "string" || value === "" || value.includes("\0"))
      throw new Error("expected a folder or a model's name on the hub");
  });
}

/** One word of a fixed set. */
export function choice<
  const Words extends readonly string[],
  const Options extends LeafOptions & { readonly default: Words[number] | null },
>(words: Words, options: Options): Leaf<Words[number] | NullOf<Options>> {
  return leaf("choice", options, { choices: words }, (value) => {
    if (typeof value !== "string" || !words.includes(value)) throw new Error(`expected one of ${words.join(", ")}`);
  });
}

/** A list whose elements are all of one leaf's kind; minimum and maximum bound its length. */
export function list<Value, const Options extends LeafOptions & Range & { readonly default: readonly Value[] | null }>(
  item: Leaf<Value>,
  options: Options,
): Leaf<readonly Value[] | NullOf<Options>> {
  const range = rangeOf(options);
  const extra = range === undefined ? { item } : { item, range };
  return leaf("list", options, extra, (value) => {
    if (!Array.isArray(value)) throw new Error("expected a list");
    if (!isWithin(value.length, options)) throw new Error(`expected a list of ${lengthText(options)}`);
    for (const element of value) item.format(element);
  });
}

/** Two elements of one leaf's kind. */
export function pair<Value>(
  item: Leaf<Value>,
  options: LeafOptions & { readonly default: readonly [Value, Value] },
): Leaf<readonly [Value, Value]> {
  const both = list(item, { ...options, minimum: 2, maximum: 2 });
  return { ...both, default: options.default };
}

/** A list of records with keys of their own. The walk in check-tree.ts checks the records, so that an error names the line in them. */
export function records<const Fields extends Section>(
  fields: Fields,
  options: LeafOptions & { readonly default: readonly ConfigOf<Fields>[]; readonly repeats?: boolean },
): Leaf<readonly ConfigOf<Fields>[]> {
  return leaf("records", options, { fields, ...(options.repeats === true ? { repeats: true } : {}) }, (value) => {
    if (!Array.isArray(value)) throw new Error("expected a list of records");
  });
}

/** Free keys, each with one word or number. */
export function freeKeys(options: LeafOptions): Leaf<Readonly<Record<string, string | number | boolean | null>>> {
  return leaf("map", { ...options, default: {} }, {}, (value) => {
    const flat =
      typeof value === "object" && value !== null && Object.values(value).every((entry) => typeof entry !== "object" || entry === null);
    if (!flat) throw new Error("expected keys with one word or number each");
  });
}

/** Settings of keys that another section has; who reads them checks each by its own leaf. null: none. */
export function settings(options: LeafOptions): Leaf<Readonly<Record<string, unknown>> | null> {
  return leaf("map", { ...options, default: null }, {}, (value) => {
    if (!areKeys(value)) throw new Error("expected keys with their values");
  });
}

function areKeys(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const isNested = (below: unknown): boolean => typeof below === "object" && below !== null && !Array.isArray(below);
  return Object.entries(value).every(([key, below]) => /^[a-z][a-z0-9_.]*$/i.test(key) && (!isNested(below) || areKeys(below)));
}

function leaf<Value>(
  kind: LeafKind,
  options: LeafOptions & { readonly default: unknown },
  extra: Pick<Partial<Leaf<unknown>>, "range" | "choices" | "item" | "fields" | "repeats">,
  format: (value: unknown) => void,
): Leaf<Value> {
  const nullable = options.default === null || options.nullable === true;
  const check = (value: unknown): void => {
    if (value === null && nullable) return;
    try {
      format(value);
    } catch (error) {
      throw nullable && !(error instanceof GrammarError) ? new Error(`${(error as Error).message} or null`) : error;
    }
  };
  const unit = options.unit === undefined ? {} : { unit: options.unit };
  return { kind, doc: options.doc, default: options.default as Value, nullable, ...unit, ...extra, format: check };
}

function rangeOf(options: Range): Range | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = options;
  if (minimum === undefined && maximum === undefined) return undefined;
  return {
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
    ...(exclusiveMinimum === undefined ? {} : { exclusiveMinimum }),
    ...(exclusiveMaximum === undefined ? {} : { exclusiveMaximum }),
  };
}

function isWithin(value: number, range: Range): boolean {
  const { minimum = -Infinity, maximum = Infinity } = range;
  const above = range.exclusiveMinimum === true ? value > minimum : value >= minimum;
  const below = range.exclusiveMaximum === true ? value < maximum : value <= maximum;
  return above && below;
}

/** The range in mathematical signs: `≥ 1`, `in [0, 1)`. */
export function rangeText(range: Range): string {
  const { minimum, maximum } = range;
  if (minimum !== undefined && maximum !== undefined) {
    return `in ${range.exclusiveMinimum === true ? "(" : "["}${minimum}, ${maximum}${range.exclusiveMaximum === true ? ")" : "]"}`;
  }
  if (minimum !== undefined) return `${range.exclusiveMinimum === true ? ">" : "≥"} ${minimum}`;
  return `${range.exclusiveMaximum === true ? "<" : "≤"} ${maximum ?? ""}`;
}

function lengthText({ minimum, maximum }: Range): string {
  if (minimum === maximum && minimum !== undefined) return `${minimum} elements`;
  return `${minimum ?? 0} elements or more`;
}
