/**
 * Beam search: the continuations with the highest sum of log probabilities, by length. Equal to transformers' (5.23) `_beam_search` in scores, order, ties and the moment it stops, for every
 * prompt by itself: a prompt that is done leaves the batch, and what its neighbours do changes nothing. It doesn't sample. The trap: beams of one prompt change places after every token, and the
 * cache, the penalties and the tokens must all follow.
 *
 * P prompts, N beams, B = P·N rows, K = 2N candidates, V vocabulary. Sums are f32, rounded as the reference rounds them, so that ties fall alike.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, toFloat32Array, toInt32Array, type Tensor } from "../engine/tensor.js";
import type { Gpt2 } from "../nn/gpt2.js";
import { DecodingBatch, inBatches, longest, type BatchOptions } from "./decoding-batch.js";
import { LogitsProcessors } from "./logits-processors.js";
import { requireNewTokens, type EndOptions } from "./token-by-token.js";

export interface BeamOptions extends EndOptions, BatchOptions {
  readonly beams: number;
  /** The best so many of the beams. Default 1. */
  readonly answers?: number;
  /** A finished answer's score is its sum of log probabilities divided by length^penalty; above 0 favours long answers, below short ones. Default 1. */
  readonly lengthPenalty?: number;
  /**
   * When a prompt is done. true: as soon as there are as many finished answers as beams. false: when the best running beam, scored at its present length, can't beat the worst finished one.
   * "never": when it couldn't at its best possible length. Default false.
   */
  readonly earlyStopping?: boolean | "never";
  /** Rows decoded at once, beams counted. Default 64. */
  readonly batch?: number;
}

/** Below every sum of log probabilities: what may not be chosen. */
const NEVER = -1e9;

interface Hypothesis {
  readonly tokens: readonly number[];
  readonly score: number;
}

/** The search for one prompt. */
interface Search {
  readonly prompt: number;
  /** N beams, best first. */
  running: readonly Hypothesis[];
  /** N answers, best first; those that aren't `isDone` are places that nothing has taken yet. */
  finished: readonly (Hypothesis & { readonly isDone: boolean })[];
  canImprove: boolean;
}

/** A beam and the token after it. */
interface Candidate extends Hypothesis {
  readonly beam: number;
  readonly token: number;
  readonly ends: boolean;
}

/**
 * New tokens of each prompt's `answers` best answers, `[prompt][answer]`, best first. Their scores are processed log probabilities: log softmax first, then the processors of
 * logits-processors.ts, as transformers has them.
 *
 * @throws RangeError when a prompt and its answer don't fit the model's positions, or an option isn't in its range
 */
export async function decodeBeams(model: Gpt2, prompts: readonly Int32Array[], options: BeamOptions): Promise<Int32Array[][]> {
  const { beams, answers = 1, batch = 64 } = options;
  requireNewTokens(options.maxNewTokens);
  if (!Number.isSafeInteger(beams) || beams < 1) throw new RangeError(`beam search: beams must be a positive whole number, got ${beams}`);
  if (!Number.isSafeInteger(answers) || answers < 1 || answers > beams)
    throw new RangeError(`beam search: answers must be between 1 and ${beams}, the beams, got ${answers}`);
  if (2 * beams > beams * model.config.vocabSize) throw new RangeError(`beam search: ${beams} beams need a vocabulary of two or more`);
  return inBatches(
    prompts,
    Math.max(1, Math.floor(batch / beams)),
    (chosen) =>
      search(model, chosen, options).map(({ finished }) =>
        finished.slice(0, answers).map(({ tokens }) => Int32Array.from(tokens.at(-1) === options.eosId ? tokens.slice(0, -1) : tokens)),
      ),
    options,
  );
}

function search(model: Gpt2, prompts: readonly Int32Array[], options: BeamOptions): Search[] {
  const { beams, maxNewTokens } = options;
  const batch = new DecodingBatch(model, longest(prompts) + maxNewTokens);
  const processors = new LogitsProcessors(options, prompts, model.config.vocabSize, batch.device);
  const all = prompts.map((_, prompt) => newSearch(prompt, beams));
  try {
    // Prompts are read once; their beams are copies.
    const copies = all.flatMap(({ prompt }) => Array.from({ length: beams }, () => prompt));
    processors.select(copies);
    let open = all;
    let best = scope(() =>
      noGrad(() => {
        const logits_PV = batch.start(prompts);
        batch.select(copies);
        const size = logits_PV.size(1);
        const logits_BV = logits_PV.unsqueeze(1).expand([prompts.length, beams, size]).reshape([-1, size]);
        return bestContinuations(processors, logits_BV, open);
      }),
    );
    for (let made = 1; ; made++) {
      const candidates = open.map((own, place) => candidatesOf(own, best[place] ?? [], made, options));
      const rows = advance(open, candidates, made, options);
      const kept = open.flatMap((own, place) => (isDone(own, candidates[place] ?? [], options) ? [] : [place]));
      if (kept.length === 0) return all;
      follow(batch, processors, rows, kept, open.length, beams);
      open = kept.flatMap((place) => open[place] ?? []);
      const fed = open.flatMap(({ running }) => running.map(({ tokens }) => tokens.at(-1) ?? 0));
      processors.append(fed);
      const asked = open;
      best = scope(() => noGrad(() => bestContinuations(processors, batch.next(fed), asked)));
    }
  } finally {
    batch.dispose();
    processors.dispose();
  }
}

/** Only the first beam counts at the start, so that the beams don't all begin alike. */
function newSearch(prompt: number, beams: number): Search {
  const empty = Array.from({ length: beams }, (_, beam) => ({ tokens: [], score: beam === 0 ? 0 : NEVER }));
  return { prompt, running: empty, finished: empty.map(() => ({ tokens: [], score: NEVER, isDone: false })), canImprove: true };
}

