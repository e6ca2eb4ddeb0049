/**
 * The contrastive phase: an encoder learns to put a question near its passage and away from the batch's other passages and from mined hard negatives. It
 * neither mines nor chooses positives, and it doesn't refresh the index.
 * The trap: every question needs all passages of the batch, so a batch can't be cut into parts as the generator's can; embed-in-parts.ts has the way round.
 *
 * Shape letters: Q questions, P passages of the batch, D dimension.
 */
import { noGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { fromBytes, gradients, indices, type Tensor } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import type { Encoder } from "../../retrieval/encoder.js";
import { contrastiveBatches } from "../contrastive-batches.js";
import { hash32, integerBelow, shuffled } from "../counter-random.js";
import { matchForm } from "../../text/token-match.js";
import { falseNegatives } from "../false-negatives.js";
import { infoNce, type InfoNceOptions } from "../losses/info-nce.js";
import { matryoshka } from "../losses/matryoshka.js";
import type { LossTerms } from "../loss-terms.js";
import type { Phase } from "../phase.js";
import { WHOLE, type Share } from "../share.js";
import { FIRST_PASSAGE, type EmbeddedText, type EmbeddingOptions } from "./embed-in-parts.js";
import { backwardOwn, embedOwn, ownTokens } from "./embed-own.js";

/** A training question as the retriever sees it. The same words from two people are one question with the passages of both. */
export interface ContrastiveQuestion {
  readonly question: string;
  /** All gold answers: a passage that holds one is no negative. */
  readonly answers: readonly string[];
  /** Rows of the passages that answer it; at least one. */
  readonly positives: readonly number[];
  /** The document it is about. */
  readonly document?: string;
}

/** The texts of a batch, before they are tokenised. */
export interface ContrastiveTexts {
  /** `index` is the question's number in the data set. */
  readonly questions: readonly { readonly index: number; readonly question: string; readonly answers: readonly string[] }[];
  readonly passages: readonly { readonly row: number; readonly text: string }[];
}

export interface ContrastivePhaseOptions extends EmbeddingOptions {
  readonly encoder: Pick<Encoder, "parameters" | "dimension" | "tokenise" | "embedIds">;
  readonly questions: readonly ContrastiveQuestion[];
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
  /** Questions in a batch. */
  readonly batch: number;
  /** Which questions share a batch: any, those about one document as far as that fills batches, all that one passage answers, or both of these. Default mixed. */
  readonly batches?: "mixed" | "document" | "passage" | "document-passages";
  readonly temperature: number;
  readonly symmetric?: boolean;
  /** First dimensions that are trained to stand alone, beside the whole. Default none. */
  readonly matryoshka?: readonly number[];
  /** Mined negatives a question gets in each batch. Default 0. */
  readonly hardNegatives?: number;
  /** Which of them: others each time (random, the default), or always the first. */
  readonly sampling?: "random" | "top";
  /** Rows of a question's mined negatives. */
  readonly negativesOf?: (question: number) => ArrayLike<number>;
  /** Changes questions and passages together, e.g. renames entities. A pure function of its arguments. */
  readonly transform?: ((texts: ContrastiveTexts, step: number) => ContrastiveTexts) | undefined;
}

export interface ContrastiveBatch {
  readonly step: number;
  /** Token ids and dropout numbers of each side. */
  readonly queries: readonly EmbeddedText[];
  readonly passages: readonly EmbeddedText[];
  /** Column of each question's positive. */
  readonly positives_Q: Int32Array;
  /** (Q,P), 1 where a passage is no negative. */
  readonly masked_QP: Uint8Array;
}

/**
 * One term, `contrastive` (count: questions).
 * @throws UserError if a question has no positive, or there are too few for a batch
 */
export function contrastivePhase(options: ContrastivePhaseOptions): Phase<ContrastiveBatch> {
  const { encoder, questions } = options;
  const without = questions.findIndex((question) => question.positives.length === 0);
  if (without >= 0) {
    throw new UserError({
      where: "contrastive training",
      what: `question ${without + 1} has no passage that answers it: ${JSON.stringify(questions[without]?.question)}`,
      expected: "a gold passage, or one that holds the answer",
      got: "none",
      remedy: "leave such questions out, or set train.contrastive.positives=answer",
    });
  }
  const wordings = questions.map(({ question }) => matchForm(question));
  const golds = goldRowsByWording(questions, wordings);
  const batches = contrastiveBatches({
    seed: hash32(options.seed, 0x636f6e),
    size: questions.length,
    batch: options.batch,
    positiveOf: (example, epoch) => positiveOf(options, example, epoch),
    wordingOf: (example) => wordings[example] ?? "",
    together: options.batches === "passage" || options.batches === "document-passages",
    ...(options.batches === "document" || options.batches === "document-passages"
      ? { topicOf: (example: number) => questions[example]?.document ?? "" }
      : {}),
  });
  return {
    name: "contrastive",
    parameters: encoder.parameters,
    batch: (step) =>
      batchOf(options, batches.at(step), { step, ...batches.place(step) }, (index) => golds.get(wordings[index] ?? "") ?? []),
    // Every worker has the whole batch, because each question needs all passages; it embeds its share of either side.
    step: (batch, share = WHOLE) => ((options.accumulate ?? 1) > 1 ? cachedStep : wholeStep)(options, batch, share),
    losses: (batch) => scope(() => lossOf(options, batch, ...embedBoth(options, batch, WHOLE))),
    epoch: () => batches.epoch(),
    tokens: (batch, share = WHOLE) => ownTokens(options, batch.queries, share) + ownTokens(options, batch.passages, share),
  };
}

/** Rows that answer a question, whichever of those who asked it in the same words was given them. */
function goldRowsByWording(questions: readonly ContrastiveQuestion[], wordings: readonly string[]): Map<string, number[]> {
  const rows = new Map<string, number[]>();
  questions.forEach(({ positives }, index) => {
    const wording = wordings[index] ?? "";
    rows.set(wording, [...(rows.get(wording) ?? []), ...positives]);
  });
  return rows;
}

/** The row that a question is trained on in an epoch: one of its gold passages, drawn anew each time. */
function positiveOf({ questions, seed }: ContrastivePhaseOptions, index: number, epoch: number): number {
  const rows = questions[index]?.positives ?? [];
  return rows[integerBelow(rows.length, seed, epoch, index, 0x706f73)] ?? -1;
}

/** @param goldRowsOf rows that are no question's negatives, by the question's number */
function batchOf(
  options: ContrastivePhaseOptions,
  members: readonly number[],
  { step, epoch }: { readonly step: number; readonly epoch: number },
  goldRowsOf: (index: number) => readonly number[],
): ContrastiveBatch {
  const columns = new Map<number, number>();
  const columnOf = (row: number): number => {
    const known = columns.get(row);
    if (known !== undefined) return known;
    columns.set(row, columns.size);
    return columns.size - 1;
  };
  const asked = members.flatMap((index) => {
    const question = options.questions[index];
    return question === undefined ? [] : [{ index, ...question }];
  });
  const positives = asked.map(({ index }) => columnOf(positiveOf(options, index, epoch)));
  for (const { index } of asked) {
    const all = Array.from(options.negativesOf?.(index) ?? []);
    const mined = options.sampling === "top" ? all : shuffled(all, [options.seed, step, index, 0x6e6567]);
    for (const row of mined.slice(0, options.hardNegatives ?? 0)) columnOf(row);
  }
  const texts: ContrastiveTexts = { questions: asked, passages: [...columns.keys()].map((row) => ({ row, text: options.textOf(row) })) };
  const shown = options.transform?.(texts, step) ?? texts;
  const masked = shown.questions.map((question, q) => ({
    goldRows: goldRowsOf(asked[q]?.index ?? -1),
    answers: question.answers,
    positive: positives[q] ?? 0,
  }));
  const queryIds = options.encoder.tokenise(
    shown.questions.map((entry) => entry.question),
    "query",
  );
  const passageIds = options.encoder.tokenise(
    shown.passages.map((entry) => entry.text),
    "passage",
  );
  return {
    step,
    queries: queryIds.map((ids, q) => ({ ids, example: asked[q]?.index ?? 0 })),
    passages: passageIds.map((ids, p) => ({ ids, example: FIRST_PASSAGE + (shown.passages[p]?.row ?? 0) })),
    positives_Q: Int32Array.from(positives),
    masked_QP: falseNegatives(masked, shown.passages),
  };
}

function wholeStep(options: ContrastivePhaseOptions, batch: ContrastiveBatch, share: Share): LossTerms {
  return scope(() => {
    const terms = lossOf(options, batch, ...embedBoth(options, batch, share));
    share.backward([options.encoder.parameters], meanOf(terms));
    return share.same(withoutGraph(terms));
  });
}

/** GradCache: the same gradient, with one part's graph in memory at a time. */
function cachedStep(options: ContrastivePhaseOptions, batch: ContrastiveBatch, share: Share): LossTerms {
  return scope(() => {
    const [queries_QD, passages_PD] = noGrad(() => embedBoth(options, batch, share)).map((cached) => cached.detach().setRequiresGrad(true));
    if (queries_QD === undefined || passages_PD === undefined) throw new Error("embedBoth gives two tensors");
    const terms = lossOf(options, batch, queries_QD, passages_PD);
    const [forQueries, forPassages] = gradients([meanOf(terms)], [queries_QD, passages_PD]);
    if (forQueries === undefined || forPassages === undefined) throw new Error("a contrastive loss reaches both sides");
    const shared = { ...options, share };
    const last = (output?: Tensor, gradient?: Tensor): void => share.backward([options.encoder.parameters], output, gradient);
    backwardOwn(shared, batch.queries, batch.step, forQueries);
    if (!backwardOwn(shared, batch.passages, batch.step, forPassages, last)) last();
    return share.same(withoutGraph(terms));
  });
}

/** The embeddings of both sides, in the batch's order. */
function embedBoth(options: ContrastivePhaseOptions, batch: ContrastiveBatch, share: Share): [Tensor, Tensor] {
  const shared = { ...options, share };
  return [embedOwn(shared, batch.queries, batch.step), embedOwn(shared, batch.passages, batch.step)];
}

type ContrastiveTerms = Readonly<Record<"contrastive", { readonly sum: Tensor; readonly count: number; readonly weight: number }>>;

function lossOf(options: ContrastivePhaseOptions, batch: ContrastiveBatch, queries_QD: Tensor, passages_PD: Tensor): ContrastiveTerms {
  const { device = "cpu" } = options;
  const shape = [batch.queries.length, batch.passages.length];
  const settings: InfoNceOptions = {
    temperature: options.temperature,
    symmetric: options.symmetric ?? false,
    positives_Q: indices(batch.positives_Q, undefined, device),
    masked_QP: fromBytes(batch.masked_QP, "u8", shape).toDevice(device, "bool"),
  };
  const { matryoshka: dimensions = [] } = options;
  if (dimensions.length === 0) return { contrastive: { ...infoNce(queries_QD, passages_PD, settings), weight: 1 } };
  const nested = [...new Set([...dimensions, queries_QD.size(1)])].map((each) => ({ dimensions: each, weight: 1 }));
  return { contrastive: { ...matryoshka(queries_QD, passages_PD, { ...settings, nested }), weight: 1 } };
}

function meanOf({ contrastive }: ContrastiveTerms): Tensor {
  return contrastive.sum.div(contrastive.count);
}

function withoutGraph(terms: ContrastiveTerms): LossTerms {
  return { contrastive: { ...terms.contrastive, sum: terms.contrastive.sum.detach() } };
}
