/**
 * Each kind of step, in one worker of several or in one alone: gradients and terms of three steps. The default export runs in every process of a group (test/distributed/ranks.ts); shared-steps.test.ts compares them with {@link findingsOf} of the whole.
 */
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { zeroGrads } from "../../src/engine/tensor.js";
import { DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import { groupShare } from "../../src/training/group-share.js";
import { sumOf } from "../../src/training/loss-terms.js";
import type { Phase } from "../../src/training/phase.js";
import type { PenaltyMode, PenaltyOptions } from "../../src/training/penalties/penalty-options.js";
import { contrastivePhase, type ContrastivePhaseOptions } from "../../src/training/phases/contrastive.js";
import { generatorPhase, type GeneratorPhaseOptions } from "../../src/training/phases/generator.js";
import { jointPhase } from "../../src/training/phases/joint.js";
import { readerPhase, type ReaderPhaseOptions } from "../../src/training/phases/reader-distillation.js";
import type { Share } from "../../src/training/share.js";
import { byteBpe, CONTRASTIVE, EOS, gradientOf, PASSAGES, QUESTIONS, textOf, tinyEncoder, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

/** One step's gradient over the phase's parameters, and its terms as [sum, count, weight]. */
export interface StepFindings {
  readonly gradient: Float64Array;
  readonly terms: Readonly<Record<string, readonly [number, number, number]>>;
  readonly tokens: number;
}

const DROPOUT = 0.2;

function ownTextPenalties(mode: PenaltyMode): PenaltyOptions {
  return {
    mode,
    drawing: { answers: 3, temperature: 0.3, maxNewTokens: 7 },
    ngramRepeat: { n: 1, weight: 0.3 },
    keyword: { direction: "coverage", weight: 0.2 },
    shortAnswer: { minTokens: 30, weight: 0.1 },
    unlikelihood: { weight: 0.2 },
    sequenceUnlikelihood: { n: 1, weight: 0.4, decoding: "sampled" },
  };
}

function generator(change: Partial<GeneratorPhaseOptions> = {}, dropout = 0): Phase {
  return generatorPhase(tinyGenerator(tinyGpt2(dropout), change));
}

function contrastive(change: Partial<ContrastivePhaseOptions> = {}, dropout = 0): Phase {
  return contrastivePhase({
    encoder: tinyEncoder(dropout),
    questions: CONTRASTIVE,
    textOf,
    batch: 4,
    temperature: 0.1,
    seed: 1,
    ...change,
  });
}

function reader(change: Partial<ReaderPhaseOptions> = {}, dropout = 0): Phase {
  return readerPhase(readerOptions(change, dropout));
}

function readerOptions(change: Partial<ReaderPhaseOptions>, dropout: number): ReaderPhaseOptions {
  return {
    encoder: tinyEncoder(dropout),
    reader: { model: tinyGpt2(dropout), tokenizer: byteBpe(), format: DEFAULT_PROMPT_FORMAT, maxTokens: 160, eosId: EOS },
    questions: QUESTIONS.map(({ question, answer }, i) => ({ question, answer, candidates: [0, 1, 2, 3].map((row) => (row + i) % 4) })),
    passage: (row) => ({ id: String(row), document: String(row), ...PASSAGES[row]! }),
    textOf,
    seed: 1,
    batch: 5,
    passages: 3,
    loss: "pdist",
    temperature: 0.3,
    tokensAtOnce: 4096,
    ...change,
  };
}

function joint(): Phase {
  const options = readerOptions({ loss: "emdr2" }, 0);
  return jointPhase(readerPhase(options), generatorPhase(tinyGenerator(options.reader.model as ReturnType<typeof tinyGpt2>)));
}

const rag = { loss: "rag_token", trainsReader: true } as const;

/** By name, each made anew. */
export const CASES: Readonly<Record<string, () => Phase>> = {
  "generator, penalties at gold prefixes": () => generator(),
  "generator, in parts, with dropout": () => generator({ accumulate: 2 }, DROPOUT),
  "generator, label smoothing": () => generator({ labelSmoothing: 0.1, penalties: {} }),
  "generator, straight-through": () => generator({ copyWeight: 0, penalties: ownTextPenalties("straight_through") }),
  "generator, whole sequences": () => generator({ penalties: ownTextPenalties("sequence"), accumulate: 2 }),
  "generator, fewer contexts than workers": () => generator({ batch: 1 }),
  contrastive: () => contrastive(),
  "contrastive, with dropout, symmetric": () => contrastive({ symmetric: true }, DROPOUT),
  "contrastive, GradCache": () => contrastive({ accumulate: 2 }, DROPOUT),
  "contrastive, nested dimensions": () => contrastive({ matryoshka: [4, 8] }),
  "contrastive, mined negatives": () => contrastive({ hardNegatives: 1, negativesOf: (question) => [(question + 3) % 4], batch: 3 }),
  "contrastive, fewer questions than workers": () => contrastive({ batch: 2, accumulate: 2 }),
  "reader, pdist": () => reader({}, DROPOUT),
  "reader, emdr2, fixed passages": () => reader({ loss: "emdr2", trainsPassages: false }),
  "reader, rag_sequence, both models": () => reader({ loss: "rag_sequence", trainsReader: true }, DROPOUT),
  "reader, rag_token, both models, in parts": () => reader({ ...rag, accumulate: 2 }, DROPOUT),
  "reader, fewer questions than workers": () => reader({ ...rag, batch: 1 }),
  "reader, in parts, fewer questions than workers": () => reader({ ...rag, batch: 1, accumulate: 2 }),
  "joint, emdr2": () => joint(),
};

/** Three steps of a case by one share. */
export function findingsOf(name: string, share?: Share): StepFindings[] {
  const phase = CASES[name]?.();
  if (phase === undefined) throw new Error(`no case '${name}'`);
  return [0, 1, 2].map((step) =>
    scope(() => {
      zeroGrads(phase.parameters.values());
      const batch = phase.batch(step, share);
      const terms = phase.step(batch, share);
      const plain = Object.entries(terms).map(([term, of]) => [term, [sumOf(of), of.count, of.weight]] as const);
      const tokens = phase.tokens(batch, share);
      return { gradient: gradientOf(phase.parameters), terms: Object.fromEntries(plain), tokens: share?.total(tokens) ?? tokens };
    }),
  );
}

/** The named cases in one process of a group. */
export default function program(group: ProcessGroup, names: readonly string[]): Record<string, StepFindings[]> {
  setThreads(1);
  return Object.fromEntries(
    names.map((name) => {
      const share = groupShare(group);
      const found = findingsOf(name, share);
      share.close();
      return [name, found];
    }),
  );
}
