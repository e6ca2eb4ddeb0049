/**
 * Hydra's defaults lists: which files make up a configuration, in which order and under which key each stands. It gives layers; compose.ts merges
 * them. Lists are walked from their end, so that a later file's `override /group: choice` reaches groups that stand before it. The trap: a file
 * without `_self_` in its list beats what it lists, since `_self_` is then taken to stand last.
 * Source: Hydra 1.3, "The Defaults List" and "Packages".
 */
import { UserError } from "../errors.js";
import { type DefaultsEntry, parseDefaults } from "./defaults-entry.js";
import type { Override } from "./overrides.js";
import { findConfig, noSuchOption, optionsOf, type SearchPath } from "./search-path.js";
import type { MapNode } from "./tree.js";
import { readYamlFile, type YamlFile } from "./yaml-file.js";

/** One file's keys and the dotted key that they stand under (`""`: the top). */
export interface Layer {
  readonly body: MapNode;
  readonly package: string;
  readonly file: string;
  /** The group that it is a choice of, and its name there; `""` for the file that everything starts from. */
  readonly group: string;
  readonly name: string;
}

export interface DefaultsResult {
  /** In order of precedence: the last wins. */
  readonly layers: readonly Layer[];
  /** What each group was set to: `{data: "squad"}`. */
  readonly choices: Readonly<Record<string, string>>;
}

type Option = DefaultsEntry["option"];

interface Choice {
  readonly option: Option;
  readonly source: string;
  readonly delete?: boolean;
  used: boolean;
}

interface Walk {
  readonly folders: SearchPath;
  readonly wanted: Map<string, Choice>;
  readonly chosen: Map<string, string>;
  readonly layers: Layer[];
  readonly open: string[];
}

/**
 * @param overrides those of the command line that name groups
 * @throws UserError for a file that isn't there, a circle, a group that is overridden but not listed
 */
export function resolveDefaults(folders: SearchPath, name: string, overrides: readonly Override[]): DefaultsResult {
  const walk: Walk = { folders, wanted: new Map(), chosen: new Map(), layers: [], open: [] };
  const added: DefaultsEntry[] = [];
  for (const override of overrides) {
    const entry = entryOf(override);
    if (override.kind === "add") added.push(entry);
    else walk.wanted.set(entry.key, { option: entry.option, source: override.source, delete: override.kind === "delete", used: false });
  }
  const file = findConfig(folders, name);
  if (file === undefined) throw noSuchOption(folders, "", name, `${name}.yaml`);
  // Walked from the end: what the command line adds comes after everything else.
  for (const entry of [...added].reverse()) visitEntry(walk, entry, "", "");
  visitFile(walk, { file, name, group: "", package: "" });
  for (const choice of walk.wanted.values()) refuseUnused(walk, choice);
  return {
    layers: walk.layers.reverse(),
    choices: Object.fromEntries([...walk.chosen].sort(([left], [right]) => (left < right ? -1 : 1))),
  };
}

/** A command-line override as the defaults entry that it stands for. */
function entryOf(override: Override): DefaultsEntry {
  const { value, source, key: group } = override;
  const toPackage = override.package;
  const key = toPackage === undefined ? group : `${group}@${toPackage}`;
  const words = value?.kind === "list" ? value.items : value === undefined ? [] : [value];
  const names = words.map((word) => {
    if (word.kind === "scalar" && (typeof word.value === "string" || typeof word.value === "number")) return String(word.value);
    if (word.kind === "scalar" && word.value === null && value?.kind !== "list") return null;
    throw new UserError({
      where: source,
      what: `${group} is a group of files`,
      expected: "the name of one of them",
      remedy: `set single keys as ${group}.key=value`,
    });
  });
  const option: Option = value?.kind === "list" ? names.filter((word) => word !== null) : (names[0] ?? null);
  return { kind: "config", group, key, option, optional: false, source, ...(toPackage === undefined ? {} : { package: toPackage }) };
}

interface FilePlace {
  readonly file: string;
  readonly name: string;
  readonly group: string;
  readonly package: string;
  /** The defaults entry named the package itself, so the file's header doesn't count. */
  readonly packageIsSet?: boolean;
}

