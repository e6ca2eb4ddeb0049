/**
 * Where the passages of one article begin and end: windows of sentences, windows of tokens, and recursive splitting. Only positions are decided here, by
 * the ruler's counts; chunk-windows.ts measures what comes out as it will be embedded, and asks again with less room where it is too long.
 * The trap: overlap costs room. A window always takes something new, so where overlap and the next unit don't fit together, the overlap gives way.
 */
import { isShort } from "./chunk-options.js";
import { countBelow, type Span, type TokenRuler } from "./token-ruler.js";
import { graphemeUnits, sentenceUnits, splitAt, wordUnits } from "./window-units.js";

interface WindowLimits {
  /** Tokens that a passage's text may take. */
  room: number;
  /** In the chunker's unit; undefined: as much as there is room for. */
  size: number | undefined;
  /** In the chunker's unit; what a passage repeats of the one before it, at most. */
  overlap: number;
  /** Recursive splitting: a piece with fewer characters stays with what follows it. */
  minCharacters: number;
}

/** Stretches in order, each beginning and ending behind the one before, that cover the text together. */
export type WindowPlan = (ruler: TokenRuler, limits: WindowLimits) => Span[];

/** `size` sentences a window, the last `overlap` of them again at the next window's start. */
export const sentenceWindows: WindowPlan = (ruler, { room, size = Infinity, overlap }) => {
  const units = sentenceUnits(ruler, room);
  const starts = units.map(([start]) => start);
  return packUnits(ruler, units, { room, most: size }, (before, next) => {
    const first = Math.max(countBelow(starts, before[0] + 1), countBelow(starts, before[1]) - overlap);
    return starts.slice(first).find((start) => start >= next[0] || ruler.tokens([start, next[1]]) <= room) ?? next[0];
  });
};

/** `size` tokens a window in whole words, at most the last `overlap` of them again at the next window's start. */
export const tokenWindows: WindowPlan = (ruler, { room, size, overlap }) => {
  const limit = Math.min(room, size ?? room);
  const repeated = Math.min(overlap, limit >> 1);
  const units = wordUnits(ruler, [0, ruler.text.length], limit - repeated);
  const starts = units.map(([start]) => start);
  return packUnits(ruler, units, { room: limit, most: Infinity }, (before, next) =>
    reachBack(ruler, before, repeated, (from) => starts.slice(countBelow(starts, from), countBelow(starts, next[0]))),
  );
};

/** At blank lines; what is too long at line breaks, then at sentence ends, words, graphemes. Then each reaches back by `overlap` tokens. */
export const recursiveSplit: WindowPlan = (ruler, { room, size, overlap, minCharacters }) => {
  const limit = Math.min(room, size ?? room);
  const repeated = Math.min(overlap, limit >> 1);
  const spans = splitLevel(ruler, [0, ruler.text.length], 0, limit - repeated, minCharacters);
  const words = (from: number, to: number): number[] => splitAt(ruler.text, [from, to], /\S\s+/g).map(([start]) => start);
  return spans.map(([start, end], i): Span => {
    const before = spans[i - 1];
    // Only a grapheme that can't be cut is longer than what it was given.
    if (before === undefined || repeated === 0 || ruler.tokens([start, end]) > limit - repeated) return [start, end];
    const bySentence = reachBack(ruler, before, repeated, (from) =>
      ruler.sentences.slice(countBelow(ruler.sentences, from), countBelow(ruler.sentences, start)),
    );
    if (bySentence < start) return [bySentence, end];
    const byWord = reachBack(ruler, before, repeated, (from) => words(from, start).slice(1));
    if (byWord < start) return [byWord, end];
    // One long word: its last characters.
    const single = !/\s/.test(ruler.text.slice(...before).trim());
    return [reachBack(ruler, before, repeated, () => (single ? graphemeUnits(ruler.text, before).map(([at]) => at) : []).slice(1)), end];
  });
};

/** From the left as many units a window as its limits allow, at least a new one; `back` says where the next window begins. */
function packUnits(
  ruler: TokenRuler,
  units: readonly Span[],
  { room, most }: { room: number; most: number },
  back: (before: Span, next: Span) => number,
): Span[] {
  const unitStarts = units.map(([start]) => start);
  const windows: Span[] = [];
  for (let next = 0; next < units.length;) {
    const [start = 0, end = 0] = units[next] ?? [];
    const before = windows.at(-1);
    const reached = before === undefined ? start : back(before, [start, end]);
    const from = ruler.tokens([reached, end]) <= room ? reached : start;
    const held = next - countBelow(unitStarts, from);
    let last = next;
    while (last + 1 < units.length && held + last + 1 - next < most && ruler.tokens([from, units[last + 1]?.[1] ?? 0]) <= room) last += 1;
    windows.push([from, units[last]?.[1] ?? end]);
    next = last + 1;
  }
  return windows;
}

/** The first of the candidates behind the window's start that leaves at most `tokens` of it, else its end. Candidates ascend. */
function reachBack(ruler: TokenRuler, [start, end]: Span, tokens: number, candidates: (from: number) => readonly number[]): number {
  if (tokens === 0) return end;
  return candidates(start + 1).find((at) => at < end && ruler.tokens([at, end]) <= tokens) ?? end;
}

const LEVELS: readonly ((ruler: TokenRuler, span: Span) => Span[])[] = [
  ({ text }, span) => splitAt(text, span, /\r?\n[^\S\n]*\r?\n/g),
  ({ text }, span) => splitAt(text, span, /\r?\n/g),
  ({ sentences }, [start, end]) => {
    const inside = sentences.slice(countBelow(sentences, start + 1), countBelow(sentences, end));
    return [start, ...inside].map((from, i): Span => [from, inside[i] ?? end]);
  },
  ({ text }, span) => splitAt(text, span, /\S\s+/g),
  ({ text }, span) => graphemeUnits(text, span),
];

/** Neighbours that fit together are joined; what is too long alone goes to the next level, with a short piece before it (a heading). */
function splitLevel(ruler: TokenRuler, span: Span, level: number, limit: number, minCharacters: number): Span[] {
  const cut = LEVELS[level];
  if (cut === undefined || ruler.tokens(span) <= limit) return [span];
  const done: Span[] = [];
  let open: Span | undefined;
  for (const piece of cut(ruler, span)) {
    const joined: Span = [open?.[0] ?? piece[0], piece[1]];
    if (ruler.tokens(joined) <= limit) {
      open = joined;
      continue;
    }
    const heading: boolean = open !== undefined && level < 2 && isShort(ruler.text.slice(...open).trim(), minCharacters);
    if (open !== undefined && !heading) done.push(open);
    const rest: Span = heading ? joined : piece;
    open = ruler.tokens(rest) <= limit ? rest : undefined;
    if (open === undefined) done.push(...splitLevel(ruler, rest, level + 1, limit, minCharacters));
  }
  return open === undefined ? done : [...done, open];
}
