/**
 * How good a ranking of passages is, for one question: recall@k, reciprocal rank, nDCG@k, R-precision against gold passages, and has_answer@k by text.
 * A ranking is a list of passages (row numbers or ids), best first. All scores are in [0, 1].
 * The trap: a passage found twice counts once, at its first place, and what follows moves up; else a duplicate would push a gold passage past k.
 */
import { formHasAnswer, matchForm } from "../text/token-match.js";

/** A passage's name: a row of the store or an id. Both lists of one call must use the same. */
export type PassageKey = string | number;

/**
 * 1 if any gold passage is among the k best, else 0 (top-k accuracy, Karpukhin et al. 2020). With one gold passage, as in SQuAD, it is recall.
 * @throws Error without a gold passage, or when k is no positive whole number.
 */
export function recallAt(ranking: readonly PassageKey[], gold: Iterable<PassageKey>, k: number): number {
  if (!Number.isSafeInteger(k) || k < 1) throw new Error(`recall at ${k}`);
  const rank = firstRank(ranking, gold);
  return rank !== undefined && rank <= k ? 1 : 0;
}

/**
 * 1 / the rank of the first gold passage (ranks start at 1), 0 if none was found; its mean over questions is MRR. Cut the ranking first for MRR@k.
 * @throws Error without a gold passage.
 */
export function reciprocalRank(ranking: readonly PassageKey[], gold: Iterable<PassageKey>): number {
  const rank = firstRank(ranking, gold);
  return rank === undefined ? 0 : 1 / rank;
}

/**
 * nDCG@k with a gain of 1 for a gold passage and 0 for any other: Σ 1 / log2(rank + 1) over the gold passages among the k best, divided by what the best
 * ranking would have: the gold passages first (Järvelin & Kekäläinen 2002; trec_eval's ndcg_cut). With one gold passage it is 1 / log2(rank + 1).
 * @throws Error without a gold passage, or when k is no positive whole number.
 */
export function ndcgAt(ranking: readonly PassageKey[], gold: Iterable<PassageKey>, k: number): number {
  if (!Number.isSafeInteger(k) || k < 1) throw new Error(`nDCG at ${k}`);
  const wanted = goldSet(gold);
  const best = [...new Set(ranking)].slice(0, k);
  const gain = best.reduce<number>((sum, passage, i) => sum + (wanted.has(passage) ? discount(i) : 0), 0);
  const ideal = Array.from({ length: Math.min(k, wanted.size) }, (_, i) => discount(i)).reduce((sum, value) => sum + value, 0);
  return gain / ideal;
}

/** @param place from 0 on */
function discount(place: number): number {
  return 1 / Math.log2(place + 2);
}

/**
 * Share of gold passages among the first R, R being their number (Petroni et al. 2021).
 * @throws Error without a gold passage.
 */
export function rPrecision(ranking: readonly PassageKey[], gold: Iterable<PassageKey>): number {
  const wanted = goldSet(gold);
  const found = [...new Set(ranking)].slice(0, wanted.size).filter((passage) => wanted.has(passage));
  return found.length / wanted.size;
}

/**
 * 1 if one of the texts holds one of the answers as whole tokens, else 0 (has_answer@k of DPR when given the k best texts; the
 * answer-in-context rate when given what the prompt shows).
 */
export function hasAnswerIn(texts: readonly string[], answers: readonly string[]): number {
  const forms = answers.map(matchForm);
  return texts.some((text) => formHasAnswer(matchForm(text), forms)) ? 1 : 0;
}

function firstRank(ranking: readonly PassageKey[], gold: Iterable<PassageKey>): number | undefined {
  const wanted = goldSet(gold);
  const place = [...new Set(ranking)].findIndex((passage) => wanted.has(passage));
  return place < 0 ? undefined : place + 1;
}

function goldSet(gold: Iterable<PassageKey>): ReadonlySet<PassageKey> {
  const wanted = new Set(gold);
  if (wanted.size === 0) throw new Error("a question without a gold passage has no recall");
  return wanted;
}
