/**
 * The smallest stretches that a window chunker moves as a whole: sentences or words; what is too long alone is cut at words, then between graphemes.
 * Units of a text touch and cover it. The trap: a grapheme is never cut, so one that is longer than the limit by itself stays too long.
 */
import { graphemeEnds } from "../text/grapheme-boundary.js";
import type { Span, TokenRuler } from "./token-ruler.js";

/** Sentences; one of more than `limit` tokens as the longest runs of its words that fit. */
export function sentenceUnits(ruler: TokenRuler, limit: number): Span[] {
  return ruler.sentences.flatMap((start, i) => {
    const sentence: Span = [start, ruler.sentences[i + 1] ?? ruler.text.length];
    return ruler.tokens(sentence) <= limit ? [sentence] : joinUpTo(ruler, wordUnits(ruler, sentence, limit), limit);
  });
}

/** Words with the white space behind them; one of more than `limit` tokens as its graphemes. */
export function wordUnits(ruler: TokenRuler, span: Span, limit: number): Span[] {
  const words = splitAt(ruler.text, span, /\S\s+/g);
  return words.flatMap((word) => (ruler.tokens(word) <= limit ? [word] : graphemeUnits(ruler.text, word)));
}

export function graphemeUnits(text: string, [start, end]: Span): Span[] {
  const ends = graphemeEnds(text, start, end);
  return ends.map((to, i): Span => [ends[i - 1] ?? start, to]);
}

/** The stretch cut behind each match of `boundary`. */
export function splitAt(text: string, [start, end]: Span, boundary: RegExp): Span[] {
  const spans: Span[] = [];
  let from = start;
  for (const { index, 0: match } of text.slice(start, end).matchAll(boundary)) {
    const to = start + index + match.length;
    if (to >= end) break;
    spans.push([from, to]);
    from = to;
  }
  if (end > from) spans.push([from, end]);
  return spans;
}

/** Neighbours joined, from the left, as long as they are within `limit` tokens together. */
function joinUpTo(ruler: TokenRuler, units: readonly Span[], limit: number): Span[] {
  const joined: Span[] = [];
  for (const unit of units) {
    const last = joined.at(-1);
    if (last !== undefined && ruler.tokens([last[0], unit[1]]) <= limit) joined[joined.length - 1] = [last[0], unit[1]];
    else joined.push(unit);
  }
  return joined;
}
