/**
 * The configuration as text: resolved YAML (for `tandem config show` and a run's `config.yaml`), the schema as a table, and as JSON Schema. The
 * trap: what is written here must be read back unchanged, so text that looks like a number keeps its quotes and `${` is written `\${`.
 */
import { type CreateNodeOptions, Document, type DocumentOptions, Scalar, type ToStringOptions, visit } from "yaml";
import { isLeaf, type Leaf, rangeText, type Section, sectionDoc } from "./leaf.js";
import { schemaLeaves } from "./schema-keys.js";

/** A configuration as YAML that `loadConfig({base})` reads back. */
export function renderYaml(config: unknown): string {
  return yamlOf(escapeReferences(config), { lineWidth: 0 });
}

/** The YAML with each key's source in a comment at the line's end. */
export function renderWithSources(config: unknown, sources: Readonly<Record<string, string>>): string {
  const lines = sourceLines(escapeReferences(config), "", 0, sources);
  const width = Math.min(60, Math.max(...lines.map(({ text }) => text.length)));
  return lines.map(({ text, source }) => (source === undefined ? text : `${text.padEnd(width)}  # ${source}`)).join("\n") + "\n";
}

interface SourceLine {
  readonly text: string;
  readonly source?: string;
}

function sourceLines(value: unknown, path: string, depth: number, sources: Readonly<Record<string, string>>): SourceLine[] {
  const indent = "  ".repeat(depth);
  return Object.entries(value as Record<string, unknown>).flatMap(([key, child]): SourceLine[] => {
    const place = path === "" ? key : `${path}.${key}`;
    const source = sources[place];
    if (source === undefined && isMap(child) && Object.keys(child).length > 0) {
      return [{ text: `${indent}${key}:` }, ...sourceLines(child, place, depth + 1, sources)];
    }
    const flow = yamlOf({ [key]: child }, { collectionStyle: "flow", lineWidth: 0 }).trim();
    // A flow map has braces of its own around the one key.
    const text = flow.replace(/^\{\s*([^]*?)\s*\}$/, "$1");
    return [source === undefined ? { text: indent + text } : { text: indent + text, source }];
  });
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** YAML of a value. Text that our reader alone takes for a number (`1_000`, as Hydra has it) is quoted, and so is text that ends in a space of any kind, which may be cut off with the line's. */
function yamlOf(value: unknown, options: ToStringOptions): string {
  const making: CreateNodeOptions & DocumentOptions = { aliasDuplicateObjects: false };
  const document = new Document(value, making);
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === "string" && (/^[-+]?\d+(_\d+)+$/.test(node.value) || node.value !== node.value.trim()))
        node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return document.toString(options);
}

function escapeReferences(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll("${", "\\${");
  if (Array.isArray(value)) return value.map(escapeReferences);
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, escapeReferences(child)]));
  return value;
}

/** Every key with its type, default, range and sentence, one block a key. */
export function renderSchema(section: Section): string {
  return schemaLeaves(section)
    .flatMap(({ key, leaf }) => [
      `${key}: ${typeText(leaf)} = ${JSON.stringify(leaf.default)}`,
      `    ${leaf.doc}`,
      ...Object.entries(leaf.fields ?? {}).map(([name, field]) =>
        isLeaf(field) ? `    - ${name}: ${typeText(field)} = ${JSON.stringify(field.default)}. ${field.doc}` : "",
      ),
    ])
    .join("\n");
}

/** `integer ≥ 1 (tokens) or null`. */
export function typeText(leaf: Leaf<unknown>): string {
  const kind =
    leaf.kind === "choice"
      ? (leaf.choices ?? []).join(" | ")
      : leaf.kind === "list" && leaf.item !== undefined
        ? `list of ${typeText(leaf.item)}`
        : leaf.kind;
  const words = leaf.kind === "path" && leaf.choices !== undefined ? ` | ${leaf.choices.join(" | ")}` : "";
  const range = leaf.range === undefined || leaf.kind === "list" ? "" : ` ${rangeText(leaf.range)}`;
  const unit = leaf.unit === undefined ? "" : ` (${leaf.unit})`;
  return `${kind}${words}${range}${unit}${leaf.nullable ? " or null" : ""}`;
}

/** JSON Schema (draft 2020-12) for editors: put its path into a `# yaml-language-server: $schema=` line. */
export function jsonSchema(section: Section): Record<string, unknown> {
  return { $schema: "https://json-schema.org/draft/2020-12/schema", title: "Tandem's configuration", ...sectionSchema(section) };
}

function sectionSchema(section: Section): Record<string, unknown> {
  const properties = Object.fromEntries(
    Object.entries(section).map(([key, node]) => [key, isLeaf(node) ? leafSchema(node) : sectionSchema(node)]),
  );
  const doc = section[sectionDoc];
  return { type: "object", ...(doc === undefined ? {} : { description: doc }), properties, additionalProperties: false };
}

const jsonTypes = {
  integer: "integer",
  number: "number",
  boolean: "boolean",
  string: "string",
  choice: "string",
  path: "string",
  model: "string",
  list: "array",
  records: "array",
  map: "object",
} as const;

function leafSchema(leaf: Leaf<unknown>): Record<string, unknown> {
  const type = jsonTypes[leaf.kind];
  const words = leaf.kind === "choice" ? { enum: leaf.nullable ? [...(leaf.choices ?? []), null] : leaf.choices } : {};
  return {
    type: leaf.nullable ? [type, "null"] : type,
    ...(leaf.doc === "" ? {} : { description: leaf.unit === undefined ? leaf.doc : `${leaf.doc} Unit: ${leaf.unit}.` }),
    default: leaf.default,
    ...words,
    ...boundsOf(leaf),
    ...(leaf.item === undefined ? {} : { items: leafSchema(leaf.item) }),
    ...(leaf.fields === undefined ? {} : { items: recordSchema(leaf.fields, leaf.repeats === true) }),
  };
}

/** A record; where records may be repeated, a repeat's two keys are allowed as well. */
function recordSchema(fields: Section, repeats: boolean): Record<string, unknown> {
  const record = sectionSchema(fields);
  if (!repeats) return record;
  const again = { repeat: { type: "integer", minimum: 1 }, phases: { type: "array", minItems: 1, items: { type: "object" } } };
  return { ...record, properties: { ...(record["properties"] as Record<string, unknown>), ...again } };
}

function boundsOf({ kind, range }: Leaf<unknown>): Record<string, number> {
  if (range === undefined) return {};
  const { minimum, maximum } = range;
  const names =
    kind === "list"
      ? ["minItems", "maxItems"]
      : [
          range.exclusiveMinimum === true ? "exclusiveMinimum" : "minimum",
          range.exclusiveMaximum === true ? "exclusiveMaximum" : "maximum",
        ];
  const [low = "", high = ""] = names;
  return { ...(minimum === undefined ? {} : { [low]: minimum }), ...(maximum === undefined ? {} : { [high]: maximum }) };
}
