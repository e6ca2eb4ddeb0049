/**
 * The penalties under teacher forcing: from the flat logits at the gold answers' positions to padded answers, one distribution a temperature, and the
 * terms that are switched on. The formulas are in the penalties' own files. What the model itself writes plays no part; straight-through.ts and
 * sequence.ts look at that.
 * The trap: answers of very different lengths padded to one length would cost several times their own size, so they are padded in groups.
 *
 * Shape letters: N answer positions of all answers, V vocabulary, B answers of a group, T positions of the longest of them, K keywords.
 */
import { fromBytes, indices, type Tensor } from "../../engine/tensor.js";
import type { KeywordList } from "../keywords.js";
import type { LossTerm } from "../loss-terms.js";
import { answerDistribution, type AnswerDistribution } from "./answer-distribution.js";
import { keywordCoverage, type KeywordTensors } from "./keyword-coverage.js";
import { keywordOverlap } from "./keyword-overlap.js";
import { leastLengthForRepeat, ngramRepeat } from "./ngram-repeat.js";
import type { PenaltyOptions } from "./penalty-options.js";
import { leastTokens, shortAnswer } from "./short-answer.js";
import { unlikelihood } from "./unlikelihood.js";

export interface PenalisedAnswers {
  /** Logits of all answers' positions, one answer after the other. */
  readonly logits_NV: Tensor;
  /** Positions of each answer, EOS included; their sum is N. */
  readonly lengths: readonly number[];
  /** (N) the tokens to be predicted there. */
  readonly targets_N: Int32Array;
  /** Keywords of each answer; needed only where the keyword penalty is on. */
  readonly keywords: readonly KeywordList[];
  readonly eosId: number;
}

/**
 * The terms that are on, by name (`ngram_repeat`, `keyword_coverage` or `keyword_overlap`, `short_answer`, `unlikelihood`): sums over the answers with
 * the graph, and the number of answers, or for unlikelihood of their positions.
 */
export function teacherForcedTerms(options: PenaltyOptions, answers: PenalisedAnswers): Record<string, LossTerm> {
  const sums = new Map<string, Tensor>();
  const add = (name: string, sum: Tensor): void => {
    const before = sums.get(name);
    sums.set(name, before === undefined ? sum : before.add(sum));
  };
  for (const group of lengthGroups(answers.lengths)) {
    const distributionOf = memoByTemperature(answers, group);
    addGroup(options, answers, group, distributionOf, add);
  }
  const terms: Record<string, LossTerm> = {};
  for (const [name, weight, inactive] of activeTerms(options, answers)) {
    const sum = sums.get(name);
    const count = name === "unlikelihood" ? answers.targets_N.length : answers.lengths.length;
    if (sum !== undefined) terms[name] = { sum, count, weight, mode: "teacher_forced", ...(inactive === undefined ? {} : { inactive }) };
  }
  return terms;
}

/** Name and weight of each penalty that is on, and why it can't have a gradient on these answers if it can't. */
function activeTerms(options: PenaltyOptions, answers: PenalisedAnswers): [string, number, string | undefined][] {
  const { ngramRepeat: ngram, keyword, shortAnswer: short, unlikelihood: unlike } = options;
  const terms: [string, number, string | undefined][] = [];
  if (ngram !== undefined && ngram.weight > 0) {
    const least = leastLengthForRepeat(ngram.n);
    const long = answers.lengths.some((length) => length >= least);
    terms.push([
      "ngram_repeat",
      ngram.weight,
      long ? undefined : `no answer has the ${least} tokens that a repeated ${ngram.n}-gram needs`,
    ]);
  }
  if (keyword !== undefined && keyword.weight > 0) {
    const some = answers.keywords.some((list) => list.ids.length > 0);
    terms.push([`keyword_${keyword.direction}`, keyword.weight, some ? undefined : "no answer has keywords"]);
  }
  if (short !== undefined && short.weight > 0) terms.push(["short_answer", short.weight, undefined]);
  if (unlike !== undefined && unlike.weight > 0) terms.push(["unlikelihood", unlike.weight, undefined]);
  return terms;
}

/** Numbers of answers of similar length: at most 4, 8, 16, … positions, so that padding at most doubles a group. */
function lengthGroups(lengths: readonly number[]): number[][] {
  const groups = new Map<number, number[]>();
  for (const [answer, length] of lengths.entries()) {
    const size = Math.max(2, Math.ceil(Math.log2(length)));
    const group = groups.get(size);
    if (group === undefined) groups.set(size, [answer]);
    else group.push(answer);
  }
  return [...groups.entries()].sort(([a], [b]) => a - b).map(([, group]) => group);
}

