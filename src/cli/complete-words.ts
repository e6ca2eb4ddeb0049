/**
 * What could stand where the cursor is: commands, options and their choices, keys of the configuration one level at a time, values of a key, run directories. It asks the commands' own help and the schema, so
 * nothing is listed twice. The traps: it runs at every press of the tab key, so it loads the one command that is being typed; and it must never print an error into somebody's half-typed line.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { isLeaf, type Leaf, type Section, sectionDoc } from "../config/leaf.js";
import { schema } from "../config/schema.js";
import { isGroup, optionsOf, searchPath, type SearchPath } from "../config/search-path.js";
import { byTime, hasTime } from "../tracking/run-folder.js";
import { LAUNCH, LAUNCHED, verbPlace } from "./launch-words.js";

export interface Candidate {
  readonly value: string;
  /** May be empty. */
  readonly describe: string;
}

/** What the front door knows of the commands. */
export interface CommandHelp {
  readonly names: Readonly<Record<string, { readonly describe: string }>>;
  /** The help of the command that the words lead to, an option a line. */
  readonly help: (words: readonly string[]) => Promise<string>;
}

interface Option {
  readonly names: readonly string[];
  readonly describe: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** Groups of conf/ that are chosen as `group=choice`. */
const GROUPS = ["data", "model", "train", "index", "eval", "experiment"];
const MOST_RUNS = 20;

/** @param words what is typed after `tandem`, the last one up to the cursor; none: nothing to complete, the shell offers files */
export async function completeWords(words: readonly string[], { names, help }: CommandHelp): Promise<Candidate[]> {
  const typed = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  // Behind the command that is to be launched everything is that command's.
  const verb = verbPlace(before);
  if (verb >= 0) return completeWords(words.slice(verb), { names, help });
  const begins = (candidates: readonly Candidate[]): Candidate[] => candidates.filter(({ value }) => value.startsWith(typed));
  const name = before.find((word) => !word.startsWith("-"));
  if (name === undefined) {
    const top = ["--help", "--version"].map((value) => ({ value, describe: "" }));
    return begins([...Object.entries(names).map(([value, { describe }]) => ({ value, describe })), ...(typed === "" ? [] : top)]);
  }
  if (!Object.hasOwn(names, name)) return [];
  // A key that is half typed needs no help text, and so no command to be loaded.
  if (/^[+~]?[a-z_]+[.=]/.test(typed)) return overrideCandidates(typed, searchPath(configDirIn(before)));
  const text = await help(before);
  const options = optionsIn(text);
  const wanting = options.find((option) => option.takesValue && option.names.includes(before.at(-1) ?? ""));
  if (wanting !== undefined) return begins(wanting.choices.map((value) => ({ value, describe: "" })));
  if (typed.startsWith("-"))
    return begins(options.flatMap((option) => option.names.slice(-1).map((value) => ({ value, describe: option.describe }))));
  if (name === LAUNCH) return begins(LAUNCHED.map((value) => ({ value, describe: names[value]?.describe ?? "" })));
  const places = before.slice(before.indexOf(name) + 1).filter((word) => !word.startsWith("-") && !word.includes("="));
  const usage = text.split("\n")[0] ?? "";
  const wantsRun = usage.includes("<run>");
  if (places.length === 0) {
    const first = begins([...subcommandsIn(text, name), ...positionalChoices(text), ...(wantsRun ? runs() : [])]);
    if (first.length > 0 || wantsRun) return first;
  }
  return usage.includes("[overrides..]") ? overrideCandidates(typed, searchPath(configDirIn(before))) : [];
}

/** What the help lists under Commands. */
function subcommandsIn(help: string, name: string): Candidate[] {
  const [, block = ""] = /^Commands:\n((?: +.*\n)+)/m.exec(help) ?? [];
  return [...block.matchAll(new RegExp(`^ +tandem ${name} ([a-z]+)\\b.*?(?: {2,}(.*))?$`, "gm"))].map((match) => ({
    value: match[1] ?? "",
    describe: (match[2] ?? "").trim(),
  }));
}

function positionalChoices(help: string): Candidate[] {
  const [, block = ""] = /^Positionals:\n((?: +.*\n)+)/m.exec(help) ?? [];
  return choicesIn(block).map((value) => ({ value, describe: "" }));
}

function choicesIn(text: string): string[] {
  const choices = /\[choices: ([^\]]*)\]/.exec(text)?.[1] ?? "";
  return [...choices.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "");
}