function visitFile(walk: Walk, place: FilePlace): void {
  const yaml = readYamlFile(place.file);
  if (walk.open.includes(place.file)) {
    throw new UserError({
      where: yaml.shown,
      what: "the defaults lists go round in a circle",
      remedy: `take one of ${walk.open.join(", ")} out of a list`,
    });
  }
  walk.open.push(place.file);
  const toPackage = place.packageIsSet === true ? place.package : packageOf(yaml, place);
  const entries = parseDefaults(yaml);
  for (const entry of entries) {
    if (entry.kind === "override") registerOverride(walk, entry, place.group);
  }
  for (const entry of [...entries].reverse()) {
    if (entry.kind === "self")
      walk.layers.push({ body: yaml.body, package: toPackage, file: yaml.shown, group: place.group, name: place.name });
    else if (entry.kind === "config") visitEntry(walk, entry, place.group, toPackage);
  }
  walk.open.pop();
}

function packageOf(yaml: YamlFile, place: FilePlace): string {
  const header = yaml.packageHeader;
  if (header === undefined) return place.package;
  if (header === "_global_") return "";
  if (header === "_group_") return place.group.replaceAll("/", ".");
  return header.startsWith("_global_.") ? header.slice("_global_.".length) : header;
}

/** Whoever comes first wins: the command line, then the files from the last to the first. */
function registerOverride(walk: Walk, entry: DefaultsEntry, group: string): void {
  const key = absoluteGroup(entry.key, group);
  if (!walk.wanted.has(key)) walk.wanted.set(key, { option: entry.option, source: entry.source, used: false });
}

function visitEntry(walk: Walk, entry: DefaultsEntry, parentGroup: string, parentPackage: string): void {
  const group = absoluteGroup(entry.group, parentGroup);
  const key = absoluteGroup(entry.key, parentGroup);
  const choice = entry.isFile === true ? undefined : walk.wanted.get(key);
  if (choice !== undefined) choice.used = true;
  if (choice?.delete === true) {
    refuseOtherChoice(entry, choice);
    return;
  }
  const option = choice === undefined ? entry.option : choice.option;
  const source = choice?.source ?? entry.source;
  if (option === null) return;
  const names = typeof option === "string" ? [option] : [...option];
  if (names.includes("???")) {
    const first = optionsOf(walk.folders, group)[0] ?? "name";
    throw new UserError({
      where: source,
      what: `group ${group} must be chosen`,
      expected: optionsOf(walk.folders, group).join(", "),
      remedy: `add ${group}=${first}`,
    });
  }
  if (entry.isFile !== true) walk.chosen.set(key, names.join(","));
  for (const name of [...names].reverse()) {
    const file = findConfig(walk.folders, [group, name].filter((part) => part !== "").join("/"));
    if (file === undefined && entry.optional) continue;
    if (file === undefined) throw noSuchOption(walk.folders, group, name, source);
    visitFile(walk, { file, name, group, package: entryPackage(entry, parentPackage), packageIsSet: entry.package !== undefined });
  }
}

/** `~group=choice` takes the entry out only where it is that choice. */
function refuseOtherChoice(entry: DefaultsEntry, choice: Choice): void {
  if (choice.option !== null && choice.option !== entry.option) {
    throw new UserError({ where: choice.source, what: `the group isn't set to that (${entry.source})`, got: String(entry.option) });
  }
}

/** Groups hang below the group of the file that lists them unless they begin with a slash. */
function absoluteGroup(group: string, parent: string): string {
  if (group.startsWith("/")) return group.slice(1);
  return [parent, group].filter((part) => part !== "").join("/");
}

/** The package is relative to the listing file's own; without one it is the group as written. */
function entryPackage(entry: DefaultsEntry, parent: string): string {
  const own = entry.package ?? entry.group.replace(/^\//, "").replaceAll("/", ".");
  if (own === "_global_") return "";
  if (own.startsWith("_global_.")) return own.slice("_global_.".length);
  if (own === "_here_" || own === "") return parent;
  if (own === "_group_") return entryPackage({ ...entry, package: entry.group.replace(/^\//, "").replaceAll("/", ".") }, parent);
  return [parent, own].filter((part) => part !== "").join(".");
}

function refuseUnused(walk: Walk, choice: Choice): void {
  if (choice.used) return;
  const key = [...walk.wanted].find(([, other]) => other === choice)?.[0] ?? "";
  const isFromCommand = choice.source.startsWith("override ");
  throw new UserError({
    where: choice.source,
    what: `group ${key} isn't in the defaults list`,
    remedy: isFromCommand && choice.delete !== true ? `add it with +${key}=…` : "name a group that the list has",
  });
}
