/**
 * CoZyRAG's config.yaml as one of ours, with the reason of every change in a comment above it. What becomes of a key is cozyrag-keys.ts. The trap: the result stands alone, and as an experiment too, so it
 * has a package header and no defaults list.
 */
import { readFileSync, statSync } from "node:fs";
import { Document, isMap, isScalar, isSeq, type Node, Pair, Scalar, YAMLMap } from "yaml";
import { UserError } from "../errors.js";
import { type Entry, migrateKeys } from "./cozyrag-keys.js";
import { oneLine } from "./cozyrag-values.js";
import { nodeAt } from "./tree.js";
import { readYamlFile } from "./yaml-file.js";

export interface Migrated {
  readonly text: string;
  /** Keys that neither CoZyRAG nor Tandem knows, with their places. */
  readonly unknown: readonly string[];
}

/**
 * @param questions how many training questions there are; undefined: the lines of the old `qa_path` are counted, if it is there
 * @throws UserError when the file can't be read, is none of CoZyRAG's, or holds a wrong value
 */
export function migrateFile(file: string, questions?: number): Migrated {
  const { body, shown } = readYamlFile(file);
  const path = nodeAt(body, ["qa_path"]);
  const counted = questions ?? (path?.kind === "scalar" && typeof path.value === "string" ? linesOf(path.value) : undefined);
  const { entries, dropped, unknown } = migrateKeys(body, counted);
  if (unknown.length === body.entries.size)
    throw new UserError({
      where: shown,
      what: "holds no key of CoZyRAG's",
      expected: "qa_path, model_name, …",
      remedy: "name CoZyRAG's config.yaml",
    });
  const comments = [
    "@package _global_",
    "Made of CoZyRAG's config by tandem config migrate. Each comment says where the value below it comes from, or why it isn't the old one.",
    "To run it: save it as <folder>/experiment/<name>.yaml, then tandem train --config-dir <folder> experiment=<name>",
    ...dropped.flatMap(({ key, reason }) => `${key} is gone: ${reason}`.split("\n")),
    ...unknown.map((key) => `${key} is unknown: neither CoZyRAG nor Tandem reads it`),
  ];
  return { text: rendered(comments, entries), unknown: unknown.map(oneLine) };
}

/** The comments, then the entries as nested YAML, each below its reason. The old file's text stays inside both: the writer quotes what needs it. */
function rendered(comments: readonly string[], entries: readonly Entry[]): string {
  const top = new YAMLMap<Node, Node>();
  const document = new Document<Node>(top);
  document.commentBefore = comments.map(asComment).join("\n");
  top.set(document.createNode("name"), document.createNode("cozyrag"));
  for (const { key, value, reason } of entries) {
    const parts = key.split(".");
    const name = new Scalar(parts.at(-1) ?? key);
    name.commentBefore = asComment(reason);
    const node = document.createNode(value, { aliasDuplicateObjects: false });
    settle(node);
    sectionAt(top, parts.slice(0, -1)).items.push(new Pair<Node, Node>(name, node));
  }
  return document.toString({ lineWidth: 0, blockQuote: false });
}

function asComment(text: string): string {
  return ` ${oneLine(text)}`;
}

/** The section at a path; it is made where it isn't there yet. */
function sectionAt(top: YAMLMap<Node, Node>, names: readonly string[]): YAMLMap<Node, Node> {
  let map = top;
  for (const name of names) {
    const found = map.get(name);
    const below = isMap<Node, Node>(found) ? found : new YAMLMap<Node, Node>();
    if (found === undefined) map.items.push(new Pair<Node, Node>(new Scalar(name), below));
    map = below;
  }
  return map;
}

/** Records on one line each; text that our reader alone takes for a number (1_000) in quotes. */
function settle(node: Node): void {
  if (isSeq(node)) for (const item of node.items) if (isMap(item)) item.flow = true;
  if (isScalar(node) && typeof node.value === "string" && /^[-+]?\d[\d_]*$/.test(node.value)) node.type = Scalar.QUOTE_DOUBLE;
}

/** Lines that hold something; undefined when the file can't be read from here. */
function linesOf(file: string): number | undefined {
  try {
    // A pipe or a device would be read for ever.
    if (!statSync(file).isFile()) return undefined;
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "").length;
  } catch {
    // The config may come from another machine; the reason says that the questions were not counted.
    return undefined;
  }
}