/** The options of a help text that has one a line: `  -k, --passages  how many  [number] [choices: 1, 2]`. */
function optionsIn(help: string): Option[] {
  return [...help.matchAll(/^ +((?:-\w, )?--[a-z][\w-]*|-\w)(?: {2,}(.*))?$/gm)].map(([, names = "", rest = ""]) => {
    return {
      names: names.split(", "),
      describe: rest.replace(/ *\[(string|number|boolean|array|required|count|choices|default)[^\]]*\]/g, "").trim(),
      takesValue: /\[(string|number|array)\]|\[choices:/.test(rest),
      choices: choicesIn(rest),
    };
  });
}

function configDirIn(words: readonly string[]): string | undefined {
  const at = words.indexOf("--config-dir");
  const [, joined] = words.map((word) => /^--config-dir=(.+)$/.exec(word)).find((match) => match !== null) ?? [];
  return joined ?? (at < 0 ? undefined : words[at + 1]);
}

/** Run directories in runs/, the newest first, and the word for the newest. */
function runs(): Candidate[] {
  let folders: string[];
  try {
    folders = readdirSync("runs");
  } catch {
    // No runs yet.
    return [];
  }
  const newest = folders.filter(hasTime).sort(byTime).reverse().slice(0, MOST_RUNS);
  return [
    { value: "latest", describe: "the newest finished run" },
    ...newest.map((folder) => ({ value: path.join("runs", folder), describe: "" })),
  ];
}

/** `train.gen` → `train.generator.`, `train.generator.l` → `train.generator.lr=`, `index.faiss=` → `true`, `false`; `+` and `~` before a key stay. */
function overrideCandidates(typed: string, folders: SearchPath): Candidate[] {
  const [, sign = "", rest = ""] = /^([+~]{0,2})(.*)$/s.exec(typed) ?? [];
  const at = rest.indexOf("=");
  const found =
    at < 0 ? keys(rest) : values(rest.slice(0, at), folders).map((value) => ({ value: `${rest.slice(0, at)}=${value}`, describe: "" }));
  return found.filter(({ value }) => value.startsWith(rest)).map(({ value, describe }) => ({ value: sign + value, describe }));
}

/** Keys and sections at the depth that is being typed; at the top the groups too. */
function keys(typed: string): Candidate[] {
  const parents = typed.split(".").slice(0, -1);
  const section = sectionAt(parents);
  if (section === undefined) return [];
  const prefix = parents.map((part) => `${part}.`).join("");
  const own = Object.entries(section).map(([key, node]) =>
    isLeaf(node) ? { value: `${prefix}${key}=`, describe: node.doc } : { value: `${prefix}${key}.`, describe: node[sectionDoc] ?? "" },
  );
  return parents.length > 0 ? own : [...GROUPS.map((group) => ({ value: `${group}=`, describe: "a choice of conf/" })), ...own];
}

function values(key: string, folders: SearchPath): readonly string[] {
  if (isGroup(folders, key)) return optionsOf(folders, key);
  const parts = key.split(".");
  const node = sectionAt(parts.slice(0, -1))?.[parts.at(-1) ?? ""];
  return node !== undefined && isLeaf(node) ? leafValues(node) : [];
}

function leafValues({ kind, choices, nullable }: Leaf<unknown>): readonly string[] {
  const own = kind === "boolean" ? ["true", "false"] : (choices ?? []);
  return own.length > 0 && nullable ? [...own, "null"] : own;
}

function sectionAt(parts: readonly string[]): Section | undefined {
  let section: Section | undefined = schema;
  for (const part of parts) {
    const node: Section[string] | undefined = section !== undefined && Object.hasOwn(section, part) ? section[part] : undefined;
    section = node === undefined || isLeaf(node) ? undefined : node;
  }
  return section;
}
