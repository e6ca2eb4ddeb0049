/**
 * The prompt's templates: read from files where the config names some, and checked when the config is composed, so that a slip in a template is told before a corpus is read. What the program sees
 * afterwards is the text alone, in `prompt.template` and `prompt.closed_book_template`: a run's config.yaml holds it, and a resumed run doesn't look at the file again. The trap: editors end a file
 * with a line break that nobody meant; one is taken off, no more.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../errors.js";
import { schemaDefault } from "./compose.js";
import type { PromptConfig } from "./schema.js";

type Sources = Readonly<Record<string, string>>;

interface Kind {
  readonly key: "template" | "closed_book_template";
  readonly file: "template_file" | "closed_book_template_file";
  /** Places that must stand once. */
  readonly needed: readonly string[];
  /** Places that may stand once. */
  readonly allowed: readonly string[];
}

const KINDS: readonly Kind[] = [
  { key: "template", file: "template_file", needed: ["context", "question"], allowed: ["history"] },
  { key: "closed_book_template", file: "closed_book_template_file", needed: ["question"], allowed: ["history"] },
];

/** Names that a variable can't have. */
const RESERVED = ["question", "context", "history", "answer", "title", "text"];

/** A template and where it stands. */
interface Text {
  readonly text: string;
  /** The place of an offset into it, for messages. */
  readonly place: (offset: number) => string;
}

/**
 * The section with its templates read and checked.
 *
 * @param sources who set each key
 * @returns the section, and warnings, one line each
 * @throws UserError naming the template's file and line: not there, not UTF-8, an unknown place, a missing or doubled one
 */
export function resolveTemplates(prompt: PromptConfig, sources: Sources): { prompt: PromptConfig; warnings: string[] } {
  checkVariables(prompt, sources);
  const warnings: string[] = [];
  const own = Object.keys(prompt.variables);
  let resolved = prompt;
  for (const kind of KINDS) {
    const file = prompt[kind.file];
    const set = sourceOf(`prompt.${kind.key}`, sources);
    if (file !== null && set !== schemaDefault)
      warnings.push(`'prompt.${kind.key}' isn't read: prompt.${kind.file} takes its place (${set})`);
    const template = file === null ? inline(prompt[kind.key], set) : readTemplate(file, sourceOf(`prompt.${kind.file}`, sources));
    checkPlaces(template, kind, own);
    resolved = { ...resolved, [kind.key]: template.text, [kind.file]: null };
  }
  const needless = own.filter((name) => KINDS.every(({ key }) => !resolved[key].includes(`{${name}}`)));
  for (const name of needless) warnings.push(`'prompt.variables.${name}' stands in no template (${sourceOf("prompt.variables", sources)})`);
  checkPlaces(inline(prompt.passage_template, sourceOf("prompt.passage_template", sources)), PASSAGE, []);
  checkPlaces(inline(prompt.history_template, sourceOf("prompt.history_template", sources)), TURN, []);
  return { prompt: resolved, warnings };
}

const PASSAGE = { key: "passage_template", needed: ["text"], allowed: ["title"] };
const TURN = { key: "history_template", needed: ["question", "answer"], allowed: [] };

function sourceOf(key: string, sources: Sources): string {
  return sources[key] ?? Object.entries(sources).find(([name]) => name.startsWith(`${key}.`))?.[1] ?? key;
}

function inline(text: string, source: string): Text {
  return { text, place: () => source };
}

function readTemplate(file: string, source: string): Text {
  const fault = (what: string, remedy: string, cause?: unknown): UserError =>
    new UserError({ where: file, what: `${what} (${source})`, remedy }, cause === undefined ? {} : { cause });
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    throw fault(code === "ENOENT" ? "no such template file" : `can't be read as a template: ${code}`, "name a text file", error);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw fault("not UTF-8 text", "save the file as UTF-8", error);
  }
  if (text.includes("\0")) throw fault("not a text file", "name a text file");
  const lines = text.replaceAll("\r\n", "\n").replace(/\n$/, "");
  return { text: lines, place: (offset) => `${file}:${lines.slice(0, offset).split("\n").length}` };
}

/** Unknown places first, then those that stand twice, then those that are missing. */
function checkPlaces(
  { text, place }: Text,
  kind: Pick<Kind, "needed" | "allowed"> & { readonly key: string },
  variables: readonly string[],
): void {
  const allowed = [...kind.needed, ...kind.allowed, ...variables];
  const expected = allowed.map((name) => `{${name}}`).join(", ");
  const seen = new Set<string>();
  for (const { 1: name = "", index } of text.matchAll(/\{([^{}]*)\}/g)) {
    const where = place(index);
    if (!allowed.includes(name)) {
      const canBeOwn = /^[A-Za-z_]\w*$/.test(name) && !RESERVED.includes(name);
      const remedy = `write one of them${canBeOwn ? `, or give prompt.variables.${name}` : ""}`;
      throw new UserError({ where, what: `'prompt.${kind.key}' has an unknown place {${name}}`, expected, remedy });
    }
    if (seen.has(name) && !variables.includes(name)) {
      throw new UserError({
        where,
        what: `'prompt.${kind.key}' holds {${name}} twice`,
        expected: `{${name}} once`,
        remedy: "take one out",
      });
    }
    seen.add(name);
  }
  const missing = kind.needed.find((name) => !seen.has(name));
  if (missing === undefined) return;
  throw new UserError({
    where: place(text.length),
    what: `'prompt.${kind.key}' has no {${missing}}`,
    expected: kind.needed.map((name) => `{${name}}`).join(" and "),
    remedy: `write {${missing}} where it belongs`,
  });
}

function checkVariables({ variables }: PromptConfig, sources: Sources): void {
  for (const [name, value] of Object.entries(variables)) {
    const where = sources[`prompt.variables.${name}`] ?? sourceOf("prompt.variables", sources);
    if (!/^[A-Za-z_]\w*$/.test(name) || RESERVED.includes(name)) {
      const what = RESERVED.includes(name) ? "has a meaning of its own" : "is no name";
      throw new UserError({
        where,
        what: `'prompt.variables.${name}' ${what}`,
        expected: "letters, digits and _",
        remedy: "call it otherwise",
      });
    }
    if (value === null)
      throw new UserError({
        where,
        what: `'prompt.variables.${name}' is null`,
        expected: "text",
        remedy: "give it a text, or take it out",
      });
  }
}
