/**
 * Both models in one step. With PDist and EMDR² the retriever follows the reader while the generator learns to answer from the passages that were found, as Atlas is trained (Izacard et al. 2022, arXiv
 * 2208.03299, §2.2); the two losses share nothing but the step. With the RAG losses one likelihood trains both (Lewis et al. 2020, arXiv 2005.11401, §2.4), and there is no second part.
 * The trap: every pair of a term and a model it cannot reach must be declared, or the gradient audit would rightly refuse to start.
 */
import type { LossTerms } from "../loss-terms.js";
import type { Exemption, Phase } from "../phase.js";
import type { GeneratorBatch } from "./generator.js";
import { bothParameters, READER_PREFIX, RETRIEVER_PREFIX, type ReaderBatch } from "./reader-distillation.js";

export interface JointBatch {
  readonly reader: ReaderBatch;
  /** Left out where one loss trains both models. */
  readonly generator: GeneratorBatch | undefined;
}

/**
 * Terms: the reader phase's and, where there is one, the generator phase's.
 *
 * @param reader teaches the retriever; trains the reader too if there is no generator phase
 */
export function jointPhase(reader: Phase<ReaderBatch>, generator: Phase<GeneratorBatch> | undefined): Phase<JointBatch> {
  const parameters = generator === undefined ? reader.parameters : bothParameters(reader.parameters, generator.parameters);
  return {
    name: "joint",
    parameters,
    ...(generator === undefined ? {} : { frozen: APART }),
    batch: (step, share) => ({ reader: reader.batch(step, share), generator: generator?.batch(step, share) }),
    step: (batch, share) => ({
      ...reader.step(batch.reader, share),
      ...(generator === undefined || batch.generator === undefined ? {} : generator.step(batch.generator, share)),
    }),
    losses: (batch): LossTerms => ({
      ...reader.losses(batch.reader),
      ...(generator === undefined || batch.generator === undefined ? {} : generator.losses(batch.generator)),
    }),
    ...(reader.epoch === undefined ? {} : { epoch: reader.epoch }),
    tokens: (batch, share) =>
      reader.tokens(batch.reader, share) + (batch.generator === undefined ? 0 : (generator?.tokens(batch.generator, share) ?? 0)),
  };
}

/** What neither part can reach of the other's model. */
const APART: readonly Exemption[] = [
  {
    term: /^(pdist|emdr2)$/,
    parameter: startsWith(READER_PREFIX),
    reason: "the reader is the teacher: its likelihoods are the target",
  },
  {
    term: /^(?!pdist$|emdr2$)/,
    parameter: startsWith(RETRIEVER_PREFIX),
    reason: "contexts stand still between two refreshes",
  },
];

function startsWith(prefix: string): RegExp {
  return new RegExp(`^${prefix.replace(".", "\\.")}`);
}
