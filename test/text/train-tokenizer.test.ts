/**
 * Proves: byte-level BPE equals what the Python library trains, id for id; WordPiece is the same at each run and close to Python's;
 * both folders open in AutoTokenizer and give our ids; the vocabulary has exactly the size that was asked for; bad input is one line.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { trainByteBpe, trainWordPiece } from "../../src/text/train-tokenizer.js";

const python = ".venv-reference/bin/python";
const lacksPython = !fs.existsSync(python);
const words = [
  "river",
  "rivers",
  "town",
  "Raimo",
  "festival",
  "barley",
  "naïve",
  "café",
  "日本",
  "don't",
  "1580",
  "###",
  "##x",
  "held",
  "holding",
  "🚀",
  "É",
];
const syllables = ["ka", "lo", "mi", "tur", "ven", "sha"];
/** Sentences by a fixed rule: enough repetition for merges, hash marks for the `##` trap, several scripts. */
const texts = Array.from({ length: 800 }, (_, i) => {
  const name = [i, i / 6, i / 36].map((x) => syllables[Math.floor(x) % 6]!).join("");
  return `${name} ${Array.from({ length: 12 }, (_, j) => words[(i * i + 7 * j * j + i * j) % words.length]!).join(" ")} ${name}ing`;
});
const probes = ["The rivers of Raimo", "naïve CAFÉ 日本 ### ##x", "unseen Ωmega 🚀!", "", "don't  hold\nit"];

let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "train-tokenizer-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

interface Parsed {
  added_tokens: { id: number; content: string }[];
  model: { vocab: Record<string, number>; merges: [string, string][] };
}

function runPython(script: string, input: unknown): unknown {
  return JSON.parse(execFileSync(python, ["-c", script], { input: JSON.stringify(input), encoding: "utf8" }));
}

/** The ids AutoTokenizer gives, and what it knows of the special tokens. */
const AUTO_TOKENIZER = `
import json, sys
from transformers import AutoTokenizer
folders, texts = json.load(sys.stdin)
def opened(folder):
    t = AutoTokenizer.from_pretrained(folder)
    return {"ids": [t(x)["input_ids"] for x in texts], "decoded": [t.decode(t(x)["input_ids"], skip_special_tokens=True) for x in texts], "size": len(t), "eos": t.eos_token_id, "pad": t.pad_token_id, "mask": t.mask_token_id, "keys": sorted(t("a").keys()), "max": t.model_max_length, "pair": t("a", "b").get("token_type_ids")}
print(json.dumps([opened(folder) for folder in folders]))
`;

describe("byte-level BPE", () => {
  it("has exactly the size asked for: special tokens first, then the 256 bytes, then merges", () => {
    for (const vocabSize of [257, 258, 300, 420]) {
      const { model, added_tokens: added } = JSON.parse(trainByteBpe({ texts, vocabSize })) as Parsed;
      expect(Object.keys(model.vocab).length).toBe(vocabSize);
      expect(Object.values(model.vocab).sort((a, b) => a - b)).toEqual(Array.from({ length: vocabSize }, (_, i) => i));
      expect(added.map(({ id, content }) => [id, content])).toEqual([[0, "<|endoftext|>"]]);
      expect(model.vocab["!"]).toBe(1);
    }
  });

  it.skipIf(lacksPython)("equals the Python library's training, id for id and merge for merge", () => {
    const file = path.join(scratch, "corpus.txt");
    fs.writeFileSync(file, texts.join("\n"));
    const script = `
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
file, size, special = json.load(sys.stdin)
t = Tokenizer(models.BPE()); t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.train([file], trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
print(t.to_str())
`;
    const special = ["<|endoftext|>", "<|pad|>"];
    const reference = runPython(script, [file, 430, special]) as Parsed;
    const ours = JSON.parse(trainByteBpe({ files: [file], vocabSize: 430, specialTokens: special })) as Parsed;
    expect(ours.model.vocab).toEqual(reference.model.vocab);
    expect(ours.model.merges).toEqual(reference.model.merges);
    expect(ours.added_tokens).toEqual(reference.added_tokens);
  });
});

