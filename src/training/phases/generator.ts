/**
 * The generator phase: a causal language model learns to write the answer, and to stop, from contexts and questions. Cross-entropy on answers and their EOS
 * only; the copy loss and the penalties (penalties/) beside it as the config says. It neither updates parameters nor chooses contexts.
 * The trap: logits are the largest tensor of a step, so they are computed at the answer's positions alone.
 *
 * Shape letters: B prompts, T tokens, E width, N answer positions, M copy positions, V vocabulary.
 */
import { autocast } from "../../engine/autocast.js";
import { scope } from "../../engine/scope.js";
import { indices, type Tensor } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import { buildTrainingPrompts, type PromptFormat, type TrainingPrompt } from "../../generation/prompt.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { answerKeywords, type KeywordOrigin } from "../answer-keywords.js";
import { answerPositions, cutIntoParts, type AnswerPositions } from "../answer-positions.js";
import { lengthBucketBatches, type BatchSource } from "../batches.js";
import { hash32 } from "../counter-random.js";
import { holds } from "../curriculum.js";
import type { AskedContext, GeneratorExamples } from "../generator-examples.js";
import type { KeywordList, WordWeight } from "../keywords.js";
import { answerCrossEntropy } from "../losses/answer-cross-entropy.js";
import { copyLoss, wordContinuations } from "../losses/copy.js";
import { ownTextPenalties, type AnsweredContext, type OwnTextPenalties } from "../penalties/own-text.js";
import { hasPenalties, isOn, type PenaltyOptions } from "../penalties/penalty-options.js";
import { teacherForcedTerms } from "../penalties/teacher-forced.js";
import type { LossTerm, LossTerms } from "../loss-terms.js";
import type { Phase } from "../phase.js";
import { WHOLE } from "../share.js";
import { accumulate } from "./accumulation.js";

export interface GeneratorPhaseOptions {
  readonly model: Pick<Gpt2, "parameters" | "forward" | "logits" | "logitsAt" | "config">;
  readonly tokenizer: Tokenizer;
  readonly format: PromptFormat;
  /** Prompt and answers together. At most the model's positions. */
  readonly maxTokens: number;
  readonly eosId: number;
  readonly examples: GeneratorExamples;
  /** Tokens of an example at a step, as batches are planned by it; an estimate will do. */
  readonly length: (example: number, step: number) => number;
  readonly seed: number;
  /** Most tokens of a batch, padding included, by the estimate. */
  readonly batchTokens?: number | undefined;
  /** Most contexts of a batch. */
  readonly batch?: number | undefined;
  /** Parts a batch is computed in. Default 1. */
  readonly accumulate?: number;
  readonly labelSmoothing?: number;
  /** Weight of the loss on later mentions of names outside the answers. Default 0. */
  readonly copyWeight?: number;
  readonly penalties?: PenaltyOptions;
  /** Where the keyword penalty takes its keywords from. Default the answer. */
  readonly keywordSource?: KeywordOrigin;
  /** How rare words are; needed for the keyword penalty. */
  readonly wordWeight?: WordWeight;
  /** Whether the model's dropouts are on. Default true. */
  readonly dropout?: boolean;
  readonly precision?: "bf16" | "f16" | undefined;
  readonly device?: string;
}

/** One context of a batch. */
interface Member {
  readonly example: number;
  readonly asked: AskedContext;
  readonly prompt: TrainingPrompt;
  /** For each asked question, in order. */
  readonly keywords: readonly KeywordList[];
}

export interface GeneratorBatch {
  readonly step: number;
  readonly members: readonly Member[];
}

/** What all parts of a step are computed with. */
interface Parts {
  readonly options: GeneratorPhaseOptions;
  /** Tells which tokens go on with a word; undefined: there is no copy loss. */
  readonly continues: ((token: number) => boolean) | undefined;
  /** undefined: no penalty looks at what the model writes. */
  readonly ownText: OwnTextPenalties | undefined;
}

/**
 * Terms: `answer` (count: answer tokens and EOS), `copy` (copy positions), the penalties (answers, or contexts where answers are drawn), and measures of weight 0: `answer_in_context`, of how
 * many leads the shown context holds the answer, `unknown_target`, how many are taught the unknown answer, and `drawn_tokens`.
 * @throws UserError if the prompts can't fit the model
 */
