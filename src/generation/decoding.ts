/**
 * How answers are chosen: greedy, sampled or by beam search, as one value that a config can hold, and the one door to the three decoders. The trap: options of another strategy aren't ignored,
 * they are refused; whoever asks for a temperature and gets greedy answers would never know.
 */
import { UserError } from "../errors.js";
import type { Gpt2 } from "../nn/gpt2.js";
import { decodeBeams } from "./beam-search.js";
import type { BatchOptions } from "./decoding-batch.js";
import { decodeGreedy } from "./greedy.js";
import { decodeSampled } from "./sampling.js";
import type { EndOptions } from "./token-by-token.js";

/** What all strategies share. */
interface SharedDecoding {
  /** See logits-processors.ts. Default 1: off. */
  readonly repetitionPenalty?: number;
  /** Default 0: off. */
  readonly noRepeatNgramSize?: number;
  /** Answers to each question, best (beam) or first (sample) in front. Default 1; greedy has only one. */
  readonly answers?: number;
  /** Texts that end an answer and aren't part of it. */
  readonly stop?: readonly string[];
}

interface GreedyDecoding extends SharedDecoding {
  readonly strategy: "greedy";
}

interface SampleDecoding extends SharedDecoding {
  readonly strategy: "sample";
  readonly seed: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

export interface BeamDecoding extends SharedDecoding {
  readonly strategy: "beam";
  readonly beams: number;
  readonly lengthPenalty?: number;
  readonly earlyStopping?: boolean | "never";
}

export type Decoding = GreedyDecoding | SampleDecoding | BeamDecoding;

export const GREEDY: Decoding = { strategy: "greedy" };

export interface DecodeOptions extends Pick<EndOptions, "maxNewTokens" | "eosId" | "ends">, BatchOptions {
  /** Rows decoded at once, beams and answers counted. Default 64. */
  readonly batch?: number;
  /** What a prompt's draws depend on, one key a prompt; for sampling. Default: its tokens. */
  readonly keys?: readonly string[];
}

/**
 * New tokens of each prompt's answers, `[prompt][answer]`, in the prompts' order.
 *
 * @throws RangeError when a prompt and its answer don't fit the model's positions, or an option isn't in its range
 */
export async function decode(
  model: Gpt2,
  prompts: readonly Int32Array[],
  decoding: Decoding,
  options: DecodeOptions,
): Promise<Int32Array[][]> {
  const both = { ...options, ...decoding };
  switch (decoding.strategy) {
    case "sample":
      return decodeSampled(model, prompts, { ...both, ...decoding });
    case "beam":
      return decodeBeams(model, prompts, { ...both, ...decoding });
    case "greedy":
      if ((decoding.answers ?? 1) > 1)
        throw new UserError({
          where: "decoding",
          what: "greedy decoding has one answer",
          expected: "answers: 1",
          got: String(decoding.answers),
        });
      return (await decodeGreedy(model, prompts, both)).map((tokens) => [tokens]);
  }
}

/** In words, for reports: `beam search (4 beams), repetition penalty 1.2`. */
export function describeDecoding(decoding: Decoding): string {
  const { repetitionPenalty = 1, noRepeatNgramSize = 0, answers = 1, stop = [] } = decoding;
  return [
    strategyInWords(decoding),
    ...(repetitionPenalty === 1 ? [] : [`repetition penalty ${repetitionPenalty}`]),
    ...(noRepeatNgramSize === 0 ? [] : [`no repeated ${noRepeatNgramSize}-gram`]),
    ...(stop.length === 0 ? [] : [`stops at ${stop.map((text) => JSON.stringify(text)).join(" or ")}`]),
    ...(answers === 1 ? [] : [`${answers} answers a question, of which the first is scored`]),
  ].join(", ");
}

function strategyInWords(decoding: Decoding): string {
  switch (decoding.strategy) {
    case "greedy":
      return "greedy";
    case "sample": {
      const { seed, temperature = 1, topK, topP = 1 } = decoding;
      const cuts = [...(topK === undefined ? [] : [`top-k ${topK}`]), ...(topP === 1 ? [] : [`top-p ${topP}`])];
      return `sampled (${[`temperature ${temperature}`, ...cuts, `seed ${seed}`].join(", ")})`;
    }
    case "beam": {
      const { beams, lengthPenalty = 1, earlyStopping = false } = decoding;
      const more = [
        ...(lengthPenalty === 1 ? [] : [`length penalty ${lengthPenalty}`]),
        ...(earlyStopping === false ? [] : [earlyStopping === true ? "stops at the first full set" : "never stops early"]),
      ];
      return `beam search (${[`${beams} beams`, ...more].join(", ")})`;
    }
  }
}
