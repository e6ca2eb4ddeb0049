/**
 * The schema as a list of keys and as a tree of defaults: what composition, messages and `tandem config schema` walk over. The trap: a list of
 * records is one key here; the keys of its records are in its leaf's `fields`.
 */
import { UserError } from "../errors.js";
import { isLeaf, type Leaf, type Section, sectionDoc } from "./leaf.js";
import { didYouMean, nearestKeys } from "./nearest.js";
import { type ConfigNode, mapNode, nodeOf } from "./tree.js";

/** Every leaf with its dotted key, in the schema's order. */
export function schemaLeaves(section: Section, prefix = ""): { readonly key: string; readonly leaf: Leaf<unknown> }[] {
  return Object.entries(section).flatMap(([name, node]) =>
    isLeaf(node) ? [{ key: prefix + name, leaf: node }] : schemaLeaves(node, `${prefix}${name}.`),
  );
}

/** Every dotted key, sections included. */
export function schemaKeys(section: Section, prefix = ""): string[] {
  return Object.entries(section).flatMap(([name, node]) => [prefix + name, ...(isLeaf(node) ? [] : schemaKeys(node, `${prefix}${name}.`))]);
}

/** The schema with nothing in it but the key, or the section, and what stands below it. @throws UserError naming the nearest keys */
export function schemaBelow(section: Section, key: string): Section {
  const below = onlyBelow(section, key.split("."));
  if (below !== undefined) return below;
  const near = nearestKeys(key, schemaKeys(section));
  throw new UserError({ where: key, what: "no such key or section", remedy: didYouMean(near, "see tandem config schema") });
}

function onlyBelow(section: Section, [name = "", ...rest]: readonly string[]): Section | undefined {
  const node = Object.hasOwn(section, name) ? section[name] : undefined;
  const inner = node === undefined || rest.length === 0 ? node : isLeaf(node) ? undefined : onlyBelow(node, rest);
  if (inner === undefined) return undefined;
  const doc = section[sectionDoc];
  return { [name]: inner, ...(doc === undefined ? {} : { [sectionDoc]: doc }) };
}

/** The defaults as a tree whose nodes all have one source. */
export function defaultsTree(section: Section, source: string): ConfigNode {
  const entries = Object.entries(section).map(
    ([name, node]) => [name, isLeaf(node) ? nodeOf(node.default, source) : defaultsTree(node, source)] as const,
  );
  return mapNode(entries, source);
}
