/**
 * Composition: the schema's defaults, over them the files that the defaults lists name, over them the command line's overrides from left to right.
 * The result is a tree in which every key knows who set it. Interpolation and checking come after (interpolate.ts, check-tree.ts). The trap:
 * `key=value` may only set a key that exists in a file or in the schema, `+key=value` only one that no file has set.
 */
import { UserError } from "../errors.js";
import { resolveDefaults } from "./defaults-list.js";
import { noSuchEntry, noSuchKey } from "./no-such-key.js";
import { type Files, overshadowed, saidInVain } from "./overshadowed.js";
import { type Override, parseOverrides } from "./overrides.js";
import { isGroup, type SearchPath } from "./search-path.js";
import { type ConfigNode, type KeyPath, mapNode, merge, nodeAt, plainValue, withNodeAt, withoutNodeAt } from "./tree.js";
import { readYamlFile } from "./yaml-file.js";

/** The source of a key that nobody set. */
export const schemaDefault = "schema default";

export interface ComposeOptions {
  readonly folders: SearchPath;
  /** The file that everything starts from, without its ending. */
  readonly configName: string;
  readonly overrides: readonly string[];
  /** The schema's defaults as a tree with the source {@link schemaDefault}. */
  readonly defaults: ConfigNode;
  /** Every key of the schema, sections included. */
  readonly knownKeys: readonly string[];
}

export interface Composition {
  readonly tree: ConfigNode;
  readonly choices: Readonly<Record<string, string>>;
  /** The files read, in order of precedence. */
  readonly files: readonly string[];
  /** One line each. */
  readonly warnings: readonly string[];
}

/** @throws UserError for whatever is wrong in a file, a list or an override */
export function compose(options: ComposeOptions): Composition {
  const overrides = parseOverrides(options.overrides);
  const forGroups = overrides.filter((override) => namesGroup(options.folders, override));
  const { layers, choices } = resolveDefaults(options.folders, options.configName, forGroups);
  let ofFiles = options.defaults;
  for (const layer of layers) ofFiles = merge(ofFiles, inPackage(layer.package, layer.body));
  const files: Files = { groups: forGroups, layers, tree: ofFiles };
  let tree = ofFiles;
  for (const override of overrides) {
    if (!forGroups.includes(override)) tree = apply(tree, override, { ...options, files });
  }
  return { tree, choices, files: layers.map((layer) => layer.file), warnings: overshadowed(files, tree) };
}

/** Overrides over one complete file, such as a run's resolved configuration. It has no defaults list; a group's choice takes the place of its whole section. */
export function composeFile(file: string, options: Omit<ComposeOptions, "configName">): Composition {
  const yaml = readYamlFile(file);
  let tree = merge(options.defaults, yaml.body);
  for (const override of parseOverrides(options.overrides)) tree = chosen(tree, override, options) ?? apply(tree, override, options);
  return { tree, choices: {}, files: [yaml.shown], warnings: [] };
}

/** The tree with a section as one of its group's files has it, over the schema's defaults; undefined where the override names no such file. */
function chosen(tree: ConfigNode, { kind, key, value }: Override, options: Omit<ComposeOptions, "configName">): ConfigNode | undefined {
  const defaults = nodeAt(options.defaults, [key]);
  if (kind !== "set" || value?.kind !== "scalar" || defaults?.kind !== "map" || !isGroup(options.folders, key)) return undefined;
  const { layers } = resolveDefaults(options.folders, `${key}/${String(value.value)}`, []);
  let fresh = withNodeAt(tree, [key], defaults) ?? tree;
  for (const layer of layers) fresh = merge(fresh, inPackage([key, layer.package].filter((part) => part !== "").join("."), layer.body));
  return fresh;
}

function namesGroup(folders: SearchPath, override: Override): boolean {
  // A map is never the name of a file: it changes the section that the group fills.
  if (override.value?.kind === "map") return false;
  return override.package !== undefined || override.key.includes("/") || isGroup(folders, override.key);
}

function inPackage(name: string, body: ConfigNode): ConfigNode {
  return name === "" ? body : (withNodeAt(undefined, name.split("."), body) ?? mapNode([], body.source));
}

interface Known extends Pick<ComposeOptions, "defaults" | "knownKeys" | "folders"> {
  /** Where the tree is composed of several. */
  readonly files?: Files;
}

function apply(tree: ConfigNode, override: Override, known: Known): ConfigNode {
  const path = override.key.split(".");
  return override.kind === "delete" ? remove(tree, path, override, known) : put(tree, path, override, known);
}

function put(tree: ConfigNode, path: KeyPath, override: Override, known: Known): ConfigNode {
  const { kind, key, source, value } = override;
  if (value === undefined) throw new UserError({ where: source, what: "no value", expected: "key=value" });
  const old = nodeAt(tree, path);
  if (kind === "set" && old === undefined && nodeAt(tree, path.slice(0, -1))?.kind !== "list" && !isRecordKey(tree, path)) {
    throw noSuchKey(tree, override, known.knownKeys, known.files === undefined ? undefined : known.folders);
  }
  if (kind === "add" && old !== undefined && isSetByFile(old)) {
    throw new UserError({
      where: source,
      what: `'${key}' is already set (${old.source})`,
      remedy: `use ${key}=… to change it or ++${key}=… for either`,
    });
  }
  const fresh = withNodeAt(tree, path, merge(old, value));
  if (fresh === undefined && noSuchEntry(tree, key) !== undefined) throw noSuchKey(tree, override, known.knownKeys);
  if (fresh === undefined)
    throw new UserError({ where: source, what: `'${key}' leads through a value that has no keys`, remedy: "mend the key" });
  return fresh;
}

/** A key of a record in a list may be absent there and yet exist in the schema; the check names it if it doesn't. */
function isRecordKey(tree: ConfigNode, path: KeyPath): boolean {
  return path.some(
    (part, index) =>
      /^\d+$/.test(part) && nodeAt(tree, path.slice(0, index))?.kind === "list" && nodeAt(tree, path.slice(0, index + 1)) !== undefined,
  );
}

/** A key that is deleted has what the file says that the command line chose, where a later file hid it; else the schema's default again. */
function remove(tree: ConfigNode, path: KeyPath, override: Override, known: Known): ConfigNode {
  const { key, source, value } = override;
  const old = nodeAt(tree, path);
  if (old === undefined) throw noSuchKey(tree, override, known.knownKeys, known.files === undefined ? undefined : known.folders);
  if (!isSetByFile(old)) throw new UserError({ where: source, what: `'${key}' isn't set by any file`, remedy: `leave ~${key} out` });
  if (value !== undefined && JSON.stringify(plainValue(value)) !== JSON.stringify(plainValue(old))) {
    throw new UserError({ where: source, what: `'${key}' has another value (${old.source})`, got: JSON.stringify(plainValue(old)) });
  }
  const fallback = (known.files === undefined ? undefined : saidInVain(known.files, path)) ?? nodeAt(known.defaults, path);
  const without = withoutNodeAt(tree, path);
  return fallback === undefined ? without : (withNodeAt(without, path, fallback) ?? without);
}

/** Whether anything in a node comes from a file or an override. */
function isSetByFile(node: ConfigNode): boolean {
  if (node.kind === "map")
    return [...node.entries.values()].some(isSetByFile) || (node.entries.size === 0 && node.source !== schemaDefault);
  return node.source !== schemaDefault;
}
