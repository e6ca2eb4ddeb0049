/**
 * Sampling: tokens drawn from the warped distribution, several answers to a prompt. The draw is a function of seed, prompt, answer and position, not of a generator's state: an answer is the same
 * whatever else stands in its batch, and the third answer is the same whether four are asked for or ten. The trap: equal prompts with equal keys get equal answers; give them keys of their own
 * where that isn't wanted.
 *
 * B rows, V vocabulary.
 */
import { seededRandom } from "../corpus/seeded-random.js";
import { fromBytes, toInt32Array, type Tensor } from "../engine/tensor.js";
import type { Gpt2 } from "../nn/gpt2.js";
import { inBatches, type BatchOptions } from "./decoding-batch.js";
import { warpLogits, type WarperOptions } from "./logits-warpers.js";
import { decodeTokenByToken, requireNewTokens, type EndOptions } from "./token-by-token.js";

export interface SamplingOptions extends EndOptions, WarperOptions, BatchOptions {
  readonly seed: number;
  /** Answers to each prompt. Default 1. */
  readonly answers?: number;
  /** Names a prompt's draws, one key a prompt. Default: its tokens. */
  readonly keys?: readonly string[];
  /** Rows decoded at once, answers counted. Default 64. */
  readonly batch?: number;
}

/**
 * New tokens of each prompt's answers, `[prompt][answer]`, in the prompts' order.
 *
 * Each token is drawn from softmax(warp(process(logits))): the processors of logits-processors.ts, then temperature, top-k and top-p, as `generate(do_sample=True)` of transformers has them. The
 * distribution is transformers'; its stream of random numbers isn't.
 *
 * @throws RangeError when a prompt and its answer don't fit the model's positions, or an option isn't in its range
 */
export async function decodeSampled(model: Gpt2, prompts: readonly Int32Array[], options: SamplingOptions): Promise<Int32Array[][]> {
  const { seed, answers = 1, batch = 64, keys } = options;
  requireNewTokens(options.maxNewTokens);
  if (!Number.isSafeInteger(answers) || answers < 1)
    throw new RangeError(`sampling: answers must be a positive whole number, got ${answers}`);
  return inBatches(
    prompts,
    Math.max(1, Math.floor(batch / answers)),
    (chosen, places) => {
      const streams = chosen.map((prompt, row) => `sampling/${seed}/${keys?.[places[row] ?? 0] ?? prompt.join(" ")}`);
      return decodeTokenByToken(model, chosen, answers, options, (logits_BV, rows) => {
        const draws = rows.map(({ prompt, answer, position }) => uniform(`${streams[prompt] ?? ""}/${answer}/${position}`));
        return drawTokens(warpLogits(logits_BV, options), draws);
      }).map((own) => own.map((tokens) => Int32Array.from(tokens)));
    },
    options,
  );
}

/**
 * The tokens that `draws` point at: of row b the first token whose cumulative probability is above `draws[b]`. In double precision, so that tokens far down the vocabulary keep their share.
 *
 * @param draws in [0, 1), one a row
 */
export function drawTokens(logits_BV: Tensor, draws: readonly number[]): Int32Array {
  const cumulative_BV = logits_BV.toDtype("f64").softmax(1).cumsum(1);
  const total_B1 = cumulative_BV.narrow(1, cumulative_BV.size(1) - 1, 1);
  const draws_B1 = onDevice(fromBytes(Float64Array.from(draws), "f64", [draws.length, 1]), logits_BV.device);
  // Scaled by the total, which rounding leaves a little off 1: a draw near 1 would else point behind the last token.
  const below_BV = cumulative_BV.le(draws_B1.mul(total_B1));
  return toInt32Array(below_BV.sum([1], false, "i64").clampMax(logits_BV.size(1) - 1));
}

/** A number in [0, 1) for a key. The stream's state is small and takes a few rounds to mix. */
function uniform(key: string): number {
  const random = seededRandom(key);
  for (let skipped = 0; skipped < 3; skipped++) random();
  return random();
}

function onDevice(tensor: Tensor, device: string): Tensor {
  return device === "cpu" ? tensor : tensor.toDevice(device, tensor.dtype);
}
