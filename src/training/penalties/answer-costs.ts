/**
 * What an answer costs that the model wrote itself: the hard count of each penalty on its tokens, and how the count's polynomial leans at those tokens. The count is what the probe reports; the slopes are
 * what straight-through.ts sends back; sequence.ts needs the counts alone. Host memory and plain numbers: answers are tens of tokens.
 *
 * Each count is a polynomial F(e_1 … e_T) of the one-hot rows e_t of the answer's tokens, and its slope at (t, v) is ∂F/∂e_t(v) there. The trap: a count may have several polynomials that agree on one-hot rows
 * and lean differently; which one is meant stands at each.
 */
import type { KeywordList } from "../keywords.js";
import { countRepeats } from "./ngram-repeat.js";
import { isOn, type PenaltyOptions } from "./penalty-options.js";
import { countCoverage } from "./keyword-coverage.js";
import { countLength, leastTokens } from "./short-answer.js";

/** An answer that was drawn, with what it is held against. */
export interface WrittenAnswer {
  /** Tokens, with the EOS that ended it; without one where it was cut at its greatest length. */
  readonly ids: Int32Array;
  /** Tokens of the gold answer, without EOS. */
  readonly gold: Int32Array;
  readonly keywords: KeywordList;
}

/** ∂F/∂e_position(token), never 0. */
export interface Slope {
  readonly position: number;
  readonly token: number;
  readonly slope: number;
}

/** A penalty as a cost of written answers. */
export interface AnswerCost {
  /** The term's name, the same in every mode. */
  readonly name: string;
  readonly weight: number;
  /** τ_p of the straight-through gradient. */
  readonly temperature: number;
  /** The hard count, ≥ 0. */
  readonly cost: (answer: WrittenAnswer) => number;
  readonly slopes: (answer: WrittenAnswer) => Slope[];
}

/** The penalties that are on. */
export function answerCosts(options: PenaltyOptions, eosId: number): AnswerCost[] {
  const { ngramRepeat: ngram, keyword, shortAnswer: short, unlikelihood: unlike } = options;
  const costs: AnswerCost[] = [];
  if (isOn(ngram)) {
    const cost = ({ ids }: WrittenAnswer): number => countRepeats(ids, ngram.n);
    costs.push({ name: "ngram_repeat", ...settings(ngram), cost, slopes: ({ ids }) => repeatSlopes(ids, ngram.n) });
  }
  if (isOn(keyword)) {
    const sign = keyword.direction === "coverage" ? -1 : 1;
    const covered = ({ ids, keywords }: WrittenAnswer): number =>
      keywords.ids.length === 0 ? (1 - sign) / 2 : countCoverage(ids, keywords.ids, keywords.weights);
    const cost = (answer: WrittenAnswer): number => (1 - sign) / 2 + sign * covered(answer);
    costs.push({
      name: `keyword_${keyword.direction}`,
      ...settings(keyword),
      cost,
      slopes: ({ ids, keywords }) => keywordSlopes(ids, keywords, sign),
    });
  }
  if (isOn(short)) {
    const missing = ({ ids, gold }: WrittenAnswer): number =>
      Math.max(0, leastTokens(short.minTokens, gold.length) - countLength(ids, eosId));
    const slopes = (answer: WrittenAnswer): Slope[] => (missing(answer) === 0 ? [] : lengthSlopes(answer.ids, eosId));
    costs.push({ name: "short_answer", ...settings(short), cost: missing, slopes });
  }
  if (isOn(unlike)) {
    const slopes = ({ ids, gold }: WrittenAnswer): Slope[] => overusedSlopes(ids, gold);
    const cost = ({ ids, gold }: WrittenAnswer): number => countOverused(ids, gold);
    costs.push({ name: "unlikelihood", ...settings(unlike), cost, slopes });
  }
  return costs;
}

function settings({ weight, temperature = 1 }: { weight: number; temperature?: number }): { weight: number; temperature: number } {
  return { weight, temperature };
}

/**
 * F = Σ_t Σ_{s<t} w_s Π_j ⟨e_{s+j}, e_{t+j}⟩, where w_s is 1 if no earlier n-gram equals the one at s, and a constant. On one-hot rows it is {@link countRepeats}: of all earlier n-grams that equal the one at t just one is
 * a first. The product form 1 − Π_s (1 − m_st) agrees there too, but leans nowhere once an n-gram stood twice before: a third mention would go unpunished.
 */
