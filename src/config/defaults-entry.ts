/**
 * One entry of a `defaults:` list: `_self_`, `group: option`, `optional group: option`, `override /group: option`, `group@package: option`,
 * `group: [a, b]`, `group: null`, or a file's name. It only reads what is written; defaults-list.ts walks. The trap: `override` counts for a group
 * that another list has, it never adds one.
 */
import { UserError } from "../errors.js";
import type { ConfigNode } from "./tree.js";
import type { YamlFile } from "./yaml-file.js";

export interface DefaultsEntry {
  readonly kind: "self" | "config" | "override";
  /** As written: with a leading slash where it is absolute. */
  readonly group: string;
  /** What overrides call it: the group, with `@package` where the entry has one. */
  readonly key: string;
  readonly option: string | readonly string[] | null;
  readonly package?: string;
  readonly optional: boolean;
  /** The entry is a file's name, not a group's choice: overrides can't touch it. */
  readonly isFile?: boolean;
  readonly source: string;
}

/** The entries of a file's list, `_self_` appended where it isn't written. */
export function parseDefaults(yaml: YamlFile): DefaultsEntry[] {
  const self: DefaultsEntry = { kind: "self", group: "", key: "", option: null, optional: false, source: yaml.shown };
  const { defaults } = yaml;
  if (defaults === undefined) return [self];
  if (defaults.kind !== "list") throw faulty(defaults, "defaults isn't a list");
  const entries = defaults.items.map((item) => parseEntry(item, self));
  const selves = entries.filter((entry) => entry.kind === "self");
  if (selves.length > 1) throw faulty(defaults, "_self_ stands twice in the defaults list");
  return selves.length === 1 ? entries : [...entries, self];
}

function parseEntry(node: ConfigNode, self: DefaultsEntry): DefaultsEntry {
  if (node.kind === "scalar" && node.value === "_self_") return { ...self, source: node.source };
  if (node.kind === "scalar" && typeof node.value === "string") return fileEntry(node.value, node);
  const [first, second] = node.kind === "map" ? [...node.entries] : [];
  if (first === undefined || second !== undefined) throw faulty(node, "not an entry of a defaults list");
  const [written, option] = first;
  const words = written.trim().split(/\s+/);
  const target = words.pop() ?? "";
  if (words.some((word) => word !== "optional" && word !== "override")) throw faulty(node, `'${written}' isn't a group`);
  const [group = "", toPackage] = target.split("@");
  return {
    kind: words.includes("override") ? "override" : "config",
    group,
    key: target,
    option: optionOf(option),
    optional: words.includes("optional"),
    source: option.source,
    ...(toPackage === undefined ? {} : { package: toPackage }),
  };
}

/** `base` is a sibling's file, `/train/base` and `train/base` a file with its folder, each under its folder's key. */
function fileEntry(written: string, node: ConfigNode): DefaultsEntry {
  const words = written.trim().split(/\s+/);
  const target = words.pop() ?? "";
  if (words.some((word) => word !== "optional")) throw faulty(node, `'${written}' isn't a file's name`);
  const [file = "", toPackage] = target.split("@");
  const slash = file.lastIndexOf("/");
  const group = slash <= 0 ? file.slice(0, slash + 1) : file.slice(0, slash);
  return {
    kind: "config",
    group,
    key: target,
    option: file.slice(slash + 1),
    optional: words.includes("optional"),
    isFile: true,
    source: node.source,
    ...(toPackage === undefined ? {} : { package: toPackage }),
  };
}

function optionOf(node: ConfigNode): string | readonly string[] | null {
  if (node.kind === "list") return node.items.map((item) => wordOf(item));
  if (node.kind === "scalar" && node.value === null) return null;
  return wordOf(node);
}

function wordOf(node: ConfigNode): string {
  if (node.kind !== "scalar" || node.value === null || typeof node.value === "boolean") throw faulty(node, "not the name of an option");
  const word = String(node.value);
  if (word.includes("${")) throw faulty(node, `'${word}' would need interpolation, which a defaults list doesn't have`);
  return word.replace(/\.yaml$/, "");
}

function faulty(node: ConfigNode, what: string): UserError {
  return new UserError({ where: node.source, what, expected: "'- group: option', '- override /group: option', '- file' or '- _self_'" });
}
