/**
 * What every chunker promises, one suite over all of them: nothing lost but white space, order, places in the article, limits in the retriever's own tokens,
 * overlap as asked, no grapheme cut, the same for any threads, gold passages found. Alone: npx vitest run test/corpus/chunkers.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Article } from "../../src/corpus/article.js";
import { buildCorpus } from "../../src/corpus/build-corpus.js";
import { checkChunkOptions, type ChunkerName, type ChunkOptions } from "../../src/corpus/chunk-options.js";
import type { ChunkedPassage } from "../../src/corpus/chunk-paragraphs.js";
import { CHUNKERS } from "../../src/corpus/chunkers.js";
import { alignGold } from "../../src/corpus/gold-alignment.js";
import { DEFAULT_TITLE_TEMPLATE, passageText } from "../../src/corpus/passage.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import { UserError } from "../../src/errors.js";
import { hasAnswer } from "../../src/text/token-match.js";
import { splitSentences } from "../../src/text/sentence-split.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { compileSources, type CompiledSources } from "./compiled-sources.js";
import { temporaryFolder } from "./temporary-folder.js";
import { writeTinyTokenizer } from "./tiny-tokenizer.js";

const goldens = process.env.TANDEM_GOLDENS ?? "test/fixtures/goldens";
const folder = temporaryFolder();
const libraries = new Map<string, Tokenizer>();
let wordPiece = "";
beforeAll(() => {
  wordPiece = writeTinyTokenizer(folder.join("tokenizer"));
  libraries.set("WordPiece", Tokenizer.fromFolder(wordPiece));
  libraries.set("byte-level BPE", Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny")));
});
const library = (kind = "WordPiece"): Tokenizer => libraries.get(kind)!;

const base: ChunkOptions = { split: "blank", maxTokens: 48, minCharacters: 30, titleTemplate: DEFAULT_TITLE_TEMPLATE };
/** Each chunker as it is, and those that can with size and overlap. */
const CASES: [string, Partial<ChunkOptions>][] = [
  ["paragraphs", {}],
  ["sentences", { chunker: "sentences" }],
  ["sentences, 4 with 2 again", { chunker: "sentences", size: 4, overlap: 2 }],
  ["tokens", { chunker: "tokens" }],
  ["tokens, 20 with 8 again", { chunker: "tokens", size: 20, overlap: 8 }],
  ["recursive", { chunker: "recursive" }],
  ["recursive, 24 with 10 again", { chunker: "recursive", size: 24, overlap: 10 }],
];
const article = (text: string, title = "T"): Article => ({ document: "d", title, text });
const chunk = async (articles: readonly Article[], changed: Partial<ChunkOptions>, kind?: string): Promise<ChunkedPassage[]> => {
  const options = { ...base, ...changed };
  checkChunkOptions(options, "corpus");
  return (await CHUNKERS[options.chunker ?? "paragraphs"](articles, options, library(kind))).passages;
};
const placesOf = (passages: readonly ChunkedPassage[]): [number, number][] => passages.map(({ start, end }) => [start!, end!]);

const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });
/** Places where the text must not be cut: inside a grapheme, unless it begins with white space, which belongs to nobody. */
function insides(text: string): Set<number> {
  const found = new Set<number>();
  for (const { index, segment } of segmenter.segment(text)) {
    if (/^\s/.test(segment)) continue;
    for (let at = index + 1; at < index + segment.length; at++) found.add(at);
  }
  return found;
}

