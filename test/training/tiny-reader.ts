/** Options of a reader phase over the tiny world: its passages as everyone's candidates, untrained models in float64. */
import { DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import type { ReaderPhaseOptions } from "../../src/training/phases/reader-distillation.js";
import { byteBpe, EOS, PASSAGES, QUESTIONS, textOf, tinyEncoder, tinyGpt2 } from "./tiny-world.js";

/** @param owned gets what the caller must dispose of */
export function readerOptions(owned: { dispose(): void }[], change: Partial<ReaderPhaseOptions> = {}, dropout = 0): ReaderPhaseOptions {
  const [model, encoder] = [tinyGpt2(dropout), tinyEncoder(dropout)];
  owned.push(encoder, ...model.parameters.values());
  return {
    encoder,
    reader: { model, tokenizer: byteBpe(), format: DEFAULT_PROMPT_FORMAT, maxTokens: 160, eosId: EOS },
    questions: QUESTIONS.map(({ question, answer }, i) => ({ question, answer, candidates: [0, 1, 2, 3].map((row) => (row + i) % 4) })),
    passage: (row) => ({ id: String(row), document: String(row), ...PASSAGES[row]! }),
    textOf,
    seed: 1,
    batch: 4,
    passages: 3,
    loss: "pdist",
    temperature: 0.3,
    tokensAtOnce: 4096,
    ...change,
  };
}
