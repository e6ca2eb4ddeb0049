/**
 * Interpolation, OmegaConf's: `${a.b}`, relative `${.sibling}` and `${..aunt}`, `${oc.env:VAR,default}`, `${oc.decode:text}` and `${tandem:root}`
 * (the installed package's folder). A value that is nothing but one reference keeps its type; inside text it becomes text; `\${` stays as it is.
 * The trap: what `oc.env` gives is text, and only the type of the key that takes it makes a number of it.
 * Source: OmegaConf 2.3, "Variable interpolation" and "Resolvers".
 */
import { UserError } from "../errors.js";
import { didYouMean, nearestKeys, nearestNames } from "./nearest.js";
import { scalarOfWord } from "./override-value.js";
import { packageRoot } from "./search-path.js";
import { type ConfigNode, type KeyPath, nodeAt, type ScalarNode } from "./tree.js";

export type Environment = Readonly<Record<string, string | undefined>>;

interface Context {
  readonly root: ConfigNode;
  readonly environment: Environment;
  readonly knownKeys: readonly string[];
  /** The keys whose values are being worked out: a key that is needed for itself is a circle. */
  readonly open: readonly string[];
  readonly done: Map<string, ConfigNode>;
}

/** Text longer than this can only come from references that multiply. */
const longest = 1 << 20;

/** @throws UserError naming the key's place: no such key, no such variable, a circle, an unknown resolver */
export function interpolate(root: ConfigNode, environment: Environment, knownKeys: readonly string[]): ConfigNode {
  return resolveNode(root, [], { root, environment, knownKeys, open: [], done: new Map() });
}

function resolveNode(node: ConfigNode, path: KeyPath, context: Context): ConfigNode {
  if (node.kind === "map") {
    const entries = [...node.entries].map(([key, child]) => [key, resolveNode(child, [...path, key], context)] as const);
    return { ...node, entries: new Map(entries) };
  }
  if (node.kind === "list")
    return { ...node, items: node.items.map((item, index) => resolveNode(item, [...path, String(index)], context)) };
  if (typeof node.value !== "string" || !node.value.includes("${")) return node;
  const key = path.join(".");
  const known = context.done.get(key);
  if (known !== undefined) return known;
  if (context.open.includes(key)) {
    throw new UserError({
      where: node.source,
      what: `the references go round in a circle: ${[...context.open, key].join(" → ")}`,
      remedy: "break it",
    });
  }
  const resolved = resolveText(node.value, node, path, { ...context, open: [...context.open, key] });
  context.done.set(key, resolved);
  return resolved;
}

/** Text with references in it; alone, a reference gives its node. */
function resolveText(text: string, node: ScalarNode, path: KeyPath, context: Context): ConfigNode {
  const parts = splitReferences(text, node.source);
  const [only, ...others] = parts;
  if (only?.isReference === true && others.length === 0) return { ...reference(only.text, node, path, context), source: node.source };
  let whole = "";
  for (const part of parts) {
    const value = part.isReference ? reference(part.text, node, path, context) : ({ kind: "scalar", value: part.text } as const);
    if (value.kind !== "scalar")
      throw new UserError({ where: node.source, what: `\${${part.text}} is a ${value.kind} and stands inside text` });
    if (value.value === "???" && part.isReference) return { ...node, value: "???", isDerived: true };
    whole += String(value.value);
    if (whole.length > longest) throw new UserError({ where: node.source, what: "the references give more than a megabyte of text" });
  }
  return { ...node, value: whole };
}

interface Part {
  readonly text: string;
  readonly isReference: boolean;
}

/** Cuts text into plain parts and the insides of `${…}`, minding nested braces. */
function splitReferences(text: string, source: string): Part[] {
  const parts: Part[] = [];
  let plain = "";
  let position = 0;
  while (position < text.length) {
    if (text.startsWith("\\${", position)) {
      plain += "${";
      position += 3;
    } else if (text.startsWith("${", position)) {
      const end = closingBrace(text, position + 2);
      if (end < 0)
        throw new UserError({
          where: source,
          what: "'${' without its '}'",
          got: text,
          remedy: "close it, or write \\${ for the two characters",
        });
      if (plain !== "") parts.push({ text: plain, isReference: false });
      plain = "";
      parts.push({ text: text.slice(position + 2, end), isReference: true });
      position = end + 1;
    } else {
      plain += text.charAt(position);
      position += 1;
    }
  }
  if (plain !== "") parts.push({ text: plain, isReference: false });
  return parts;
}

