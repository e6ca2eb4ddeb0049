/**
 * The grammar of one command-line override, Hydra's: `key=value`, `+key=value`, `++key=value`, `~key`, `~key=value`, where a key is a dotted path
 * or a config group (`db@backup=mysql`). It parses, it doesn't apply: compose.ts does. Values are in override-value.ts. The trap: whether a key
 * names a group isn't seen in the text, only in the folders.
 * Source: Hydra 1.3, "Basic Override syntax" and its grammar.
 */
import { UserError } from "../errors.js";
import { parseValue } from "./override-value.js";
import type { ConfigNode } from "./tree.js";

/** What an override does: set an existing key, add one, add or set, delete. */
type OverrideKind = "set" | "add" | "force" | "delete";

export interface Override {
  readonly kind: OverrideKind;
  /** Dotted path, or a group's path with slashes. */
  readonly key: string;
  /** After `@`: the package of a group. */
  readonly package?: string;
  /** Absent only in `~key`. */
  readonly value?: ConfigNode;
  /** `override 3 'train.lr=1'`: how errors name it. */
  readonly source: string;
}

/** @throws UserError naming the override by its place and text */
export function parseOverrides(texts: readonly string[]): Override[] {
  return texts.map((text, index) => parseOverride(text, `override ${index + 1} '${text}'`));
}

function parseOverride(text: string, source: string): Override {
  const [, prefix = "", rest = ""] = /^(\+\+|\+|~|)([^]*)$/.exec(text) ?? [];
  const kind = ({ "": "set", "+": "add", "++": "force", "~": "delete" } as const)[prefix] ?? "set";
  const equals = rest.indexOf("=");
  const left = equals < 0 ? rest : rest.slice(0, equals);
  const match = /^([A-Za-z_][\w-]*(?:\[\d+\]|[./][\w-]+)*)(?:@([\w.-]*))?$/.exec(left);
  const key = match?.[1]?.replace(/\[(\d+)\]/g, ".$1");
  if (key === undefined) {
    throw new UserError({ where: source, what: `'${left}' isn't a key`, expected: "key=value, for example train.generator.lr=1e-4" });
  }
  if (equals < 0 && kind !== "delete") {
    throw new UserError({ where: source, what: "no value", expected: "key=value", remedy: `write '${text}=' for empty text` });
  }
  const value = equals < 0 ? undefined : parseValue(rest.slice(equals + 1), source);
  const toPackage = match?.[2];
  return { kind, key, source, ...(toPackage === undefined ? {} : { package: toPackage }), ...(value === undefined ? {} : { value }) };
}
