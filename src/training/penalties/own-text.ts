/**
 * Penalties on what the model writes itself: answers are drawn once for a batch, read once more with the graph, and judged by the modes that look at them (straight-through.ts, sequence.ts) and by sequence-unlikelihood.ts.
 * Only a context's first question is answered, as whoever asks would ask it. What is drawn and what is read are one distribution: neither has dropout.
 * The price: n answers are n forward and backward passes over the prompt, beside the one decode. The trap: everything is a sum with its count over the whole batch, so parts of a batch must be given the answers drawn for all of it.
 *
 * Shape letters: B answers, T tokens, R answer positions, V vocabulary.
 */
import { autocast } from "../../engine/autocast.js";
import { indices, type Tensor } from "../../engine/tensor.js";
import type { DecodedModel } from "../../generation/decoding-batch.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import { answerPositions, type AnsweredPrompt } from "../answer-positions.js";
import type { KeywordList } from "../keywords.js";
import type { LossTerm } from "../loss-terms.js";
import { answerCosts, type AnswerCost, type WrittenAnswer } from "./answer-costs.js";
import { drawAnswers, type DrawnAnswers } from "./drawn-answers.js";
import { hasPenalties, isOn, type PenaltyOptions } from "./penalty-options.js";
import { leaveOneOut, requireSeveralAnswers, sequenceSurrogate } from "./sequence.js";
import { sequenceUnlikelihood, type PlacedAnswer } from "./sequence-unlikelihood.js";
import { straightThrough } from "./straight-through.js";

export interface OwnTextOptions {
  readonly model: DecodedModel & Pick<Gpt2, "logitsAt">;
  readonly eosId: number;
  readonly seed: number;
  readonly penalties: PenaltyOptions;
  readonly precision?: "bf16" | "f16" | undefined;
  readonly device: string;
}

/** A context with its questions, of which the first is answered. */
interface PromptedContext {
  readonly example: number;
  readonly prompt: AnsweredPrompt;
  /** For each question. */
  readonly keywords: readonly KeywordList[];
}

/** A context with what the model wrote. */
export interface AnsweredContext<Context extends PromptedContext = PromptedContext> {
  readonly context: Context;
  /** undefined: nothing was to be drawn. */
  readonly answers: DrawnAnswers | undefined;
}

export interface OwnTextPenalties {
  /** One decode for all contexts, without a graph. */
  draw<Context extends PromptedContext>(contexts: readonly Context[], step: number): AnsweredContext<Context>[];
  /** The terms' counts, known before they are computed. */
  counts(answered: readonly AnsweredContext[]): Record<string, number>;
  /** With the graph: penalties by their names, and `drawn_tokens`, a measure of weight 0: tokens of a drawn answer. */
  terms(answered: readonly AnsweredContext[]): Record<string, LossTerm>;
}

/** undefined where no penalty looks at the model's own text. @throws UserError for mode sequence with one answer */
export function ownTextPenalties(options: OwnTextOptions): OwnTextPenalties | undefined {
  const { penalties, model, eosId, seed } = options;
  const { mode = "teacher_forced", sequenceUnlikelihood: unlike, drawing } = penalties;
  const costs = mode === "teacher_forced" ? [] : answerCosts(penalties, eosId);
  const own = isOn(unlike) ? unlike : undefined;
  if (costs.length === 0 && own === undefined) return undefined;
  if (drawing === undefined) throw new Error("penalties on the model's own text need to know how answers are drawn");
  if (mode === "sequence" && hasPenalties(penalties)) requireSeveralAnswers(drawing.answers);
  const drawn = costs.length > 0 || own?.decoding === "sampled" ? drawing.answers : 0;
  const parts = { ...drawing, answers: drawn, model, eosId, seed, greedy: own?.decoding === "greedy" };
  const unlikelyOf = ({ answers }: AnsweredContext): readonly Int32Array[] =>
    own?.decoding === "sampled" ? (answers?.drawn ?? []) : answers?.greedy === undefined ? [] : [answers.greedy];
  return {
    draw(contexts, step) {
      const prompts = contexts.map(({ example, prompt }) => ({ example, ids: prompt.ids.slice(0, prompt.answers[0]?.start ?? 0) }));
      const answers = inPrecision(options, () => drawAnswers(parts, prompts, step));
      return contexts.map((context, i) => ({ context, answers: answers[i] }));
    },
    counts(answered) {
      const asked = answered.filter(({ answers }) => (answers?.drawn.length ?? 0) > 0).length;
      const tokens = answered.flatMap(unlikelyOf).reduce((sum, { length }) => sum + length, 0);
      const written = answered.flatMap(({ answers }) => answers?.drawn ?? []).length;
      return {
        ...Object.fromEntries(costs.map(({ name }) => [name, asked])),
        ...(own === undefined ? {} : { sequence_unlikelihood: tokens }),
        ...(drawn === 0 ? {} : { drawn_tokens: written }),
      };
    },
    terms(answered) {
      const read = readAgain(options, answered);
      const terms = Object.fromEntries(costs.map((cost) => [cost.name, costTerm(mode, cost, read, drawing.temperature)]));
      if (own !== undefined) terms["sequence_unlikelihood"] = unlikelyTerm(own, read, answered.map(unlikelyOf));
      const texts = answered.flatMap(({ answers }) => answers?.drawn ?? []);
      if (drawn > 0) terms["drawn_tokens"] = { sum: texts.reduce((sum, { length }) => sum + length, 0), count: texts.length, weight: 0 };
      return terms;
    },
  };
}

