/**
 * Cuts over-long paragraphs into pieces that fit the encoder: at sentence ends, and inside a sentence only where it alone is too long, then at
 * a word and at last at a token. Pieces are balanced, so that no cut leaves a stump. The trap: tokens of a piece aren't always the tokens
 * of the paragraph (byte-level BPE ties a space to the word after it), so each piece is counted again as it will be embedded.
 */
import { isShort } from "./chunk-options.js";
import type { ChunkOptions, ChunkTokenizer } from "./chunk-options.js";
import { passageText } from "./passage.js";
import { TokenRuler, trimmedSpan } from "./token-ruler.js";
import type { Span } from "./token-ruler.js";

export interface SplitParagraph {
  /** In order; together all characters but white space. */
  pieces: string[];
  /** Where each stands in the paragraph, UTF-16 units. */
  spans: Span[];
  /** Tokens of each as embedded. */
  lengths: number[];
  /** Cuts that are not at a sentence's start. */
  cutSentences: number;
}

/** A paragraph while it is being cut: `room` is what the text of a piece may take of the maximum. */
interface Work {
  readonly title: string;
  readonly ruler: TokenRuler;
  room: number;
  result: SplitParagraph;
  settled: boolean;
}

/**
 * The pieces of each passage, whose title and paragraph together are longer than `options.maxTokens`. All passages are measured together: a call of the
 * tokenizer costs more than a paragraph.
 * Pieces exceed the maximum only if the title takes more than three quarters of it: then the text still gets a quarter, and the encoder will cut.
 */
export async function splitParagraphs(
  passages: readonly { title: string; text: string }[],
  options: Pick<ChunkOptions, "maxTokens" | "minCharacters" | "titleTemplate">,
  tokenizer: ChunkTokenizer,
): Promise<SplitParagraph[]> {
  const measure = async (texts: readonly { title: string; text: string }[]): Promise<number[]> => {
    const embedded = texts.map((passage) => passageText(passage, options.titleTemplate));
    return (await tokenizer.encodeBatchAsync(embedded, { specialTokens: true })).map((ids) => ids.length);
  };
  const floor = Math.max(1, Math.floor(options.maxTokens / 4));
  const rulers = await TokenRuler.of(
    passages.map(({ text }) => text),
    tokenizer,
  );
  const overheads = await measure(passages.map(({ title }) => ({ title, text: "" })));
  const works = rulers.map((ruler, i): Work => {
    const room = Math.max(floor, options.maxTokens - (overheads[i] ?? 0));
    return {
      title: passages[i]?.title ?? "",
      ruler,
      room,
      result: { pieces: [], spans: [], lengths: [], cutSentences: 0 },
      settled: false,
    };
  });
  for (let open = works; open.length > 0; open = open.filter(({ settled }) => !settled)) {
    for (const work of open) work.result = cut(work, options.minCharacters);
    const lengths = await measure(open.flatMap(({ title, result }) => result.pieces.map((text) => ({ title, text }))));
    let next = 0;
    for (const work of open) {
      work.result.lengths = lengths.slice(next, (next += work.result.pieces.length));
      const excess = Math.max(...work.result.lengths) - options.maxTokens;
      work.settled = excess <= 0 || work.room === floor;
      work.room = Math.max(floor, work.room - excess);
    }
  }
  return works.map(({ result }) => result);
}

function cut({ ruler, room }: Work, minCharacters: number): SplitParagraph {
  const spans = keepMinimum(ruler, packSentences(ruler, room), room, minCharacters);
  const trimmed = spans.map((span) => trimmedSpan(ruler.text, span)).filter(([start, end]) => end > start);
  const pieces = trimmed.map((span) => ruler.text.slice(...span));
  return { pieces, spans: trimmed, lengths: [], cutSentences: ruler.cutsInside(spans) };
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
