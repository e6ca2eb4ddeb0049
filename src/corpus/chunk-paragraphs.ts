/**
 * Articles to passages by paragraph: short paragraphs join a neighbour, over-long ones are cut (split-paragraphs.ts), nothing is lost. It needs no
 * model, only the encoder's tokenizer. The trap: the length that counts is that of title, template, special tokens and text together, since
 * that is what the encoder will cut off.
 */
import type { Article } from "./article.js";
import { isShort } from "./chunk-options.js";
import type { ChunkOptions, ChunkTokenizer } from "./chunk-options.js";
import { passageContentKey, passageId, passageText } from "./passage.js";
import type { Passage } from "./passage.js";
import { splitParagraphs } from "./split-paragraphs.js";
import type { SplitParagraph } from "./split-paragraphs.js";
import { trimmedSpan } from "./token-ruler.js";
import type { Span } from "./token-ruler.js";

/** What happened to the text, summed over articles. Everything here is independent of order and threads. */
export interface ChunkFacts {
  articles: number;
  /** Paragraphs as the source has them. */
  paragraphs: number;
  /** Paragraphs under the minimum that joined a neighbour. */
  mergedParagraphs: number;
  /** Articles that are shorter than the minimum as a whole; each is one passage. */
  shortArticles: number;
  /** Paragraphs above the maximum, and the passages that were made of them. */
  splitParagraphs: number;
  splitPassages: number;
  /** Cuts inside a sentence, because the sentence alone was too long. */
  cutSentences: number;
  /** Tokens that the encoder would have dropped had over-long paragraphs not been split. */
  tokensSaved: number;
  /** Passages that are still too long (the title alone fills the maximum), and the tokens that the encoder will drop. */
  truncatedPassages: number;
  truncatedTokens: number;
  /** Tokens of all passages as embedded, and the longest one. */
  tokens: number;
  longestPassage: number;
}

/** A passage with the key that de-duplication compares. */
export interface ChunkedPassage extends Passage {
  contentKey: string;
}

export function noFacts(): ChunkFacts {
  return {
    articles: 0,
    paragraphs: 0,
    mergedParagraphs: 0,
    shortArticles: 0,
    splitParagraphs: 0,
    splitPassages: 0,
    cutSentences: 0,
    tokensSaved: 0,
    truncatedPassages: 0,
    truncatedTokens: 0,
    tokens: 0,
    longestPassage: 0,
  };
}

/** Adds `more` to `total`: sums, and a maximum for the longest passage. */
export function addFacts(total: ChunkFacts, more: ChunkFacts): void {
  for (const name of Object.keys(total) as (keyof ChunkFacts)[]) {
    total[name] = name === "longestPassage" ? Math.max(total[name], more[name]) : total[name] + more[name];
  }
}

/**
 * The passages of some articles, in order. The result for an article doesn't depend on its neighbours, so any grouping gives the same passages.
 * Concatenated, the passages of an article hold all its characters but white space, in order.
 */
export async function chunkArticles(
  articles: readonly Article[],
  options: ChunkOptions,
  tokenizer: ChunkTokenizer,
): Promise<{ passages: ChunkedPassage[]; facts: ChunkFacts }> {
  const facts = noFacts();
  const flat = articles.flatMap((article) =>
    articleParagraphs(article.text, options, facts).map(([start, end]) => ({
      article,
      title: article.title,
      text: article.text.slice(start, end),
      start,
    })),
  );
  const embedded = flat.map((passage) => passageText(passage, options.titleTemplate));
  const lengths = (await tokenizer.encodeBatchAsync(embedded, { specialTokens: true })).map((ids) => ids.length);
  const long = flat.filter((_, i) => (lengths[i] ?? 0) > options.maxTokens);
  const split = await splitParagraphs(long, options, tokenizer);
  const passages: ChunkedPassage[] = [];
  let nextSplit = 0;
  flat.forEach(({ article, text, start }, i) => {
    const length = lengths[i] ?? 0;
    const cut = length > options.maxTokens ? split[nextSplit++] : undefined;
    countPassages(cut?.lengths ?? [length], options.maxTokens, facts);
    if (cut !== undefined) countSplit(cut, length, options.maxTokens, facts);
    for (const [from, to] of cut?.spans ?? [[0, text.length] as const]) passages.push(finishPassage(article, [start + from, start + to]));
  });
  facts.articles += articles.length;
  return { passages, facts };
}

/** A stretch of an article as a passage. */
export function finishPassage(article: Article, [start, end]: Span): ChunkedPassage {
  const passage = { title: article.title, text: article.text.slice(start, end), document: article.document };
  return { id: passageId(passage), ...passage, start, end, contentKey: passageContentKey(passage) };
}

/** Counts the passages' tokens as embedded. */
export function countPassages(lengths: readonly number[], maxTokens: number, facts: ChunkFacts): void {
  for (const tokens of lengths) {
    facts.tokens += tokens;
    facts.longestPassage = Math.max(facts.longestPassage, tokens);
    facts.truncatedPassages += tokens > maxTokens ? 1 : 0;
    facts.truncatedTokens += Math.max(0, tokens - maxTokens);
  }
}

function countSplit({ pieces, cutSentences }: SplitParagraph, length: number, maxTokens: number, facts: ChunkFacts): void {
  facts.splitParagraphs += 1;
  facts.splitPassages += pieces.length;
  facts.cutSentences += cutSentences;
  facts.tokensSaved += length - maxTokens;
}

/**
 * The paragraphs of a text without the white space around them, the short ones merged: a heading belongs to what follows it, the last line to what
 * stands before it. What was merged is one stretch of the text, line breaks included.
 */
function articleParagraphs(text: string, options: ChunkOptions, facts: ChunkFacts): Span[] {
  const raw = rawParagraphs(text, options.split === "blank" ? /\r?\n[^\S\n]*\r?\n/g : /\r?\n/g);
  facts.paragraphs += raw.length;
  const merged: [number, number][] = [];
  let pending: number | undefined;
  for (const [start, end] of raw) {
    const from: number = pending ?? start;
    const short = isShort(text.slice(from, end), options.minCharacters);
    pending = short ? from : undefined;
    if (!short) merged.push([from, end]);
  }
  const last = merged.at(-1);
  const end = raw.at(-1)?.[1] ?? 0;
  if (pending !== undefined && last !== undefined) last[1] = end;
  else if (pending !== undefined) merged.push([pending, end]);
  facts.mergedParagraphs += raw.length - merged.length;
  const [first] = merged;
  if (first !== undefined && merged.length === 1 && isShort(text.slice(...first), options.minCharacters)) facts.shortArticles += 1;
  return merged;
}

function rawParagraphs(text: string, boundary: RegExp): Span[] {
  const spans: Span[] = [];
  let start = 0;
  const add = (end: number): void => {
    const span = trimmedSpan(text, [start, end]);
    if (span[1] > span[0]) spans.push(span);
  };
  for (const { index, 0: between } of text.matchAll(boundary)) {
    add(index);
    start = index + between.length;
  }
  add(text.length);
  return spans;
}
