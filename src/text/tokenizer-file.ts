/**
 * Reads the tokenizer of a Hugging Face folder: the text of `tokenizer.json`, checked, with the settings that stand beside it.
 * It doesn't tokenize: see tokenizer.ts.
 * The trap: `tokenizer.json` names no end or padding token. They stand in `tokenizer_config.json`, in older folders in
 * `special_tokens_map.json`, and in some only as an id in the model's `config.json`; all three are asked, in that order.
 */
import fs from "node:fs";
import path from "node:path";
import { UserError } from "../errors.js";
import { hashBytes } from "../storage/content-hash.js";
import { aboutFile } from "../storage/file-fault.js";
import { describeForeignFormat } from "../storage/foreign-format.js";
import { expectObject, parseJson } from "../storage/json-file.js";
import { pythonCommand } from "../storage/python-command.js";

/** What was read: enough to make a tokenizer and to write the same folder again. */
export interface TokenizerFile {
  /** Where it came from, for messages. */
  readonly where: string;
  /** The text of `tokenizer.json`, as it stood in the file. */
  readonly json: string;
  /** SHA-256 (hex) of what decides the ids: the file's own truncation and padding blocks and its white space don't count. */
  readonly hash: string;
  readonly eos?: SpecialToken;
  readonly pad?: SpecialToken;
  /** Files that travel with the tokenizer when it is saved: name → text. */
  readonly companions: ReadonlyMap<string, string>;
}

/** A special token is known by its text, or, from a model's `config.json`, by its id alone. */
export type SpecialToken = { readonly content: string } | { readonly id: number };

type JsonObject = Record<string, unknown>;

const COMPANIONS = ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];
const REMEDY = "save it again with the library it came from (tokenizer.save_pretrained), or download the file anew";

/** Reads `folder/tokenizer.json` and what belongs to it. Throws {@link UserError} for a missing, broken or hostile file. */
export function readTokenizerFolder(folder: string): TokenizerFile {
  const where = path.join(folder, "tokenizer.json");
  refuseOldLayout(folder, where);
  const json = readText(where);
  const parsed = parseTokenizer(where, json);
  const companions = new Map<string, string>();
  for (const name of COMPANIONS) {
    const file = path.join(folder, name);
    if (fs.existsSync(file)) companions.set(name, readText(file));
  }
  const settings = ["tokenizer_config.json", "special_tokens_map.json"].map((name) => {
    const text = companions.get(name);
    return text === undefined ? {} : expectObject(parseJson(text, path.join(folder, name)), path.join(folder, name));
  });
  const configFile = path.join(folder, "config.json");
  const config = fs.existsSync(configFile) ? expectObject(parseJson(readText(configFile), configFile), configFile) : {};
  return described(where, json, parsed, companions, [settings[0] ?? {}, settings[1] ?? {}, config]);
}

/** Reads one `tokenizer.json`, wherever it stands; its neighbours are not looked at. */
export function readTokenizerFile(file: string): TokenizerFile {
  const json = readText(file);
  return described(file, json, parseTokenizer(file, json), new Map(), [{}, {}, {}]);
}

function described(
  where: string,
  json: string,
  parsed: JsonObject,
  companions: ReadonlyMap<string, string>,
  settings: readonly [JsonObject, JsonObject, JsonObject],
): TokenizerFile {
  const eos = special("eos", settings) ?? addedToken(parsed, ["<|endoftext|>", "</s>"]);
  const pad = special("pad", settings) ?? addedToken(parsed, ["[PAD]", "<pad>"]);
  const decisive = JSON.stringify({ ...parsed, truncation: null, padding: null });
  const hash = hashBytes(decisive);
  return { where, json, hash, companions, ...(eos && { eos }), ...(pad && { pad }) };
}

/** `eos_token` is a string or an object with `content`; `config.json` has `eos_token_id`, a number or (Llama) a list of them. */
function special(name: "eos" | "pad", [tokenizer, map, model]: readonly [JsonObject, JsonObject, JsonObject]): SpecialToken | undefined {
  for (const settings of [tokenizer, map]) {
    const value = settings[`${name}_token`];
    const content = isObject(value) ? value.content : value;
    if (typeof content === "string") return { content };
  }
  const value = model[`${name}_token_id`];
  const id: unknown = Array.isArray(value) ? value[0] : value;
  return typeof id === "number" && Number.isSafeInteger(id) && id >= 0 ? { id } : undefined;
}

function addedToken(parsed: JsonObject, contents: readonly string[]): SpecialToken | undefined {
  const added: unknown[] = Array.isArray(parsed.added_tokens) ? parsed.added_tokens : [];
  const content = contents.find((text) => added.some((token) => isObject(token) && token.special === true && token.content === text));
  return content === undefined ? undefined : { content };
}

function parseTokenizer(where: string, text: string): JsonObject {
  const parsed = expectObject(parseJson(text, where), where);
  const model = parsed.model;
  if (!isObject(model)) {
    throw new UserError({ where, what: "not a tokenizer", expected: "an object 'model'", got: typeName(model), remedy: REMEDY });
  }
  if (isObject(model.vocab)) for (const [token, id] of Object.entries(model.vocab)) checkId(where, token, id);
  for (const token of Array.isArray(parsed.added_tokens) ? (parsed.added_tokens as unknown[]) : []) {
    if (isObject(token)) checkId(where, String(token.content), token.id);
  }
  return parsed;
}

/** The library takes any 32-bit id; ours go into int32 arrays and index rows of an embedding matrix. */
function checkId(where: string, token: string, id: unknown): void {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= 0x7fffffff) return;
  const got = typeof id === "number" ? String(id) : typeName(id);
  throw new UserError({
    where: `${where}: token ${JSON.stringify(token)}`,
    what: "bad id",
    expected: "an integer from 0 to 2147483647",
    got,
    remedy: REMEDY,
  });
}

function readText(file: string): string {
  const bytes = aboutFile(file, () => fs.readFileSync(file));
  const foreign = describeForeignFormat(bytes);
  if (foreign?.pickle === true) {
    throw new UserError({ where: file, what: "can run code when opened", expected: "JSON", got: foreign.name, remedy: REMEDY });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError({ where: file, what: "wrong encoding", expected: "UTF-8", got: foreign?.name ?? "other bytes", remedy: REMEDY });
  }
}

/** transformers before version 4 wrote `vocab.txt`, or `vocab.json` and `merges.txt`, alone. */
function refuseOldLayout(folder: string, where: string): void {
  if (fs.existsSync(where) || !["vocab.txt", "vocab.json"].some((name) => fs.existsSync(path.join(folder, name)))) return;
  const name = JSON.stringify(folder);
  const remedy = pythonCommand(`from transformers import AutoTokenizer; AutoTokenizer.from_pretrained(${name}).save_pretrained(${name})`);
  throw new UserError({ where, what: "no such file, only the vocabulary of an old folder", remedy });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function typeName(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
}
