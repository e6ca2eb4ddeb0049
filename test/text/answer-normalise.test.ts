/** Proves: normalisation equals SQuAD's own Python on hard and on random strings; token matching is DPR's and finds no part of a word. */
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normaliseAnswer } from "../../src/text/answer-normalise.js";
import { formHasAnswer, hasAnswer, matchForm } from "../../src/text/token-match.js";

/** SQuAD v1.1's normalisation, in the words of formats.md: lower, drop punctuation, drop articles, fold white space. */
const PYTHON = `
import json, re, string, sys
marks = set(string.punctuation)
def norm(s):
    s = "".join(c for c in s.lower() if c not in marks)
    return " ".join(re.sub(r"\\b(a|an|the)\\b", " ", s).split())
print(json.dumps([norm(s) for s in json.load(sys.stdin)]))
`;

describe("normaliseAnswer", () => {
  it.each([
    ["The  Eiffel\tTower!", "eiffel tower"],
    ["thé", "thé"],
    ["théa the-an a_the", "théa thean athe"],
    ["O'Brien’s", "obrien’s"],
    ["a an the", ""],
    ["1,889", "1889"],
    ["an\u00a0apple\u3000the\u2009end", "apple end"],
  ])("%j → %j", (text, expected) => expect(normaliseAnswer(text)).toBe(expected));

  it("equals Python's on 3,000 random strings", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "a",
        "an",
        "the",
        "The",
        "AN",
        " ",
        "\t",
        "\n",
        "\x1c",
        "\x85",
        "\ufeff",
        "\u200b",
        "'",
        "-",
        "_",
        ".",
        "é",
        "e\u0301",
        "Σ",
        "ß",
        "İ",
        "½",
        "٣",
        "一",
        "²",
        "ª",
      ),
      // Long-settled blocks: the newest letters are unknown to an older Python.
      fc.integer({ min: 0, max: 0x5ff }).map((point) => String.fromCodePoint(point)),
      fc.integer({ min: 0x2000, max: 0x24ff }).map((point) => String.fromCodePoint(point)),
    );
    const texts = fc.sample(
      fc.array(piece, { maxLength: 12 }).map((parts) => parts.join("")),
      { numRuns: 3000, seed: 5 },
    );
    const expected = JSON.parse(execFileSync("python3", ["-c", PYTHON], { input: JSON.stringify(texts), encoding: "utf8" })) as string[];
    expect(texts.map((text) => normaliseAnswer(text))).toEqual(expected);
  });

  it("is idempotent", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii" }), (text) => normaliseAnswer(normaliseAnswer(text)) === normaliseAnswer(text)),
    );
  });
});

describe("hasAnswer", () => {
  it.each<[string, string[], boolean]>([
    ["It was a party.", ["art"], false],
    ["It was ART.", ["art"], true],
    ["born in 1889 in Paris", ["1889 in paris"], true],
    ["born in 1889, in Paris", ["1889 in paris"], false],
    ["the U.S. Army", ["U.S."], true],
    ["the US Army", ["U.S."], false],
    ["naïve café", ["cafe\u0301"], true],
    ["naïve cafe", ["café"], false],
    ["anything", ["", " ", "\u0000"], false],
    ["", [""], false],
    ["anything", [], false],
    ["second of many", ["first", "many"], true],
    ["$5.50", ["$5"], true],
    ["日本語", ["日本"], false],
  ])("%j with %j: %s", (passage, answers, expected) => expect(hasAnswer(passage, answers)).toBe(expected));

  it("finds every run of a passage's own tokens, and the prepared form says the same", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("Ab", "cd", "1", ".", "é", "an"), { minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.nat(),
        (tokens, from, length) => {
          const start = from % tokens.length;
          const answer = tokens.slice(start, start + 1 + (length % 4)).join(" ");
          const passage = tokens.join(" ");
          return hasAnswer(passage, [answer]) && formHasAnswer(matchForm(passage), [matchForm(answer)]);
        },
      ),
    );
  });
});
