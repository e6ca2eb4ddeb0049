/**
 * Proves that a cross-encoder's scores are those of transformers' `BertForSequenceClassification` and of sentence-transformers' `CrossEncoder` on the same folder, for short pairs and for pairs that are cut, as
 * logits and through a sigmoid, with token types and without; and that other folders are refused in one line. Alone: npx vitest run test/retrieval/cross-encoder.test.ts
 */
import { cpSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CrossEncoder, cutLongest } from "../../src/retrieval/cross-encoder.js";
import { goldens } from "../nn/goldens.js";
import { crossEncoderFolder, editJson, editWeights } from "../nn/model-folder.js";
import { referenceMissing, runPython } from "../nn/reference-python.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";

const folder = temporaryFolder();

/** A folder with random weights, made by transformers, and both references' scores of some pairs. */
const REFERENCE = `
import json, sys, torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
from sentence_transformers import CrossEncoder
given = json.loads(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
tokenizer.model_max_length = 64
torch.manual_seed(11)
config = BertConfig(vocab_size=given["vocabulary"], hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64, num_labels=1, initializer_range=0.3)
model = BertForSequenceClassification(config).eval()
answer = {}
for name, activation, typed in [("untyped", "torch.nn.modules.linear.Identity", False), ("sigmoid", None, True), ("logits", "torch.nn.modules.linear.Identity", True)]:
    folder = given["folder"] + "/" + name
    if activation is not None: model.config.sentence_transformers = {"activation_fn": activation}
    elif hasattr(model.config, "sentence_transformers"): del model.config.sentence_transformers
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if typed:
        with open(folder + "/tokenizer_config.json") as file: noted = json.load(file)
        noted["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
        with open(folder + "/tokenizer_config.json", "w") as file: json.dump(noted, file)
    own = AutoTokenizer.from_pretrained(folder)
    pairs = [(q, p) for q in given["questions"] for p in given["passages"]]
    answer[name] = [float(x) for x in CrossEncoder(folder, device="cpu").predict(pairs)]
    batch = own([p[0] for p in pairs], [p[1] for p in pairs], padding=True, truncation="longest_first", max_length=64, return_tensors="pt")
    with torch.no_grad(): answer["transformers"] = [float(x) for x in model(**batch).logits[:, 0]]
print(json.dumps(answer))
`;

const QUESTIONS = ["Who is the mayor of Alder?", "When was it built, and by whom, and of which stone? ".repeat(6), "What?"];
const PASSAGES = ["Alder is a town on the Mire. Its mayor is Ida Renhan.", "The bridge was built in 1733 of grey stone. ".repeat(9), ""];
const PAIRS = QUESTIONS.flatMap((_, question) => PASSAGES.map((__, passage) => ({ question, passage })));

describe.skipIf(referenceMissing !== undefined)(
  `against the references${referenceMissing === undefined ? "" : ` (${referenceMissing})`}`,
  () => {
    it("gives the same scores, cut pairs and empty texts too, and reads from the folder whether they are logits", () => {
      const answer = runPython(REFERENCE, {
        folder,
        tokenizer: path.join(goldens, "bert-tiny"),
        vocabulary: 800,
        questions: QUESTIONS,
        passages: PASSAGES,
      }) as Record<"logits" | "sigmoid" | "untyped" | "transformers", number[]>;
      const scores = (name: string): number[] => {
        const model = CrossEncoder.load(path.join(folder, name));
        const found = [...model.score(QUESTIONS, PASSAGES, PAIRS)];
        model.dispose();
        return found;
      };
      const logits = scores("logits");
      logits.forEach((score, i) => {
        expect(score).toBeCloseTo(answer.logits[i]!, 5);
        expect(score).toBeCloseTo(answer.transformers[i]!, 5);
      });
      scores("sigmoid").forEach((score, i) => {
        expect(score).toBeCloseTo(answer.sigmoid[i]!, 5);
      });
      scores("untyped").forEach((score, i) => {
        expect(score).toBeCloseTo(answer.untyped[i]!, 5);
      });
      // They differ, so nothing above holds by chance.
      expect(Math.max(...logits) - Math.min(...logits)).toBeGreaterThan(0.05);
      expect(Math.abs(answer.untyped[0]! - logits[0]!)).toBeGreaterThan(0.05);
    }, 120_000);
  },
);

