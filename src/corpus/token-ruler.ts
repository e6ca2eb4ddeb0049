/**
 * Where the tokens and sentences of one paragraph begin, for cutting it. Sentences are counted at once for many paragraphs; single tokens only when a cut
 * inside a sentence asks for them, since offsets cost a call of their own. The trap: counts of parts are those of the whole only where
 * white space parts them, so whoever cuts elsewhere counts the pieces again.
 */
import { graphemeEnd, graphemeStart } from "../text/grapheme-boundary.js";
import { splitSentences } from "../text/sentence-split.js";
import type { ChunkTokenizer } from "./chunk-options.js";

/** [start, end) in UTF-16 units. Neighbouring spans touch. */
export type Span = readonly [number, number];

export class TokenRuler {
  readonly text: string;
  /** Where sentences begin; the first at 0. */
  readonly sentences: readonly number[];
  private readonly tokenizer: ChunkTokenizer;
  /** Tokens before each sentence, and at last those of the paragraph. */
  private readonly before: readonly number[];
  private tokenStarts: readonly number[] | undefined;

  private constructor(text: string, sentences: readonly number[], lengths: readonly number[], tokenizer: ChunkTokenizer) {
    this.text = text;
    this.sentences = sentences;
    this.tokenizer = tokenizer;
    const before = [0];
    for (const length of lengths) before.push((before.at(-1) ?? 0) + length);
    this.before = before;
  }

  /** A ruler for each text, their sentences encoded in one call. */
  static async of(texts: readonly string[], tokenizer: ChunkTokenizer): Promise<TokenRuler[]> {
    const starts = texts.map(sentenceStarts);
    const sentences = texts.flatMap((text, i) => (starts[i] ?? []).map((start, j, all) => text.slice(start, all[j + 1] ?? text.length)));
    const lengths = (await tokenizer.encodeBatchAsync(sentences, { specialTokens: false })).map((ids) => ids.length);
    let next = 0;
    return texts.map((text, i) => {
      const own = starts[i] ?? [];
      return new TokenRuler(text, own, lengths.slice(next, (next += own.length)), tokenizer);
    });
  }

  /** Tokens that begin in the span. */
  tokens([start, end]: Span): number {
    return this.rank(end) - this.rank(start);
  }

  /** A place to cut the span after about `tokens` of its tokens: the last word start in the quarter before, else that token's start, else its end. */
  cutAfter([start, end]: Span, tokens: number): number {
    const starts = this.starts();
    const first = countBelow(starts, start);
    const wanted = first + tokens;
    for (let index = wanted; index > first + Math.floor(tokens * 0.75); index--) {
      const at = starts[index];
      if (at !== undefined && at > start && at < end && /\s/.test(this.text.slice(at - 1, at + 1))) return at;
    }
    // A token may begin inside a letter with accents or an emoji.
    const token = starts[wanted] ?? end;
    const before = graphemeStart(this.text, token);
    const at = before > start ? before : graphemeEnd(this.text, token);
    return at > start && at < end ? at : end;
  }

  /** Cuts between spans that are not at a sentence's start. */
  cutsInside(spans: readonly Span[]): number {
    const known = new Set(this.sentences);
    return spans.slice(1).filter(([start]) => !known.has(start)).length;
  }

  /** How many tokens begin before a position: by sentence where that is enough, else by token. */
  private rank(position: number): number {
    if (this.tokenStarts !== undefined) return countBelow(this.tokenStarts, position);
    if (position >= this.text.length) return this.before.at(-1) ?? 0;
    const sentence = countBelow(this.sentences, position);
    if (this.sentences[sentence] === position) return this.before[sentence] ?? 0;
    return countBelow(this.starts(), position);
  }

  private starts(): readonly number[] {
    this.tokenStarts ??= this.tokenizer
      .encodeWithOffsets(this.text)
      .offsets.filter(([start, end]) => end > start)
      .map(([start]) => start);
    return this.tokenStarts;
  }
}

/** The first sentence begins at 0 whatever stands before it, so that the spans between starts cover the text. */
function sentenceStarts(text: string): number[] {
  const later = splitSentences(text).slice(1);
  return [0, ...later.map(({ start }) => sentenceStart(text, start))].filter((start, i, all) => i === 0 || start > (all[i - 1] ?? 0));
}

/** A mark that joins what stands before it stays there. White space alone before it may be parted from it. */
function sentenceStart(text: string, start: number): number {
  return /\s/.test(text.charAt(start - 1)) ? start : graphemeEnd(text, start);
}

/** The stretch without the white space at its ends; empty at its start if it is nothing else. */
export function trimmedSpan(text: string, [start, end]: Span): Span {
  const piece = text.slice(start, end);
  const from = start + piece.length - piece.trimStart().length;
  const to = end - (piece.length - piece.trimEnd().length);
  return to <= from ? [start, start] : [from, to];
}

/** How many of the ascending values are below a limit. */
export function countBelow(values: readonly number[], limit: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
