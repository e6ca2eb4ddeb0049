/**
 * Where the sentences of a text lie: by rule, for prose in European languages, Chinese and Japanese. It isn't a parser: it errs on the side
 * of too long a sentence.
 * The traps: "Dr. Smith", "J. R. R. Tolkien", "3.14", "U.S. troops" and "e.g. this" hold full stops that end nothing; a quotation
 * mark or bracket behind the full stop belongs to the sentence. The order of the text is kept and nothing but white space lies between
 * two sentences.
 */

/** A stretch of a text, UTF-16 units: `text.slice(start, end)`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Ends of lines, and marks with what closes behind them. A western mark needs white space (or the end) after it, an east Asian one doesn't. A run of marks is tried once. */
const CANDIDATE = /\n|(?<![.!?…])[.!?…]+["'”’»)\]]*(?=\s|$)|[。！？]+["'”’」』）)\]]*/gu;

/** Before a name or a word that goes on: never the end of a sentence. */
const TITLES = words(`
  dr mr mrs ms mx prof rev hon fr sr sra st ste mt ft gen col lt maj capt cpt cmdr adm sgt cpl gov sen rep pres messrs mme mlle hr frau
  vs cf viz al ca approx est esp incl resp e.g i.e z.b d.h u.a usw bzw dept univ assn bros vol vols ed eds trans
`);
/** Before a number only: "No. 5" goes on, "He said no." ends. */
const BEFORE_NUMBER = words("no nos nr art fig figs sec ch chap pp p vol pt jan feb mar apr jun jul aug sep sept oct nov dec c b d");
/** Words that seldom follow an abbreviation inside a sentence, so that "in the U.S. The war" ends at U.S. */
const STARTERS = words(
  "the a an this that these those it its he she his her they their we our i in on at after before when while however although but and as for since there",
);

/** Sentences of `text` in order, without the white space around them; a line's end always ends one. */
export function splitSentences(text: string): Span[] {
  const spans: Span[] = [];
  let start = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const end = match.index + match[0].length;
    if (!endsSentence(text, start, match.index, end)) continue;
    addTrimmed(spans, text, start, end);
    start = end;
  }
  addTrimmed(spans, text, start, text.length);
  return spans;
}

/** Whether the mark from `mark` to `end` ends the sentence that began at `start`. */
function endsSentence(text: string, start: number, mark: number, end: number): boolean {
  const first = text[mark];
  if (first === "\n") return true;
  const next = /^\s*["'“‘«([¿¡]*(\S[\p{L}\p{N}\p{M}'’-]*)?/u.exec(text.slice(end, end + 80))?.[1] ?? "";
  if (next === "") return true;
  // "he asked? and left", "etc. and so on": a small letter goes on.
  if (/^\p{Ll}/u.test(next)) return /[。！？]/u.test(first ?? "");
  const single = end === mark + 1 && first === ".";
  return !single || !abbreviates(text.slice(Math.max(start, mark - 40), mark), next);
}

/** Whether the full stop behind `before` belongs to its last word, given the word that follows. */
function abbreviates(before: string, next: string): boolean {
  const word = /[\p{L}\p{N}.]+$/u.exec(before)?.[0] ?? "";
  const lower = word.toLowerCase();
  if (TITLES.has(lower)) return true;
  if (BEFORE_NUMBER.has(lower) && /^\p{N}/u.test(next)) return true;
  const startsSentence = STARTERS.has(next.toLowerCase());
  if (/^\p{L}(\.\p{L})+$/u.test(word)) return !startsSentence; // U.S, p.m
  // An initial: "J. Smith" goes on; "Vitamin C. The" and "World War I. He" end.
  return /^\p{Lu}$/u.test(word) && !startsSentence;
}

function addTrimmed(spans: Span[], text: string, start: number, end: number): void {
  const piece = text.slice(start, end);
  const trimmed = piece.trim();
  if (trimmed === "") return;
  const from = start + piece.indexOf(trimmed);
  spans.push({ start: from, end: from + trimmed.length });
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/));
}
