/**
 * Checks a composed tree against the schema and makes a plain object of it: no unknown key, no wrong type, nothing out of range, no `???` left.
 * Every complaint names who set the key. What concerns several keys at once is in check-config.ts. The trap: an unknown key is reported before a
 * wrong value, since the wrong value is often a default that the misspelt key meant to replace.
 */
import { type Fault, UserError } from "../errors.js";
import { GrammarError } from "./grammar-error.js";
import { isLeaf, type Leaf, type Section } from "./leaf.js";
import { didYouMean, nearestKeys, nearestNames } from "./nearest.js";
import { scalarOfWord } from "./override-value.js";
import { type ConfigNode, mapNode, merge, nodeOf, plainValue } from "./tree.js";

export interface CheckOptions {
  readonly schema: Section;
  readonly knownKeys: readonly string[];
  /** Source of a default in a record. */
  readonly defaultSource: string;
  /** Prefixes of the keys that must be there; elsewhere a `???` becomes the schema's default. undefined: all. */
  readonly needed?: readonly string[];
  /** What may be done about a `???` besides giving the key. */
  readonly orElse?: string;
}

export interface CheckResult {
  readonly plain: unknown;
  /** Who set each key. */
  readonly sources: Readonly<Record<string, string>>;
  /** Keys that are still `???` and aren't needed. */
  readonly missing: readonly string[];
}

export interface Examined extends CheckResult {
  readonly faults: readonly Fault[];
  /** Whether `plain` can be looked at further: every value is right or, where it is still to be given, the schema's default. */
  readonly isWhole: boolean;
}

interface Findings {
  readonly missing: string[];
  readonly unknown: Fault[];
  readonly wrong: Fault[];
  /** Keys that must still be given. */
  readonly gaps: Fault[];
  /** Keys that are missing because another one is: said only if that one isn't needed itself. */
  readonly derived: Fault[];
  readonly sources: Record<string, string>;
}

/** @throws UserError for the first mistake, saying how many more there are */
export function checkTree(tree: ConfigNode, options: CheckOptions): CheckResult {
  const { faults, ...result } = examineTree(tree, options);
  const [first, ...more] = faults;
  if (first === undefined) return result;
  throw new UserError(withMore(first, more.length));
}

/** A fault that also says how many others there are. */
export function withMore(fault: Fault, more: number): Fault {
  if (more === 0) return fault;
  return { ...fault, remedy: [fault.remedy, `(${more} more after this one)`].filter((part) => part !== undefined).join(" ") };
}

/** The same with all mistakes: unknown keys are left out of `plain`. */
export function examineTree(tree: ConfigNode, options: CheckOptions): Examined {
  const findings: Findings = { missing: [], unknown: [], wrong: [], gaps: [], derived: [], sources: {} };
  const plain = checkSection(tree, options.schema, "", findings, options);
  const { unknown, wrong, gaps, derived, sources, missing } = findings;
  const faults = [...unknown, ...wrong, ...(gaps.length > 0 ? gaps : derived)];
  return { plain, sources, missing, faults, isWhole: wrong.length === 0 };
}

function checkSection(
  node: ConfigNode,
  section: Section,
  path: string,
  findings: Findings,
  options: CheckOptions,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  if (node.kind !== "map") {
    findings.wrong.push({
      where: node.source,
      what: `'${path}' is a section`,
      expected: `keys below it: ${Object.keys(section).join(", ")}`,
      got: shown(node),
    });
    return result;
  }
  for (const [key, child] of node.entries) {
    const place = path === "" ? key : `${path}.${key}`;
    const entry = Object.hasOwn(section, key) ? section[key] : undefined;
    if (entry === undefined) findings.unknown.push(unknownKey(place, child, Object.keys(section), options));
    else if (isLeaf(entry)) result[key] = checkLeaf(child, entry, place, findings, options);
    else result[key] = checkSection(child, entry, place, findings, options);
  }
  return result;
}

