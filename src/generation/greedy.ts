/**
 * Greedy decoding of many prompts at once: the most likely token, again and again. No sampling and no beams. The trap: of two equally likely tokens the one with the lower id is taken, as argmax
 * does; a repetition penalty or a ban on n-grams changes which token is the most likely one.
 *
 * B rows, V vocabulary.
 */
import { toInt32Array } from "../engine/tensor.js";
import type { Gpt2 } from "../nn/gpt2.js";
import { inBatches, type BatchOptions } from "./decoding-batch.js";
import { decodeTokenByToken, requireNewTokens, type EndOptions } from "./token-by-token.js";

export interface GreedyOptions extends EndOptions, BatchOptions {
  /** Prompts decoded at once. Default 64. */
  readonly batch?: number;
}

/**
 * argmax of the processed logits, token after token, until `eosId` or `maxNewTokens`. The new tokens of each prompt, in the prompts' order. Equal to `generate(do_sample=False)` of transformers.
 *
 * @throws RangeError when a prompt and its answer don't fit the model's positions, or an option isn't in its range
 */
export async function decodeGreedy(model: Gpt2, prompts: readonly Int32Array[], options: GreedyOptions): Promise<Int32Array[]> {
  requireNewTokens(options.maxNewTokens);
  return inBatches(
    prompts,
    options.batch ?? 64,
    (batch) =>
      decodeTokenByToken(model, batch, 1, options, (logits_BV) => toInt32Array(logits_BV.argmax(1))).map(([tokens = []]) =>
        Int32Array.from(tokens),
      ),
    options,
  );
}
