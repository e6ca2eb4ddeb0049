/**
 * Folders of sentence-transformers: old and new layout mean the same, the longest input is found in both its homes, what isn't supported is refused in one line, and what is written is
 * the old layout. Alone: npx vitest run test/nn/sentence-transformers-folder.test.ts
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readSentenceTransformers, writeSentenceTransformers } from "../../src/nn/sentence-transformers-folder.js";
import { UserError } from "../../src/errors.js";

const scratch = mkdtempSync(join(tmpdir(), "tandem-sentence-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let made = 0;

/** A folder with these JSON files. */
function folderWith(files: Record<string, unknown>): string {
  const folder = join(scratch, String(made++));
  mkdirSync(join(folder, "1_Pooling"), { recursive: true });
  for (const [name, value] of Object.entries(files))
    writeFileSync(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  return folder;
}

const oldClass = (name: string): string => `sentence_transformers.models.${name}`;
const newClass: Record<string, string> = {
  Transformer: "sentence_transformers.base.modules.transformer.Transformer",
  Pooling: "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
  Normalize: "sentence_transformers.base.modules.normalize.Normalize",
};
const modulesOf = (names: readonly string[], type: (name: string) => string, paths = ["", "1_Pooling", "2_Normalize"]): unknown =>
  names.map((name, idx) => ({ idx, name: String(idx), path: paths[idx] ?? `${idx}_${name}`, type: type(name) }));
const three = ["Transformer", "Pooling", "Normalize"];
const oldPooling = { word_embedding_dimension: 40, pooling_mode_cls_token: false, pooling_mode_mean_tokens: true };

function refusal(folder: string): string {
  try {
    readSentenceTransformers(folder);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("reading", () => {
  it("the old layout: longest input in sentence_bert_config.json, which goes before the tokenizer's", () => {
    const folder = folderWith({
      "modules.json": modulesOf(three, oldClass),
      "sentence_bert_config.json": { max_seq_length: 48, do_lower_case: true },
      "tokenizer_config.json": { model_max_length: 512 },
      "1_Pooling/config.json": oldPooling,
    });
    const expected = { modelFolder: folder, pooling: "mean", normalise: true, maxSeqLength: 48, lowerCase: true, prompts: {} };
    expect(readSentenceTransformers(folder)).toEqual(expected);
  });

  it("the new layout: longest input in tokenizer_config.json, one pooling mode, prompts", () => {
    const folder = folderWith({
      "modules.json": modulesOf(three.slice(0, 2), (name) => newClass[name]!),
      "sentence_bert_config.json": { transformer_task: "feature-extraction", module_output_name: "token_embeddings" },
      "tokenizer_config.json": { model_max_length: 77 },
      "1_Pooling/config.json": { embedding_dimension: 40, pooling_mode: "cls", include_prompt: true },
      "config_sentence_transformers.json": {
        prompts: { query: "q: ", document: "" },
        default_prompt_name: "query",
        model_type: "SentenceTransformer",
      },
    });
    expect(readSentenceTransformers(folder)).toEqual({
      modelFolder: folder,
      pooling: "cls",
      normalise: false,
      maxSeqLength: 77,
      lowerCase: false,
      prompts: { query: "q: ", document: "" },
      defaultPromptName: "query",
    });
  });

  it("a list of one mode, the name of an older family's length file, a transformer in its own folder", () => {
    const folder = folderWith({
      "modules.json": modulesOf(three, oldClass, ["0_Transformer", "1_Pooling", "2_Normalize"]),
      "1_Pooling/config.json": { embedding_dimension: 40, pooling_mode: ["mean"] },
    });
    mkdirSync(join(folder, "0_Transformer"));
    writeFileSync(join(folder, "0_Transformer", "sentence_roberta_config.json"), JSON.stringify({ max_seq_length: 99 }));
    expect(readSentenceTransformers(folder)).toMatchObject({
      modelFolder: join(folder, "0_Transformer"),
      pooling: "mean",
      maxSeqLength: 99,
    });
  });

  it("a plain transformers folder: mean, not normalised; a tokenizer without a limit says nothing about length", () => {
    const plain = folderWith({ "tokenizer_config.json": '{"model_max_length": 1000000000000000019884624838656}' });
    const settings = readSentenceTransformers(plain);
    expect(settings).toMatchObject({ pooling: "mean", normalise: false });
    expect(settings.maxSeqLength).toBeGreaterThan(1e15);
    expect(readSentenceTransformers(folderWith({})).maxSeqLength).toBeUndefined();
  });
});

describe("refusing", () => {
  const modules = modulesOf(three, oldClass);
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["not JSON", { "modules.json": "[{" }, /modules\.json:1:\d+: is not JSON/],
    ["an object for a list", { "modules.json": {} }, /modules\.json: .*expected a JSON list of modules/],
    ["an entry without type", { "modules.json": [{ path: "" }] }, /module 0: is not a module/],
    [
      "another module",
      { "modules.json": modulesOf(["Transformer", "Pooling", "Dense"], oldClass) },
      /unsupported modules; .*got Transformer, Pooling, Dense/,
    ],
    ["no modules", { "modules.json": [] }, /unsupported modules; .*got none/],
    [
      "a path that leads out",
      { "modules.json": modulesOf(three, oldClass, ["", "../1_Pooling", ""]) },
      /module 1: leads out of the folder.*"\.\.\/1_Pooling"/,
    ],
    ["an absolute path", { "modules.json": modulesOf(three, oldClass, ["/etc", "1_Pooling", ""]) }, /module 0: leads out of the folder/],
    ["no pooling config", { "modules.json": modules }, /1_Pooling\/config\.json: no such file/],
    [
      "another pooling",
      { "modules.json": modules, "1_Pooling/config.json": { pooling_mode: "max" } },
      /unsupported pooling; expected mean or cls, got max/,
    ],
    [
      "two poolings",
      { "modules.json": modules, "1_Pooling/config.json": { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true } },
      /got cls and mean/,
    ],
    ["a length that is none", { "sentence_bert_config.json": { max_seq_length: "long" } }, /max_seq_length: does not fit; .*got "long"/],
    [
      "a prompt that is no text",
      { "config_sentence_transformers.json": { prompts: { query: 3 } } },
      /prompts\.query: .*expected a text, got 3/,
    ],
    [
      "a default prompt that isn't there",
      { "config_sentence_transformers.json": { prompts: { query: "" }, default_prompt_name: "web" } },
      /default_prompt_name: names no prompt; expected query, got "web"/,
    ],
    [
      "pooling without the prompt",
      {
        "modules.json": modules,
        "1_Pooling/config.json": { ...oldPooling, include_prompt: false },
        "config_sentence_transformers.json": { prompts: { query: "q: " } },
      },
      /include_prompt: unsupported pooling/,
    ],
  ])("%s", (_, files, line) => {
    expect(refusal(folderWith(files))).toMatch(line);
  });
});

describe("writing", () => {
  it.each([true, false])("gives the old layout and reads it back: normalised %s", (normalise) => {
    const folder = folderWith({});
    const settings = { pooling: "cls", normalise, maxSeqLength: 60, lowerCase: false, prompts: { query: "q: ", document: "" } } as const;
    writeSentenceTransformers(folder, settings, 40);
    expect(readSentenceTransformers(folder)).toEqual({ modelFolder: folder, ...settings });
    const modules = JSON.parse(readFileSync(join(folder, "modules.json"), "utf8")) as { path: string; type: string }[];
    expect(modules.map((module) => module.type)).toEqual((normalise ? three : three.slice(0, 2)).map(oldClass));
    expect(existsSync(join(folder, "2_Normalize"))).toBe(normalise);
  });
});
