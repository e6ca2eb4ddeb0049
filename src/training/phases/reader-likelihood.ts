/**
 * What the reader thinks of each passage: the log-likelihood of a question's answer after each of its K passages, one prompt a passage. With a graph for training, without one for teaching the retriever; in
 * parts of bounded size either way. It chooses no passages and knows no loss.
 * Two traps. The sum over an answer's tokens is what Bayes' rule wants, but long answers then swamp a batch's temperature; the mean is what PDist is used with. And an answer is scored as training writes it,
 * its end-of-text token included.
 *
 * Shape letters: Q questions, K passages of each, C = Q·K prompts, T tokens of a prompt, A tokens of the longest answer, N answer tokens of all prompts, V vocabulary.
 */
import { autocast } from "../../engine/autocast.js";
import { enableGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { indices, ops, type Tensor } from "../../engine/tensor.js";
import type { TrainingPrompt } from "../../generation/prompt.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import { answerPositions, type AnswerPositions } from "../answer-positions.js";
import { cutByBudget } from "../batches.js";
import { hash32 } from "../counter-random.js";
import { atLeastF32 } from "../losses/precision.js";
import { plainly, type BackwardPass } from "./embed-in-parts.js";
import { SharedPrefix, sharedTokens, withoutFirst } from "./shared-prefix.js";

export interface LikelihoodOptions {
  readonly model: Pick<Gpt2, "forward" | "logitsAt">;
  readonly seed: number;
  /** Whether the model's dropouts are on. */
  readonly dropout: boolean;
  /** Most tokens of a forward pass, padding included; a longer prompt has one of its own. Behind a shared beginning, those that follow it. */
  readonly tokensAtOnce: number;
  /** Prompts that follow each other and belong to one question: what they begin with alike is computed once. Only without a graph and without dropout. Default 1. */
  readonly promptsOfQuestion?: number;
  readonly precision?: "bf16" | "f16" | undefined;
  readonly device?: string;
}

/** A prompt with one answer, and its number for dropout. */
export interface ScoredPrompt {
  readonly prompt: TrainingPrompt;
  readonly example: number;
}

/**
 * log p(y_t | prompt, y_<t) of each answer's tokens, its end of text included: (C,A), 0 behind an answer's end, in fp32 or better; nats, ≤ 0.
 */
export function answerLikelihoods(options: LikelihoodOptions, prompts: readonly ScoredPrompt[], step: number): Tensor {
  const longest = longestAnswer(prompts);
  const { groups, alone } = groupsOf(options, prompts);
  const cut = partsOf(options, alone, prompts);
  const parts = [...groups.flatMap(({ passes }) => passes), ...cut];
  const rows = [
    ...groups.flatMap(({ passes, shared }) =>
      sharedLikelihoods(
        options,
        passes.map((part) => chosen(prompts, part)),
        shared,
        longest,
      ),
    ),
    ...cut.map((part) => likelihoodsOf(options, chosen(prompts, part), step, longest)),
  ];
  const back = new Int32Array(prompts.length);
  for (const [place, index] of parts.flat().entries()) back[index] = place;
  const joined_CA = ops.cat(rows, 0);
  return joined_CA.indexSelect(0, indices(back, undefined, joined_CA.device));
}

/** Scores again, part by part, and adds ∂⟨likelihoods, gradient_CA⟩/∂θ to the reader's gradients. `last` takes the last part's backward pass. */
export function backwardLikelihoods(
  options: LikelihoodOptions,
  prompts: readonly ScoredPrompt[],
  step: number,
  gradient_CA: Tensor,
  last: BackwardPass = plainly,
): void {
  const longest = longestAnswer(prompts);
  const parts = partsOf(options, [...prompts.keys()], prompts);
  for (const [index, part] of parts.entries()) {
    scope(() => {
      const rows_BA = enableGrad(() => likelihoodsOf(options, chosen(prompts, part), step, longest));
      const gradient_BA = gradient_CA.indexSelect(0, indices(part, undefined, gradient_CA.device));
      (index === parts.length - 1 ? last : plainly)(rows_BA, gradient_BA);
    });
  }
}

/** Tokens of each prompt's answer. */
export function answerLengths(prompts: readonly ScoredPrompt[]): Int32Array {
  return Int32Array.from(prompts, ({ prompt }) => (prompt.answers[0]?.end ?? 0) - (prompt.answers[0]?.start ?? 0));
}

/** What is computed: prompts × the longest, forward pass by forward pass, and what is shared once. */
export function promptTokens(
  options: Pick<LikelihoodOptions, "tokensAtOnce" | "promptsOfQuestion">,
  prompts: readonly ScoredPrompt[],
): number {
  const widthOf = (part: readonly number[]): number => Math.max(...part.map((index) => lengthOf(prompts[index])));
  const { groups, alone } = groupsOf(options, prompts);
  const widths = partsOf(options, alone, prompts).map((part) => part.length * widthOf(part));
  const ofGroups = groups.map(({ passes, shared }) => passes.reduce((sum, part) => sum + part.length * (widthOf(part) - shared), shared));
  return [...widths, ...ofGroups].reduce((sum, tokens) => sum + tokens, 0);
}

/** A question's prompts, by number, in the passes that they are computed in, with the tokens that all of them begin with. */
interface Group {
  readonly passes: readonly (readonly number[])[];
  readonly shared: number;
}

/** The questions whose prompts begin alike for long enough, and the prompts of all others. */
function groupsOf(
  options: Pick<LikelihoodOptions, "promptsOfQuestion" | "tokensAtOnce">,
  prompts: readonly ScoredPrompt[],
): { groups: Group[]; alone: number[] } {
  const { promptsOfQuestion: k = 1, tokensAtOnce } = options;
  const groups: Group[] = [];
  const alone: number[] = [];
  for (let start = 0; start < prompts.length; start += k) {
    const members = Array.from({ length: Math.min(k, prompts.length - start) }, (_, i) => start + i);
    const shared = sharedTokens(chosen(prompts, members).map(({ prompt }) => prompt));
    const isLonger = members.some((index) => lengthOf(prompts[index]) > tokensAtOnce);
    if (shared > 0 && !isLonger) groups.push({ passes: partsOf(options, members, prompts, shared), shared });
    else alone.push(...members);
  }
  return { groups, alone };
}

function longestAnswer(prompts: readonly ScoredPrompt[]): number {
  return answerLengths(prompts).reduce((most, length) => Math.max(most, length), 1);
}

/** Numbers of some prompts in passes of like length. @param shared first tokens that stand in no pass */
function partsOf(
  { tokensAtOnce }: Pick<LikelihoodOptions, "tokensAtOnce">,
  members: readonly number[],
  prompts: readonly ScoredPrompt[],
  shared = 0,
): number[][] {
  const byLength = members.toSorted((a, b) => lengthOf(prompts[a]) - lengthOf(prompts[b]));
  return cutByBudget(byLength, (index) => lengthOf(prompts[index]) - shared, tokensAtOnce);
}

function lengthOf(scored: ScoredPrompt | undefined): number {
  return scored?.prompt.ids.length ?? 0;
}

function chosen(prompts: readonly ScoredPrompt[], part: readonly number[]): ScoredPrompt[] {
  return part.map((index) => prompts[index]).filter((scored) => scored !== undefined);
}

/** One forward pass: (B,A). */
function likelihoodsOf(options: LikelihoodOptions, scored: readonly ScoredPrompt[], step: number, longest: number): Tensor {
  const { model, device = "cpu" } = options;
  return scope(() => {
    const positions = answerPositions(scored.map(({ prompt }) => prompt));
    const ids_BT = indices(positions.ids_BT, [positions.prompts, positions.width], device);
    const examples_B = indices(
      scored.map(({ example }) => example),
      undefined,
      device,
    );
    const dropout = options.dropout ? { seed: hash32(options.seed, 0x72656164), step, examples_B } : undefined;
    const rows_N = indices(positions.rows_N, undefined, device);
    const logits_NV = autocast(options.precision, () => model.logitsAt(model.forward({ ids_BT, dropout }), rows_N), deviceType(device));
    return ofAnswers(logits_NV, positions, longest, device);
  });
}

/** One question's prompts behind what they share, (B,A) each pass. */
function sharedLikelihoods(
  options: LikelihoodOptions,
  passes: readonly (readonly ScoredPrompt[])[],
  shared: number,
  longest: number,
): Tensor[] {
  const { model, device = "cpu" } = options;
  const first = passes[0]?.[0];
  if (first === undefined) throw new Error("a question without prompts");
  const inPrecision = <T>(compute: () => T): T => autocast(options.precision, compute, deviceType(device));
  const read = (prefix: SharedPrefix, scored: readonly ScoredPrompt[]): Tensor =>
    scope(() => {
      const positions = answerPositions(scored.map(({ prompt }) => withoutFirst(prompt, shared)));
      const ids_BT = indices(positions.ids_BT, [positions.prompts, positions.width], device);
      const rows_N = indices(positions.rows_N, undefined, device);
      const logits_NV = prefix.followedBy(scored.length, positions.width, (past) =>
        inPrecision(() => model.logitsAt(model.forward({ ids_BT, past }), rows_N)),
      );
      return ofAnswers(logits_NV, positions, longest, device);
    });
  const prefix = inPrecision(() => new SharedPrefix((input) => model.forward(input), first.prompt.ids.subarray(0, shared), device));
  try {
    return passes.map((scored) => read(prefix, scored));
  } finally {
    prefix.dispose();
  }
}

/** log p of the targets, each answer's tokens in a row of its own; what stays is 0. */
function ofAnswers(logits_NV: Tensor, positions: AnswerPositions, longest: number, device: string): Tensor {
  const targets_N1 = indices(positions.targets_N, undefined, device).unsqueeze(1);
  const log_N = atLeastF32(logits_NV).logSoftmax(-1).gather(1, targets_N1).squeeze(1);
  const places = positions.lengths.flatMap((length, row) => Array.from({ length }, (_, t) => row * longest + t));
  const empty = ops.zeros([positions.prompts * longest], log_N.dtype, device);
  return empty.scatter(0, indices(places, undefined, device), log_N).reshape([positions.prompts, longest]);
}

function deviceType(device: string): "cuda" | "cpu" {
  return device.startsWith("cuda") ? "cuda" : "cpu";
}