describe("a folder", () => {
  it("with one label and a head is opened; a pair's score doesn't depend on its neighbours", () => {
    const { folder: sound, free } = crossEncoderFolder();
    const model = CrossEncoder.load(sound);
    const both = model.score(
      ["a"],
      ["b", "c d e"],
      [
        { question: 0, passage: 0 },
        { question: 0, passage: 1 },
      ],
    );
    expect(both[0]).toBeGreaterThan(0);
    expect(both[0]).toBeCloseTo(model.score(["a"], ["b"], [{ question: 0, passage: 0 }])[0]!, 6);
    expect([...model.score([], [], [])]).toEqual([]);
    model.dispose();
    free();
  });

  it.each<[string, (at: string) => void, RegExp]>([
    [
      "two labels",
      (at) => editJson(at, "config.json", { id2label: { 0: "a", 1: "b" } }),
      /config\.json: id2label: is no cross-encoder's; expected one label.*got 2 labels/,
    ],
    ["no labels", (at) => editJson(at, "config.json", { id2label: undefined }), /got 2 labels/],
    [
      "another kind of model",
      (at) => editJson(at, "config.json", { model_type: "roberta" }),
      /model_type: is another kind of model; expected bert/,
    ],
    [
      "an unknown activation",
      (at) => editJson(at, "config.json", { sentence_transformers: { activation_fn: "torch.nn.ReLU" } }),
      /activation_fn: .*isn't implemented; expected Identity or Sigmoid/,
    ],
    [
      "an activation of no type",
      (at) => editJson(at, "config.json", { sbert_ce_default_activation_function: 3 }),
      /activation_fn: .*got 3/,
    ],
    ["no head", (at) => editWeights(at, (tensors) => tensors.delete("classifier.weight")), /weights are missing.*'classifier\.weight'/],
    [
      "a head of another size",
      (at) => editWeights(at, (tensors) => tensors.set("classifier.bias", { dtype: "F32", shape: [2], data: new Uint8Array(8) })),
      /classifier\.bias.*wrong shape; expected \[1\], got \[2\]/,
    ],
    ["weights that were cut short", (at) => truncateSync(path.join(at, "model.safetensors"), 2000), /model\.safetensors/],
    [
      "a config in another encoding",
      (at) => writeFileSync(path.join(at, "config.json"), Buffer.from('{"model_type":"bert"}', "utf16le")),
      /config\.json/,
    ],
    ["no tokenizer", (at) => rmSync(path.join(at, "tokenizer.json")), /tokenizer\.json/],
    ["a tokenizer of more tokens", (at) => editJson(at, "config.json", { vocab_size: 10 }), /./],
  ])("with %s is refused in one line", (_, damage, expected) => {
    const { folder: broken, free } = crossEncoderFolder();
    damage(broken);
    const fault = faultOf(() => CrossEncoder.load(broken));
    expect(fault).toMatch(expected);
    expect(fault).not.toContain("\n");
    free();
  });

  it("that isn't there is refused", () => {
    mkdirSync(path.join(folder, "empty"));
    cpSync(path.join(goldens, "bert-tiny", "tokenizer.json"), path.join(folder, "empty", "tokenizer.json"));
    expect(faultOf(() => CrossEncoder.load(path.join(folder, "empty")))).toMatch(/config\.json/);
    expect(faultOf(() => CrossEncoder.load(path.join(folder, "nowhere")))).toMatch(/nowhere/);
  });
});

describe("cutting a pair", () => {
  it("keeps what fits, takes from the longer one first, and leaves both about half when neither fits", () => {
    expect(cutLongest(3, 4, 10)).toEqual([3, 4]);
    expect(cutLongest(3, 40, 10)).toEqual([3, 7]);
    expect(cutLongest(40, 3, 10)).toEqual([7, 3]);
    expect(cutLongest(40, 50, 11)).toEqual([5, 6]);
    fc.assert(
      fc.property(fc.nat(600), fc.nat(600), fc.integer({ min: 2, max: 512 }), (first, second, most) => {
        const [one, two] = cutLongest(first, second, most);
        expect(one + two).toBe(Math.min(most, first + second));
        expect(one <= first && two <= second).toBe(true);
      }),
    );
  });
});
