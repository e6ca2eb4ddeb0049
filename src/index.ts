/**
 * Tandem as a library: what a researcher composes, by name. Nothing is defined here and nothing happens on import. The trap: tensors live outside JavaScript's heap; what is made inside `scope` is freed at
 * its end unless it is returned or kept.
 */

// A trained pair: search and answer. `findTrainedRun` says which run a name means.
export { openPair, Pair, type AskOptions, type PairAnswer, type PairFolders, type PairQuestion } from "./job/run/open-pair.js";
export { findTrainedRun, type TrainedRun } from "./job/run/find-run.js";
export { openSearch, type IndexPlace, type OpenSearch, type SearchFolders } from "./job/index/open-search.js";
export { makeIndex, type MadeIndex, type MakeIndexOptions } from "./job/index/make-index.js";
export { evaluateTrained, type TrainedEvaluation } from "./job/report/evaluate-trained.js";
export { auditConfig } from "./job/training/audit-config.js";

// The whole job, and its configuration.
export { trainJob, type TrainJobOptions } from "./job/train-job.js";
export { createRunDirectory, openRunDirectory, type RunDirectory } from "./tracking/run-directory.js";
export { collectVersions } from "./tracking/versions.js";
export { loadConfig, type LoadedConfig, type LoadOptions } from "./config/load-config.js";
export type { TandemConfig } from "./config/schema.js";
export type { JobMessage, Report } from "./job/reporter.js";
export { UserError, type Fault } from "./errors.js";

// Tensors, as in PyTorch.
export { fromBytes, fromMapped, gradients, indices, ops, tensor, Tensor, toFloat32Array, toInt32Array } from "./engine/tensor.js";
export { scope, liveTensors } from "./engine/scope.js";
export { enableGrad, noGrad } from "./engine/grad-mode.js";
export { autocast } from "./engine/autocast.js";
export { manualSeed } from "./engine/random.js";
export { AdamW } from "./engine/adamw.js";
export { clipGradientNorm } from "./engine/clip.js";
export { engineFacts, setThreads } from "./engine/info.js";

// Models and tokenizers. `fetchModel` gives the folder of a model of the hub.
export { fetchModel, type FetchedModel, type FetchOptions } from "./job/models/hub-model.js";
export { hubName, type HubName } from "./config/model-name.js";
export { hubSettings, type HubSettings } from "./config/hub-settings.js";
export { Bert, bertConfig, type BertConfig } from "./nn/bert.js";
export { Gpt2, gpt2Config, type Gpt2Config } from "./nn/gpt2.js";
export { saveFolder } from "./nn/hugging-face-folder.js";
export { loadCausalModel, loadEncoderModel } from "./nn/registry.js";
export { Tokenizer } from "./text/tokenizer.js";
export { trainByteBpe, trainWordPiece } from "./text/train-tokenizer.js";

// Corpus and questions.
export { buildCorpus, type BuildCorpusOptions, type CorpusReport } from "./corpus/build-corpus.js";
export { PassageStore } from "./corpus/passage-store.js";
export { passageText, type Passage } from "./corpus/passage.js";
export { readQuestions } from "./corpus/questions.js";
export type { Question } from "./corpus/question.js";

// Retrieval.
export { Encoder } from "./retrieval/encoder.js";
export { ExactIndex } from "./retrieval/exact-index.js";
export { Bm25 } from "./retrieval/bm25.js";
export { buildIndex, openIndex } from "./retrieval/build-index.js";
export type { Index, Metric, SearchResult } from "./retrieval/index-contract.js";
export { openRetriever, Retriever, type Hit } from "./retrieval/retriever.js";

// Generation.
export { Generator, type GeneratorFormat } from "./generation/generator.js";
export { decode, describeDecoding, type DecodeOptions, type Decoding } from "./generation/decoding.js";
export { decodeGreedy } from "./generation/greedy.js";
export { SentenceFilter, type SentenceFilterOptions } from "./generation/sentence-filter.js";
export { buildPrompt, buildPrompts, DEFAULT_PROMPT_FORMAT, type PromptFormat } from "./generation/prompt.js";

// Evaluation.
export { evaluateRow, type Evidence, type ReportRow } from "./evaluation/baselines.js";
export { exactMatch, f1, repetition } from "./evaluation/qa-metrics.js";
export { rougeL } from "./evaluation/rouge-l.js";
export { hasAnswerIn, ndcgAt, recallAt, reciprocalRank } from "./evaluation/ir-metrics.js";
export { clusteredInterval } from "./evaluation/bootstrap.js";
export { pairedPermutation, type PermutationTest } from "./evaluation/paired-permutation.js";

// Losses, phases and the trainer.
export { answerCrossEntropy } from "./training/losses/answer-cross-entropy.js";
export { infoNce, type InfoNceOptions } from "./training/losses/info-nce.js";
export { generatorExamples } from "./training/generator-examples.js";
export { generatorPhase } from "./training/phases/generator.js";
export { contrastivePhase } from "./training/phases/contrastive.js";
export { totalLoss, type LossTerm, type LossTerms } from "./training/loss-terms.js";
export type { Phase } from "./training/phase.js";
export { parameterGroups, rateAt } from "./training/optimiser.js";
export { fingerprint, newRunState, trainable, type RunState, type Trainable } from "./training/run-state.js";
export { loadCheckpoint, saveCheckpoint } from "./training/checkpoint.js";
export { train, type TrainedPhase, type TrainerHooks } from "./training/trainer.js";
export { auditGradients, auditTable } from "./training/gradient-audit.js";
