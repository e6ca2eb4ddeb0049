/**
 * Model folders that are damaged, hostile or of another kind are refused with one line that names the file, and saving is all or nothing.
 * Alone: npx vitest run test/nn/hugging-face-folder.test.ts
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { UserError } from "../../src/errors.js";
import { Gpt2, gpt2Config } from "../../src/nn/gpt2.js";
import { loadWeights, saveFolder } from "../../src/nn/hugging-face-folder.js";
import { bertFamily } from "../../src/nn/bert.js";
import { loadCausalModel, loadEncoderModel } from "../../src/nn/registry.js";
import { readSafetensors } from "../../src/storage/safetensors.js";
import { largestDifference } from "./goldens.js";
import { copyOf, editJson, editWeights } from "./model-folder.js";

setThreads(1);
const frees: (() => void)[] = [];
afterEach(() => frees.splice(0).forEach((free) => free()));

function folderOf(golden: "gpt2-tiny" | "bert-tiny"): string {
  const { folder, free } = copyOf(golden);
  frees.push(free);
  return folder;
}

/** The one line that is thrown; anything but a UserError fails. Nothing may stay in memory. */
function refusal(body: () => unknown): string {
  const before = liveTensors().tensors;
  try {
    body();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.message).not.toContain("\n");
    expect(liveTensors().tensors).toBe(before);
    return error.message;
  }
  throw new Error("nothing was thrown");
}

