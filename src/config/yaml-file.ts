/**
 * Reads one YAML file of a configuration into nodes with their lines, and its `# @package` header. It doesn't follow the file's defaults list.
 * The trap: YAML 1.2 is read, in which `5e-5` is a number and `yes` is text; PyYAML (YAML 1.1) reads both the other way round.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Node, type Scalar as YamlScalar, type YAMLMap } from "yaml";
import { UserError } from "../errors.js";
import { type ConfigNode, mapNode, type MapNode, type Scalar, scalarNode } from "./tree.js";

/** One file: its keys, and where its header puts them. */
export interface YamlFile {
  /** The path as shown to the user. */
  readonly shown: string;
  /** All keys but `defaults`. */
  readonly body: MapNode;
  /** The `defaults:` list, undefined when the file has none. */
  readonly defaults?: ConfigNode;
  /** What stands after `# @package` in the file's head. */
  readonly packageHeader?: string;
}

/** `file:line` of an offset into the text. */
type Place = (offset: number | undefined) => string;

/** Deeper nesting than any configuration has; a hostile file stops here instead of at the stack's end. */
const deepest = 64;

/** A path as the user would type it: from the current folder when it is near, else absolute. */
function shownPath(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith(`..${path.sep}..`) || path.isAbsolute(relative) ? file : relative;
}

/**
 * Reads a file whose top is a map (or nothing).
 * @throws UserError with file and line: not there, not UTF-8, not YAML, several documents, a list at the top, a key twice
 */
export function readYamlFile(file: string): YamlFile {
  const shown = shownPath(file);
  const content = readText(file, shown);
  const lines = new LineCounter();
  const place: Place = (offset) => (offset === undefined ? shown : `${shown}:${lines.linePos(offset).line}`);
  const documents = parseAllDocuments(content, { lineCounter: lines, prettyErrors: false });
  const [document, second] = [...documents];
  if (document === undefined) return { shown, body: mapNode([], shown) };
  const [fault] = document.errors;
  if (fault !== undefined) {
    throw new UserError({ where: place(fault.pos[0]), what: `not YAML: ${fault.message}`, remedy: "mend the line" });
  }
  if (second !== undefined) {
    throw new UserError({ where: place(second.range[0]), what: "a second YAML document begins here", remedy: "keep one document a file" });
  }
  const body = document.contents === null ? mapNode([], shown) : convert(document.contents, place, 0);
  if (body.kind === "scalar" && body.value === null) return { shown, body: mapNode([], shown) };
  if (body.kind !== "map")
    throw new UserError({ where: body.source, what: "not a map of keys", expected: "'key: value' lines", got: body.kind });
  return split(shown, body, packageHeader(content));
}

function readText(file: string, shown: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (error instanceof TypeError && (error as NodeJS.ErrnoException).code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
      throw new UserError({ where: shown, what: "not UTF-8 text", remedy: "save the file as UTF-8" });
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new UserError({ where: shown, what: "no such file", remedy: "mend the path" }, { cause: error });
    throw new UserError({ where: shown, what: `can't be read (${code ?? String(error)})` }, { cause: error });
  }
}

/** The comment `# @package name` counts in the comment lines at the top only. */
function packageHeader(content: string): string | undefined {
  for (const line of content.split(/\r?\n/)) {
    const header = /^#\s*@package\s+(\S+)\s*$/.exec(line)?.[1];
    if (header !== undefined) return header;
    if (line.trim() !== "" && !line.startsWith("#")) return undefined;
  }
  return undefined;
}

function split(shown: string, body: MapNode, header: string | undefined): YamlFile {
  const defaults = body.entries.get("defaults");
  const rest = new Map(body.entries);
  rest.delete("defaults");
  refuseDottedKeys({ ...body, entries: rest });
  return {
    shown,
    body: { ...body, entries: rest },
    ...(defaults === undefined ? {} : { defaults }),
    ...(header === undefined ? {} : { packageHeader: header }),
  };
}

/** Only a defaults list may have dots in its keys (`group@a.b`): elsewhere `a.b: 1` is a flattened key that would be two things at once. */
function refuseDottedKeys(node: ConfigNode): void {
  if (node.kind === "list") node.items.forEach(refuseDottedKeys);
  if (node.kind !== "map") return;
  for (const [key, child] of node.entries) {
    refuseDotted(key, child.source);
    refuseDottedKeys(child);
  }
}

function refuseDotted(key: string, source: string): void {
  if (key.includes("."))
    throw new UserError({ where: source, what: `the key '${key}' holds a dot`, remedy: "nest the keys: one level a line" });
}

function convert(node: Node, place: Place, depth: number): ConfigNode {
  const source = place(node.range?.[0]);
  if (depth > deepest) throw new UserError({ where: source, what: "nested too deeply", expected: `at most ${deepest} levels` });
  if (isAlias(node)) {
    throw new UserError({
      where: source,
      what: `the YAML alias '*${node.source}' isn't followed`,
      remedy: "refer to a key by ${its.path}",
    });
  }
  if (isMap(node)) return convertMap(node, place, depth);
  if (isSeq(node)) return { kind: "list", items: node.items.map((item) => convert(item as Node, place, depth + 1)), source };
  if (isScalar(node)) return scalarNode(scalarOf(node, source), source);
  throw new UserError({ where: source, what: "not a value that a configuration can hold" });
}

function convertMap(map: YAMLMap, place: Place, depth: number): MapNode {
  const entries = new Map<string, ConfigNode>();
  for (const pair of map.items) {
    const key = pair.key as Node;
    const source = place(key.range?.[0]);
    const name = isScalar(key) ? key.value : undefined;
    if (typeof name !== "string" && typeof name !== "number") {
      throw new UserError({ where: source, what: "a key that isn't a name", expected: "text before the colon" });
    }
    const value = pair.value === null ? scalarNode(null, source) : convert(pair.value as Node, place, depth + 1);
    // A value's place is its key's line: where a reader looks for it.
    entries.set(String(name), { ...value, source });
  }
  return { kind: "map", entries, source: place(map.range?.[0]) };
}

function scalarOf(node: YamlScalar, source: string): Scalar {
  const { value } = node;
  // Hydra reads 1_000 as a number in files as on the command line.
  if (typeof value === "string" && node.type === "PLAIN" && /^[-+]?\d+(_\d+)+$/.test(value)) return Number(value.replaceAll("_", ""));
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  throw new UserError({ where: source, what: "not a value that a configuration can hold", got: typeof value });
}
