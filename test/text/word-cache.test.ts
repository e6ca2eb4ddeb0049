/**
 * Proves that encoding word by word from memory gives exactly the library's ids, on any text: plain, with added tokens in it, with characters that are left to the library.
 * Alone: npx vitest run test/text/word-cache.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Tokenizer } from "../../src/text/tokenizer.js";

const folder = path.join(process.env["TANDEM_GOLDENS"] ?? path.join(import.meta.dirname, "../fixtures/goldens"), "gpt2-tiny");
const tokenizer = Tokenizer.fromFolder(folder);

/** The asynchronous way asks the library itself. */
async function expectEqual(texts: string[]): Promise<void> {
  const direct = await tokenizer.encodeBatchAsync(texts);
  expect(tokenizer.encodeBatch(texts).map((ids) => [...ids])).toEqual(direct.map((ids) => [...ids]));
}

describe("words from memory", () => {
  it("give the library's ids on hard texts, twice", async () => {
    const texts = [
      "It's 1,234.56 — naïve café!",
      "  two  spaces\n\n\ttabs ",
      "a<|endoftext|>b",
      "don't we'll I'M",
      "",
      "x\u00a0y\u0085z\ufeff",
      "日本語 🚀 e\u0301",
      "Kaldom's Kaldom",
      "trailing   ",
    ];
    await expectEqual(texts);
    await expectEqual(texts);
  });

  it("give the library's ids on any text", async () => {
    const piece = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string(),
      fc.constantFrom(" ", "  ", "\n", "'s", "'ll", "<|endoftext|>", "Kaldom", " 12", "é", "\t"),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.array(piece, { maxLength: 6 }).map((parts) => parts.join("")),
          { maxLength: 4 },
        ),
        expectEqual,
      ),
      { numRuns: 150 },
    );
  });
});
