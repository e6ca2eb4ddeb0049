/**
 * Proves that the boundaries found in short stretches are those that the runtime's segmenter finds in the whole text, wherever a stretch ends: in flags, families of emoji, letters with accents, half a pair.
 * Alone: npx vitest run test/text/grapheme-boundary.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { graphemeEnd, graphemeEnds, graphemeStart } from "../../src/text/grapheme-boundary.js";

const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });
const startsOf = (text: string): number[] => [...segmenter.segment(text)].map(({ index }) => index);

const PARTS = ["🇫🇷🇩🇪", "👨‍👩‍👧‍👦", "e\u0301", "漢", "\r\n", "a", "👍🏽", "ࠀ", "𐀀", "क्षि", "\n"];
const longText = fc
  .array(fc.tuple(fc.constantFrom(...PARTS), fc.integer({ min: 1, max: 70 })), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.map(([part, times]) => part.repeat(times)).join(""));

function expectEqual(text: string): void {
  const starts = startsOf(text);
  expect(graphemeEnds(text, 0, text.length)).toEqual([...starts.slice(1), text.length]);
  for (let position = 0; position <= text.length; position += 7) {
    const next = starts.findIndex((start) => start > position);
    expect(graphemeStart(text, position)).toBe(position === text.length ? position : starts.at(next === -1 ? -1 : next - 1));
    const isStart = position === text.length || starts.includes(position);
    expect(graphemeEnd(text, position)).toBe(isStart ? position : (starts[next] ?? text.length));
  }
}

describe("grapheme boundaries", () => {
  it("are right where a stretch of 256 units ends in half a character of a joined emoji", () => {
    expectEqual(`${"🇫🇷🇩🇪".repeat(30)}\n${"👨‍👩‍👧‍👦".repeat(20)}`);
  });

  it("are those of the whole text", () => {
    fc.assert(fc.property(longText, expectEqual), { numRuns: 300 });
  });
});