/** A drawn answer with its place in the logits. */
interface ReadAnswer extends WrittenAnswer, PlacedAnswer {}

interface ReadAgain {
  /** undefined: there is no answer. */
  readonly logits_RV: Tensor | undefined;
  /** For each context that has some, the drawn answers. */
  readonly groups: readonly (readonly ReadAnswer[])[];
  /** Where an answer's rows begin. */
  readonly rowOf: ReadonlyMap<Int32Array, number>;
}

/** One forward pass with the graph over prompts and what was written to them. */
function readAgain(options: OwnTextOptions, answered: readonly AnsweredContext[]): ReadAgain {
  const { model, device, eosId } = options;
  const rowOf = new Map<Int32Array, number>();
  const sequences: AnsweredPrompt[] = [];
  let row = 0;
  for (const { context, answers } of answered) {
    const start = context.prompt.answers[0]?.start ?? 0;
    for (const ids of [...(answers?.drawn ?? []), ...(answers?.greedy === undefined ? [] : [answers.greedy])]) {
      sequences.push({
        ids: Int32Array.from([...context.prompt.ids.subarray(0, start), ...ids]),
        answers: [{ start, end: start + ids.length }],
      });
      rowOf.set(ids, row);
      row += ids.length;
    }
  }
  const groups = answered.flatMap(({ context, answers }) => {
    const { start, end } = context.prompt.answers[0] ?? { start: 0, end: 0 };
    const gold = context.prompt.ids.slice(start, end).filter((id) => id !== eosId);
    const keywords = context.keywords[0] ?? { ids: new Int32Array(), weights: new Float64Array() };
    const group = (answers?.drawn ?? []).map((ids) => ({ ids, gold, keywords, row: rowOf.get(ids) ?? 0 }));
    return group.length === 0 ? [] : [group];
  });
  if (sequences.length === 0) return { logits_RV: undefined, groups, rowOf };
  const positions = answerPositions(sequences);
  const ids_BT = indices(positions.ids_BT, [positions.prompts, positions.width], device);
  const rows_R = indices(positions.rows_N, undefined, device);
  return { logits_RV: inPrecision(options, () => model.logitsAt(model.forward({ ids_BT }), rows_R)), groups, rowOf };
}

/** Drawing and reading alike, or they would be of two distributions. */
function inPrecision<T>({ precision, device }: OwnTextOptions, body: () => T): T {
  return autocast(precision, body, device.startsWith("cuda") ? "cuda" : "cpu");
}

/** The mean hard count of each context's answers, summed, with the gradient of the mode. */
function costTerm(mode: string, cost: AnswerCost, { logits_RV, groups }: ReadAgain, temperature: number): LossTerm {
  let total = 0;
  const leaning = [];
  const counted = [];
  for (const group of groups) {
    const costs = group.map(cost.cost);
    total += costs.reduce((sum, own) => sum + own, 0) / group.length;
    if (mode === "sequence") {
      const weights = leaveOneOut(costs);
      counted.push(...group.map(({ row, ids }, i) => ({ row, ids, weight: weights[i] ?? 0 })));
    } else {
      const share = (slope: number): number => slope / group.length;
      leaning.push(
        ...group.map((answer) => ({ row: answer.row, slopes: cost.slopes(answer).map((own) => ({ ...own, slope: share(own.slope) })) })),
      );
    }
  }
  const surrogate =
    logits_RV === undefined
      ? undefined
      : mode === "sequence"
        ? sequenceSurrogate(logits_RV, counted, temperature)
        : straightThrough(logits_RV, leaning, cost.temperature);
  const reason =
    mode === "sequence" ? "all answers to a question that were drawn cost the same" : "no drawn answer leans towards another count";
  const term = { count: groups.length, weight: cost.weight, mode };
  return surrogate === undefined ? { ...term, sum: total, inactive: reason } : { ...term, sum: surrogate.add(total) };
}

function unlikelyTerm(
  { n, weight, temperature }: NonNullable<PenaltyOptions["sequenceUnlikelihood"]>,
  { logits_RV, rowOf }: ReadAgain,
  texts: readonly (readonly Int32Array[])[],
): LossTerm {
  const answers = texts.flat().map((ids) => ({ ids, row: rowOf.get(ids) ?? 0 }));
  const count = answers.reduce((sum, { ids }) => sum + ids.length, 0);
  const sum = logits_RV === undefined ? undefined : sequenceUnlikelihood(logits_RV, answers, n, temperature);
  return sum === undefined ? { sum: 0, count, weight, inactive: `nothing that was written repeats ${n} tokens` } : { sum, count, weight };
}
