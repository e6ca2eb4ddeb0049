/**
 * Proves that chunking loses no text, keeps to the maximum in the encoder's tokens, merges what is short and reports what it cut.
 * Alone: npx vitest run test/corpus/chunk-paragraphs.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Article } from "../../src/corpus/article.js";
import { checkChunkOptions } from "../../src/corpus/chunk-options.js";
import type { ChunkOptions } from "../../src/corpus/chunk-options.js";
import { chunkArticles } from "../../src/corpus/chunk-paragraphs.js";
import { DEFAULT_TITLE_TEMPLATE, passageId, passageText } from "../../src/corpus/passage.js";
import { splitParagraphs } from "../../src/corpus/split-paragraphs.js";
import { UserError } from "../../src/errors.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { temporaryFolder } from "./temporary-folder.js";
import { writeTinyTokenizer } from "./tiny-tokenizer.js";

const goldens = process.env.TANDEM_GOLDENS ?? "test/fixtures/goldens";
const folder = temporaryFolder();
let tokenizer: Tokenizer;
beforeAll(() => {
  tokenizer = Tokenizer.fromFolder(writeTinyTokenizer(folder.join("tokenizer")));
});

const options: ChunkOptions = { split: "blank", maxTokens: 64, minCharacters: 30, titleTemplate: DEFAULT_TITLE_TEMPLATE };
const article = (text: string, title = "T"): Article => ({ document: "1", title, text });
const texts = async (text: string, changed: Partial<ChunkOptions> = {}): Promise<string[]> =>
  (await chunkArticles([article(text)], { ...options, ...changed }, tokenizer)).passages.map((passage) => passage.text);
const tight = (text: string): string => text.replace(/\s+/g, "");

const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

describe("paragraphs", () => {
  const long = (name: string): string => `${name} is in the north of the river and the city`;

  it("splits at empty lines or at every line break", async () => {
    const text = `${long("a")}\n${long("b")}\n \t\n${long("c")}\r\n\r\n${long("d")}`;
    expect(await texts(text)).toEqual([`${long("a")}\n${long("b")}`, long("c"), long("d")]);
    expect(await texts(text, { split: "line" })).toEqual([long("a"), long("b"), long("c"), long("d")]);
  });

  it("cozyrag 6: the single line breaks of today's wikiextractor give paragraphs, not one passage for the article", async () => {
    const text = Array.from({ length: 40 }, (_, i) => long(`p${i}`)).join("\n");
    expect(await texts(text, { split: "line" })).toHaveLength(40);
    for (const piece of await texts(text))
      expect(tokenizer.encode(passageText({ title: "T", text: piece })).length).toBeLessThanOrEqual(64);
  });

  it("merges what is under 30 characters into the next paragraph, the last into the one before", async () => {
    expect(await texts(`History.\n\n${long("a")}\n\nShort.\n\nToo.\n\n${long("b")}\n\nEnd.`)).toEqual([
      `History.\n\n${long("a")}`,
      `Short.\n\nToo.\n\n${long("b")}\n\nEnd.`,
    ]);
    expect(await texts("Only this.")).toEqual(["Only this."]);
    expect(await texts("")).toEqual([]);
  });

  it("counts characters as code points: 29 emoji are short, 30 are not", async () => {
    expect(await texts(`${"😀".repeat(29)}\n\n${long("a")}`)).toHaveLength(1);
    expect(await texts(`${"😀".repeat(30)}\n\n${long("a")}`)).toHaveLength(2);
  });

  it("reports what it did", async () => {
    const text = `Head\n\n${long("a")}\n\n${`${long("B")}. `.repeat(12)}`;
    const { facts, passages } = await chunkArticles([article(text), article("tiny")], options, tokenizer);
    expect(facts).toMatchObject({
      articles: 2,
      paragraphs: 4,
      mergedParagraphs: 1,
      shortArticles: 1,
      splitParagraphs: 1,
      cutSentences: 0,
      truncatedPassages: 0,
    });
    const lengths = passages.map((passage) => tokenizer.encode(passageText(passage)).length);
    expect(facts.tokens).toBe(lengths.reduce((sum, length) => sum + length, 0));
    expect(facts.longestPassage).toBe(Math.max(...lengths));
    expect(facts.splitPassages).toBe(passages.length - 2);
    const whole = tokenizer.encode(passageText({ title: "T", text: `${long("B")}. `.repeat(12).trim() })).length;
    expect(facts.tokensSaved).toBe(whole - 64);
  });
});

describe("over-long paragraphs", () => {
  const sentence = (n: number): string => `In the year ${n} the people of the town was with the king from the north.`;

  it("are cut at sentence ends, evenly", async () => {
    const text = Array.from({ length: 12 }, (_, i) => sentence(100 + i)).join(" ");
    const pieces = await texts(text);
    expect(pieces.length).toBeGreaterThan(1);
    for (const piece of pieces) expect(piece).toMatch(/^In the year.*north\.$/s);
    const lengths = pieces.map((piece) => piece.length);
    expect(Math.min(...lengths)).toBeGreaterThan(Math.max(...lengths) / 2.5);
  });

  it("are cut at a word inside a sentence that is too long alone, and inside a word only if the word is too long alone", async () => {
    const words = Array.from({ length: 200 }, () => "river").join(" ");
    const pieces = await texts(words);
    for (const piece of pieces) expect(piece).toMatch(/^river( river)*$/);
    const { facts } = await chunkArticles([article(words)], options, tokenizer);
    expect(facts.cutSentences).toBe(pieces.length - 1);
    const word = "xq".repeat(49);
    const single = await texts(word, { maxTokens: 40 });
    expect(single.length).toBeGreaterThan(1);
    expect(single.join("")).toBe(word);
  });

  it("leave no stump under the minimum", async () => {
    const pieces = await texts(`${sentence(1)} ${sentence(2)} ${sentence(3)} ${sentence(4)} Yes. No. It was so.`, { maxTokens: 40 });
    for (const piece of pieces) expect(piece.length).toBeGreaterThanOrEqual(30);
  });

  it("still get a quarter of the maximum when the title fills it, and that is reported", async () => {
    const title = "zq".repeat(45);
    const { passages, facts } = await chunkArticles([article(sentence(1).repeat(4), title)], options, tokenizer);
    expect(tight(passages.map(({ text }) => text).join(""))).toBe(tight(sentence(1).repeat(4)));
    expect(facts.truncatedPassages).toBe(passages.length);
    const beyond = passages.reduce((sum, passage) => sum + tokenizer.encode(passageText(passage)).length - 64, 0);
    expect(facts.truncatedTokens).toBe(beyond);
  });
});

/** Articles with everything that hurts: no spaces, emoji, combining marks, headings, empty lines, control characters. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: fc.constantFrom("the ", "river ", "xq", "z", ". ", "! ", "\n", "\n\n", " ", "\t"), maxLength: 400 }),
      fc.string({ unit: "grapheme", maxLength: 60 }),
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constantFrom(
        "Mr. Smith went. ",
        "漢字かな交じり文。".repeat(12),
        "😀".repeat(70),
        "e\u0301".repeat(80),
        "a.b.c.d.e.f. ".repeat(20),
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join("\n"))
  .map((text) => text.replace(/\p{Surrogate}/gu, ""));

describe("properties", () => {
  it.each(["WordPiece", "byte-level BPE"])(
    "the passages of an article give back all its non-white-space text in order, each within the maximum (%s)",
    async (kind) => {
      const library = kind === "WordPiece" ? tokenizer : Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
      const property = fc.asyncProperty(
        anyText,
        fc.constantFrom("blank" as const, "line" as const),
        fc.integer({ min: 16, max: 80 }),
        fc.constantFrom("", "T", "The title"),
        async (text, split, maxTokens, title) => {
          const { passages, facts } = await chunkArticles([article(text, title)], { ...options, split, maxTokens }, library);
          expect(tight(passages.map((passage) => passage.text).join(""))).toBe(tight(text));
          for (const passage of passages) {
            expect(passage.text).toBe(passage.text.trim());
            expect(text.slice(passage.start, passage.end)).toBe(passage.text);
            expect(passage.text).not.toMatch(/\p{Surrogate}/u);
          }
          // One character of many code points (a note with its stem and flag, an emoji of several parts) may be too long alone; it stays whole, and that is reported.
          const tooLong = passages.filter((passage) => library.encode(passageText(passage)).length > maxTokens);
          for (const passage of tooLong) expect([...characters.segment(passage.text)]).toHaveLength(1);
          expect(facts.truncatedPassages).toBe(tooLong.length);
        },
      );
      await fc.assert(property, { numRuns: 100 });
    },
  );

  it("a character that is too long alone, beside a title that fills the rest, stays whole and is reported", async () => {
    const library = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
    const note = "\u{1D158}\u{1D165}\u{1D16E}";
    const { passages, facts } = await chunkArticles([article(note, "The title")], { ...options, maxTokens: 16 }, library);
    expect(passages.map(({ text }) => text)).toEqual([note]);
    expect(facts.truncatedPassages).toBe(1);
  });

  it("an article's passages don't depend on the articles beside it", async () => {
    const property = fc.asyncProperty(fc.array(anyText, { minLength: 2, maxLength: 4 }), async (bodies) => {
      const articles = bodies.map((text, i) => ({ document: String(i), title: `Title ${i}`, text }));
      const together = await chunkArticles(articles, options, tokenizer);
      const apart = [];
      for (const one of articles) apart.push(...(await chunkArticles([one], options, tokenizer)).passages);
      expect(together.passages).toEqual(apart);
    });
    await fc.assert(property, { numRuns: 20 });
  });

  it("pieces are measured again as they will be embedded, whatever the tokenizer counts for the whole", async () => {
    // Counts a space before a word as a token of its own at the start of a text, as byte-level BPE may.
    const count = (text: string): number => (text === "" ? 0 : text.split(" ").length * 2 + (text.startsWith("T. ") ? 5 : 3));
    const odd = {
      encodeBatchAsync: (batch: readonly string[]) => Promise.resolve(batch.map((text) => new Int32Array(count(text)))),
      encodeWithOffsets: (text: string) => ({
        offsets: [...text.matchAll(/\S+/g)].map(({ index, 0: word }): [number, number] => [index, index + word.length]),
      }),
    };
    const text = Array.from({ length: 100 }, (_, i) => `w${i}`).join(" ");
    const [split] = await splitParagraphs([{ title: "T", text }], { ...options, maxTokens: 40 }, odd);
    const { pieces, lengths } = split!;
    expect(pieces.join(" ")).toBe(text);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(40);
    expect(lengths).toEqual(pieces.map((piece) => count(`T. ${piece}`)));
  });
});

describe("ids and titles", () => {
  it("cozyrag 8: an id is the hash of title, text and document, and of nothing else", async () => {
    const { passages } = await chunkArticles([article("The same text in the river and the city of the north")], options, tokenizer);
    const [passage] = passages;
    expect(passage?.id).toBe(passageId({ document: "1", title: "T", text: "The same text in the river and the city of the north" }));
    expect(passage?.id).toMatch(/^[0-9a-f]{32}$/);
    const parts = { title: "ab", text: "c", document: "d" };
    const others = [
      { ...parts, title: "a", text: "bc" },
      { ...parts, text: "cd", document: "" },
      { ...parts, document: "e" },
    ];
    expect(new Set([parts, ...others].map(passageId)).size).toBe(4);
  });

  it("cozyrag 9: the title goes through the template, once, and an empty title adds nothing", () => {
    expect(passageText({ title: "A {text} $& {title}", text: "b {title}" })).toBe("A {text} $& {title}. b {title}");
    expect(passageText({ title: "A", text: "b" }, "{title} [SEP] {text}")).toBe("A [SEP] b");
    expect(passageText({ title: "", text: "b" })).toBe("b");
  });

  it("refuses options that can't work, naming the key", () => {
    const refused: [Partial<ChunkOptions>, RegExp][] = [
      [{ maxTokens: 15 }, /corpus\.max_tokens: no room for text; expected a whole number ≥ 16, got 15/],
      [{ maxTokens: 64.5 }, /corpus\.max_tokens/],
      [{ maxTokens: Number.NaN }, /corpus\.max_tokens/],
      [{ minCharacters: -1 }, /corpus\.min_characters/],
      [{ titleTemplate: "{title}" }, /corpus\.title_template: .*\{text\} once/],
      [{ titleTemplate: "{titel}: {text}" }, /corpus\.title_template/],
      [{ titleTemplate: "{text} {text}" }, /corpus\.title_template/],
    ];
    for (const [change, message] of refused) {
      expect(() => checkChunkOptions({ ...options, ...change }, "corpus")).toThrow(UserError);
      expect(() => checkChunkOptions({ ...options, ...change }, "corpus")).toThrow(message);
    }
    expect(() => checkChunkOptions(options, "corpus")).not.toThrow();
  });
});
