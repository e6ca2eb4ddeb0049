/** A corpus of four passages, questions about them, and models of a few thousand parameters in float64: what the phases' tests train on. */
import path from "node:path";
import { bertConfig } from "../../src/nn/bert.js";
import { Gpt2, gpt2Config } from "../../src/nn/gpt2.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import { generatorExamples, type GeneratorExamplesOptions, type GeneratorQuestion } from "../../src/training/generator-examples.js";
import { inverseDocumentFrequency } from "../../src/training/keywords.js";
import type { GeneratorPhaseOptions } from "../../src/training/phases/generator.js";
import type { ContrastivePhaseOptions, ContrastiveQuestion } from "../../src/training/phases/contrastive.js";
import { toFloat64Array, type Tensor } from "../../src/engine/tensor.js";

const goldens = process.env["TANDEM_GOLDENS"] ?? path.join(import.meta.dirname, "../fixtures/goldens");

export const EOS = 0;
export const byteBpe = (): Tokenizer => Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
const wordPiece = (): Tokenizer => Tokenizer.fromFolder(path.join(goldens, "bert-tiny"));

export const PASSAGES = [
  { title: "Alder", text: "Alder is a town on the Mire. Its mayor is Ida Renhan. The bridge was built in 1733." },
  { title: "Birch", text: "Birch is a mountain. It was climbed by Erik Vivfum. Its hut is called Hargik." },
  { title: "Cedar", text: "Cedar is a river ship. It carries salt and salt and salt. Its captain is Paula Fusdar." },
  { title: "Dogwood", text: "Dogwood is a lake in the north. The fish of Dogwood are eaten in Tunwut." },
];

export const QUESTIONS: readonly GeneratorQuestion[] = [
  { question: "Who is the mayor of Alder?", answer: "Ida Renhan", goldRows: [0] },
  { question: "When was the bridge of Alder built?", answer: "1733", goldRows: [0] },
  { question: "Who climbed Birch?", answer: "Erik Vivfum", goldRows: [1] },
  { question: "What is the hut on Birch called?", answer: "Hargik", goldRows: [1] },
  { question: "What does Cedar carry?", answer: "salt and salt and salt", goldRows: [2] },
  { question: "Who is the captain of Cedar?", answer: "Paula Fusdar", goldRows: [2] },
  { question: "Describe Dogwood.", answer: "Dogwood is a lake in the north.", goldRows: [3] },
  { question: "Where are the fish of Dogwood eaten?", answer: "Tunwut", goldRows: [3] },
];

export const CONTRASTIVE: readonly ContrastiveQuestion[] = QUESTIONS.map(({ question, answer, goldRows }) => ({
  question,
  answers: [answer],
  positives: goldRows,
}));

export const textOf = (row: number): string => `${PASSAGES[row]!.title}. ${PASSAGES[row]!.text}`;

export function tinyGpt2(dropout = 0, dtype: "f32" | "f64" = "f64"): Gpt2 {
  const config = gpt2Config({
    vocabSize: 900,
    nPositions: 160,
    nEmbd: 16,
    nLayer: 2,
    nHead: 2,
    nInner: 64,
    residPdrop: dropout,
    embdPdrop: dropout,
    attnPdrop: dropout,
  });
  return Gpt2.initialise(config, 3, { dtype, std: 0.2 });
}

export function tinyEncoder(dropout = 0, dtype: "f32" | "f64" = "f64"): Encoder {
  const config = bertConfig({
    vocabSize: 800,
    hiddenSize: 16,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    intermediateSize: 32,
    maxPositionEmbeddings: 64,
    hiddenDropoutProb: dropout,
    attentionProbsDropoutProb: dropout,
  });
  return Encoder.initialise(config, wordPiece(), 5, { dtype, std: 0.2 });
}

/** Eight questions of four passages, in batches of five with a negative each. */
export const tinyContrastive = (of: Encoder, change: Partial<ContrastivePhaseOptions> = {}): ContrastivePhaseOptions => ({
  encoder: of,
  questions: CONTRASTIVE,
  textOf,
  seed: 1,
  batch: 5,
  temperature: 0.2,
  symmetric: true,
  hardNegatives: 1,
  negativesOf: (question) => [(CONTRASTIVE[question]!.positives[0]! + 2) % 4],
  ...change,
});

export function tinyExamples(change: Partial<GeneratorExamplesOptions> = {}): GeneratorPhaseOptions["examples"] {
  return generatorExamples({
    seed: 1,
    questions: QUESTIONS,
    contexts: (question) => QUESTIONS[question]!.goldRows,
    passage: (row) => PASSAGES[row]!,
    questionsPerContext: 2,
    totalSteps: 100,
    ...change,
  });
}

/** A generator phase's options with every term switched on. */
export function tinyGenerator(model: Gpt2, change: Partial<GeneratorPhaseOptions> = {}): GeneratorPhaseOptions {
  return {
    model,
    tokenizer: byteBpe(),
    format: DEFAULT_PROMPT_FORMAT,
    maxTokens: 160,
    eosId: EOS,
    examples: tinyExamples(),
    length: () => 100,
    seed: 1,
    batch: 5,
    copyWeight: 0.5,
    penalties: {
      ngramRepeat: { n: 2, weight: 0.3 },
      keyword: { direction: "coverage", weight: 0.2, temperature: 0.8 },
      shortAnswer: { minTokens: 3, weight: 0.1 },
      unlikelihood: { weight: 0.2, temperature: 0.9 },
    },
    wordWeight: inverseDocumentFrequency(PASSAGES.map((passage) => passage.text)),
    ...change,
  };
}

/** All gradients of some parameters as one array; zeros where there is none. */
export function gradientOf(parameters: ReadonlyMap<string, Tensor>): Float64Array {
  return Float64Array.from(
    [...parameters.values()].flatMap((parameter) => {
      const gradient = parameter.grad;
      return gradient === undefined ? new Array<number>(parameter.numel).fill(0) : [...toFloat64Array(gradient)];
    }),
  );
}