/** Everything that hurts: no spaces, emoji of many parts, flags, combining marks, headings, empty lines, control characters. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: fc.constantFrom("the ", "river ", "xq", "z", ". ", "! ", "\n", "\n\n", "\r\n", " ", "\t"), maxLength: 300 }),
      fc.string({ unit: "grapheme", maxLength: 60 }),
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constantFrom(
        "Mr. Smith went to the river. ",
        "漢字かな交じり文。".repeat(12),
        "😀".repeat(70),
        "👨‍👩‍👧‍👦".repeat(20),
        "🇫🇷🇩🇪".repeat(30),
        "e\u0301".repeat(80),
        "Who? 。\u0301 Yes. ".repeat(8),
        "a.b.c.d.e.f. ".repeat(20),
        "xq".repeat(300),
      ),
    ),
    { maxLength: 7 },
  )
  .map((parts) => parts.join("\n"))
  .map((text) => text.replace(/\p{Surrogate}/gu, "").trim());

function expectWhole(text: string, passages: readonly ChunkedPassage[]): void {
  let covered = 0;
  let before: [number, number] = [-1, -1];
  const forbidden = insides(text);
  for (const { text: own, start = -1, end = -1 } of passages) {
    expect(text.slice(start, end)).toBe(own);
    expect(own).toBe(own.trim());
    expect(own).not.toBe("");
    expect(start).toBeGreaterThan(before[0]);
    expect(end).toBeGreaterThan(before[1]);
    if (start > covered) expect(text.slice(covered, start).trim()).toBe("");
    expect([start, end].filter((at) => forbidden.has(at))).toEqual([]);
    covered = end;
    before = [start, end];
  }
  expect(text.slice(covered).trim()).toBe("");
}

describe.each(CASES)("%s", (_, changed) => {
  it.each(["WordPiece", "byte-level BPE"])(
    "cozyrag 6: property: loses nothing but white space, keeps order, places and graphemes, and stays within the maximum (%s)",
    async (kind) => {
      const property = fc.asyncProperty(anyText, fc.constantFrom("", "T", "The title"), async (text, title) => {
        const passages = await chunk([article(text, title)], changed, kind);
        expectWhole(text, passages);
        for (const passage of passages) {
          const graphemes = [...segmenter.segment(passage.text)].length;
          if (graphemes === 1) continue;
          expect(library(kind).encode(passageText(passage)).length).toBeLessThanOrEqual(48);
          if (changed.size !== undefined && changed.chunker !== "sentences")
            expect(library(kind).encode(passage.text, { specialTokens: false }).length).toBeLessThanOrEqual(changed.size);
        }
      });
      await fc.assert(property, { numRuns: 60 });
    },
    120_000,
  );

  it("empty, one-word and gigantic-word articles", async () => {
    expect(await chunk([article(""), article(" \n\n ")], changed)).toEqual([]);
    expect((await chunk([article("river")], changed)).map(({ text }) => text)).toEqual(["river"]);
    // 99 letters are one word of 99 pieces to this WordPiece; a longer one is unknown, one token.
    const gigantic = "xqz".repeat(33);
    const pieces = await chunk([article(gigantic)], changed);
    expect(pieces.length).toBeGreaterThan(2);
    expectWhole(gigantic, pieces);
    const bytes = "xqz".repeat(5000);
    expectWhole(bytes, await chunk([article(bytes)], changed, "byte-level BPE"));
  });

  it("keeps together a grapheme that is too long alone, and says so", async () => {
    const zalgo = `e${"\u0301".repeat(200)}`;
    const text = `The river was in the north. ${zalgo} The city was in the north of it with the people.`;
    const options = { ...base, ...changed };
    const { passages, facts } = await CHUNKERS[options.chunker ?? "paragraphs"]([article(text)], options, library("byte-level BPE"));
    expectWhole(text, passages);
    expect(passages.some((passage) => passage.text.includes(zalgo))).toBe(true);
    expect(facts.truncatedPassages).toBeGreaterThan(0);
  });

  it("an article's passages don't depend on the articles beside it, and repeat", async () => {
    const property = fc.asyncProperty(fc.array(anyText, { minLength: 2, maxLength: 3 }), async (bodies) => {
      const articles = bodies.map((text, i) => ({ document: String(i), title: `Title ${i}`, text }));
      const together = await chunk(articles, changed);
      const apart = [];
      for (const one of articles) apart.push(...(await chunk([one], changed)));
      expect(together).toEqual(apart);
    });
    await fc.assert(property, { numRuns: 15 });
  }, 60_000);
});

describe("overlap", () => {
  const sentences = Array.from({ length: 30 }, (_, i) => `In ${100 + i} the king was in the city.`);
  const prose = sentences.join(" ");

  it("of sentences: exactly as many as asked, in windows of exactly the size", async () => {
    const passages = await chunk([article(prose)], { chunker: "sentences", size: 3, overlap: 1 });
    expect(passages.map(({ text }) => text)).toEqual(
      Array.from({ length: 15 }, (_, i) => sentences.slice(2 * i, 2 * i + 3).join(" ")).filter((text) => text !== ""),
    );
  });

  it("of sentences gives way where the next sentence would not fit beside it, and only so far", async () => {
    const lengths = [3, 3, 30, 3, 3, 3, 3];
    const mixed = lengths.map((length) => `X${" river".repeat(length)}.`);
    const passages = await chunk([article(mixed.join(" "))], { chunker: "sentences", size: 4, overlap: 2, maxTokens: 46 });
    const held = passages.map(({ text }) => splitSentences(text).length);
    expect(passages[1]!.text.split(" ")[0]).toBe("X");
    for (const [i, passage] of passages.entries()) {
      const before = passages[i - 1];
      if (before === undefined) continue;
      const shared = Math.max(0, before.end! - passage.start!);
      const repeated = splitSentences(mixed.join(" ").slice(passage.start, passage.start! + shared)).length;
      expect(repeated).toBeLessThanOrEqual(2);
      expect(held[i]).toBeGreaterThan(repeated);
    }
    expect(passages.some((passage, i) => i > 0 && passages[i - 1]!.end! > passage.start!)).toBe(true);
  });

  it.each(["tokens", "recursive"] as const)(
    "of %s: at most what was asked, and one more word would be too much",
    async (chunker: ChunkerName) => {
      const text = Array.from({ length: 200 }, (_, i) => ["river", "the", "north", "kx"][i % 4]).join(" ");
      const passages = await chunk([article(text)], { chunker, size: 20, overlap: 8 });
      const places = placesOf(passages);
      expect(places.length).toBeGreaterThan(10);
      for (const [i, [start]] of places.entries()) {
        const end = places[i - 1]?.[1];
        if (end === undefined) continue;
        const tokens = (from: number): number => library().encode(text.slice(from, end), { specialTokens: false }).length;
        expect(tokens(start)).toBeGreaterThan(0);
        expect(tokens(start)).toBeLessThanOrEqual(8);
        expect(tokens(text.lastIndexOf(" ", start - 2) + 1)).toBeGreaterThan(8);
      }
    },
  );

  it("recursive prefers what writers part: paragraphs, then lines, then sentences; overlap is whole sentences where one fits", async () => {
    const text = `Head\n\n${sentences.slice(0, 2).join(" ")}\n\n${sentences.slice(2, 8).join(" ")}`;
    const passages = await chunk([article(text)], { chunker: "recursive", size: 32 });
    expect(passages[0]!.text).toBe(`Head\n\n${sentences.slice(0, 2).join(" ")}`);
    for (const passage of passages.slice(1)) expect(passage.text).toMatch(/^In \d+ .*\.$/);
    const overlapping = await chunk([article(text.slice(6))], { chunker: "recursive", size: 48, overlap: 20 });
    for (const passage of overlapping.slice(1)) expect(passage.text).toMatch(/^In \d+ .*\.$/s);
    expect(placesOf(overlapping).some(([start], i, all) => i > 0 && start < all[i - 1]![1])).toBe(true);
  });

  it("is refused where it means nothing or is too much, naming the key", () => {
    const refused: [Partial<ChunkOptions>, RegExp][] = [
      [{ overlap: 3 }, /corpus\.overlap: means nothing to the chunker of paragraphs/],
      [{ size: 3 }, /corpus\.size: means nothing to the chunker of paragraphs/],
      [{ chunker: "sentences", size: 2, overlap: 2 }, /corpus\.overlap: .*0 to 1 \(less than size\), got 2/],
      [{ chunker: "tokens", size: 20, overlap: 11 }, /corpus\.overlap: .*0 to 10 \(half of a passage\), got 11/],
      [{ chunker: "recursive", overlap: 25 }, /0 to 24/],
      [{ chunker: "tokens", size: 0 }, /corpus\.size: not a length/],
      [{ chunker: "tokens", overlap: -1 }, /corpus\.overlap/],
      [{ chunker: "tokens", overlap: 1.5 }, /corpus\.overlap/],
    ];
    for (const [change, message] of refused) {
      expect(() => checkChunkOptions({ ...base, ...change }, "corpus")).toThrow(UserError);
      expect(() => checkChunkOptions({ ...base, ...change }, "corpus")).toThrow(message);
    }
  });
});

describe("stores", () => {
  let compiled: CompiledSources;
  let file = "";
  const contexts = Array.from({ length: 40 }, (_, i) => ({
    title: `Town ${i >> 2}`,
    text: `The town was ${["old", "new", "far", "near"][i & 3]} with the people of year ${1000 + i}. It is in the north of the river ${i}. The king of it was with the city. A name from it is kx${i}q and the last word.`,
    answer: `kx${i}q`,
  }));
  beforeAll(() => {
    compiled = compileSources("chunkers");
    const lines = Array.from({ length: 10 }, (_, i) => {
      const texts = contexts.slice(4 * i, 4 * i + 4).map(({ text }) => text);
      return JSON.stringify({ id: i, title: `Town ${i}`, text: texts.join("\n\n") });
    });
    file = folder.write("towns.jsonl", lines.join("\n"));
  });
  afterAll(() => compiled.remove());
  const options = (name: string, changed: Partial<ChunkOptions>, threads = 0): Parameters<typeof buildCorpus>[0] => ({
    source: { format: "jsonl", path: file },
    chunk: { ...base, ...changed },
    tokenizer: wordPiece,
    output: folder.join(name),
    threads,
  });

  it.each(CASES)("cozyrag 8: %s: 0, 1 and 2 threads build the same store, and each passage's place is in it", async (name, changed) => {
    const { hash } = await buildCorpus(options(`${name}-0`, changed));
    for (const threads of [1, 2]) {
      const script = `import { buildCorpus } from "./corpus/build-corpus.js";
        console.log(JSON.stringify(await buildCorpus(${JSON.stringify(options(`${name}-${threads}`, changed, threads))})));`;
      expect(compiled.run(script)).toMatchObject({ hash, execution: "threads", threads });
    }
    const store = PassageStore.open(folder.join(`${name}-0`));
    const texts = Array.from({ length: 10 }, (_, i) =>
      contexts
        .slice(4 * i, 4 * i + 4)
        .map(({ text }) => text)
        .join("\n\n"),
    );
    for (const { title, text, start, end } of store) expect(texts[Number(title.slice(5))]!.slice(start, end)).toBe(text);
  });

  it.each(CASES)("%s: every gold passage finds all the passages that hold its answer", async (name, changed) => {
    await buildCorpus(options(`${name}-gold`, changed));
    const store = PassageStore.open(folder.join(`${name}-gold`));
    const gold = new Map(contexts.map(({ title, text }, i) => [`g${i}`, { title, text }]));
    const questions = contexts.map(({ answer }, i) => ({ id: String(i), question: "?", answers: [answer], passageIds: [`g${i}`] }));
    const { questions: aligned, report } = alignGold(questions, gold, store);
    expect(report).toMatchObject({ withGold: 40, mapped: 40, withAnswer: 40, unmapped: [] });
    let twice = 0;
    for (const { answers, passageIds } of aligned) {
      const holding = [...store].filter(({ text }) => hasAnswer(text, answers)).map(({ id }) => id);
      expect(passageIds).toEqual(holding);
      twice += holding.length > 1 ? 1 : 0;
    }
    // Overlap puts some answers into two passages: both are gold.
    expect(twice > 0).toBe(changed.overlap !== undefined);
  });
});