describe("weights that are refused", () => {
  it("a file cut short", () => {
    const folder = folderOf("gpt2-tiny");
    truncateSync(join(folder, "model.safetensors"), 5000);
    expect(refusal(() => loadCausalModel(folder))).toMatch(/model\.safetensors/);
  });

  it("an empty file, and a file that is a folder", () => {
    const folder = folderOf("gpt2-tiny");
    truncateSync(join(folder, "model.safetensors"), 0);
    expect(refusal(() => loadCausalModel(folder))).toMatch(/model\.safetensors/);
    rmSync(join(folder, "model.safetensors"));
    mkdirSync(join(folder, "model.safetensors"));
    expect(refusal(() => loadCausalModel(folder))).toMatch(/model\.safetensors/);
  });

  it.each([
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
  ])("%s among them, naming the tensor", (_, value) => {
    const folder = folderOf("gpt2-tiny");
    editWeights(folder, (tensors) => {
      const { data } = tensors.get("transformer.h.1.mlp.c_fc.weight")!;
      new DataView(data.buffer, data.byteOffset).setFloat32(400, value, true);
    });
    expect(refusal(() => loadCausalModel(folder))).toMatch(/tensor 'h\.1\.mlp\.c_fc\.weight': holds NaN or infinity/);
  });

  it("missing ones, and says which", () => {
    const folder = folderOf("gpt2-tiny");
    editWeights(folder, (tensors) => tensors.delete("transformer.ln_f.bias"));
    expect(refusal(() => loadCausalModel(folder))).toMatch(/weights are missing; expected 40 tensors, got 39, without 'ln_f\.bias'/);
  });

  it("wrong shapes, and says which", () => {
    const folder = folderOf("gpt2-tiny");
    editWeights(folder, (tensors) => {
      const name = "transformer.h.0.attn.c_attn.weight";
      tensors.set(name, { ...tensors.get(name)!, shape: [144, 48] });
    });
    expect(refusal(() => loadCausalModel(folder))).toMatch(
      /'h\.0\.attn\.c_attn\.weight': wrong shape; expected \[48, 144\], got \[144, 48\]/,
    );
  });

  it("integers where floats belong", () => {
    const folder = folderOf("gpt2-tiny");
    editWeights(folder, (tensors) => {
      const name = "transformer.ln_f.bias";
      tensors.set(name, { ...tensors.get(name)!, dtype: "I32" });
    });
    expect(refusal(() => loadCausalModel(folder))).toMatch(/'ln_f\.bias': wrong type; expected F64, F32, BF16, F16, got I32/);
  });

  it("sizes in config.json that the file contradicts", () => {
    const folder = folderOf("gpt2-tiny");
    editJson(folder, "config.json", { n_layer: 2 });
    expect(refusal(() => loadCausalModel(folder))).toMatch(/config\.json has no place for 'h\.2\.attn\.c_attn\.bias'.* more/);
    editJson(folder, "config.json", { n_layer: 4 });
    expect(refusal(() => loadCausalModel(folder))).toMatch(/weights are missing.*'h\.3\./);
  });

  it("one tensor under two names", () => {
    const folder = folderOf("gpt2-tiny");
    editWeights(folder, (tensors) => tensors.set("wte.weight", tensors.get("transformer.wte.weight")!));
    expect(refusal(() => loadCausalModel(folder))).toMatch(/holds the tensor 'wte\.weight' twice/);
  });

  it("a pickle, with the command that converts it", () => {
    const folder = folderOf("gpt2-tiny");
    renameSync(join(folder, "model.safetensors"), join(folder, "pytorch_model.bin"));
    expect(refusal(() => loadCausalModel(folder))).toMatch(/pytorch_model\.bin, a pickle; convert it: python3 -c /);
    writeFileSync(join(folder, "model.safetensors"), Buffer.from([0x80, 0x02, 0x7d, 0x71, 0x00, 0x2e, 0, 0, 0, 0]));
    expect(refusal(() => loadCausalModel(folder))).toMatch(/model\.safetensors: .*pickle.*convert it/);
  });

  it("a shard index that leads out of the folder, or names a shard that isn't there", () => {
    const folder = folderOf("gpt2-tiny");
    renameSync(join(folder, "model.safetensors"), join(dirname(folder), "secret.safetensors"));
    const index = join(folder, "model.safetensors.index.json");
    for (const file of ["../secret.safetensors", join(dirname(folder), "secret.safetensors"), "sub/../../secret.safetensors"]) {
      writeFileSync(index, JSON.stringify({ weight_map: { "transformer.wte.weight": file } }));
      expect(refusal(() => loadCausalModel(folder))).toMatch(/index\.json.*names a shard that is not a file of this folder/);
    }
    writeFileSync(index, JSON.stringify({ weight_map: { "transformer.wte.weight": "model-00001-of-00002.safetensors" } }));
    expect(refusal(() => loadCausalModel(folder))).toMatch(/model-00001-of-00002\.safetensors/);
  });
});

describe("configs that are refused", () => {
  it.each([
    ["missing", undefined],
    ["empty", ""],
    ["not JSON", "{ n_embd: 48"],
    ["a list", "[]"],
    ["UTF-16", Buffer.from("\ufeff{}", "utf16le")],
  ])("config.json: %s", (_, content) => {
    const folder = folderOf("gpt2-tiny");
    if (content === undefined) rmSync(join(folder, "config.json"));
    else writeFileSync(join(folder, "config.json"), content);
    expect(refusal(() => loadCausalModel(folder))).toMatch(/config\.json/);
  });

  it("a folder that isn't there, or is a file", () => {
    const folder = folderOf("gpt2-tiny");
    expect(refusal(() => loadCausalModel(`${folder}-gone`))).toMatch(/config\.json: no such file/);
    expect(refusal(() => loadCausalModel(join(folder, "config.json")))).toMatch(/config\.json/);
  });

  it.each([
    ["n_embd", "48", /config\.json: n_embd: does not fit; expected a whole number of at least 1, got "48"/],
    ["n_layer", 0, /n_layer: does not fit/],
    ["n_layer", 2.5, /n_layer: does not fit/],
    ["n_head", 5, /n_embd: does not fit; expected a multiple of n_head \(5\)/],
    ["attn_pdrop", 1, /attn_pdrop: does not fit; expected a number from 0 to below 1, got 1/],
    ["activation_function", "swish", /activation_function: does not fit; expected one of gelu_new/],
    ["tie_word_embeddings", "yes", /tie_word_embeddings: does not fit; expected true or false/],
    ["add_cross_attention", true, /add_cross_attention: .*isn't implemented/],
    ["eos_token_id", -3, /eos_token_id: does not fit/],
  ])("%s: %j", (name, value, line) => {
    const folder = folderOf("gpt2-tiny");
    editJson(folder, "config.json", { [name]: value });
    expect(refusal(() => loadCausalModel(folder))).toMatch(line);
  });

  it.each([
    ["position_embedding_type", "relative_key", /position_embedding_type: .*absolute/],
    ["is_decoder", true, /is_decoder/],
    ["pad_token_id", 5000, /pad_token_id: does not fit; expected a number below vocab_size \(\d+\)/],
    ["num_attention_heads", 7, /hidden_size: does not fit; expected a multiple of num_attention_heads \(7\)/],
  ])("BERT's %s: %j", (name, value, line) => {
    const folder = folderOf("bert-tiny");
    editJson(folder, "config.json", { [name]: value });
    expect(refusal(() => loadEncoderModel(folder))).toMatch(line);
  });

  it("a model_type that is unknown, missing, or of the other kind", () => {
    const folder = folderOf("gpt2-tiny");
    expect(refusal(() => loadEncoderModel(folder))).toMatch(
      /config\.json: model_type: is not an encoder that is known here; expected bert, got "gpt2"/,
    );
    expect(refusal(() => loadWeights(folder, bertFamily))).toMatch(/model_type: is another kind of model; expected bert, got "gpt2"/);
    editJson(folder, "config.json", { model_type: "constructor" });
    expect(refusal(() => loadCausalModel(folder))).toMatch(/expected gpt2, got "constructor"/);
    editJson(folder, "config.json", { model_type: undefined });
    expect(refusal(() => loadCausalModel(folder))).toMatch(/expected gpt2, got nothing/);
  });
});

describe("loading", () => {
  it("takes a device's type, other dropouts, and gives weights that live outside scopes and record gradients", () => {
    const folder = folderOf("gpt2-tiny");
    const model = scope(() => ({ made: [loadCausalModel(folder, { dtype: "f64", dropout: 0.25 })] })).made[0]!;
    expect(model.config).toMatchObject({ residPdrop: 0.25, embdPdrop: 0.25, attnPdrop: 0.25 });
    for (const weight of model.parameters.values()) {
      expect([weight.isLive, weight.dtype, weight.requiresGrad]).toEqual([true, "f64", true]);
      weight.dispose();
    }
  });

  it("copies weights: training doesn't reach into the file", () => {
    const folder = folderOf("gpt2-tiny");
    const before = readFileSync(join(folder, "model.safetensors"));
    const model = loadCausalModel(folder);
    for (const weight of model.parameters.values()) weight.detach().zero_();
    expect(Buffer.compare(readFileSync(join(folder, "model.safetensors")), before)).toBe(0);
  });
});

describe("saving", () => {
  const model = Gpt2.initialise(gpt2Config({ vocabSize: 20, nPositions: 8, nEmbd: 8, nLayer: 1, nHead: 2 }), 1);

  it("replaces a folder as a whole, with what the caller adds", () => {
    const folder = folderOf("gpt2-tiny");
    writeFileSync(join(folder, "stale.txt"), "old");
    saveFolder(folder, model, (temporary) => writeFileSync(join(temporary, "added.txt"), "new"));
    expect(readdirSync(folder).sort()).toEqual(["added.txt", "config.json", "generation_config.json", "model.safetensors"]);
    expect(readdirSync(dirname(folder))).toEqual(["gpt2-tiny"]);
    const again = loadCausalModel(folder);
    for (const [name, weight] of model.parameters) expect(largestDifference(again.parameters.get(name)!, weight), name).toBe(0);
    expect(again.config).toEqual(model.config);
  });

  it("leaves the old folder when something goes wrong on the way", () => {
    const folder = folderOf("gpt2-tiny");
    const before = readdirSync(folder);
    const failing = (): void => {
      throw new Error("the tokenizer is broken");
    };
    expect(() => saveFolder(folder, model, failing)).toThrow("the tokenizer is broken");
    expect(readdirSync(folder)).toEqual(before);
    expect(readdirSync(dirname(folder))).toEqual(["gpt2-tiny"]);
  });

  it("refuses a file's place, and a place where nothing can be written", () => {
    const folder = folderOf("gpt2-tiny");
    expect(refusal(() => saveFolder(join(folder, "config.json"), model))).toMatch(/is a file, not a folder/);
    expect(refusal(() => saveFolder(join(folder, "config.json", "model"), model))).toMatch(/config\.json/);
    expect(refusal(() => saveFolder("/proc/self/fd/model", model))).toMatch(/\/proc\/self\/fd\/model/);
  });

  it("keeps fields of config.json that it doesn't read, and drops tied and foreign tensors", () => {
    const folder = folderOf("gpt2-tiny");
    editJson(folder, "config.json", { task_specific_params: { "text-generation": { max_length: 50 } } });
    editWeights(folder, (tensors) => tensors.set("lm_head.weight", tensors.get("transformer.wte.weight")!));
    const loaded = loadCausalModel(folder);
    saveFolder(folder, loaded);
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    expect(config["task_specific_params"]).toEqual({ "text-generation": { max_length: 50 } });
    expect(readSafetensors(join(folder, "model.safetensors")).tensors.has("lm_head.weight")).toBe(false);
  });
});
