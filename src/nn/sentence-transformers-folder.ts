/**
 * What sentence-transformers keeps beside a model: which modules follow the transformer, how it pools, how long its inputs are, which prompts it was trained with. Both layouts are read;
 * the old one is written, since every version opens it. Weights and tokenizers are read elsewhere.
 * Traps: module classes have two sets of dotted paths (only the last word counts); the longest input has two homes; git drops the empty `2_Normalize` folder.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import { UserError } from "../errors.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { POOLINGS, type Pooling } from "./pooling.js";

export interface SentenceTransformersSettings {
  readonly pooling: Pooling;
  /** Whether vectors are brought to length one. */
  readonly normalise: boolean;
  /** Longest input in tokens, special ones included; undefined when no file says so (the model's positions then). */
  readonly maxSeqLength?: number;
  /** Texts to put before inputs, by name (`query`, `document`, `passage` …). */
  readonly prompts: Readonly<Record<string, string>>;
  /** The prompt for inputs that name none. */
  readonly defaultPromptName?: string;
  /** Whether texts are lower-cased before the tokenizer sees them. */
  readonly lowerCase: boolean;
}

type JsonObject = Record<string, unknown>;

/** Where the longest input may stand, oldest names included. */
const LENGTH_FILES = ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"].map(
  (name) => `sentence_${name}_config.json`,
);

/** The old layout's one switch a mode, with the new layout's names. */
const OLD_MODES: Readonly<Record<string, string>> = {
  pooling_mode_cls_token: "cls",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_max_tokens: "max",
  pooling_mode_mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  pooling_mode_weightedmean_tokens: "weightedmean",
  pooling_mode_lasttoken: "lasttoken",
};

/**
 * Reads the settings of a folder. A plain transformers folder (no `modules.json`) means mean pooling without normalisation, as in sentence-transformers.
 *
 * @returns the settings and `modelFolder`, where config, weights and tokenizer are
 * @throws UserError naming the file: a module, pooling mode or path that isn't supported, or fields of the wrong type
 */
export function readSentenceTransformers(folder: string): SentenceTransformersSettings & { readonly modelFolder: string } {
  const file = join(folder, "modules.json");
  const modules = existsSync(file) ? readModules(folder, file) : undefined;
  const modelFolder = modules?.transformer ?? folder;
  const { poolingConfig } = modules ?? {};
  const pooling = poolingConfig === undefined ? "mean" : readPooling(poolingConfig);
  const lengths = LENGTH_FILES.map((name) => join(modelFolder, name)).find((path) => existsSync(path));
  const own = lengths === undefined ? {} : readObject(lengths);
  const tokenizer = optionalObject(join(modelFolder, "tokenizer_config.json"));
  const maxSeqLength =
    lengthOf(own, "max_seq_length", lengths ?? "") ?? lengthOf(tokenizer, "model_max_length", join(modelFolder, "tokenizer_config.json"));
  const prompts = readPrompts(join(folder, "config_sentence_transformers.json"));
  if (poolingConfig !== undefined && Object.values(prompts.prompts).some((text) => text !== "")) refusePromptExclusion(poolingConfig);
  return {
    modelFolder,
    pooling,
    normalise: modules?.normalise ?? false,
    lowerCase: own["do_lower_case"] === true,
    ...(maxSeqLength === undefined ? {} : { maxSeqLength }),
    ...prompts,
  };
}

/**
 * Writes the old layout's files into a folder that exists, beside the model's: `modules.json`, `sentence_bert_config.json`, `1_Pooling`, `2_Normalize`,
 * `config_sentence_transformers.json`. Not atomic: for a folder that is being built.
 */
