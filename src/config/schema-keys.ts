/**
 * The schema as a list of keys and as a tree of defaults: what composition, messages and `tandem config schema` walk over. The trap: a list of
 * records is one key here; the keys of its records are in its leaf's `fields`.
 */
import { isLeaf, type Leaf, type Section } from "./leaf.js";
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

/** The defaults as a tree whose nodes all have one source. */
export function defaultsTree(section: Section, source: string): ConfigNode {
  const entries = Object.entries(section).map(
    ([name, node]) => [name, isLeaf(node) ? nodeOf(node.default, source) : defaultsTree(node, source)] as const,
  );
  return mapNode(entries, source);
}
