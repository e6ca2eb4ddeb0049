/**
 * The config's `generation` section as the decoders take it. The trap: a seed of null is the run's, so that a run's sampled answers can be had again.
 */
import type { GenerationConfig } from "../../config/schema.js";
import type { Decoding } from "../../generation/decoding.js";

export const DEFAULT_BEAMS = 4;

/** @param seed the run's, where the section has none */
export function decodingOf(generation: GenerationConfig, seed: number): Decoding {
  const { strategy, temperature, top_k: topK, top_p: topP, beams, length_penalty: lengthPenalty, early_stopping: early } = generation;
  const { repetition_penalty: repetitionPenalty, no_repeat_ngram_size: noRepeatNgramSize, answers, stop } = generation;
  const shared = { repetitionPenalty, noRepeatNgramSize, answers, stop };
  switch (strategy) {
    case "greedy":
      return { strategy, ...shared };
    case "sample":
      return {
        strategy,
        seed: generation.seed ?? seed,
        ...shared,
        ...(temperature === null ? {} : { temperature }),
        ...(topK === null ? {} : { topK }),
        ...(topP === null ? {} : { topP }),
      };
    case "beam":
      return {
        strategy,
        beams: beams ?? DEFAULT_BEAMS,
        ...shared,
        ...(lengthPenalty === null ? {} : { lengthPenalty }),
        ...(early === null ? {} : { earlyStopping: early === "never" ? early : early === "full" }),
      };
  }
}
