/**
 * The loop of greedy decoding and of sampling: feed, choose one token a row, until a row ends. Rows that have ended leave the batch. It doesn't choose; it is given the choice. The trap: a
 * prompt's own tokens are never part of the result, so nothing has to be cut out of an answer.
 *
 * B rows, V vocabulary.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import { DecodingBatch, longest, type DecodedModel } from "./decoding-batch.js";
import { LogitsProcessors, type ProcessorOptions } from "./logits-processors.js";

export interface EndOptions extends ProcessorOptions {
  readonly maxNewTokens: number;
  /** Ends an answer; it isn't part of the result. */
  readonly eosId: number;
  /** Ends an answer after the tokens that are its arguments; they are part of the result. */
  readonly ends?: ((newTokens: readonly number[]) => boolean) | undefined;
}

/** Which answer a row of the logits belongs to. */
interface ChosenRow {
  /** The prompt's place in the batch. */
  readonly prompt: number;
  /** Of several answers to the prompt, from 0. */
  readonly answer: number;
  /** New tokens before this one. */
  readonly position: number;
}

/** A token for each row of processed logits (B,V). */
export type Choice = (logits_BV: Tensor, rows: readonly ChosenRow[]) => Int32Array;

/** Rows that have ended leave once they are this share of the batch: leaving copies the cache. */
const ENDED_SHARE = 0.25;

/** A row of the batch. */
interface Row {
  readonly prompt: number;
  readonly answer: number;
  readonly tokens: number[];
  /** Goes on being fed its end token until it leaves; what it says is not listened to. */
  ended: boolean;
}

/**
 * New tokens of each prompt's answers: `[prompt][answer]`.
 *
 * @param answers how many to each prompt; each is chosen for itself
 * @throws RangeError when a prompt and its answer don't fit the model's positions, or `maxNewTokens` is no positive whole number
 */
export function decodeTokenByToken(
  model: DecodedModel,
  prompts: readonly Int32Array[],
  answers: number,
  options: EndOptions,
  choose: Choice,
): number[][][] {
  requireNewTokens(options.maxNewTokens);
  const batch = new DecodingBatch(model, longest(prompts) + options.maxNewTokens);
  const processors = new LogitsProcessors(options, prompts, model.config.vocabSize, batch.device);
  const all = prompts.flatMap((_, prompt) => Array.from({ length: answers }, (__, answer) => newRow(prompt, answer)));
  try {
    let rows = all;
    let next = scope(() => noGrad(() => chosen(repeated(batch.start(prompts), prompts.length, answers, batch, processors), rows)));
    for (let made = 1; ; made++) {
      rows.forEach((row, place) => {
        take(row, next[place] ?? options.eosId, options);
      });
      const running = rows.flatMap((row, place) => (row.ended ? [] : [place]));
      if (running.length === 0 || made === options.maxNewTokens) return byPrompt(all, prompts.length);
      processors.append(next);
      if (running.length <= rows.length * (1 - ENDED_SHARE)) {
        batch.select(running);
        processors.select(running);
        rows = running.flatMap((place) => rows[place] ?? []);
        next = Int32Array.from(running, (place) => next[place] ?? options.eosId);
      }
      const fed = next;
      next = scope(() => noGrad(() => chosen(batch.next(fed), rows)));
    }
  } finally {
    batch.dispose();
    processors.dispose();
  }

  function chosen(logits_BV: Tensor, rows: readonly Row[]): Int32Array {
    return choose(
      processors.process(logits_BV),
      rows.map(({ prompt, answer, tokens }) => ({ prompt, answer, position: tokens.length })),
    );
  }
}

/** @throws RangeError unless it is a positive whole number */
export function requireNewTokens(maxNewTokens: number): void {
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1)
    throw new RangeError(`decoding: maxNewTokens must be a positive whole number, got ${maxNewTokens}`);
}

function newRow(prompt: number, answer: number): Row {
  return { prompt, answer, tokens: [], ended: false };
}

/** Several answers to a prompt read it once: the cache's row and the logits are copied. */
function repeated(logits_BV: Tensor, prompts: number, answers: number, batch: DecodingBatch, processors: LogitsProcessors): Tensor {
  if (answers === 1) return logits_BV;
  const rows = Array.from({ length: prompts * answers }, (_, row) => Math.floor(row / answers));
  batch.select(rows);
  processors.select(rows);
  return logits_BV
    .unsqueeze(1)
    .expand([prompts, answers, logits_BV.size(1)])
    .reshape([prompts * answers, logits_BV.size(1)]);
}

function take(row: Row, token: number, { eosId, ends }: EndOptions): void {
  if (row.ended) return;
  if (token === eosId) {
    row.ended = true;
    return;
  }
  row.tokens.push(token);
  row.ended = ends?.(row.tokens) ?? false;
}

function byPrompt(rows: readonly Row[], prompts: number): number[][][] {
  const answers = Array.from({ length: prompts }, (): number[][] => []);
  for (const { prompt, tokens } of rows) answers[prompt]?.push(tokens);
  return answers;
}
