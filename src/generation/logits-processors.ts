/**
 * What forbids or discourages tokens before one is chosen: the repetition penalty and the ban on repeated n-grams, in this order, as transformers applies them. Temperature, top-k and
 * top-p are sampling's alone (logits-warpers.ts). Both look at the prompt and what was generated, never at padding. transformers (5.23) leaves padding out of the penalty too, but counts it as
 * tokens of n-grams: its answers to a padded batch can differ from those to its rows alone; here a row's answer doesn't depend on its batch. The trap: with beams the scores are log probabilities,
 * all below zero, and the penalty works on those.
 *
 * B rows, V vocabulary, L longest prompt.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, indices, ops, type Tensor } from "../engine/tensor.js";

export interface ProcessorOptions {
  /** Divides the positive and multiplies the negative scores of tokens that are there already (Keskar et al. 2019, CTRL, §4.1). Above 1 discourages, below encourages; 1: off. Default 1. */
  readonly repetitionPenalty?: number;
  /** No n-gram of this many tokens stands twice (Paulus et al. 2017). 0: off. Default 0. */
  readonly noRepeatNgramSize?: number;
}

/** One object for one batch; it follows the rows as they grow, leave and change places. */
export class LogitsProcessors {
  readonly #penalty: number;
  readonly #size: number;
  readonly #device: string;
  /** Which tokens a row holds, bool (B,V); its last column takes the padding in. */
  #seen_BV1: Tensor | undefined;
  /** Every row's tokens, where n-grams are watched. */
  #tokens: number[][] = [];

  /** @throws RangeError when the penalty isn't above 0 or the size isn't a whole number from 0 */
  constructor(options: ProcessorOptions, prompts: readonly Int32Array[], vocabulary: number, device: string) {
    const { repetitionPenalty = 1, noRepeatNgramSize = 0 } = options;
    if (!(repetitionPenalty > 0) || !Number.isFinite(repetitionPenalty))
      throw new RangeError(`repetition penalty must be above 0, got ${repetitionPenalty}`);
    if (!Number.isSafeInteger(noRepeatNgramSize) || noRepeatNgramSize < 0)
      throw new RangeError(`no-repeat n-gram size must be a whole number from 0, got ${noRepeatNgramSize}`);
    this.#penalty = repetitionPenalty;
    this.#size = noRepeatNgramSize;
    this.#device = device;
    if (repetitionPenalty !== 1) this.#seen_BV1 = seenIn(prompts, vocabulary, device);
    if (noRepeatNgramSize > 0) this.#tokens = prompts.map((prompt) => Array.from(prompt));
  }

  /** Takes note of each row's new token. */
  append(tokens: ArrayLike<number>): void {
    this.#tokens.forEach((row, place) => row.push(tokens[place] ?? 0));
    const seen_BV1 = this.#seen_BV1;
    if (seen_BV1 === undefined) return;
    this.#replaceSeen(() => seen_BV1.scatterValue(1, indices(tokens, [tokens.length, 1], this.#device), 1));
  }

  /** Keeps these rows, in this order; repeats allowed. */
  select(rows: readonly number[]): void {
    if (this.#size > 0) this.#tokens = rows.map((row) => [...(this.#tokens[row] ?? [])]);
    const seen_BV1 = this.#seen_BV1;
    if (seen_BV1 !== undefined) this.#replaceSeen(() => seen_BV1.indexSelect(0, indices(rows, undefined, this.#device)));
  }

  /** The scores (B,V) with penalty and bans (−∞). */
  process(scores_BV: Tensor): Tensor {
    let processed_BV = scores_BV;
    if (this.#seen_BV1 !== undefined) {
      const seen_BV = this.#seen_BV1.narrow(1, 0, scores_BV.size(1));
      const penalised_BV = ops.where(scores_BV.lt(0), scores_BV.mul(this.#penalty), scores_BV.div(this.#penalty));
      processed_BV = ops.where(seen_BV, penalised_BV, scores_BV);
    }
    const banned = this.#tokens.map((row) => bannedAfter(row, this.#size));
    const rows = banned.flatMap((tokens, row) => tokens.map(() => row));
    if (rows.length === 0) return processed_BV;
    const places = [indices(rows, undefined, this.#device), indices(banned.flat(), undefined, this.#device)];
    return processed_BV.indexPut(places, ops.full([], -Infinity, "f32", this.#device));
  }

  dispose(): void {
    this.#seen_BV1?.dispose();
    this.#seen_BV1 = undefined;
  }

  #replaceSeen(make: () => Tensor): void {
    const made = scope(() => noGrad(make)).keep();
    this.#seen_BV1?.dispose();
    this.#seen_BV1 = made;
  }
}

/** bool (B,V+1): 1 where a prompt holds the token. Shorter prompts are filled up with token V, which is none. */
function seenIn(prompts: readonly Int32Array[], vocabulary: number, device: string): Tensor {
  return scope(() => {
    const width = Math.max(1, ...prompts.map(({ length }) => length));
    const ids = new Int32Array(prompts.length * width).fill(vocabulary);
    prompts.forEach((prompt, row) => ids.set(prompt, row * width));
    const none = fromBytes(new Uint8Array(prompts.length * (vocabulary + 1)), "bool", [prompts.length, vocabulary + 1]);
    const none_BV1 = device === "cpu" ? none : none.toDevice(device, "bool");
    return none_BV1.scatterValue(1, indices(ids, [prompts.length, width], device), 1);
  }).keep();
}

/** The tokens that would repeat an n-gram of `tokens` if they came next. */
function bannedAfter(tokens: readonly number[], size: number): number[] {
  if (size === 0 || tokens.length + 1 < size) return [];
  const last = tokens.slice(tokens.length - size + 1);
  const banned = new Set<number>();
  for (let start = 0; start + size <= tokens.length; start++) {
    if (last.every((token, offset) => tokens[start + offset] === token)) banned.add(tokens[start + size - 1] ?? 0);
  }
  return [...banned];
}