export function generatorPhase(options: GeneratorPhaseOptions): Phase<GeneratorBatch> {
  const { model } = options;
  if (options.maxTokens > model.config.nPositions) {
    throw new UserError({
      where: "generator.max_tokens",
      what: "prompts would be longer than the model",
      expected: `at most ${model.config.nPositions}`,
      got: String(options.maxTokens),
    });
  }
  const batches = batchSource(options);
  const parts: Parts = {
    options,
    continues: (options.copyWeight ?? 0) > 0 ? wordContinuations(options.tokenizer) : undefined,
    ownText: ownTextPenalties({ penalties: {}, device: "cpu", ...options }),
  };
  return {
    name: "generator",
    parameters: model.parameters,
    batch: (step, share = WHOLE) => ({ step, members: membersOf(options, share.own(batches.at(step)), step) }),
    step(batch, share = WHOLE) {
      const answered = answeredMembers(parts, batch);
      const counts = share.counts(countsOf(parts, answered));
      // Sorted by length, a part holds prompts of like length and little padding.
      const sorted = answered.toSorted((a, b) => a.context.prompt.ids.length - b.context.prompt.ids.length);
      const cut = sorted.length === 0 ? [] : cutIntoParts(sorted, options.accumulate ?? 1);
      const last = (loss: Tensor | undefined): void => share.backward([model.parameters], loss);
      return share.terms(accumulate(cut, counts, (part) => losses(parts, part, batch.step), last));
    },
    losses: (batch) => losses(parts, answeredMembers(parts, batch), batch.step),
    epoch: () => batches.epoch(),
    // Without what is drawn and read again: that is known only within a step.
    tokens: (batch) => batch.members.length * batch.members.reduce((most, member) => Math.max(most, member.prompt.ids.length), 0),
  };
}

type Answered = AnsweredContext<Member>;

/** The members with what the model writes to them now: drawn for the whole batch at once, however it is cut afterwards. */
function answeredMembers({ ownText }: Parts, { members, step }: GeneratorBatch): Answered[] {
  return ownText?.draw(members, step) ?? members.map((context) => ({ context, answers: undefined }));
}

function batchSource(options: GeneratorPhaseOptions): BatchSource {
  if (options.batch === undefined && options.batchTokens === undefined) {
    throw new UserError({ where: "train.generator", what: "batches have no size", expected: "batch or batch_tokens", got: "neither" });
  }
  return lengthBucketBatches({
    seed: hash32(options.seed, 0x67656e),
    size: options.examples.size,
    length: options.length,
    budget: options.batchTokens ?? Number.MAX_SAFE_INTEGER,
    ...(options.batch === undefined ? {} : { most: options.batch }),
  });
}

function membersOf(options: GeneratorPhaseOptions, leads: readonly number[], step: number): Member[] {
  const asked = leads.map((lead) => options.examples.at(lead, step));
  const prompts = buildTrainingPrompts(options.tokenizer, options.format, asked, options.maxTokens, options.eosId);
  const keywords = keywordLists(options, asked, prompts);
  return leads.flatMap((example, index) => {
    const [context, prompt] = [asked[index], prompts[index]];
    return context === undefined || prompt === undefined ? [] : [{ example, asked: context, prompt, keywords: keywords[index] ?? [] }];
  });
}

/** Empty unless the keyword penalty is on. */
function keywordLists(options: GeneratorPhaseOptions, asked: readonly AskedContext[], prompts: readonly TrainingPrompt[]): KeywordList[][] {
  const { wordWeight, keywordSource = "answer" } = options;
  const keyword = options.penalties?.keyword;
  if (keyword === undefined || !isOn(keyword)) return [];
  if (wordWeight === undefined) throw new Error("the keyword penalty needs wordWeight");
  return answerKeywords(options.tokenizer, asked, prompts, { origin: keywordSource, direction: keyword.direction, wordWeight });
}

