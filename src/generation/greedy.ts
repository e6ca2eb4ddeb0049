/**
 * Greedy decoding of many prompts at once with a KV cache. No sampling and no beams. Prompts are grouped by length and padded on the left, so that every row's next token stands in
 * the last column; rows that have ended leave the batch. The trap: a prompt's own tokens are never part of the result, so nothing has to be cut out of an answer.
 *
 * B rows, T tokens, V vocabulary.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, indices, toInt32Array, type Tensor } from "../engine/tensor.js";
import { KvCache, type Gpt2 } from "../nn/gpt2.js";

export interface GreedyOptions {
  readonly maxNewTokens: number;
  /** Ends an answer; it isn't part of the result. */
  readonly eosId: number;
  /** Prompts decoded at once. Default 64. */
  readonly batch?: number;
  readonly progress?: (done: number, total: number) => void;
}

/** Where the model's weights lie: prompts go there. */
function deviceOf(model: Gpt2): string {
  return model.parameters.values().next().value?.device ?? "cpu";
}

/** Rows that have ended leave once they are this share of the batch: leaving copies the cache. */
const ENDED_SHARE = 0.25;

/**
 * argmax of the logits, token after token, until `eosId` or `maxNewTokens`. The new tokens of each prompt, in the prompts' order.
 *
 * @throws RangeError when a prompt and its answer don't fit the model's positions, or the batch or the number of new tokens is no positive whole number
 */
export async function decodeGreedy(model: Gpt2, prompts: readonly Int32Array[], options: GreedyOptions): Promise<Int32Array[]> {
  const { maxNewTokens, batch: size = 64 } = options;
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`greedy decoding: batch must be a positive whole number, got ${size}`);
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1)
    throw new RangeError(`greedy decoding: maxNewTokens must be a positive whole number, got ${maxNewTokens}`);
  const answers = prompts.map(() => new Int32Array());
  const order = prompts.map((_, i) => i).sort((a, b) => lengthOf(prompts, a) - lengthOf(prompts, b) || a - b);
  for (let start = 0; start < order.length; start += size) {
    const chosen = order.slice(start, start + size);
    const decoded = decodeBatch(
      model,
      chosen.map((i) => prompts[i] ?? new Int32Array()),
      options,
    );
    chosen.forEach((i, row) => (answers[i] = Int32Array.from(decoded[row] ?? [])));
    options.progress?.(Math.min(start + size, order.length), order.length);
    await yieldToEvents();
  }
  return answers;
}

function lengthOf(prompts: readonly Int32Array[], i: number): number {
  return prompts[i]?.length ?? 0;
}

function decodeBatch(model: Gpt2, prompts: readonly Int32Array[], options: GreedyOptions): number[][] {
  const answers: number[][] = prompts.map(() => []);
  const width = Math.max(...prompts.map((prompt) => prompt.length));
  const device = deviceOf(model);
  const cache = new KvCache(width + options.maxNewTokens);
  try {
    let live = prompts.map((_, row) => row);
    let next = step(model, cache, leftPadded(prompts, width), width, device);
    for (let made = 1; ; made++) {
      const running: number[] = [];
      live.forEach((row, place) => {
        const token = next[place] ?? options.eosId;
        // A row that has ended but not yet left goes on being fed its end token; what it says is not listened to.
        if (row === -1 || token === options.eosId) live[place] = -1;
        else {
          answers[row]?.push(token);
          running.push(place);
        }
      });
      if (running.length === 0 || made === options.maxNewTokens) return answers;
      if (running.length <= live.length * (1 - ENDED_SHARE)) {
        scope(() => cache.selectRows(indices(running, undefined, device)));
        live = running.map((place) => live[place] ?? -1);
        next = Int32Array.from(running, (place) => next[place] ?? options.eosId);
      }
      next = step(model, cache, { ids: next, mask: undefined }, 1, device);
    }
  } finally {
    cache.dispose();
  }
}

interface PaddedRows {
  readonly ids: Int32Array;
  readonly mask: Uint8Array | undefined;
}

/** Prompts as (B, T) with id 0 before the shorter ones; no mask when all have one length. */
function leftPadded(prompts: readonly Int32Array[], width: number): PaddedRows {
  const ids = new Int32Array(prompts.length * width);
  const mask = new Uint8Array(prompts.length * width);
  prompts.forEach((prompt, row) => {
    const start = row * width + width - prompt.length;
    ids.set(prompt, start);
    mask.fill(1, start, start + prompt.length);
  });
  return { ids, mask: mask.includes(0) ? mask : undefined };
}

/** Feeds `width` tokens of each row and returns the most likely next token of each. */
function step(model: Gpt2, cache: KvCache, rows: PaddedRows, width: number, device: string): Int32Array {
  return scope(() =>
    noGrad(() => {
      const batch = rows.ids.length / width;
      const ids_BT = indices(rows.ids, [batch, width], device);
      const mask_BT = rows.mask === undefined ? {} : { mask: onDevice(fromBytes(rows.mask, "u8", [batch, width]), device) };
      const hidden_BTE = model.forward({ ids_BT, past: cache, ...mask_BT });
      const logits_BV = model.logits(hidden_BTE.select(1, width - 1));
      return toInt32Array(logits_BV.argmax(1));
    }),
  );
}

function onDevice(tensor: Tensor, device: string): Tensor {
  return device === "cpu" ? tensor : tensor.toDevice(device, tensor.dtype);
}