describe("WordPiece", () => {
  it("gives the same bytes at each run and has exactly the size asked for", () => {
    const runs = [1, 2, 3].map(() => trainWordPiece({ texts, vocabSize: 130 }));
    expect(new Set(runs).size).toBe(1);
    const { model } = JSON.parse(runs[0]!) as Parsed;
    expect(Object.values(model.vocab).sort((a, b) => a - b)).toEqual(Array.from({ length: 130 }, (_, i) => i));
    expect(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map((token) => model.vocab[token])).toEqual([0, 1, 2, 3, 4]);
    expect(Object.keys(model.vocab)).toEqual(expect.arrayContaining(["#", "日", "river", "##s"]));
    expect(Object.keys(model.vocab)).not.toContain("É");
  });

  it.skipIf(lacksPython)("learns nearly what the Python library learns (whose ties fall by a random seed)", () => {
    const script = `
import json, sys
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
texts, size = json.load(sys.stdin)
t = Tokenizer(models.WordPiece(unk_token="[UNK]")); t.normalizer = normalizers.BertNormalizer(lowercase=True); t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
t.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
print(json.dumps(t.get_vocab()))
`;
    const passages = fs.readFileSync("test/fixtures/goldens/bert-tiny.expected.json", "utf8").split(/[".]/);
    const reference = new Set(Object.keys(runPython(script, [passages, 260]) as object));
    const { model } = JSON.parse(trainWordPiece({ texts: passages, vocabSize: 260 })) as Parsed;
    const shared = Object.keys(model.vocab).filter((token) => reference.has(token)).length;
    expect(reference.size).toBe(260);
    expect(shared / 260).toBeGreaterThan(0.85);
  });
});

describe("folders", () => {
  it.skipIf(lacksPython)("open in AutoTokenizer with our ids; GPT-2's without type ids", () => {
    const folders = ["bpe", "wordpiece"].map((name) => path.join(scratch, name));
    const json = trainByteBpe({ texts, vocabSize: 400, output: folders[0]!, maxLength: 77 });
    expect(fs.readFileSync(path.join(folders[0]!, "tokenizer.json"), "utf8")).toBe(json);
    trainWordPiece({ texts, vocabSize: 140, output: folders[1]!, maxLength: 64 });
    const [bpe, wordPiece] = folders.map((folder) => Tokenizer.fromFolder(folder)) as [Tokenizer, Tokenizer];
    expect([bpe.vocabSize, bpe.eosId, bpe.padId]).toEqual([400, 0, undefined]);
    expect([wordPiece.vocabSize, wordPiece.padId]).toEqual([140, 0]);
    const expected = [bpe, wordPiece].map((tokenizer) => {
      const ids = tokenizer.encodeBatch(probes).map((list) => Array.from(list));
      return { ids, decoded: tokenizer.decodeBatch(ids) };
    });
    expect(expected[0]!.decoded).toEqual(probes);
    expect(expected[1]!.decoded[0]).toContain("rivers");
    const keys = ["attention_mask", "input_ids"];
    expect(runPython(AUTO_TOKENIZER, [folders, probes])).toEqual([
      { ...expected[0], size: 400, eos: 0, pad: null, mask: null, keys, max: 77, pair: null },
      { ...expected[1], size: 140, eos: null, pad: 0, mask: 4, keys: [...keys, "token_type_ids"], max: 64, pair: [0, 0, 0, 1, 1] },
    ]);
  });
});

describe("bad input", () => {
  it("refuses a corpus too small for the vocabulary, and says what it supports", () => {
    expect(() => trainByteBpe({ texts: ["ab ab"], vocabSize: 300 })).toThrow(
      /text is too small for 300 tokens; ask for 25\d tokens or fewer/,
    );
    const fewer = JSON.parse(trainByteBpe({ texts: ["ab ab"], vocabSize: 300, mayBeSmaller: true })) as { model: { vocab: object } };
    expect(Object.keys(fewer.model.vocab).length).toBeLessThan(260);
    expect(() => trainByteBpe({ texts: [], vocabSize: 258 })).toThrow(UserError);
    expect(() => trainWordPiece({ texts: [], vocabSize: 6 })).toThrow(UserError);
  });

  it("says when the library's own limit ended the training", () => {
    let state = 1;
    const letter = () => String.fromCharCode(97 + ((state = (state * 48271) % 2147483647) % 26));
    const many = Array.from({ length: 12_000 }, () => Array.from({ length: 7 }, letter).join(""));
    expect(() => trainByteBpe({ texts: many, vocabSize: 60_000 })).toThrow(
      /library learns about 30000 tokens at most; ask for 30\d\d\d tokens or fewer$/,
    );
  });

  it("refuses a vocabulary without room for the alphabet, and sizes that are none", () => {
    expect(() => trainByteBpe({ texts, vocabSize: 256 })).toThrow(/no room.*ask for 257/);
    expect(() => trainWordPiece({ texts, vocabSize: 20 })).toThrow(/no room/);
    for (const vocabSize of [0, -1, 2.5, Number.NaN]) expect(() => trainByteBpe({ texts, vocabSize })).toThrow(UserError);
  });

  it("refuses missing, wrongly encoded and directory files, and writes nothing", () => {
    const latin1 = path.join(scratch, "latin1.txt");
    fs.writeFileSync(latin1, Buffer.from("caf\xe9", "latin1"));
    const output = path.join(scratch, "never");
    for (const file of [latin1, path.join(scratch, "nowhere.txt"), scratch]) {
      expect(() => trainByteBpe({ files: [file], vocabSize: 300, output })).toThrow(UserError);
      expect(() => trainWordPiece({ files: [file], vocabSize: 300, output })).toThrow(UserError);
    }
    expect(fs.existsSync(output)).toBe(false);
  });

  it("refuses a file in the output folder's place", () => {
    const file = path.join(scratch, "occupied");
    fs.writeFileSync(file, "mine");
    expect(() => trainByteBpe({ texts, vocabSize: 300, output: file })).toThrow(UserError);
    expect(fs.readFileSync(file, "utf8")).toBe("mine");
  });

  it("refuses special tokens given twice or, for WordPiece, missing", () => {
    expect(() => trainByteBpe({ texts, vocabSize: 300, specialTokens: ["x", "x"] })).toThrow(/given twice/);
    expect(() => trainWordPiece({ texts, vocabSize: 300, specialTokens: ["[PAD]", "[UNK]"] })).toThrow(/needs the special token \[CLS\]/);
    expect(() => trainByteBpe({ vocabSize: 300 })).toThrow(/give texts or files/);
  });
});