function losses(parts: Parts, answered: readonly Answered[], step: number): LossTerms {
  const { options, continues, ownText } = parts;
  const { model, device = "cpu" } = options;
  const members = answered.map(({ context }) => context);
  const positions = answerPositions(
    members.map((member) => member.prompt),
    continues,
  );
  return scope(() => {
    const ids_BT = indices(positions.ids_BT, [positions.prompts, positions.width], device);
    const examples_B = indices(
      members.map((member) => member.example),
      undefined,
      device,
    );
    const dropout = options.dropout === false ? undefined : { seed: hash32(options.seed, 0x64726f), step, examples_B };
    const rows_R = indices([...positions.rows_N, ...positions.copyRows_M], undefined, device);
    // The losses stay outside: autocast would run the penalties' products in bf16.
    const logits_RV = autocast(
      options.precision,
      () => model.logitsAt(model.forward({ ids_BT, dropout }), rows_R),
      device.startsWith("cuda") ? "cuda" : "cpu",
    );
    return { ...termsOf(options, positions, members, logits_RV, device), ...ownText?.terms(answered) };
  });
}

function termsOf(
  options: GeneratorPhaseOptions,
  positions: AnswerPositions,
  members: readonly Member[],
  logits_RV: Tensor,
  device: string,
): LossTerms {
  const { labelSmoothing = 0, copyWeight = 0, penalties = {} } = options;
  const [answers, copies] = [positions.targets_N.length, positions.copyTargets_M.length];
  const logits_NV = copies === 0 ? logits_RV : logits_RV.narrow(0, 0, answers);
  const targets_N = indices(positions.targets_N, undefined, device);
  const terms: Record<string, LossTerm> = { answer: { ...answerCrossEntropy(logits_NV, targets_N, labelSmoothing), weight: 1 } };
  if (copies === 0 && copyWeight > 0)
    terms["copy"] = { sum: 0, count: 0, weight: copyWeight, inactive: "no context names again what it named before" };
  if (copies > 0) {
    const targets_M = indices(positions.copyTargets_M, undefined, device);
    terms["copy"] = { ...copyLoss(logits_RV.narrow(0, answers, copies), targets_M), weight: copyWeight };
  }
  if (hasPenalties(penalties) && (penalties.mode ?? "teacher_forced") === "teacher_forced") {
    const keywords = members.flatMap((member) => member.keywords);
    Object.assign(
      terms,
      teacherForcedTerms(penalties, {
        logits_NV,
        lengths: positions.lengths,
        targets_N: positions.targets_N,
        keywords,
        eosId: options.eosId,
      }),
    );
  }
  terms["answer_in_context"] = { sum: members.filter((member) => answerShown(options, member)).length, count: members.length, weight: 0 };
  if (options.examples.unknownAnswer !== undefined)
    terms["unknown_target"] = { sum: members.filter(({ asked }) => asked.isUnknown === true).length, count: members.length, weight: 0 };
  return terms;
}

/** Whether the lead's answer stands in what is left of the context. */
function answerShown(options: GeneratorPhaseOptions, { asked, prompt }: Member): boolean {
  const answer = asked.questions[0]?.answer ?? "";
  if (prompt.tokensCut > 0) return holds(options.tokenizer.decode(prompt.ids.slice(prompt.context.start, prompt.context.end)), answer);
  return prompt.passagesShown > 0 && asked.passages.some((passage) => holds(`${passage.title} ${passage.text}`, answer));
}

/** The counts of a whole step, by the names that {@link losses} gives. */
function countsOf({ options, continues, ownText }: Parts, answered: readonly Answered[]): Record<string, number> {
  const positions = answerPositions(
    answered.map(({ context }) => context.prompt),
    continues,
  );
  const { penalties = {} } = options;
  const answers = positions.lengths.length;
  return {
    answer: positions.targets_N.length,
    copy: positions.copyTargets_M.length,
    ngram_repeat: answers,
    short_answer: answers,
    unlikelihood: positions.targets_N.length,
    [`keyword_${penalties.keyword?.direction ?? "coverage"}`]: answers,
    answer_in_context: answered.length,
    unknown_target: answered.length,
    ...ownText?.counts(answered),
  };
}
