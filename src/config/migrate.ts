/**
 * CoZyRAG's config.yaml as one of ours, with the reason of every change in a comment above it. What becomes of a key is cozyrag-keys.ts. The trap: the result stands alone, and as an experiment too, so it
 * has a package header and no defaults list.
 */
import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import { UserError } from "../errors.js";
import { type Entry, migrateKeys } from "./cozyrag-keys.js";
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
  const lines = [
    "# @package _global_",
    "# Made of CoZyRAG's config by tandem config migrate. Each comment says where the value below it comes from, or why it isn't the old one.",
    "# To run it: save it as <folder>/experiment/<name>.yaml, then tandem train --config-dir <folder> experiment=<name>",
    ...dropped.flatMap(({ key, reason }) => `${key} is gone: ${reason}`.split("\n").map((line) => `# ${line}`)),
    ...unknown.map((key) => `# ${key} is unknown: neither CoZyRAG nor Tandem reads it`),
    "",
    "name: cozyrag",
    ...rendered(entries),
  ];
  return { text: `${lines.join("\n")}\n`, unknown };
}

/** Entries as nested YAML; keys of one section stand together. */
function rendered(entries: readonly Entry[]): string[] {
  const lines: string[] = [];
  let open: readonly string[] = [];
  for (const { key, value, reason } of entries) {
    const parts = key.split(".");
    const section = parts.slice(0, -1);
    const shared = section.findIndex((part, index) => open[index] !== part);
    const from = shared < 0 ? section.length : shared;
    for (let depth = from; depth < section.length; depth += 1) lines.push(`${"  ".repeat(depth)}${section[depth] ?? ""}:`);
    open = section;
    const indent = "  ".repeat(section.length);
    lines.push(`${indent}# ${reason.replaceAll(/\s+/g, " ")}`, ...leaf(parts.at(-1) ?? key, value, indent));
  }
  return lines;
}

function leaf(name: string, value: unknown, indent: string): string[] {
  if (!Array.isArray(value)) return [`${indent}${name}: ${stringify(value, { lineWidth: 0 }).trim()}`];
  const items = value.map((item) => `${indent}  - ${stringify(item, { collectionStyle: "flow", lineWidth: 0 }).trim()}`);
  return [`${indent}${name}:`, ...items];
}

/** Lines that hold something; undefined when the file can't be read from here. */
function linesOf(file: string): number | undefined {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "").length;
  } catch {
    // The config may come from another machine; the reason says that the questions were not counted.
    return undefined;
  }
}
