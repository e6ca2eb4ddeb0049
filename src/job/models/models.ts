/**
 * The pair as the run starts with it: loaded from folders or made from scratch with tokenizers trained on the corpus, and saved under `start/`. From then on resuming and
 * evaluation read `start/`, never the models' paths again. The trap: nothing here is drawn twice; a second call with the same folder loads what the first one made.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { GeneratorConfig, PromptConfig, RetrieverConfig, TandemConfig } from "../../config/schema.js";
import type { Generator, GeneratorFormat } from "../../generation/generator.js";
import { Gpt2, gpt2Config } from "../../nn/gpt2.js";
import { writeModelFiles } from "../../nn/hugging-face-folder.js";
import { loadCausalModel } from "../../nn/registry.js";
import { Encoder, type EncoderOverrides } from "../../retrieval/encoder.js";
import { writeFolderAtomic } from "../../storage/atomic-write.js";
import { Tokenizer } from "../../text/tokenizer.js";
import { trainByteBpe, trainWordPiece } from "../../text/train-tokenizer.js";
import { pinsFile, pretrainedFolder, type PretrainedOptions } from "./pretrained.js";
import type { Report } from "../reporter.js";

/** Where the pair stands at the start of a run. */
export interface StartFolders {
  readonly retriever: string;
  readonly generator: string;
  /** Where the commits of models from the hub are noted. */
  readonly pins?: string;
}

export function startFolders(run: string): StartFolders {
  return { retriever: path.join(run, "start", "retriever"), generator: path.join(run, "start", "generator"), pins: pinsFile(run) };
}

/** Settings of the encoder that the config puts over a folder's own. */
export function encoderOverrides(retriever: RetrieverConfig): EncoderOverrides {
  const { pooling, normalise, max_tokens: maxTokens, query_prefix: queryPrefix, passage_prefix: passagePrefix } = retriever;
  return {
    ...(pooling === null ? {} : { pooling }),
    ...(normalise === null ? {} : { normalise }),
    ...(maxTokens === null ? {} : { maxTokens }),
    ...(queryPrefix === "" ? {} : { queryPrefix }),
    ...(passagePrefix === "" ? {} : { passagePrefix }),
  };
}

/** The two prompts of the config. */
export function generatorFormat(prompt: PromptConfig): GeneratorFormat {
  const shared = {
    passageTemplate: prompt.passage_template,
    separator: prompt.separator,
    answerPrefix: prompt.answer_prefix,
    variables: Object.fromEntries(Object.entries(prompt.variables).map(([name, value]) => [name, String(value)])),
    historyTemplate: prompt.history_template,
    historyTokens: prompt.history_tokens,
  };
  return { open: { template: prompt.template, ...shared }, closed: { template: prompt.closed_book_template, ...shared } };
}

/**
 * Makes `start/retriever` and `start/generator` unless they are there.
 *
 * @param texts the corpus, asked for only when a tokenizer has to be trained
 * @param questionTexts training questions with their answers, for the generator's tokenizer
 * @throws UserError when a folder can't be loaded or a vocabulary has no room for the texts' characters
 */
export async function prepareStart(
  config: TandemConfig,
  folders: StartFolders,
  texts: () => Promise<readonly string[]>,
  questionTexts: () => readonly string[],
  report: Report,
): Promise<void> {
  const from: PretrainedOptions = { report, ...(folders.pins === undefined ? {} : { pins: folders.pins }) };
  if (!existsSync(folders.retriever)) await startRetriever(config.retriever, config.seed, folders.retriever, texts, from);
  if (!existsSync(folders.generator))
    await startGenerator(config.generator, config.seed, folders.generator, async () => [...(await texts()), ...questionTexts()], from);
}

function warnOfVocabulary(role: "retriever" | "generator", wanted: number, { vocabSize }: Tokenizer, report: Report): void {
  if (vocabSize >= wanted) return;
  const text = `${role}.initialise.vocabulary is ${wanted}, and the texts give no more than ${vocabSize} tokens: the ${role} has ${vocabSize}`;
  report({ type: "warning", text });
}