type DistributionOf = (temperature: number | undefined) => AnswerDistribution;

function memoByTemperature(answers: PenalisedAnswers, group: readonly number[]): DistributionOf {
  const { logits_NV, lengths } = answers;
  const made = new Map<number, AnswerDistribution>();
  const own = group.map((answer) => lengths[answer] ?? 0);
  const width = Math.max(...own);
  const starts = startsOf(lengths);
  const rows = new Int32Array(group.length * width);
  for (const [b, answer] of group.entries()) {
    for (let t = 0; t < (own[b] ?? 0); t += 1) rows[b * width + t] = (starts[answer] ?? 0) + t;
  }
  let padded_BTV: Tensor | undefined;
  let lengths_B: Tensor | undefined;
  return (temperature = 1) => {
    const known = made.get(temperature);
    if (known !== undefined) return known;
    padded_BTV ??= logits_NV.indexSelect(0, indices(rows, undefined, logits_NV.device)).reshape([group.length, width, logits_NV.size(1)]);
    lengths_B ??= indices(own, undefined, logits_NV.device);
    const distribution = answerDistribution(padded_BTV, lengths_B, temperature);
    made.set(temperature, distribution);
    return distribution;
  };
}

function startsOf(lengths: readonly number[]): number[] {
  const starts: number[] = [];
  let start = 0;
  for (const length of lengths) {
    starts.push(start);
    start += length;
  }
  return starts;
}

function addGroup(
  options: PenaltyOptions,
  answers: PenalisedAnswers,
  group: readonly number[],
  distributionOf: DistributionOf,
  add: (name: string, sum: Tensor) => void,
): void {
  const { ngramRepeat: ngram, keyword, shortAnswer: short, unlikelihood: unlike } = options;
  if (ngram !== undefined && ngram.weight > 0) {
    const long = group.some((answer) => (answers.lengths[answer] ?? 0) >= leastLengthForRepeat(ngram.n));
    const distribution = distributionOf(ngram.temperature);
    add("ngram_repeat", long ? ngramRepeat(distribution, ngram.n).sum : distribution.rest_BT1.sum().mul(0));
  }
  if (keyword !== undefined && keyword.weight > 0) {
    const distribution = distributionOf(keyword.temperature);
    const lists = group.map((answer) => answers.keywords[answer] ?? { ids: new Int32Array(), weights: new Float64Array() });
    const penalty = keyword.direction === "coverage" ? keywordCoverage : keywordOverlap;
    add(`keyword_${keyword.direction}`, penalty(distribution, keywordTensors(lists, distribution.p_BTV)).sum);
  }
  if (short !== undefined && short.weight > 0) {
    const distribution = distributionOf(short.temperature);
    // The EOS is a position of the answer, but not a token of its length.
    const least = group.map((answer) => leastTokens(short.minTokens, (answers.lengths[answer] ?? 1) - 1));
    const least_B = fromBytes(Float64Array.from(least), "f64", [group.length]);
    add("short_answer", shortAnswer(distribution, answers.eosId, like(least_B, distribution.p_BTV)).sum);
  }
  if (unlike !== undefined && unlike.weight > 0) {
    const starts = startsOf(answers.lengths);
    const own = group.map((answer) =>
      answers.targets_N.subarray(starts[answer] ?? 0, (starts[answer] ?? 0) + (answers.lengths[answer] ?? 0)),
    );
    add("unlikelihood", unlikelihood(distributionOf(unlike.temperature), own).sum);
  }
}

function keywordTensors(lists: readonly KeywordList[], p_BTV: Tensor): KeywordTensors {
  const most = Math.max(1, ...lists.map((list) => list.ids.length));
  const tokens = new Int32Array(lists.length * most);
  const weights = new Float64Array(lists.length * most);
  for (const [b, list] of lists.entries()) {
    tokens.set(list.ids, b * most);
    weights.set(list.weights, b * most);
  }
  const shape = [lists.length, most];
  return { tokens_BK: indices(tokens, shape, p_BTV.device), weights_BK: like(fromBytes(weights, "f64", shape), p_BTV) };
}

/** In the dtype and on the device of another tensor. */
function like(x: Tensor, other: Tensor): Tensor {
  return x.toDevice(other.device, other.dtype);
}
