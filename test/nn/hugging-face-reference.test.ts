/**
 * Folders go both ways between Tandem and the real transformers with equal outputs: odd settings of GPT-2 and BERT, shards, half precision, task models' prefixes, buffers and names of old files.
 * Needs the reference Python (reference-python.ts); skipped visibly without. Alone: npx vitest run test/nn/hugging-face-reference.test.ts
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { indices, tensor, type Tensor } from "../../src/engine/tensor.js";
import { Bert, bertConfig } from "../../src/nn/bert.js";
import { Gpt2, gpt2Config } from "../../src/nn/gpt2.js";
import { saveFolder } from "../../src/nn/hugging-face-folder.js";
import { loadCausalModel, loadEncoderModel } from "../../src/nn/registry.js";
import { readSafetensors } from "../../src/storage/safetensors.js";
import { largestDifference, relativeError } from "./goldens.js";
import { referenceMissing, runPython } from "./reference-python.js";

// Importing the reference alone takes many seconds.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
setThreads(1);
const scratch = mkdtempSync(join(tmpdir(), "tandem-hugging-face-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const ids = [
  [4, 9, 17, 2, 31, 8],
  [11, 3, 3, 5, 0, 0],
];
const mask = [
  [1, 1, 1, 1, 1, 1],
  [1, 1, 1, 1, 0, 0],
];
const types = [
  [0, 0, 0, 1, 1, 1],
  [0, 1, 1, 1, 0, 0],
];

/** Makes folders of every kind and prints what the reference computes with each. */
const make = `
import json, sys, torch, os
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model, BertConfig, BertModel, BertForMaskedLM
from safetensors.torch import load_file, save_file
a = json.loads(sys.argv[1]); out = a["out"]; torch.manual_seed(0)
ids, mask, types = (torch.tensor(a[k]) for k in ("ids", "mask", "types"))
answers = {}
def shaken(m):
    with torch.no_grad():
        for p in m.parameters(): p.add_(torch.randn_like(p) * 0.2)
    return m.eval()
base = dict(vocab_size=40, n_positions=16, n_embd=24, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0)
def gpt(name, cls=GPT2LMHeadModel, save={}, **kw):
    m = shaken(cls(GPT2Config(**{**base, **kw}))); m.save_pretrained(f"{out}/{name}", **save)
    if cls is GPT2Model: answers[name] = (m(input_ids=ids).last_hidden_state @ m.wte.weight.T).tolist()
    else: answers[name] = m(input_ids=ids).logits.tolist()
    return m
gpt("gpt2-plain")
gpt("gpt2-base", cls=GPT2Model)
gpt("gpt2-untied", tie_word_embeddings=False)
gpt("gpt2-odd", n_inner=50, activation_function="gelu", scale_attn_by_inverse_layer_idx=True, layer_norm_epsilon=1e-3)
gpt("gpt2-unscaled", scale_attn_weights=False, activation_function="relu", reorder_and_upcast_attn=True)
gpt("gpt2-sharded", save={"max_shard_size": "8KB"})
gpt("gpt2-buffers")
f = f"{out}/gpt2-buffers/model.safetensors"; w = load_file(f)
w = {k.removeprefix("transformer."): v for k, v in w.items()}
for i in range(2):
    w[f"h.{i}.attn.bias"] = torch.tril(torch.ones(16, 16, dtype=torch.uint8)).view(1, 1, 16, 16); w[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
w["lm_head.weight"] = torch.randn(40, 24)
save_file(w, f)
m = gpt("gpt2-half").to(torch.bfloat16); m.save_pretrained(f"{out}/gpt2-half"); answers["gpt2-half"] = m.float()(input_ids=ids).logits.tolist()
bb = dict(vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=50, max_position_embeddings=16)
def bert(name, cls=BertModel, **kw):
    m = shaken(cls(BertConfig(**{**bb, **kw}))); m.save_pretrained(f"{out}/{name}")
    r = (m if cls is BertModel else m.bert)(input_ids=ids, attention_mask=mask, token_type_ids=types)
    answers[name] = r.last_hidden_state.tolist()
bert("bert-plain")
bert("bert-relu", hidden_act="relu", layer_norm_eps=1e-4)
bert("bert-masked-lm", cls=BertForMaskedLM)
bert("bert-old")
f = f"{out}/bert-old/model.safetensors"; w = load_file(f)
w = {"bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in w.items()}
w["bert.embeddings.position_ids"] = torch.arange(16).view(1, 16); w["cls.predictions.bias"] = torch.zeros(40)
save_file(w, f, metadata={"format": "pt"})
print(json.dumps(answers))
`;

/** Opens folders that we wrote and prints what the reference computes; any weight that it misses or doesn't expect is an error. */
const open = `
import json, sys, torch
from transformers import AutoModel, AutoModelForCausalLM, AutoConfig
a = json.loads(sys.argv[1]); ids, mask, types = (torch.tensor(a[k]) for k in ("ids", "mask", "types"))
answers = {}
for name, folder in a["folders"].items():
    cls = AutoModelForCausalLM if name.startswith("gpt2") else AutoModel
    m, info = cls.from_pretrained(folder, output_loading_info=True); m.eval()
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], (name, info)
    kind = str(m.dtype)
    out = m.float()(input_ids=ids).logits if name.startswith("gpt2") else m(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    answers[name] = {"output": out.tolist(), "dtype": kind, "dropout": AutoConfig.from_pretrained(folder).to_dict().get("resid_pdrop", 0)}
print(json.dumps(answers))
`;

