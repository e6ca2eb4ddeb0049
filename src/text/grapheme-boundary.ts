/**
 * Whether a text may be cut at a position without cutting what a reader sees as one character: a surrogate pair, a letter with its accents, an
 * emoji of several parts, a line break of two. By Unicode's extended grapheme clusters (UAX #29), as the runtime knows them.
 * The trap: every segment that `Intl.Segmenter` hands out copies its whole input, so it is given short stretches only, from a certain boundary on.
 */

const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });

/** What the segmenter sees at a time. */
const STRETCH = 256;
/** How far back a certain boundary is looked for: a longer run of joined marks isn't writing. */
const FURTHEST_BACK = 4096;

/** The start of the grapheme that `position` lies in: `position` itself where the text may be cut. */
export function graphemeStart(text: string, position: number): number {
  return graphemeAt(text, position)[0];
}

/** The first place at or after `position` where the text may be cut. */
export function graphemeEnd(text: string, position: number): number {
  const [start, end] = graphemeAt(text, position);
  return start === position ? position : end;
}

/** The ends of all graphemes of a stretch that begins at a grapheme, ascending; the last is `end`. */
export function graphemeEnds(text: string, start: number, end: number): number[] {
  const ends: number[] = [];
  let size = STRETCH;
  for (let from = start; from < end;) {
    let to = Math.min(end, from + size);
    // Half a character is a grapheme to the segmenter, and the one before it would be taken for whole.
    if (to < end && isHighSurrogate(text.charCodeAt(to - 1))) to += 1;
    const found = Array.from(segmenter.segment(text.slice(from, to)), ({ segment }) => segment.length);
    // The last one may go on behind the stretch.
    if (to < end) found.pop();
    size = found.length === 0 ? size * 2 : STRETCH;
    for (const length of found) ends.push((from += length));
  }
  return ends;
}

/** Start and end of the grapheme that holds `position`; both are `position` where that is a boundary beyond doubt. */
function graphemeAt(text: string, position: number): [number, number] {
  if (isCertain(text, position)) return [position, position];
  let from = position - 1;
  while (!isCertain(text, from) && position - from < FURTHEST_BACK) from -= 1;
  let start = from;
  for (let size = STRETCH; ; size *= 2) {
    const furthest = Math.min(text.length, position + size);
    for (const end of graphemeEnds(text, from, furthest)) {
      if (end > position && (end < furthest || end === text.length)) return [start, end];
      if (end <= position) start = end;
    }
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isCertain(text: string, position: number): boolean {
  if (position <= 0 || position >= text.length) return true;
  const left = text.charCodeAt(position - 1);
  const right = text.charCodeAt(position);
  return standsAlone(left) && standsAlone(right) && !(left === 13 && right === 10);
}

/** Letters and marks of western scripts, kana and Chinese characters: none of them joins a neighbour of its kind. */
function standsAlone(unit: number): boolean {
  return unit < 0x300 || (unit >= 0x3040 && unit <= 0x9fff && unit !== 0x3099 && unit !== 0x309a);
}
