/** Proves: words, scores and ranks are those of Python's bm25s; ties stand in row order; odd input neither crashes nor misleads. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/corpus/seeded-random.js";
import { UserError } from "../../src/errors.js";
import { Bm25, bm25Words } from "../../src/retrieval/bm25.js";

const python = ".venv-reference/bin/python";
const lacksPython = !fs.existsSync(python);

/** bm25s as it comes; its scores of every passage, put in order with ties by row, and what its own retrieve() scores. */
const REFERENCE = `
import json, sys, bm25s, numpy as np
texts, questions, k = json.load(sys.stdin)
tokens = bm25s.tokenize(texts, show_progress=False)
index = bm25s.BM25(); index.index(tokens, show_progress=False)
asked = bm25s.tokenize(questions, return_ids=False, show_progress=False)
own = index.retrieve(asked, k=k, show_progress=False, backend_selection="numpy").scores
ids, scores = [], []
for words in asked:
    all_ = index.get_scores(words) if words else np.zeros(len(texts), dtype="float32")
    order = np.argsort(-all_, kind="stable")[:k]
    ids.append(order.tolist()); scores.append(all_[order].tolist())
print(json.dumps({"ids": ids, "scores": scores, "own": own.tolist(), "words": bm25s.tokenize(texts, return_ids=False, show_progress=False)}))
`;

interface Reference {
  ids: number[][];
  scores: number[][];
  own: number[][];
  words: string[][];
}

function reference(texts: string[], questions: string[], k: number): Reference {
  return JSON.parse(
    execFileSync(python, ["-c", REFERENCE], { input: JSON.stringify([texts, questions, k]), encoding: "utf8", maxBuffer: 1 << 28 }),
  ) as Reference;
}

/** Passages of Zipf-like invented words, of very different lengths. */
function passages(count: number): string[] {
  const random = seededRandom("bm25");
  return Array.from({ length: count }, () =>
    Array.from({ length: 5 + Math.floor(random() * 90) }, () => `w${Math.floor(1 / (random() + 0.0005))}${random() < 0.2 ? "." : ""}`).join(
      " ",
    ),
  );
}

const odd = [
  "Straße İstanbul ΣΊΣΥΦΟΣ",
  "e\u0301te\u0301 naïve café",
  "snake_case __init__ a1 1a x",
  "½ ²² 10² ٣٤ 一二 日本語",
  "don't O'Brien’s U.S.A.",
  "",
  "the of and",
  "\u0000\ufeff tab\tnew\nline",
  "😀😀 ab😀cd",
];

describe("against bm25s", () => {
  it.skipIf(lacksPython)("ranks and scores alike, to the last bit of float32, k = 10", () => {
    const texts = [...passages(300), ...odd];
    const questions = [...passages(60).map((text) => text.slice(0, 40)), ...odd, "w1 w1 w2", "nothing known", "w7 w12 w90 w3 w5"];
    const expected = reference(texts, questions, 10);
    expect(texts.map((text) => bm25Words(text))).toEqual(expected.words);
    const hits = new Bm25(texts).search(questions, 10);
    hits.forEach(({ scores, ids }, i) => {
      expect(Array.from(scores)).toEqual(expected.scores[i]);
      expect(Array.from(scores)).toEqual(expected.own[i]);
      expect(Array.from(ids)).toEqual(expected.ids[i]);
    });
  });

  it.skipIf(lacksPython)("finds the same words in random text", () => {
    const text = fc
      .array(fc.oneof(fc.integer({ min: 0, max: 0x5ff }), fc.integer({ min: 0x1e00, max: 0x24ff })), { maxLength: 12 })
      .map((points) => String.fromCodePoint(...points));
    const texts = fc.sample(text, { numRuns: 2000, seed: 11 });
    expect(texts.map((sample) => bm25Words(sample))).toEqual(reference([...texts, "some words"], ["x"], 1).words.slice(0, -1));
  });
});

describe("Bm25", () => {
  it("cozyrag 44: gives every hit its row and its score, by the formula", () => {
    const { scores, ids } = new Bm25(["red fox", "red red dog runs", "blue cat"]).search(["red"], 3)[0]!;
    const idf = Math.log(1 + (3 - 2 + 0.5) / 2.5);
    const average = 8 / 3;
    const score = (tf: number, length: number) => (idf * tf) / (tf + 1.5 * (0.25 + (0.75 * length) / average));
    expect(Array.from(ids)).toEqual([1, 0, 2]);
    expect(scores[0]).toBeCloseTo(score(2, 4), 6);
    expect(scores[1]).toBeCloseTo(score(1, 2), 6);
    expect(scores[2]).toBe(0);
  });

  it("puts equal scores in row order, whatever k", () => {
    const index = new Bm25(["same words", "other things", "same words", "same words", "other things"]);
    expect(Array.from(index.search(["same"], 5)[0]!.ids)).toEqual([0, 2, 3, 1, 4]);
    expect(Array.from(index.search(["same"], 2)[0]!.ids)).toEqual([0, 2]);
    expect(Array.from(index.search([""], 3)[0]!.ids)).toEqual([0, 1, 2]);
  });

  it("agrees with sorting all scores, for any passages and k", () => {
    const text = fc.array(fc.constantFrom("aa", "bb", "cc", "dd", "the"), { maxLength: 6 }).map((words) => words.join(" "));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 12 }), text, fc.integer({ min: 1, max: 15 }), (texts, question, k) => {
        const index = new Bm25(texts);
        const all = index.search([question], texts.length)[0]!;
        const some = index.search([question], k)[0]!;
        const order = Array.from(all.ids, (id, i) => ({ id, score: all.scores[i]! })).sort((a, b) => b.score - a.score || a.id - b.id);
        expect(Array.from(all.ids)).toEqual(order.map(({ id }) => id));
        expect(Array.from(all.ids).sort((a, b) => a - b)).toEqual(texts.map((_, i) => i));
        expect(Array.from(some.ids)).toEqual(Array.from(all.ids).slice(0, k));
      }),
    );
  });

  it("answers from nothing: no passages, no words, words of Object.prototype", () => {
    expect(new Bm25([]).search(["a question"], 3)[0]!.ids.length).toBe(0);
    expect(Array.from(new Bm25(["", "the"]).search(["a question"], 3)[0]!.scores)).toEqual([0, 0]);
    expect(Array.from(new Bm25(["constructor", "__proto__ x"]).search(["__proto__ constructor"], 1)[0]!.ids)).toEqual([0]);
    expect(new Bm25(["a b"]).search([], 3)).toEqual([]);
  });

  it("refuses parameters out of range", () => {
    for (const k of [0, -1, 1.5, Number.NaN]) expect(() => new Bm25(["text"]).search(["text"], k)).toThrow(UserError);
    for (const options of [{ k1: -1 }, { k1: Number.NaN }, { b: 1.1 }, { b: -0.1 }])
      expect(() => new Bm25(["text"], options)).toThrow(UserError);
  });
});