export function writeSentenceTransformers(
  folder: string,
  settings: SentenceTransformersSettings & { readonly maxSeqLength: number },
  dimension: number,
): void {
  const modules = ["", "1_Pooling", ...(settings.normalise ? ["2_Normalize"] : [])].map((path, idx) => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${["Transformer", "Pooling", "Normalize"][idx] ?? ""}`,
  }));
  for (const { path } of modules) mkdirSync(join(folder, path), { recursive: true });
  writeJson(join(folder, "modules.json"), modules);
  writeJson(join(folder, "sentence_bert_config.json"), { max_seq_length: settings.maxSeqLength, do_lower_case: settings.lowerCase });
  writeJson(join(folder, "1_Pooling", "config.json"), {
    word_embedding_dimension: dimension,
    ...Object.fromEntries(Object.entries(OLD_MODES).map(([name, mode]) => [name, mode === settings.pooling])),
    include_prompt: true,
  });
  writeJson(join(folder, "config_sentence_transformers.json"), {
    prompts: settings.prompts,
    default_prompt_name: settings.defaultPromptName ?? null,
    similarity_fn_name: settings.normalise ? "cosine" : "dot",
  });
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

interface Modules {
  readonly transformer: string;
  readonly poolingConfig: { readonly file: string; readonly json: JsonObject };
  readonly normalise: boolean;
}

function readModules(folder: string, file: string): Modules {
  const value = readJson(file);
  if (!Array.isArray(value))
    throw new UserError({ where: file, what: "is not what it should be", expected: "a JSON list of modules", got: typeof value });
  const modules = value.map((entry, place) => readModule(entry, `${file}, module ${place}`));
  const kinds = modules.map((module) => module.kind);
  if (!/^Transformer Pooling( Normalize)?$/.test(kinds.join(" "))) {
    throw new UserError({
      where: file,
      what: "unsupported modules",
      expected: "Transformer, Pooling and perhaps Normalize",
      got: kinds.join(", ") || "none",
      remedy: "name another encoder",
    });
  }
  const poolingFile = join(folder, modules[1]?.path ?? "", "config.json");
  return {
    transformer: join(folder, modules[0]?.path ?? ""),
    poolingConfig: { file: poolingFile, json: readObject(poolingFile) },
    normalise: kinds.includes("Normalize"),
  };
}

function readModule(entry: unknown, where: string): { kind: string; path: string } {
  const { type, path } = expectObject(entry, where);
  if (typeof type !== "string" || typeof path !== "string") {
    throw new UserError({ where, what: "is not a module", expected: "the texts 'type' and 'path'", got: JSON.stringify(entry) });
  }
  if (isAbsolute(path) || path.includes("\\") || normalize(path).split("/").includes("..")) {
    throw new UserError({
      where,
      what: "leads out of the folder",
      expected: "a folder inside",
      got: JSON.stringify(path),
      remedy: "don't use this folder unless you trust where it comes from",
    });
  }
  return { kind: type.split(".").at(-1) ?? "", path };
}

function readPooling({ file, json }: { readonly file: string; readonly json: JsonObject }): Pooling {
  const mode = json["pooling_mode"];
  const old = Object.keys(OLD_MODES).filter((name) => json[name] === true);
  const modes: readonly unknown[] = mode === undefined ? old.map((name) => OLD_MODES[name]) : Array.isArray(mode) ? mode : [mode];
  // A config without any switch means the mean, as in the reference.
  const [only = "mean"] = modes;
  if (modes.length <= 1 && (POOLINGS as readonly unknown[]).includes(only)) return only as Pooling;
  throw new UserError({
    where: file,
    what: "unsupported pooling",
    expected: POOLINGS.join(" or "),
    got: modes.map(String).join(" and "),
    remedy: "name another encoder",
  });
}

/** Models of the INSTRUCTOR kind leave the prompt's tokens out of the mean. */
function refusePromptExclusion({ file, json }: { readonly file: string; readonly json: JsonObject }): void {
  if (json["include_prompt"] !== false) return;
  throw new UserError({
    where: `${file}: include_prompt`,
    what: "unsupported pooling",
    expected: "true",
    got: "false",
    remedy: "name another encoder",
  });
}

function readPrompts(file: string): Pick<SentenceTransformersSettings, "prompts" | "defaultPromptName"> {
  const json = optionalObject(file);
  const given = json["prompts"] ?? {};
  const prompts = expectObject(given, `${file}, prompts`);
  for (const [name, text] of Object.entries(prompts)) {
    if (typeof text === "string") continue;
    throw new UserError({
      where: `${file}, prompts.${name}`,
      what: "is not what it should be",
      expected: "a text",
      got: JSON.stringify(text),
    });
  }
  const name = json["default_prompt_name"] ?? undefined;
  if (name === undefined) return { prompts: prompts as Record<string, string> };
  if (typeof name === "string" && Object.hasOwn(prompts, name))
    return { prompts: prompts as Record<string, string>, defaultPromptName: name };
  throw new UserError({
    where: `${file}: default_prompt_name`,
    what: "names no prompt",
    expected: Object.keys(prompts).join(" or ") || "null",
    got: JSON.stringify(name),
  });
}

function lengthOf(json: JsonObject, name: string, file: string): number | undefined {
  const value = json[name] ?? undefined;
  if (value === undefined) return undefined;
  // Tokenizers without a limit of their own say 10^30.
  if (typeof value === "number" && value >= 1) return Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER);
  throw new UserError({ where: `${file}: ${name}`, what: "does not fit", expected: "a number of at least 1", got: JSON.stringify(value) });
}

function readObject(file: string): JsonObject {
  return expectObject(readJson(file), file);
}

function optionalObject(file: string): JsonObject {
  return existsSync(file) ? readObject(file) : {};
}
