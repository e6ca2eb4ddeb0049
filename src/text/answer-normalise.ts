/**
 * An answer as SQuAD compares it: lower-cased, without punctuation and articles, white space folded. For comparing answers only; the text of
 * an answer that is shown or trained on is never normalised.
 * The traps: JavaScript's `\b` and `\w` know ASCII alone ("thé" would lose its "th"), and its `\s` isn't Python's white space. Only the 32
 * ASCII marks of Python's `string.punctuation` go: a typographic apostrophe stays.
 */

const PUNCTUATION = /[!-/:-@[-`{-~]/g;
/** Whole words: the neighbours are neither letters, digits nor underscores (Python's `\b`; combining marks don't count as letters there). */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
/** What Python's `str.split()` splits at. */
// eslint-disable-next-line no-control-regex -- Python counts the four separators 1c to 1f as white space
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/**
 * SQuAD v1.1's `normalize_answer` (Rajpurkar et al. 2016, evaluate-v1.1.py), which the readers of DPR, KILT and Natural Questions use too.
 * May be empty: "The" is.
 */
export function normaliseAnswer(text: string): string {
  return answerTokens(text).join(" ");
}

/** The words of the normalised answer; F1 counts them. */
export function answerTokens(text: string): string[] {
  const bare = text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLES, " ");
  return bare.split(WHITE_SPACE).filter((word) => word !== "");
}