function repeatSlopes(ids: Int32Array, n: number): Slope[] {
  const slopes = new SlopeTable();
  const seen = new Set<string>();
  const starts = ids.length - n + 1;
  for (let s = 0; s < starts; s += 1) {
    const ngram = ids.slice(s, s + n).join(" ");
    if (seen.has(ngram)) continue;
    seen.add(ngram);
    for (let t = s + 1; t < starts; t += 1) addPair(slopes, ids, s, t, n);
  }
  return slopes.list();
}

/** The slopes of Π_j ⟨e_{s+j}, e_{t+j}⟩: a factor's slope is the product of the others, so at most one of them may be 0. */
function addPair(slopes: SlopeTable, ids: Int32Array, s: number, t: number, n: number): void {
  let different = -1;
  for (let j = 0; j < n; j += 1) {
    if (ids[s + j] === ids[t + j]) continue;
    if (different >= 0) return;
    different = j;
  }
  for (let j = 0; j < n; j += 1) {
    if (different >= 0 && different !== j) continue;
    slopes.add(t + j, ids[s + j] ?? 0, 1);
    slopes.add(s + j, ids[t + j] ?? 0, 1);
  }
}

/** F = ±Σ_k w_k (1 − Π_t (1 − e_t(k))), as keyword-coverage.ts has it: the sign is the direction's, and a constant is left out. */
function keywordSlopes(ids: Int32Array, { ids: keywords, weights }: KeywordList, sign: number): Slope[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const slopes = new SlopeTable();
  for (const [k, keyword] of keywords.entries()) {
    const slope = total === 0 ? 0 : (sign * (weights[k] ?? 0)) / total;
    const mentions = ids.reduce((count, id) => count + (id === keyword ? 1 : 0), 0);
    if (mentions > 1) continue;
    for (const [t, id] of ids.entries()) if (mentions === 0 || id === keyword) slopes.add(t, keyword, slope);
  }
  return slopes.list();
}

/**
 * F = m − Σ_t Π_{u≤t} (1 − e_u(EOS)) over the answer's own positions, as short-answer.ts has it; only where m is above the length. What would have come after the EOS was never drawn, so not to end there counts as one token.
 */
function lengthSlopes(ids: Int32Array, eosId: number): Slope[] {
  const length = countLength(ids, eosId);
  const slopes = new SlopeTable();
  for (let t = 0; t < ids.length; t += 1) slopes.add(t, eosId, t < length ? length - t : 1);
  return slopes.list();
}

/** Tokens that were written before, and already as often as the gold answer has them: what token unlikelihood calls a candidate, counted on the model's own text. */
export function countOverused(ids: Int32Array, gold: Int32Array): number {
  return overused(ids, gold).reduce((count, candidates, t) => count + (candidates.has(ids[t] ?? 0) ? 1 : 0), 0);
}

/** F = Σ_t Σ_{c∈C_t} e_t(c); what makes a candidate, the tokens before t, is a constant. */
function overusedSlopes(ids: Int32Array, gold: Int32Array): Slope[] {
  return overused(ids, gold).flatMap((candidates, position) => [...candidates].map((token) => ({ position, token, slope: 1 })));
}

/** C_t of each position. */
function overused(ids: Int32Array, gold: Int32Array): Set<number>[] {
  const wanted = new Map<number, number>();
  for (const id of gold) wanted.set(id, (wanted.get(id) ?? 0) + 1);
  const written = new Map<number, number>();
  const candidates = new Set<number>();
  return Array.from(ids, (id) => {
    const before = new Set(candidates);
    const times = (written.get(id) ?? 0) + 1;
    written.set(id, times);
    if (times >= Math.max(1, wanted.get(id) ?? 0)) candidates.add(id);
    return before;
  });
}

/** Slopes added up by position and token; what adds up to 0 is left out. */
class SlopeTable {
  readonly #sums = new Map<string, Slope>();

  add(position: number, token: number, slope: number): void {
    const key = `${position} ${token}`;
    this.#sums.set(key, { position, token, slope: (this.#sums.get(key)?.slope ?? 0) + slope });
  }

  list(): Slope[] {
    return [...this.#sums.values()].filter(({ slope }) => slope !== 0);
  }
}