const ids_BT = (): Tensor => indices(ids.flat(), [2, 6]);

function outputOf(model: Gpt2 | Bert): Tensor {
  return noGrad(() =>
    scope(() => {
      if (model instanceof Gpt2) return model.logits(model.forward({ ids_BT: ids_BT() }));
      return model.forward({ ids_BT: ids_BT(), mask_BT: indices(mask.flat(), [2, 6]), typeIds: indices(types.flat(), [2, 6]) });
    }),
  );
}

function load(name: string, folder = join(scratch, name)): Gpt2 | Bert {
  return name.startsWith("gpt2") ? loadCausalModel(folder) : loadEncoderModel(folder);
}

/** Padded queries mean nothing: only real tokens are compared. */
function realOnly(output: Tensor, name: string): Tensor {
  return name.startsWith("gpt2") ? output : output.reshape([12, -1]).indexSelect(0, indices([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
}

const named = `transformers${referenceMissing === undefined ? "" : ` (skipped: ${referenceMissing})`}`;

describe.skipIf(referenceMissing !== undefined)(`folders against ${named}`, () => {
  const names = ["plain", "base", "untied", "odd", "unscaled", "sharded", "buffers", "half"]
    .map((name) => `gpt2-${name}`)
    .concat(["plain", "relu", "masked-lm", "old"].map((name) => `bert-${name}`));
  let theirs: Record<string, number[][][]>;
  beforeAll(() => {
    theirs = runPython(make, { out: scratch, ids, mask, types }) as typeof theirs;
  });

  it.each(names)("opens %s with equal outputs", (name) => {
    expect(relativeError(realOnly(outputOf(load(name)), name), realOnly(tensor(theirs[name]!), name))).toBeLessThan(1e-5);
  });

  it("read several shards, and old names and buffers, where it should have", () => {
    expect(readdirSync(join(scratch, "gpt2-sharded")).filter((file) => /-of-/.test(file)).length).toBeGreaterThan(1);
    expect(existsSync(join(scratch, "gpt2-sharded", "model.safetensors"))).toBe(false);
    const old = [...readSafetensors(join(scratch, "bert-old", "model.safetensors")).tensors.keys()];
    expect(old).toContain("bert.embeddings.LayerNorm.gamma");
    expect(old).toContain("bert.embeddings.position_ids");
    const buffers = [...readSafetensors(join(scratch, "gpt2-buffers", "model.safetensors")).tensors.keys()];
    expect(buffers).toContain("h.0.attn.bias");
    expect(buffers).toContain("h.0.attn.c_attn.bias");
  });

  it("saves what it opened, and what it made from scratch, so that the reference opens it with equal outputs", () => {
    const made: Record<string, Gpt2 | Bert> = {
      "gpt2-fresh": Gpt2.initialise(
        gpt2Config({ vocabSize: 40, nPositions: 16, nEmbd: 24, nLayer: 2, nHead: 3, nInner: 30, residPdrop: 0.05, eosTokenId: 3 }),
        2,
        { std: 0.4 },
      ),
      "bert-fresh": Bert.initialise(
        bertConfig({ vocabSize: 40, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, maxPositionEmbeddings: 16 }),
        2,
        { std: 0.4 },
      ),
    };
    // A base model is saved as a language model, old names as new ones, a masked LM as a plain encoder that lacks the pooler it never had.
    for (const name of names) if (name !== "bert-masked-lm") made[name] = load(name);
    const folders: Record<string, string> = {};
    for (const [name, model] of Object.entries(made)) {
      folders[name] = join(scratch, "saved", name);
      saveFolder(folders[name], model);
    }
    const answers = runPython(open, { folders, ids, mask, types }) as Record<
      string,
      { output: number[][][]; dtype: string; dropout: number }
    >;
    for (const [name, { output, dtype }] of Object.entries(answers)) {
      expect(relativeError(realOnly(outputOf(made[name]!), name), realOnly(tensor(output), name)), name).toBeLessThan(1e-5);
      expect(dtype).toBe("torch.float32");
      expect(largestDifference(outputOf(load(name, folders[name])), outputOf(made[name]!)), name).toBe(0);
    }
    expect(Object.keys(answers)).toHaveLength(names.length + 1);
    expect(answers["gpt2-fresh"]!.dropout).toBe(0.05);
  });

  it("writes what transformers 4 needs: format=pt, torch_dtype beside dtype, prefixed names, no copy of tied weights", () => {
    const folder = join(scratch, "saved", "gpt2-plain");
    const { tensors, metadata } = readSafetensors(join(folder, "model.safetensors"));
    expect(metadata).toEqual({ format: "pt" });
    expect([...tensors.keys()].every((name) => name.startsWith("transformer."))).toBe(true);
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    expect(config).toMatchObject({
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      dtype: "float32",
      torch_dtype: "float32",
      tie_word_embeddings: true,
    });
    const generation = JSON.parse(readFileSync(join(folder, "generation_config.json"), "utf8")) as Record<string, unknown>;
    expect(generation).toMatchObject({ bos_token_id: 0, eos_token_id: 0 });
  });

  it("keeps a pooler that the encoder doesn't use, bit for bit", () => {
    const pooler = (folder: string): Uint8Array =>
      readSafetensors(join(folder, "model.safetensors")).tensors.get("pooler.dense.weight")!.data;
    expect(Buffer.compare(pooler(join(scratch, "bert-plain")), pooler(join(scratch, "saved", "bert-plain")))).toBe(0);
    expect(load("bert-plain").parameters.has("pooler.dense.weight")).toBe(false);
  });
});
