/**
 * The error for an override's key that neither the files nor the schema have: the nearest groups and keys, or how many entries the list has that the key leads into. The trap: overrides address the schedule as it was written, so a
 * repeat is one entry, whose phases stand below it.
 */
import { UserError } from "../errors.js";
import { didYouMean, nearestKeys, nearestNames } from "./nearest.js";
import type { Override } from "./overrides.js";
import { groupsOf, type SearchPath } from "./search-path.js";
import { type ConfigNode, nodeAt } from "./tree.js";

/** @param folders where groups are looked for; undefined where no group can be chosen */
export function noSuchKey(tree: ConfigNode, { key, source }: Override, knownKeys: readonly string[], folders?: SearchPath): UserError {
  const inList = noSuchEntry(tree, key);
  if (inList !== undefined) return new UserError({ where: source, what: `no key '${key}': ${inList}`, remedy: "name one of them" });
  // A misspelt group is as short as a group's name; a key of the schema's top is a section, which few set whole.
  const groups = folders === undefined || key.includes(".") ? [] : nearestNames(key, groupsOf(folders));
  const near = [...new Set([...groups, ...nearestKeys(key, knownKeys)])].slice(0, 3);
  return new UserError({ where: source, what: `no key '${key}'`, remedy: didYouMean(near, "see tandem config schema") });
}

/** What the list has on the way of a key, where it has no such place; undefined where the way leads through none. */
export function noSuchEntry(tree: ConfigNode, key: string): string | undefined {
  const path = key.split(".");
  const place = path.findIndex(
    (_, end) => nodeAt(tree, path.slice(0, end))?.kind === "list" && nodeAt(tree, path.slice(0, end + 1)) === undefined,
  );
  if (place === -1) return undefined;
  const list = nodeAt(tree, path.slice(0, place));
  const name = path.slice(0, place).join(".");
  const count = list?.kind === "list" ? list.items.length : 0;
  const repeat = list?.kind === "list" ? list.items.findIndex((item) => nodeAt(item, ["phases"])?.kind === "list") : -1;
  const below = repeat === -1 ? "" : `; ${repeat} is a repeat, whose phases are ${name}.${repeat}.phases.0 and so on`;
  if (count === 0) return `${name} has no entries`;
  return `${name} has ${count === 1 ? "one entry, 0" : `entries 0 to ${count - 1}`}${below}`;
}