async function startRetriever(
  retriever: RetrieverConfig,
  seed: number,
  folder: string,
  texts: () => Promise<readonly string[]>,
  from: PretrainedOptions,
): Promise<void> {
  const { report } = from;
  if (retriever.path !== null) {
    const source = await pretrainedFolder("retriever", retriever.path, from);
    const encoder = Encoder.load(source.folder, encoderOverrides(retriever));
    encoder.save(folder);
    encoder.dispose();
    report({ type: "note", text: `retriever: started from ${source.text}` });
    return;
  }
  const { layers, width, heads, intermediate, positions, std, vocabulary, tokenizer: kind } = retriever.initialise;
  const corpus = await texts();
  writeFolderAtomic(folder, (temporary) => {
    const train = kind === "wordpiece" ? trainWordPiece : trainByteBpe;
    train({ texts: corpus, vocabSize: vocabulary, mayBeSmaller: true, maxLength: positions, output: temporary });
    const tokenizer = Tokenizer.fromFolder(temporary);
    warnOfVocabulary("retriever", vocabulary, tokenizer, report);
    const encoder = Encoder.initialise(
      {
        numHiddenLayers: layers,
        hiddenSize: width,
        numAttentionHeads: heads,
        intermediateSize: intermediate ?? 4 * width,
        maxPositionEmbeddings: positions,
        initializerRange: std,
      },
      tokenizer,
      seed,
      { std, ...encoderOverrides(retriever) },
    );
    encoder.writeFiles(temporary);
    report({
      type: "note",
      text: `retriever: from scratch, ${parameterCount(encoder.parameters)} parameters, ${tokenizer.vocabSize} tokens`,
    });
    encoder.dispose();
  });
}

async function startGenerator(
  generator: GeneratorConfig,
  seed: number,
  folder: string,
  texts: () => Promise<readonly string[]>,
  from: PretrainedOptions,
): Promise<void> {
  const { report } = from;
  if (generator.path !== null) {
    const source = await pretrainedFolder("generator", generator.path, from);
    const model = loadCausalModel(source.folder);
    const tokenizer = Tokenizer.fromFolder(source.folder);
    writeFolderAtomic(folder, (temporary) => {
      writeModelFiles(temporary, model);
      tokenizer.save(temporary);
    });
    for (const weight of model.parameters.values()) weight.dispose();
    report({ type: "note", text: `generator: started from ${source.text}` });
    return;
  }
  const {
    layers,
    width,
    heads,
    positions,
    std,
    vocabulary,
    sinusoidal_positions: sinusoidalPositions,
    scaled_residual: scaledResidual,
    induction,
  } = generator.initialise;
  const corpus = await texts();
  writeFolderAtomic(folder, (temporary) => {
    trainByteBpe({ texts: corpus, vocabSize: vocabulary, mayBeSmaller: true, maxLength: positions, output: temporary });
    const tokenizer = Tokenizer.fromFolder(temporary);
    warnOfVocabulary("generator", vocabulary, tokenizer, report);
    const eos = tokenizer.eosId === undefined ? {} : { bosTokenId: tokenizer.eosId, eosTokenId: tokenizer.eosId };
    const model = Gpt2.initialise(
      gpt2Config({
        vocabSize: tokenizer.vocabSize,
        nPositions: positions,
        nEmbd: width,
        nLayer: layers,
        nHead: heads,
        nInner: 4 * width,
        initializerRange: std,
        ...eos,
      }),
      seed,
      { std, sinusoidalPositions, scaledResidual, induction },
    );
    writeModelFiles(temporary, model);
    report({
      type: "note",
      text: `generator: from scratch, ${parameterCount(model.parameters)} parameters, ${tokenizer.vocabSize} tokens`,
    });
    for (const weight of model.parameters.values()) weight.dispose();
  });
}

/** `0.9 M`: how large a model is. */
function parameterCount(parameters: ReadonlyMap<string, { readonly numel: number }>): string {
  const count = [...parameters.values()].reduce((sum, { numel }) => sum + numel, 0);
  return count < 1e5 ? String(count) : `${(count / 1e6).toFixed(1)} M`;
}

/** Saves a language model with its tokenizer as a Hugging Face folder. */
function saveGenerator(folder: string, model: Gpt2, tokenizer: Tokenizer): void {
  writeFolderAtomic(folder, (temporary) => {
    writeModelFiles(temporary, model);
    tokenizer.save(temporary);
  });
}

/** The trained pair as folders that other tools open: `retriever/`, `generator/`, beside them `passage-retriever/` where passages have an encoder of their own, and the closed-book generator. */
export function exportPair(run: {
  readonly places: { readonly path: string; readonly retriever: string; readonly passageRetriever: string; readonly generator: string };
  readonly encoder: Encoder;
  readonly artefacts: { readonly passages?: Encoder | undefined };
  readonly generator: Generator;
  readonly closedBook: Gpt2 | undefined;
}): void {
  // First: a run with retriever/ and generator/ counts as finished.
  run.artefacts.passages?.save(run.places.passageRetriever);
  run.encoder.save(run.places.retriever);
  saveGenerator(run.places.generator, run.generator.model, run.generator.tokenizer);
  if (run.closedBook !== undefined) saveGenerator(path.join(run.places.path, "closed-book"), run.closedBook, run.generator.tokenizer);
}