function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let position = from; position < text.length; position += 1) {
    if (text[position] === "{") depth += 1;
    if (text[position] === "}") depth -= 1;
    if (depth === 0) return position;
  }
  return -1;
}

function reference(inside: string, node: ScalarNode, path: KeyPath, context: Context): ConfigNode {
  const [, resolver, argument] = /^\s*([A-Za-z_][\w.]*)\s*:([^]*)$/.exec(inside) ?? [];
  if (resolver !== undefined) return callResolver(resolver, argument ?? "", node, path, context);
  const written = scalarText(inside, node, path, context).trim();
  const target = targetPath(written, path);
  const found = target === undefined ? undefined : nodeAt(context.root, target);
  if (target === undefined || found === undefined) {
    const near = nearestKeys(written.replace(/^\.+/, ""), context.knownKeys);
    throw new UserError({
      where: node.source,
      what: `\${${written}} refers to no key`,
      remedy: didYouMean(near, "see tandem config show"),
    });
  }
  // A section is resolved below the keys that wait for it, so a section that holds its own reference is a circle too.
  if (path.length >= target.length && target.every((part, index) => part === path[index])) {
    throw new UserError({ where: node.source, what: `\${${written}} refers to itself`, remedy: "name another key" });
  }
  return resolveNode(found, target, context);
}

/** `a.b` from the top; each leading dot beyond the first climbs one level from the section that holds the key. */
function targetPath(written: string, path: KeyPath): KeyPath | undefined {
  const [, dots = "", rest = ""] = /^(\.*)([\w.[\]-]+)$/.exec(written) ?? [];
  if (rest === "") return undefined;
  const parts = rest.replace(/\[(\d+)\]/g, ".$1").split(".");
  if (dots === "") return parts;
  return dots.length > path.length ? undefined : [...path.slice(0, path.length - dots.length), ...parts];
}

/** The inside of a reference or an argument, with the references in it replaced. */
function scalarText(text: string, node: ScalarNode, path: KeyPath, context: Context): string {
  if (!text.includes("${")) return text;
  const value = resolveText(text, { ...node, value: text }, path, context);
  if (value.kind !== "scalar") throw new UserError({ where: node.source, what: `a ${value.kind} stands inside \${…}` });
  return String(value.value);
}

function callResolver(name: string, argument: string, node: ScalarNode, path: KeyPath, context: Context): ConfigNode {
  if (name === "oc.env") return environmentVariable(argument, node, path, context);
  if (name === "oc.decode") return { ...node, value: scalarOfWord(unquoted(scalarText(argument, node, path, context))) };
  if (name === "tandem" && argument.trim() === "root") return { ...node, value: packageRoot() };
  const names = ["oc.env:", "oc.decode:", "tandem:root"];
  throw new UserError({
    where: node.source,
    what: `no resolver '${name}:${argument}'`,
    expected: names.join(", "),
    remedy: didYouMean(nearestNames(`${name}:`, names), "see the manual"),
  });
}

function environmentVariable(argument: string, node: ScalarNode, path: KeyPath, context: Context): ConfigNode {
  const comma = argument.indexOf(",");
  const name = (comma < 0 ? argument : argument.slice(0, comma)).trim();
  const value = context.environment[name];
  if (value !== undefined) return { ...node, value, fromEnvironment: true };
  if (comma < 0) {
    throw new UserError({
      where: node.source,
      what: `the environment variable ${name} isn't set`,
      remedy: `export ${name}=… or give a default: \${oc.env:${name},default}`,
    });
  }
  const fallback = scalarText(argument.slice(comma + 1), node, path, context).trim();
  return fallback === "null" ? { ...node, value: null } : { ...node, value: unquoted(fallback), fromEnvironment: true };
}

function unquoted(text: string): string {
  return /^(['"])([^]*)\1$/.exec(text.trim())?.[2] ?? text.trim();
}
