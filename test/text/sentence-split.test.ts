/** Proves: abbreviations, initials, numbers and quotations don't break a sentence; order and text are kept whatever the input. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitSentences } from "../../src/text/sentence-split.js";

function sentences(text: string): string[] {
  return splitSentences(text).map(({ start, end }) => text.slice(start, end));
}

describe("splitSentences", () => {
  it.each<[string, string[]]>([
    ["One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]],
    ["cozyrag 16: Dr. Smith met Mrs. Jones. They left.", ["cozyrag 16: Dr. Smith met Mrs. Jones.", "They left."]],
    ["J. R. R. Tolkien wrote it. He was born in 1892.", ["J. R. R. Tolkien wrote it.", "He was born in 1892."]],
    ["Pi is 3.14 or so. It costs $5.50. Yes.", ["Pi is 3.14 or so.", "It costs $5.50.", "Yes."]],
    ["The U.S. Army left. In the U.S. The war ended.", ["The U.S. Army left.", "In the U.S.", "The war ended."]],
    ["Some animals, e.g. Cats, sleep. Others don't.", ["Some animals, e.g. Cats, sleep.", "Others don't."]],
    ["See No. 5 and fig. 3. He said no. We left.", ["See No. 5 and fig. 3.", "He said no.", "We left."]],
    ['"Go!" she said. (He went.) Then silence.', ['"Go!" she said.', "(He went.)", "Then silence."]],
    ["“Why?” He didn't know.", ["“Why?”", "He didn't know."]],
    ["It opened at 5 p.m. on Friday. It closed.", ["It opened at 5 p.m. on Friday.", "It closed."]],
    ["Wait... What? Yes!!! No…", ["Wait...", "What?", "Yes!!!", "No…"]],
    ["東京は首都です。人口は多い！本当？", ["東京は首都です。", "人口は多い！", "本当？"]],
    ["Title\nFirst line. Second\r\n\r\nNext paragraph", ["Title", "First line.", "Second", "Next paragraph"]],
    ["Vitamin C. The dose is small.", ["Vitamin C.", "The dose is small."]],
    ["Élodie est là. Être ou ne pas être.", ["Élodie est là.", "Être ou ne pas être."]],
    ["", []],
    [" \n\t ", []],
    ["...", ["..."]],
  ])("%j", (text, expected) => expect(sentences(text)).toEqual(expected));

  it("cozyrag 16: keeps the order of the text and loses nothing but white space", () => {
    const piece = fc.constantFrom(
      "Dr.",
      "Smith",
      "left",
      ".",
      "!",
      '?"',
      " ",
      "\n",
      "U.S.",
      "3.1",
      "😀",
      "。",
      "é",
      "(",
      ")",
      "\u00a0",
      "…",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.string({ unit: "grapheme", maxLength: 20 }), (pieces, tail) => {
        const text = pieces.join("") + tail;
        let before = 0;
        for (const { start, end } of splitSentences(text)) {
          expect(text.slice(before, start).trim()).toBe("");
          expect(end).toBeGreaterThan(start);
          expect(text.slice(start, end).trim()).toBe(text.slice(start, end));
          before = end;
        }
        expect(text.slice(before).trim()).toBe("");
      }),
      { numRuns: 500 },
    );
  });

  it("takes time in proportion to the text, whatever it holds", () => {
    const long = "J. ".repeat(100_000) + ".".repeat(200_000) + "a ".repeat(100_000) + '"'.repeat(100_000);
    const start = performance.now();
    splitSentences(long);
    expect(performance.now() - start).toBeLessThan(3000);
  });
});
