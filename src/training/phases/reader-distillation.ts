/**
 * The generator teaches the retriever: K retrieved passages of each question are scored by how well the reader answers after each of them, and the retriever learns to find such passages, without any gold
 * passage. PDist and EMDR² teach the retriever alone; RAG-sequence and RAG-token may train the reader by the same loss (joint.ts). It searches nothing: candidates come from the index of the last refresh.
 * The trap: that index is older than the retriever. More candidates than passages are asked for, embedded as the retriever is now, and ranked again, so that a stale order is mended, though not a stale choice.
 *
 * Shape letters: Q questions, M candidates and K passages of each, U distinct passages, C = Q·K prompts, A tokens of the longest answer, D dimension.
 */
import { noGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { gradients, indices, toInt32Array, type Tensor } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import { buildTrainingPrompts, type PromptFormat } from "../../generation/prompt.js";
import type { Passage } from "../../corpus/passage.js";
import type { HistoryTurn } from "../../corpus/question.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import type { Encoder } from "../../retrieval/encoder.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { lengthBucketBatches } from "../batches.js";
import { hash32 } from "../counter-random.js";
import { requirePassages } from "../losses/passage-prior.js";
import { readerLoss, type ReaderLoss, type ReaderLossOptions } from "../losses/reader-loss.js";
import type { LossTerms } from "../loss-terms.js";
import type { Phase } from "../phase.js";
import { WHOLE, type Parameters, type Share } from "../share.js";
import { backwardInParts, embedAll, FIRST_PASSAGE, paddedTokens, type EmbeddedText, type EmbeddingOptions } from "./embed-in-parts.js";
import {
  answerLengths,
  answerLikelihoods,
  backwardLikelihoods,
  promptTokens,
  type LikelihoodOptions,
  type ScoredPrompt,
} from "./reader-likelihood.js";

/** A training question with what the index found for it. */
interface ReaderQuestion {
  readonly question: string;
  /** The gold answer that the reader is asked for. */
  readonly answer: string;
  readonly history?: readonly HistoryTurn[] | undefined;
  /** Rows, best first; a question with fewer than K isn't trained on. */
  readonly candidates: readonly number[];
}

/** The texts of one question, before they are tokenised. */
export interface ReaderTexts {
  /** The question's number in the data set. */
  readonly index: number;
  readonly question: string;
  readonly answer: string;
  /** Its candidates in their order, each with its text as embedded. */
  readonly passages: readonly ReaderPassage[];
}

interface ReaderPassage extends Pick<Passage, "title" | "text"> {
  readonly row: number;
  readonly embedded: string;
}

/** The generator as the teacher. */
interface Reader {
  readonly model: Pick<Gpt2, "parameters" | "forward" | "logitsAt">;
  readonly tokenizer: Tokenizer;
  readonly format: PromptFormat;
  /** Prompt and answer together. */
  readonly maxTokens: number;
  readonly eosId: number;
}

export interface ReaderPhaseOptions extends EmbeddingOptions, Omit<ReaderLossOptions, "lengths"> {
  readonly encoder: Pick<Encoder, "parameters" | "tokenise" | "embedIds">;
  /** Embeds the passages, without dropout, in place of `encoder`: the one that their index was made with. Only without {@link trainsPassages}. */
  readonly passageEncoder?: Pick<Encoder, "tokenise" | "embedIds">;
  readonly reader: Reader;
  readonly questions: readonly ReaderQuestion[];
  readonly passage: (row: number) => Passage;
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
  /** Questions in a batch. */
  readonly batch: number;
  /** K, at least 2. */
  readonly passages: number;
  /** false: passages are embedded without a graph, and the questions' side alone brings the two together. Default true. */
  readonly trainsPassages?: boolean;
  /** Whether the loss trains the reader too, where it can. Default false. */
  readonly trainsReader?: boolean;
  /** Tokens of one forward pass of the reader. */
  readonly tokensAtOnce: number;
  /** Changes a question, its answer and its candidates together, for retriever and reader alike, e.g. renames entities. A pure function of its arguments: which other questions are in the batch depends on the number of workers. */
  readonly transform?: ((texts: ReaderTexts, step: number) => ReaderTexts) | undefined;
  /** Shortens what the reader is shown of passages, each for its question, as asking does. After the transform. */
  readonly filter?: ((items: readonly { question: string; passages: readonly Passage[] }[]) => readonly (readonly Passage[])[]) | undefined;
}

interface ReaderMember {
  readonly index: number;
  readonly asked: ReaderQuestion;
  /** Its candidates as they are shown in this step, by row; undefined: as they stand in the store. */
  readonly shown: ReadonlyMap<number, ReaderPassage> | undefined;
}

export interface ReaderBatch {
  readonly step: number;
  readonly members: readonly ReaderMember[];
  readonly queries: readonly EmbeddedText[];
}

/** Names of parameters where both models are trained by one loss. */
export const RETRIEVER_PREFIX = "retriever.";
export const READER_PREFIX = "generator.";

/** Whether the reader learns from a loss, or only teaches. */
export function teachesReader(loss: ReaderLoss): boolean {
  return loss === "rag_sequence" || loss === "rag_token";
}

/**
 * Terms: the loss by its name (count: questions), and two measures of weight 0: `retrieval_entropy`, nats, of the retriever's belief among the K passages (0: sure of one; log K: of none), and `reader_agrees`,
 * the share of questions whose best passage is the same for both.
 * @throws UserError for K = 1, and where no question has K candidates
 */
export function readerPhase(options: ReaderPhaseOptions): Phase<ReaderBatch> {
  const { encoder, reader, passages: k } = options;
  requirePassages(k, "train.reader.passages");
  if (options.passageEncoder !== undefined && options.trainsPassages !== false)
    throw new Error("an encoder of passages alone isn't trained");
  const usable = options.questions.flatMap(({ candidates }, index) => (candidates.length >= k ? [index] : []));
  if (usable.length === 0)
    throw new UserError({
      where: "train.reader.passages",
      what: "no training question has as many passages to choose from",
      expected: `${k} found passages`,
      got: `at most ${Math.max(0, ...options.questions.map(({ candidates }) => candidates.length))}`,
    });
  const batches = lengthBucketBatches({
    seed: hash32(options.seed, 0x726561),
    size: usable.length,
    length: () => 1,
    budget: options.batch,
  });
  const isReaderTrained = options.trainsReader === true && teachesReader(options.loss);
  // Which passages are chosen, and so how many tokens they have, is known only while a step is taken.
  const counted = new WeakMap<ReaderBatch, number>();
  return {
    name: "reader-distillation",
    parameters: isReaderTrained ? bothParameters(encoder.parameters, reader.model.parameters) : encoder.parameters,
    batch: (step, share = WHOLE) =>
      batchOf(
        options,
        share.own(batches.at(step)).map((place) => usable[place] ?? 0),
        step,
      ),
    step: (batch, share = WHOLE) => {
      if (batch.members.length === 0) return emptyStep(options, share);
      return scope(() => {
        const chosen = chosenPassages(options, batch);
        counted.set(batch, tokensOf(options, chosen));
        return ((options.accumulate ?? 1) > 1 ? cachedStep : wholeStep)(options, chosen, share);
      });
    },
    losses: (batch) => scope(() => termsOf(options, forward(options, chosenPassages(options, batch), "live", "live"))),
    epoch: () => batches.epoch(),
    tokens: (batch) => counted.get(batch) ?? 0,
  };
}

/** The parameters of both models by names that tell them apart. */
export function bothParameters(retriever: ReadonlyMap<string, Tensor>, reader: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([
    ...[...retriever].map(([name, parameter]) => [RETRIEVER_PREFIX + name, parameter] as const),
    ...[...reader].map(([name, parameter]) => [READER_PREFIX + name, parameter] as const),
  ]);
}

function batchOf(options: ReaderPhaseOptions, indexes: readonly number[], step: number): ReaderBatch {
  const members = indexes.flatMap((index) => {
    const asked = options.questions[index];
    return asked === undefined ? [] : [memberOf(options, index, asked, step)];
  });
  const ids = options.encoder.tokenise(
    members.map(({ asked }) => asked.question),
    "query",
  );
  return { step, members, queries: ids.map((own, q) => ({ ids: own, example: members[q]?.index ?? 0 })) };
}

function memberOf({ transform, passage, textOf }: ReaderPhaseOptions, index: number, asked: ReaderQuestion, step: number): ReaderMember {
  if (transform === undefined) return { index, asked, shown: undefined };
  const passages = asked.candidates.map((row) => ({ row, title: passage(row).title, text: passage(row).text, embedded: textOf(row) }));
  const texts = transform({ index, question: asked.question, answer: asked.answer, passages }, step);
  return {
    index,
    asked: { ...asked, question: texts.question, answer: texts.answer },
    shown: new Map(texts.passages.map((own) => [own.row, own])),
  };
}

/** A batch with its K passages chosen: by the retriever as it is now where there are more candidates than that. */
interface ChosenPassages {
  readonly step: number;
  readonly queries: readonly EmbeddedText[];
  /** The distinct passages, and for each question which of them it has, best candidate first: Q·K places. */
  readonly passages: readonly EmbeddedText[];
  readonly places_QK: Int32Array;
  readonly prompts: readonly ScoredPrompt[];
}

function chosenPassages(options: ReaderPhaseOptions, batch: ReaderBatch): ChosenPassages {
  const { passages: k, reader } = options;
  const rows_QK = rankedAnew(options, batch);
  const { passages, places } = distinctPassages(options, batch, rows_QK);
  const items = batch.members.flatMap((member, q) =>
    readPassages(options, member, rows_QK[q] ?? []).map((own) => ({
      passages: own,
      questions: [{ question: member.asked.question, answer: member.asked.answer }],
      ...(member.asked.history === undefined ? {} : { history: member.asked.history }),
    })),
  );
  const prompts = buildTrainingPrompts(reader.tokenizer, reader.format, items, reader.maxTokens, reader.eosId);
  const numbered = prompts.map((prompt, c) => ({ prompt, example: (batch.members[Math.floor(c / k)]?.index ?? 0) * k + (c % k) }));
  return { step: batch.step, queries: batch.queries, passages, places_QK: places, prompts: numbered };
}

/** What the reader is shown after each of a question's rows. One question at a time, so that what is kept doesn't depend on the others in the batch. */
function readPassages(
  { passage, filter }: ReaderPhaseOptions,
  { asked, shown }: ReaderMember,
  rows: readonly number[],
): (readonly Passage[])[] {
  const items = rows.map((row) => {
    const { title, text } = shown?.get(row) ?? passage(row);
    return { question: asked.question, passages: [{ ...passage(row), title, text }] };
  });
  return filter === undefined ? items.map(({ passages }) => passages) : [...filter(items)];
}

/** The rows of each question's K passages. All candidates are embedded without a graph, unless there is nothing to choose. */
function rankedAnew(options: ReaderPhaseOptions, batch: ReaderBatch): (readonly number[])[] {
  const { passages: k } = options;
  const candidates = batch.members.map(({ asked }) => asked.candidates);
  if (candidates.every(({ length }) => length === k)) return candidates;
  return scope(() =>
    noGrad(() => {
      // Ranks are decided without dropout, as a search would.
      const still = { ...options, dropout: false };
      const { passages, places } = distinctPassages(options, batch, candidates);
      const [queries_QD, passages_UD] = [embedAll(still, batch.queries, batch.step), embedAll(passageSide(still), passages, batch.step)];
      let start = 0;
      return candidates.map((rows, q) => {
        const own_M = indices(places.subarray(start, start + rows.length), undefined, passages_UD.device);
        start += rows.length;
        const scores_M = passages_UD.indexSelect(0, own_M).matmul(queries_QD.select(0, q));
        return [...toInt32Array(scores_M.topk(k)[1].toDtype("i32"))].map((place) => rows[place] ?? 0);
      });
    }),
  );
}

/** Each row once, tokenised, and where each of the given rows stands among them. Where rows are shown otherwise for each question, each question has its own. */
function distinctPassages(
  options: ReaderPhaseOptions,
  { members }: ReaderBatch,
  rows: readonly (readonly number[])[],
): { passages: EmbeddedText[]; places: Int32Array } {
  const own = rows.flatMap((found, q) => found.map((row) => ({ row, shown: members[q]?.shown?.get(row)?.embedded, q })));
  const keyOf = ({ row, shown, q }: (typeof own)[number]): string => (shown === undefined ? String(row) : `${row} of ${q}`);
  const distinct = new Map(own.map((entry) => [keyOf(entry), entry]));
  const placeOf = new Map([...distinct.keys()].map((key, place) => [key, place]));
  const ids = (options.passageEncoder ?? options.encoder).tokenise(
    [...distinct.values()].map(({ row, shown }) => shown ?? options.textOf(row)),
    "passage",
  );
  return {
    passages: [...distinct.values()].map(({ row }, u) => ({ ids: ids[u] ?? new Int32Array(), example: FIRST_PASSAGE + row })),
    places: Int32Array.from(own, (entry) => placeOf.get(keyOf(entry)) ?? 0),
  };
}

/** All that a loss is made of. */
interface Forward {
  readonly chosen: ChosenPassages;
  readonly queries_QD: Tensor;
  readonly passages_UD: Tensor;
  readonly likelihoods_CA: Tensor;
}

/** `live`: with the graph to the parameters; `cached`: leaves whose gradient is taken first. What isn't trained has neither. */
type Graph = "live" | "cached";

function forward(options: ReaderPhaseOptions, chosen: ChosenPassages, embeddings: Graph, likelihoods: Graph): Forward {
  const { step, queries, passages, prompts } = chosen;
  const of = (graph: Graph, isTrained: boolean, compute: () => Tensor): Tensor => {
    if (isTrained && graph === "live") return compute();
    const fixed = noGrad(compute).detach();
    return isTrained ? fixed.setRequiresGrad(true) : fixed;
  };
  const isReaderTrained = options.trainsReader === true && teachesReader(options.loss);
  return {
    chosen,
    queries_QD: of(embeddings, true, () => embedAll(options, queries, step)),
    passages_UD: of(embeddings, options.trainsPassages ?? true, () => embedAll(passageSide(options), passages, step)),
    likelihoods_CA: of(likelihoods, isReaderTrained, () => answerLikelihoods(likelihoodOptions(options, isReaderTrained), prompts, step)),
  };
}

/** How passages are embedded: as the questions are, or as their index was made. */
function passageSide(options: ReaderPhaseOptions): EmbeddingOptions {
  return options.passageEncoder === undefined ? options : { ...options, encoder: options.passageEncoder, dropout: false };
}

function likelihoodOptions(options: ReaderPhaseOptions, isReaderTrained: boolean): LikelihoodOptions {
  const { reader, seed, precision, device, tokensAtOnce, dropout = true } = options;
  return {
    model: reader.model,
    seed,
    dropout: dropout && isReaderTrained,
    tokensAtOnce,
    promptsOfQuestion: isReaderTrained ? 1 : options.passages,
    precision,
    ...(device === undefined ? {} : { device }),
  };
}

function termsOf(options: ReaderPhaseOptions, { chosen, queries_QD, passages_UD, likelihoods_CA }: Forward): LossTerms {
  const { passages: k } = options;
  const questions = queries_QD.size(0);
  const own_QKD = passages_UD.indexSelect(0, indices(chosen.places_QK, undefined, passages_UD.device)).reshape([questions, k, -1]);
  const scores_QK = own_QKD.matmul(queries_QD.unsqueeze(2)).squeeze(2);
  const likelihoods_QKA = likelihoods_CA.reshape([questions, k, -1]);
  const lengths = answerLengths(chosen.prompts).filter((_, c) => c % k === 0);
  const term = readerLoss(scores_QK, likelihoods_QKA, { ...options, lengths });
  return { [options.loss]: { ...term, weight: 1 }, ...measures(options, scores_QK, likelihoods_QKA) };
}

/** What is watched beside the loss, without a graph. */
function measures({ temperature }: ReaderPhaseOptions, scores_QK: Tensor, likelihoods_QKA: Tensor): LossTerms {
  return noGrad(() => {
    const count = scores_QK.size(0);
    const log_QK = scores_QK.detach().div(temperature).logSoftmax(1);
    const agrees_Q = scores_QK.detach().argmax(1).eq(likelihoods_QKA.detach().sum(2).argmax(1));
    return {
      retrieval_entropy: { sum: log_QK.exp().mul(log_QK).sum().neg(), count, weight: 0 },
      reader_agrees: { sum: agrees_Q.toDtype("f32").sum(), count, weight: 0 },
    };
  });
}

function wholeStep(options: ReaderPhaseOptions, chosen: ChosenPassages, share: Share): LossTerms {
  const terms = termsOf(options, forward(options, chosen, "live", "live"));
  share.backward(trainedModels(options), scaledLoss(options, terms, share));
  return share.terms(withoutGraph(terms));
}

/** The same gradient with one part's graph in memory at a time, of either model. */
function cachedStep(options: ReaderPhaseOptions, chosen: ChosenPassages, share: Share): LossTerms {
  const computed = forward(options, chosen, "cached", "cached");
  const { queries_QD, passages_UD, likelihoods_CA } = computed;
  const terms = termsOf(options, computed);
  const leaves = [queries_QD, passages_UD, likelihoods_CA].filter((leaf) => leaf.requiresGrad);
  const found = gradients([scaledLoss(options, terms, share)], leaves);
  const gradientOf = (leaf: Tensor): Tensor | undefined => found[leaves.indexOf(leaf)];
  const [forQueries, forPassages, forReader] = [queries_QD, passages_UD, likelihoods_CA].map(gradientOf);
  if (forQueries === undefined) throw new Error(`${options.loss} doesn't reach the questions`);
  const models = trainedModels(options);
  // The others wait for the sum of each.
  if (models.length > 1 && forReader === undefined) throw new Error(`${options.loss} doesn't reach the reader`);
  const [retriever, reader] = models.map((model) => (output: Tensor, gradient: Tensor): void => {
    share.backward([model], output, gradient);
  });
  backwardInParts(options, chosen.queries, chosen.step, forQueries, forPassages === undefined ? retriever : undefined);
  if (forPassages !== undefined) backwardInParts(options, chosen.passages, chosen.step, forPassages, retriever);
  if (forReader !== undefined) backwardLikelihoods(likelihoodOptions(options, true), chosen.prompts, chosen.step, forReader, reader);
  return share.terms(withoutGraph(terms));
}

/** A worker that was dealt no question takes part in everything that the others do together. */
function emptyStep(options: ReaderPhaseOptions, share: Share): LossTerms {
  share.counts({ [options.loss]: 0 });
  const models = trainedModels(options);
  // As the others do it: both at once, or in parts one after the other.
  if ((options.accumulate ?? 1) > 1) for (const model of models) share.backward([model], undefined);
  else share.backward(models, undefined);
  return share.terms({});
}

/** The models that the loss trains: the retriever, and the reader where it learns too. */
function trainedModels({ encoder, reader, trainsReader, loss }: ReaderPhaseOptions): Parameters[] {
  return [encoder.parameters, ...(trainsReader === true && teachesReader(loss) ? [reader.model.parameters] : [])];
}

function scaledLoss({ loss }: ReaderPhaseOptions, terms: LossTerms, share: Share): Tensor {
  const term = terms[loss];
  if (term === undefined || typeof term.sum === "number") throw new Error(`${loss} has no graph`);
  return term.sum.div(share.counts({ [loss]: term.count })[loss] ?? term.count);
}

function withoutGraph(terms: LossTerms): LossTerms {
  return Object.fromEntries(
    Object.entries(terms).map(([name, term]) => [name, { ...term, sum: typeof term.sum === "number" ? term.sum : term.sum.detach() }]),
  );
}

/** Of the encoder and the reader. */
function tokensOf(options: ReaderPhaseOptions, { queries, passages, prompts }: ChosenPassages): number {
  const isReaderTrained = options.trainsReader === true && teachesReader(options.loss);
  const scored = promptTokens(likelihoodOptions(options, isReaderTrained), prompts);
  return paddedTokens(options, queries) + paddedTokens(options, passages) + scored;
}
