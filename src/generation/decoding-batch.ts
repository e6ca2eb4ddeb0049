/**
 * Prompts that are being continued together: the KV cache, and what keeps rows of different lengths in step. Prompts are padded on the left, so that every row's next token stands in
 * the last column. It chooses no token; greedy.ts, sampling.ts and beam-search.ts do. The trap: the cache's tensors belong to no scope; call `dispose`.
 *
 * B rows, T tokens, V vocabulary.
 */
import { span } from "../engine/profiler.js";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { fromBytes, indices, type Tensor } from "../engine/tensor.js";
import { KvCache, type Gpt2 } from "../nn/gpt2.js";

/** What decoding needs of a model. */
export type DecodedModel = Pick<Gpt2, "parameters" | "config" | "forward" | "logits">;

export class DecodingBatch {
  /** Where the model's weights lie: prompts go there. */
  readonly device: string;
  readonly #model: DecodedModel;
  readonly #cache: KvCache;

  /** @param capacity the longest prompt and its answer together */
  constructor(model: DecodedModel, capacity: number) {
    this.device = model.parameters.values().next().value?.device ?? "cpu";
    this.#model = model;
    this.#cache = new KvCache(capacity);
  }

  /**
   * Feeds whole prompts. f32 logits (B,V) of each row's next token, in the scope around the call.
   *
   * @throws RangeError when they don't fit the model's positions
   */
  start(prompts: readonly Int32Array[]): Tensor {
    const width = longest(prompts);
    const ids = new Int32Array(prompts.length * width);
    const mask = new Uint8Array(prompts.length * width);
    prompts.forEach((prompt, row) => {
      const start = row * width + width - prompt.length;
      ids.set(prompt, start);
      mask.fill(1, start, start + prompt.length);
    });
    return this.#feed(ids, prompts.length, mask.includes(0) ? mask : undefined);
  }

  /** Feeds the next token of each row. f32 logits (B,V), in the scope around the call. */
  next(tokens: ArrayLike<number>): Tensor {
    return this.#feed(tokens, tokens.length, undefined);
  }

  /** Keeps these rows, in this order; repeats allowed. Copies what is kept. */
  select(rows: readonly number[]): void {
    const rows_N = indices(rows, undefined, this.device);
    this.#cache.selectRows(rows_N);
    rows_N.dispose();
  }

  dispose(): void {
    this.#cache.dispose();
  }

  #feed(ids: ArrayLike<number>, rows: number, mask: Uint8Array | undefined): Tensor {
    const width = ids.length / rows;
    const ids_BT = indices(ids, [rows, width], this.device);
    const mask_BT = mask === undefined ? {} : { mask: onDevice(fromBytes(mask, "u8", [rows, width]), this.device) };
    const hidden_BTE = this.#model.forward({ ids_BT, past: this.#cache, ...mask_BT });
    const logits_BV = this.#model.logits(hidden_BTE.select(1, width - 1));
    return logits_BV.dtype === "f32" ? logits_BV : logits_BV.toDtype("f32");
  }
}

export function longest(prompts: readonly Int32Array[]): number {
  return Math.max(0, ...prompts.map(({ length }) => length));
}

/** Which batches are worked through, and who hears of it. */
export interface BatchOptions {
  /** Told after each of these batches. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
  /** Whether a batch, by its number, is this process's; the others' results stay empty. Default: all are. */
  readonly isOwn?: (batch: number) => boolean;
}

/**
 * Works through prompts in batches of like length and gives the results in the prompts' order. Between two batches the event loop runs. Which prompts share a batch doesn't depend on whose it is.
 *
 * @param size prompts of one batch
 * @throws RangeError when the size is no positive whole number
 */
export async function inBatches<Result>(
  prompts: readonly Int32Array[],
  size: number,
  work: (batch: readonly Int32Array[], places: readonly number[]) => readonly Result[],
  { progress, isOwn = () => true }: BatchOptions = {},
): Promise<Result[]> {
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`decoding: batch must be a positive whole number, got ${size}`);
  const results: Result[] = [];
  const lengthOf = (place: number): number => prompts[place]?.length ?? 0;
  const order = prompts.map((_, place) => place).sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  const all = Array.from({ length: Math.ceil(order.length / size) }, (_, batch) => order.slice(batch * size, (batch + 1) * size));
  const own = all.filter((_, batch) => isOwn(batch));
  const total = own.reduce((sum, { length }) => sum + length, 0);
  let count = 0;
  for (const places of own) {
    const batch = places.map((place) => prompts[place] ?? new Int32Array());
    const done = span("decode", () => work(batch, places));
    done.forEach((result, row) => (results[places[row] ?? 0] = result));
    count += places.length;
    progress?.(count, total);
    await yieldToEvents();
  }
  return results;
}

function onDevice(tensor: Tensor, device: string): Tensor {
  return device === "cpu" ? tensor : tensor.toDevice(device, tensor.dtype);
}
