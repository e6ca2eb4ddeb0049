/**
 * Cuts one over-long paragraph into pieces that fit the encoder: at sentence ends, and inside a sentence only where it alone is too long, then at
 * a word and at last at a token. Pieces are balanced, so that no cut leaves a stump. The trap: tokens of a piece aren't always the tokens
 * of the paragraph (byte-level BPE ties a space to the word after it), so each piece is counted again as it will be embedded.
 */
import { splitSentences } from "../text/sentence-split.js";
import { isShort } from "./chunk-options.js";
import type { ChunkOptions, ChunkTokenizer } from "./chunk-options.js";
import { passageText } from "./passage.js";

export interface SplitParagraph {
  /** In order; together all characters but white space. */
  pieces: string[];
  /** Tokens of each as embedded. */
  lengths: number[];
  cutSentences: number;
}

/**
 * @param passage title and paragraph; together longer than `options.maxTokens`.
 * Pieces exceed the maximum only if the title takes more than three quarters of it: then the text still gets a quarter, and the encoder will cut.
 */
export function splitParagraph(
  passage: { title: string; text: string },
  options: Pick<ChunkOptions, "maxTokens" | "minCharacters" | "titleTemplate">,
  tokenizer: ChunkTokenizer,
): SplitParagraph {
  const { title, text } = passage;
  const measure = (pieces: readonly string[]): number[] => {
    const embedded = pieces.map((piece) => passageText({ title, text: piece }, options.titleTemplate));
    return tokenizer.encodeBatch(embedded, { specialTokens: true }).map((ids) => ids.length);
  };
  const ruler = new TokenRuler(text, tokenizer);
  const floor = Math.max(1, Math.floor(options.maxTokens / 4));
  let room = Math.max(floor, options.maxTokens - (measure([""])[0] ?? 0));
  for (;;) {
    const spans = keepMinimum(ruler, packSentences(ruler, room), room, options.minCharacters);
    const pieces = spans.map(([start, end]) => text.slice(start, end).trim()).filter((piece) => piece !== "");
    const lengths = measure(pieces);
    const excess = Math.max(...lengths) - options.maxTokens;
    if (excess <= 0 || room === floor) return { pieces, lengths, cutSentences: ruler.cutsInside(spans) };
    room = Math.max(floor, room - excess);
  }
}

/** [start, end) in UTF-16 units. Neighbouring spans touch. */
type Span = readonly [number, number];

/** Where tokens and sentences begin in a text. */
class TokenRuler {
  readonly text: string;
  readonly sentences: readonly number[];
  private readonly starts: readonly number[];

  constructor(text: string, tokenizer: ChunkTokenizer) {
    this.text = text;
    this.starts = tokenizer
      .encodeWithOffsets(text)
      .offsets.filter(([start, end]) => end > start)
      .map(([start]) => start);
    this.sentences = [
      0,
      ...splitSentences(text)
        .slice(1)
        .map(({ start }) => start),
    ].filter((start, i, all) => i === 0 || start > (all[i - 1] ?? 0));
  }

  /** Tokens that begin in the span. */
  tokens([start, end]: Span): number {
    return this.rank(end) - this.rank(start);
  }

  /** A place to cut the span after about `tokens` of its tokens: the last word start in the quarter before, else that token's start. */
  cutAfter([start, end]: Span, tokens: number): number {
    const first = this.rank(start);
    const wanted = first + tokens;
    for (let index = wanted; index > first + Math.floor(tokens * 0.75); index--) {
      const at = this.starts[index];
      if (at !== undefined && at > start && at < end && /\s/.test(this.text.slice(at - 1, at + 1))) return at;
    }
    const at = this.starts[wanted] ?? end;
    return at > start && at < end ? at : end;
  }

  /** Cuts between spans that are not at a sentence's start. */
  cutsInside(spans: readonly Span[]): number {
    const known = new Set(this.sentences);
    return spans.slice(1).filter(([start]) => !known.has(start)).length;
  }

  /** How many tokens begin before a position. */
  private rank(position: number): number {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Sentences packed into spans of at most `room` tokens, each as near to an even share of what is left as its sentences allow. */
function packSentences(ruler: TokenRuler, room: number): Span[] {
  const units = ruler.sentences.flatMap((start, i) => cutUnit(ruler, [start, ruler.sentences[i + 1] ?? ruler.text.length], room));
  const spans: Span[] = [];
  let left = ruler.tokens([0, ruler.text.length]);
  let start = 0;
  let used = 0;
  for (const unit of units) {
    const size = ruler.tokens(unit);
    const target = left === 0 ? 0 : left / Math.ceil(left / room);
    const nearer = Math.abs(used + size - target) <= Math.abs(used - target);
    if (used > 0 && (used + size > room || !nearer)) {
      spans.push([start, unit[0]]);
      left -= used;
      start = unit[0];
      used = 0;
    }
    used += size;
  }
  spans.push([start, ruler.text.length]);
  return spans;
}

/** A sentence that is longer than `room`, cut into even parts; others as they are. */
function cutUnit(ruler: TokenRuler, sentence: Span, room: number): Span[] {
  const parts: Span[] = [];
  let rest = sentence;
  for (let size = ruler.tokens(rest); size > room; size = ruler.tokens(rest)) {
    const at = ruler.cutAfter(rest, Math.max(1, Math.ceil(size / Math.ceil(size / room))));
    if (at === rest[1]) break;
    parts.push([rest[0], at]);
    rest = [at, rest[1]];
  }
  return [...parts, rest];
}

/** Joins spans under the minimum to a neighbour; where the two are too long together they are cut again in the middle. */
function keepMinimum(ruler: TokenRuler, spans: readonly Span[], room: number, minCharacters: number): Span[] {
  const kept: Span[] = [];
  for (let i = 0; i < spans.length; i++) {
    const span = spans[i] ?? [0, 0];
    const short = isShort(ruler.text.slice(span[0], span[1]).trim(), minCharacters);
    const before = kept.at(-1);
    const after = spans[i + 1];
    if (!short || (before === undefined && after === undefined)) {
      kept.push(span);
    } else if (before !== undefined) {
      kept.pop();
      kept.push(...joinOrHalve(ruler, [before[0], span[1]], room));
    } else {
      kept.push(...joinOrHalve(ruler, [span[0], after?.[1] ?? span[1]], room));
      i += 1;
    }
  }
  return kept;
}

function joinOrHalve(ruler: TokenRuler, span: Span, room: number): Span[] {
  const size = ruler.tokens(span);
  if (size <= room) return [span];
  const at = ruler.cutAfter(span, Math.ceil(size / 2));
  if (at === span[1]) return [span];
  return [
    [span[0], at],
    [at, span[1]],
  ];
}
