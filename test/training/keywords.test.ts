/**
 * Proves which tokens are keywords, and that the penalties over a whole batch are those of each answer alone. Run alone:
 * npx vitest run test/training/keywords.test.ts
 */
import { beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, gradients, indices, toFloat64Array } from "../../src/engine/tensor.js";
import { answerKeywords } from "../../src/training/answer-keywords.js";
import { contentWords, inverseDocumentFrequency, keywordsOf, type KeywordList } from "../../src/training/keywords.js";
import { sumOf } from "../../src/training/loss-terms.js";
import { answerDistribution } from "../../src/training/penalties/answer-distribution.js";
import { ngramRepeat } from "../../src/training/penalties/ngram-repeat.js";
import { hasPenalties, type PenaltyOptions } from "../../src/training/penalties/penalty-options.js";
import { teacherForcedTerms } from "../../src/training/penalties/teacher-forced.js";
import { normals, relativeError } from "./central-differences.js";
import { byteBpe } from "./tiny-world.js";

beforeAll(() => setThreads(1));
const tokenizer = byteBpe();

describe("keywords", () => {
  it("are content words: no stop words, whatever their case", () => {
    expect(contentWords("The Bridge of Alder was BUILT in 1733, by O'Neill.").map(({ word }) => word)).toEqual([
      "Bridge",
      "Alder",
      "BUILT",
      "1733",
      "O'Neill",
    ]);
  });

  it("cozyrag 22: leave the question's own words out", () => {
    const [list] = keywordsOf(tokenizer, [{ text: "Alder is a town on the Mire", without: ["What is alder?"] }], () => 1);
    const decoded = new Set([...list!.ids].map((id) => tokenizer.decode([id]).trim()));
    const expected = new Set([" town", " Mire"].flatMap((word) => [...tokenizer.encode(word)].map((id) => tokenizer.decode([id]).trim())));
    expect(decoded).toEqual(expected);
  });

  it("weigh rare words more, share a word's weight among its tokens, and add up to 1", () => {
    const weight = inverseDocumentFrequency(["town river", "town lake", "town"]);
    expect(weight("lake")).toBeCloseTo(Math.log(1 + 2.5 / 1.5), 12);
    expect(weight("TOWN")).toBeLessThan(weight("river"));
    expect(weight("unheard")).toBeGreaterThan(weight("river"));
    const [list] = keywordsOf(tokenizer, [{ text: "town river", without: [] }], weight);
    const share = (word: string): number =>
      [...tokenizer.encode(word)].reduce((sum, id) => sum + (list!.weights[list!.ids.indexOf(id)] ?? 0), 0);
    expect(share(" river") / share(" town")).toBeGreaterThan(1.5);
    expect([...list!.weights].reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
  });

  it("have the tokens that the words have in an answer, and at most as many words as wanted", () => {
    const text = "Tokyo Kyoto Osaka";
    const [all] = keywordsOf(tokenizer, [{ text, without: [] }], () => 1);
    const inAnswer = new Set(tokenizer.encode(` ${text}`));
    for (const id of all!.ids) expect(inAnswer.has(id)).toBe(true);
    const [one] = keywordsOf(tokenizer, [{ text, without: [] }], (word) => (word === "Kyoto" ? 2 : 1), 1);
    expect(new Set(one!.ids)).toEqual(new Set(tokenizer.encode(" Kyoto")));
  });

  it("of an answer that says that nothing is known are its own where they are wanted, the context's where they are not", () => {
    const context = {
      passages: [{ row: 0, title: "Alder", text: "Alder has a bridge." }],
      questions: [
        { index: 0, question: "Who?", answer: "unknown" },
        { index: 1, question: "What?", answer: "bridge" },
      ],
      isUnknown: true,
    };
    const answers = [
      { start: 0, end: 1 },
      { start: 1, end: 2 },
    ];
    const wordsFor = (direction: "coverage" | "overlap"): string[] =>
      answerKeywords(tokenizer, [context], [{ answers }], { origin: "evidence", direction, wordWeight: () => 1 })[0]!.map((list) =>
        tokenizer.decode([...list.ids].sort((a, b) => a - b)),
      );
    const inAny = (word: string): string => tokenizer.decode([...tokenizer.encode(` ${word}`)].sort((a, b) => a - b));
    const [bothWords] = wordsFor("overlap");
    expect(wordsFor("coverage")).toEqual([inAny("unknown"), bothWords]);
    expect(wordsFor("overlap")).toEqual([bothWords, bothWords]);
    expect(bothWords).not.toBe(inAny("unknown"));
  });

  it("are none for a text of stop words", () => {
    expect(keywordsOf(tokenizer, [{ text: "It is the one", without: [] }], () => 1)).toEqual([
      { ids: new Int32Array(), weights: new Float64Array() },
    ]);
  });
});

describe("penalties over a batch", () => {
  const lengths = [3, 9, 1, 4, 17, 2, 8];
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const vocabulary = 7;
  const values = normals(21, total * vocabulary);
  const options: PenaltyOptions = {
    ngramRepeat: { n: 2, weight: 0.5, temperature: 0.8 },
    keyword: { direction: "overlap", weight: 2 },
    shortAnswer: { minTokens: 4, weight: 1 },
    unlikelihood: { weight: 3, temperature: 1.2 },
  };
  // Tokens come again, so that unlikelihood has something to do.
  const targets_N = Int32Array.from({ length: total }, (_, n) => (n * n) % 3);
  const keywords = lengths.map((_, answer): KeywordList => {
    const ids = Int32Array.from({ length: answer % 3 }, (_unused, k) => (answer + k) % vocabulary);
    return { ids, weights: new Float64Array(ids.length).fill(1 / Math.max(1, ids.length)) };
  });

  it("are the sums of each answer's alone, in value and gradient, however lengths are grouped", () => {
    const batch = scope(() => {
      const logits = fromBytes(values, "f64", [total, vocabulary]).setRequiresGrad();
      const terms = teacherForcedTerms(options, { logits_NV: logits, lengths, targets_N, keywords, eosId: 0 });
      return Object.entries(terms).map(([name, term]) => {
        expect(term.count).toBe(name === "unlikelihood" ? total : lengths.length);
        const gradient = gradients([term.sum as never], [logits], { retainGraph: true })[0]!;
        return { name, weight: term.weight, sum: sumOf(term), gradient: toFloat64Array(gradient) };
      });
    });
    expect(batch.map(({ name, weight }) => [name, weight])).toEqual([
      ["ngram_repeat", 0.5],
      ["keyword_overlap", 2],
      ["short_answer", 1],
      ["unlikelihood", 3],
    ]);
    for (const { name, sum, gradient } of batch) {
      let start = 0;
      let alone = 0;
      const joined: number[] = [];
      for (const [answer, length] of lengths.entries()) {
        scope(() => {
          const logits = fromBytes(values.slice(start * vocabulary, (start + length) * vocabulary), "f64", [
            length,
            vocabulary,
          ]).setRequiresGrad();
          const own = { lengths: [length], targets_N: targets_N.slice(start, start + length), keywords: [keywords[answer]!] };
          const term = teacherForcedTerms(options, { logits_NV: logits, ...own, eosId: 0 })[name]!;
          alone += sumOf(term);
          joined.push(...toFloat64Array(gradients([term.sum as never], [logits])[0]!));
        });
        start += length;
      }
      expect(sum).toBeCloseTo(alone, 9);
      expect(relativeError(gradient, joined)).toBeLessThan(1e-10);
    }
  });

  it("cozyrag 23: the wanted minimum never exceeds an answer's own length", () => {
    const value = (minTokens: number): number =>
      scope(() =>
        sumOf(
          teacherForcedTerms(
            { shortAnswer: { minTokens, weight: 1 } },
            {
              logits_NV: fromBytes(values.slice(0, 3 * vocabulary), "f64", [3, vocabulary]),
              lengths: [3],
              targets_N: targets_N.slice(0, 3),
              keywords: [],
              eosId: 0,
            },
          )["short_answer"]!,
        ),
      );
    expect(value(2)).toBe(value(50));
    expect(value(1)).toBeLessThan(value(2));
  });

  it("a weight of 0 switches a term off; nothing switched on makes no term", () => {
    const off: PenaltyOptions = { ngramRepeat: { n: 2, weight: 0 }, shortAnswer: { minTokens: 2, weight: 0 } };
    expect([hasPenalties(off), hasPenalties({}), hasPenalties(options)]).toEqual([false, false, true]);
    scope(() => {
      const answers = { logits_NV: fromBytes(values, "f64", [total, vocabulary]), lengths, targets_N, keywords, eosId: 0 };
      expect(teacherForcedTerms(off, answers)).toEqual({});
    });
  });

  it("say why a term has nothing to do", () => {
    scope(() => {
      const answers = {
        logits_NV: fromBytes(values.slice(0, 4 * vocabulary), "f64", [4, vocabulary]),
        lengths: [2, 2],
        targets_N: targets_N.slice(0, 4),
        keywords: [],
        eosId: 0,
      };
      const terms = teacherForcedTerms({ ...options, ngramRepeat: { n: 3, weight: 1 } }, answers);
      expect(terms["ngram_repeat"]).toMatchObject({ inactive: "no answer has the 4 tokens that a repeated 3-gram needs" });
      expect(terms["keyword_overlap"]).toMatchObject({ inactive: "no answer has keywords" });
      expect(terms["short_answer"]).not.toHaveProperty("inactive");
    });
  });

  it("the n-gram term of mixed lengths equals the padded formula", () => {
    scope(() => {
      const logits = fromBytes(values.slice(0, 12 * vocabulary), "f64", [12, vocabulary]);
      const grouped = teacherForcedTerms(
        { ngramRepeat: { n: 2, weight: 1 } },
        { logits_NV: logits, lengths: [3, 9], targets_N: targets_N.slice(0, 12), keywords: [], eosId: 0 },
      );
      const rows = indices([...[0, 1, 2, 0, 0, 0, 0, 0, 0], ...Array.from({ length: 9 }, (_, t) => 3 + t)]);
      const padded = logits.indexSelect(0, rows).reshape([2, 9, vocabulary]);
      const whole = ngramRepeat(answerDistribution(padded, indices([3, 9])), 2).sum.item();
      expect(sumOf(grouped["ngram_repeat"]!)).toBeCloseTo(whole, 10);
    });
  });
});