function unknownKey(place: string, node: ConfigNode, siblings: readonly string[], options: CheckOptions): Fault {
  const isInRecord = /\.\d+\./.test(place);
  const own = place.slice(place.lastIndexOf(".") + 1);
  const near = isInRecord ? nearestNames(own, siblings) : nearestKeys(place, options.knownKeys);
  return {
    where: node.source,
    what: `no key '${place}'`,
    remedy: didYouMean(near, isInRecord ? `keys here: ${siblings.join(", ")}` : "see tandem config schema"),
  };
}

function checkLeaf(given: ConfigNode, leaf: Leaf<unknown>, place: string, findings: Findings, options: CheckOptions): unknown {
  const node = typed(given, leaf);
  findings.sources[place] = sourceOf(node);
  if (node.kind === "scalar" && node.value === "???") {
    if (isNeeded(place, options.needed)) {
      const faults = node.isDerived === true ? findings.derived : findings.gaps;
      faults.push(gapFault(place, leaf, node.source, options));
    }
    findings.missing.push(place);
    return leaf.default;
  }
  if (leaf.kind === "records" && node.kind === "list")
    return node.items.map((item, index) => checkRecord(item, leaf, `${place}.${index}`, findings, options));
  const value = plainValue(node);
  try {
    leaf.format(value);
  } catch (error) {
    findings.wrong.push(wrongValue(place, node, leaf, error as Error));
  }
  return value;
}

/** The fault of a key that must still be given. */
export function gapFault(key: string, leaf: Leaf<unknown>, where: string, { orElse }: Pick<CheckOptions, "orElse">): Fault {
  const remedy = [`add ${key}=…`, ...(orElse === undefined ? [] : [orElse])].join(", ");
  return { where, what: `'${key}' must be given (${leaf.doc})`, remedy };
}

/** Whoever set a key last; free keys are owed to the last of them. */
function sourceOf(node: ConfigNode): string {
  return (node.kind === "map" ? [...node.entries.values()].at(-1)?.source : undefined) ?? node.source;
}

/** A record gets the defaults of the keys it leaves out. */
function checkRecord(item: ConfigNode, leaf: Leaf<unknown>, place: string, findings: Findings, options: CheckOptions): unknown {
  const fields = leaf.fields ?? {};
  if (item.kind !== "map") return checkSection(item, fields, place, findings, options);
  const defaults = Object.entries(fields).map(
    ([key, field]) => [key, nodeOf(isLeaf(field) ? field.default : null, options.defaultSource)] as const,
  );
  return checkSection(merge(mapNode(defaults, item.source), item), fields, place, findings, options);
}

/** What the environment gave as text is read as the key's own kind, as OmegaConf does for typed keys. */
function typed(node: ConfigNode, leaf: Leaf<unknown>): ConfigNode {
  const wantsText = leaf.kind === "string" || leaf.kind === "path" || leaf.kind === "choice";
  if (node.kind !== "scalar" || node.fromEnvironment !== true || wantsText || typeof node.value !== "string") return node;
  return { ...node, value: scalarOfWord(node.value) };
}

function isNeeded(place: string, needed: readonly string[] | undefined): boolean {
  return needed === undefined || needed.some((prefix) => place === prefix || place.startsWith(`${prefix}.`));
}

function wrongValue(place: string, node: ConfigNode, leaf: Leaf<unknown>, error: Error): Fault {
  const near =
    leaf.choices !== undefined && node.kind === "scalar" && typeof node.value === "string" ? nearestNames(node.value, leaf.choices) : [];
  const remedy = error instanceof GrammarError ? error.remedy : near.length === 0 ? undefined : didYouMean(near, "");
  const unit = leaf.unit === undefined ? "" : ` (${leaf.unit})`;
  return {
    where: sourceOf(node),
    what: `'${place}' has a wrong value`,
    expected: `${error.message.replace(/^expected /, "")}${unit}`,
    got: shown(node),
    ...(remedy === undefined ? {} : { remedy }),
  };
}

function shown(node: ConfigNode): string {
  const value = plainValue(node);
  // JSON has no word for these two.
  const text = typeof value === "number" ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