type Continuation = Pick<Candidate, "beam" | "token" | "score">;

/** The K best of the N·V continuations of each prompt, best first. */
function bestContinuations(processors: LogitsProcessors, logits_BV: Tensor, open: readonly Search[]): Continuation[][] {
  const vocabulary = logits_BV.size(1);
  const beams = open[0]?.running.length ?? 0;
  const before = Float32Array.from(open.flatMap(({ running }) => running.map(({ score }) => score)));
  const before_B1 = f32Rows(before, before.length, logits_BV.device);
  const sums_BV = processors.process(logits_BV.logSoftmax(1)).add(before_B1);
  const [scores_PK, places_PK] = sums_BV.reshape([open.length, beams * vocabulary]).topk(2 * beams);
  const [scores, places] = [toFloat32Array(scores_PK), toInt32Array(places_PK)];
  return open.map((_, prompt) =>
    Array.from({ length: 2 * beams }, (__, rank) => {
      const at = prompt * 2 * beams + rank;
      const place = places[at] ?? 0;
      return { beam: Math.floor(place / vocabulary), token: place % vocabulary, score: scores[at] ?? NEVER };
    }),
  );
}

function candidatesOf(own: Search, best: readonly Continuation[], made: number, { eosId, ends, maxNewTokens }: BeamOptions): Candidate[] {
  return best.map(({ beam, token, score }) => {
    const tokens = [...(own.running[beam]?.tokens ?? []), token];
    return { beam, token, score, tokens, ends: token === eosId || made === maxNewTokens || (ends?.(tokens) ?? false) };
  });
}

/** Chooses the running beams and the finished answers of every prompt. The row (of B) that each new beam comes from. */
function advance(open: readonly Search[], candidates: readonly (readonly Candidate[])[], made: number, options: BeamOptions): number[] {
  const { beams, lengthPenalty = 1, earlyStopping = false } = options;
  const going = candidates.map((own) => own.map(({ score, ends }) => Math.fround(score + (ends ? NEVER : 0))));
  const merged = open.map((own, place) => {
    const isFull = earlyStopping === true && own.finished.every((answer) => answer.isDone);
    const scores = (candidates[place] ?? []).map(({ score, ends }, rank) => {
      const byLength = Math.fround(score / Math.fround(made ** lengthPenalty));
      // Added one after the other, as the reference does: sums of f32 depend on their order.
      return [isFull, !own.canImprove, !(ends && rank < beams)].reduce((sum, never) => Math.fround(sum + (never ? NEVER : 0)), byLength);
    });
    return [...own.finished.map(({ score }) => score), ...scores];
  });
  const [goingBest, mergedBest] = [bestOf(going, beams), bestOf(merged, beams)];
  return open.flatMap((own, place) => {
    const offered = candidates[place] ?? [];
    const answers = [...own.finished, ...offered.map(({ tokens, ends }, rank) => ({ tokens, score: 0, isDone: ends && rank < beams }))];
    own.finished = (mergedBest[place] ?? []).flatMap((at) => {
      const answer = answers[at];
      return answer === undefined ? [] : [{ ...answer, score: merged[place]?.[at] ?? NEVER }];
    });
    const chosen = (goingBest[place] ?? []).flatMap((at) => offered[at] ?? []);
    own.running = (goingBest[place] ?? []).map((at) => ({ tokens: offered[at]?.tokens ?? [], score: going[place]?.[at] ?? NEVER }));
    own.canImprove &&= mayImprove(own, made, options);
    return chosen.map(({ beam }) => place * beams + beam);
  });
}

/** Whether the best running beam may still beat a finished answer. */
function mayImprove({ running, finished }: Search, made: number, options: BeamOptions): boolean {
  const { lengthPenalty = 1, earlyStopping = false, maxNewTokens } = options;
  const length = earlyStopping === "never" && lengthPenalty > 0 ? maxNewTokens : made;
  const possible = Math.fround((running[0]?.score ?? NEVER) / Math.fround(length ** lengthPenalty));
  const worst = Math.min(...finished.map(({ score }) => score));
  return finished.some((answer) => possible > (answer.isDone ? worst : NEVER));
}

function isDone({ canImprove, finished }: Search, candidates: readonly Candidate[], { earlyStopping = false }: BeamOptions): boolean {
  const isFull = earlyStopping === true && finished.every((answer) => answer.isDone);
  return !canImprove || isFull || candidates.every(({ ends }) => ends);
}

/** The cache and the penalties go along with the beams; prompts that are done leave. */
function follow(
  batch: DecodingBatch,
  processors: LogitsProcessors,
  rows: readonly number[],
  kept: readonly number[],
  prompts: number,
  beams: number,
): void {
  const sources = kept.flatMap((place) => rows.slice(place * beams, (place + 1) * beams));
  if (kept.length === prompts && sources.every((source, row) => source === row)) return;
  batch.select(sources);
  processors.select(sources);
}

/** The places of the `k` best of each row, best first. By the engine's topk, whose order among equals is the reference's. */
function bestOf(rows: readonly (readonly number[])[], k: number): number[][] {
  const places = scope(() => toInt32Array(f32Rows(Float32Array.from(rows.flat()), rows.length, "cpu").topk(k)[1]));
  return rows.map((_, row) => Array.from(places.slice(row * k, (row + 1) * k)));
}

function f32Rows(values: Float32Array, rows: number, device: string): Tensor {
  const made = fromBytes(values, "f32", [rows, values.length / rows]);
  return device === "cpu" ? made : made.toDevice(device, "f32");
}
