/**
 * Which tokens are the keywords of a text, for the keyword penalties: the tokens of its content words, weighted by how rare the words are. Stop words,
 * and the words of texts that are named (the question, when the answer's keywords are wanted), are none. English stop words only.
 * The trap: a word's tokens depend on the space before it, so a word is encoded with its space where it has one, as it stands in an answer.
 */
import type { Tokenizer } from "../text/tokenizer.js";

/** Keyword tokens with weights that add up to 1; both empty if a text has no content words. */
export interface KeywordList {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
}

/** What keywords are taken from. */
export interface KeywordSource {
  readonly text: string;
  /** Texts whose words are no keywords. */
  readonly without: readonly string[];
}

/** How rare a word is. */
export type WordWeight = (word: string) => number;

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}]+)?/gu;

/** Function words of English: they say nothing about whether an answer is right. */
const STOP_WORDS = new Set(
  (
    "a about above across after again against all almost along already also although always am among an and another any anyone anything are " +
    "around as at away back be became because become been before behind being below between both but by came can come could did do does doing " +
    "done down during each either else enough even ever every few first for from further gave get give go goes going had has have having he " +
    "her here hers herself him himself his how however i if in into is it its itself just keep last least less let like made make many may me " +
    "might mine more most much must my myself near neither never next no nor not nothing now of off often on once one only onto or other our " +
    "ours out over own per put rather said same say see several she should since so some still such take than that the their theirs them " +
    "themselves then there these they this those though through thus to together too toward two under until up upon us use used very was way " +
    "we well went were what when where whether which while who whom whose why will with within without would yes yet you your yours"
  ).split(" "),
);

/** The content words of a text with where they begin, in order, as they are written. */
export function contentWords(text: string): { word: string; start: number }[] {
  const words: { word: string; start: number }[] = [];
  for (const match of text.matchAll(WORD)) {
    if (!STOP_WORDS.has(match[0].toLowerCase())) words.push({ word: match[0], start: match.index });
  }
  return words;
}

/**
 * Inverse document frequency of words over texts, ln(1 + (N − n + ½)/(n + ½)) with n of N texts holding the word (BM25's, always above 0). A word that is
 * in no text counts as the rarest.
 */
export function inverseDocumentFrequency(texts: Iterable<string>): WordWeight {
  const holding = new Map<string, number>();
  let total = 0;
  for (const text of texts) {
    total += 1;
    for (const word of new Set(contentWords(text).map((entry) => entry.word.toLowerCase())))
      holding.set(word, (holding.get(word) ?? 0) + 1);
  }
  return (word) => {
    const n = holding.get(word.toLowerCase()) ?? 0;
    return Math.log(1 + (total - n + 0.5) / (n + 0.5));
  };
}

/**
 * Keywords of many texts: for each the tokens of its `most` weightiest content words, a word's weight shared by its tokens, normalised to 1 over the text.
 * A token of several words has their weights together.
 */
export function keywordsOf(tokenizer: Tokenizer, sources: readonly KeywordSource[], weight: WordWeight, most = 8): KeywordList[] {
  const chosen = sources.map((source) => chooseWords(source, weight, most));
  const spelt = [...new Set(chosen.flat().map((entry) => entry.spelt))];
  const encoded = tokenizer.encodeBatch(spelt, { specialTokens: false });
  const idsOf = new Map(spelt.map((text, index) => [text, encoded[index] ?? new Int32Array()]));
  return chosen.map((words) => weigh(words, idsOf));
}

interface ChosenWord {
  /** With the space before it where there is one. */
  readonly spelt: string;
  readonly weight: number;
}

function chooseWords(source: KeywordSource, weight: WordWeight, most: number): ChosenWord[] {
  const excluded = new Set(source.without.flatMap((text) => contentWords(text).map((entry) => entry.word.toLowerCase())));
  const words = new Map<string, ChosenWord>();
  for (const { word, start } of contentWords(source.text)) {
    const lower = word.toLowerCase();
    if (excluded.has(lower) || words.has(lower)) continue;
    const spaced = start === 0 || /\s/u.test(source.text[start - 1] ?? "");
    words.set(lower, { spelt: spaced ? ` ${word}` : word, weight: weight(word) });
  }
  return [...words.values()].sort((a, b) => b.weight - a.weight).slice(0, most);
}

function weigh(words: readonly ChosenWord[], idsOf: ReadonlyMap<string, Int32Array>): KeywordList {
  const weights = new Map<number, number>();
  let total = 0;
  for (const { spelt, weight } of words) {
    const ids = idsOf.get(spelt) ?? new Int32Array();
    for (const id of ids) weights.set(id, (weights.get(id) ?? 0) + weight / ids.length);
    if (ids.length > 0) total += weight;
  }
  return { ids: Int32Array.from(weights.keys()), weights: Float64Array.from(weights.values(), (weight) => weight / total) };
}
