/**
 * The configuration while it is composed: maps, lists and scalars that each know where they were written (`conf/train/base.yaml:12` or
 * `override 3 'train.lr=1'`). It isn't the checked configuration, which is a plain object. The trap: nodes are shared between trees and never
 * changed; every function here returns a new node.
 */

/** What a scalar of YAML or of an override may be. */
export type Scalar = string | number | boolean | null;

export interface MapNode {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, ConfigNode>;
  readonly source: string;
}
interface ListNode {
  readonly kind: "list";
  readonly items: readonly ConfigNode[];
  readonly source: string;
}
export interface ScalarNode {
  readonly kind: "scalar";
  readonly value: Scalar;
  readonly source: string;
  /** Text that an environment variable gave: a key of another type reads it as that type. */
  readonly fromEnvironment?: boolean;
  /** A `???` that a reference brought from another key. */
  readonly isDerived?: boolean;
}
export type ConfigNode = MapNode | ListNode | ScalarNode;

/** A key as written (`train.schedule.0.steps`) in its parts; a number is the place in a list. */
export type KeyPath = readonly string[];

export function mapNode(entries: Iterable<readonly [string, ConfigNode]>, source: string): MapNode {
  return { kind: "map", entries: new Map(entries), source };
}

export function scalarNode(value: Scalar, source: string): ScalarNode {
  return { kind: "scalar", value, source };
}

/** `above` over `below`: maps merge key by key, everything else replaces. */
export function merge(below: ConfigNode | undefined, above: ConfigNode): ConfigNode {
  if (below?.kind !== "map" || above.kind !== "map") return above;
  const entries = new Map(below.entries);
  for (const [key, node] of above.entries) entries.set(key, merge(entries.get(key), node));
  return { kind: "map", entries, source: above.source };
}

/** The node at a path, or undefined. */
export function nodeAt(root: ConfigNode, path: KeyPath): ConfigNode | undefined {
  let node: ConfigNode | undefined = root;
  for (const key of path) node = node === undefined ? undefined : childOf(node, key);
  return node;
}

function childOf(node: ConfigNode, key: string): ConfigNode | undefined {
  if (node.kind === "map") return node.entries.get(key);
  if (node.kind === "list" && /^\d+$/.test(key)) return node.items[Number(key)];
  return undefined;
}

/**
 * The tree with `node` put at a path; maps on the way are made. Returns undefined where the way is barred: a scalar stands on it, or a list has
 * no such place.
 */
export function withNodeAt(root: ConfigNode | undefined, path: KeyPath, node: ConfigNode): ConfigNode | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return node;
  if (root?.kind === "list") {
    const old = childOf(root, key);
    const fresh = old === undefined ? undefined : withNodeAt(old, rest, node);
    return fresh === undefined ? undefined : { ...root, items: root.items.map((item) => (item === old ? fresh : item)) };
  }
  if (root?.kind === "scalar" && root.value !== null) return undefined;
  const entries = new Map(root?.kind === "map" ? root.entries : []);
  const fresh = withNodeAt(entries.get(key), rest, node);
  if (fresh === undefined) return undefined;
  return { kind: "map", entries: entries.set(key, fresh), source: root?.source ?? node.source };
}

/** The tree without the key at a path. */
export function withoutNodeAt(root: ConfigNode, path: KeyPath): ConfigNode {
  const [key, ...rest] = path;
  const child = key === undefined ? undefined : childOf(root, key);
  if (key === undefined || child === undefined) return root;
  if (root.kind === "list") {
    const items =
      rest.length === 0
        ? root.items.filter((item) => item !== child)
        : root.items.map((item) => (item === child ? withoutNodeAt(item, rest) : item));
    return { ...root, items };
  }
  if (root.kind !== "map") return root;
  const entries = new Map(root.entries);
  if (rest.length === 0) entries.delete(key);
  else entries.set(key, withoutNodeAt(child, rest));
  return { ...root, entries };
}

/** The plain value of a node. */
export function plainValue(node: ConfigNode): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "list") return node.items.map(plainValue);
  return Object.fromEntries([...node.entries].map(([key, child]) => [key, plainValue(child)]));
}

/** A node for a plain value, all of it from one place: a default of the schema. */
export function nodeOf(value: unknown, source: string): ConfigNode {
  if (Array.isArray(value)) return { kind: "list", items: value.map((item) => nodeOf(item, source)), source };
  if (typeof value === "object" && value !== null) {
    return mapNode(
      Object.entries(value).map(([key, child]) => [key, nodeOf(child, source)] as const),
      source,
    );
  }
  return scalarNode(value as Scalar, source);
}
