/**
 * The copy loss (`train.generator.copy_weight`, term `copy`): cross-entropy on the later mentions of a name inside the prompt, which a model can only know by copying what followed before. It isn't the answer's loss, which has no
 * weight and its own positions: no token of an answer counts here. The pattern, A B … A gives B, is the one that induction heads complete (Olsson et al. 2022, arXiv 2209.11895); a loss on it alone is this project's own.
 * The trap: a name's first token is never a copy, and a name that is one token has no other, so a vocabulary of whole names leaves nothing to learn. The phase then says that the term is inactive.
 *
 * Shape letters: T tokens of a prompt, M copy positions of the batch, V vocabulary.
 */
import type { Tensor } from "../../engine/tensor.js";
import type { TrainingPrompt } from "../../generation/prompt.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { answerCrossEntropy, type SumAndCount } from "./answer-cross-entropy.js";

/**
 * −Σ_m log softmax(logits_MV)[m, targets_M[m]], in fp32 or better; count = M; ∂/∂logits_mv = softmax_mv − 1[v = targets_m], by count. Nats, ≥ 0.
 *
 * @param logits_MV row m predicts the token of position m: it is the model's output at position t − 1 of a copy position t
 * @param targets_M i64 token ids, each in 0 … V−1
 * @throws OperatorError for shapes that don't match and targets outside the vocabulary
 */
export function copyLoss(logits_MV: Tensor, targets_M: Tensor): SumAndCount {
  return answerCrossEntropy(logits_MV, targets_M);
}

/**
 * The copy positions of a prompt x, rising: every t in 1 … T−1 outside the answers whose token goes on with a word and stood behind the same token before, (x_{t−1}, x_t) = (x_{u−1}, x_u) for a 1 ≤ u < t. Tokens of answers are no
 * positions, but what they show counts as seen.
 *
 * @param continues tells which tokens go on with a word
 */
export function copyPositions({ ids, answers }: Pick<TrainingPrompt, "ids" | "answers">, continues: (token: number) => boolean): number[] {
  const seen = new Set<string>();
  const positions: number[] = [];
  for (let t = 1; t < ids.length; t += 1) {
    const token = ids[t] ?? 0;
    const pair = `${ids[t - 1] ?? 0} ${token}`;
    const inAnswer = answers.some(({ start, end }) => t >= start && t < end);
    if (seen.has(pair) && !inAnswer && continues(token)) positions.push(t);
    seen.add(pair);
  }
  return positions;
}

/** Tells which tokens go on with a word: letters or digits without white space before them. Decodes each token once. */
export function wordContinuations(tokenizer: Tokenizer): (token: number) => boolean {
  const known = new Map<number, boolean>();
  return (token) => {
    let continues = known.get(token);
    if (continues === undefined) {
      continues = /^[\p{L}\p{N}]/u.test(tokenizer.decode([token], { skipSpecial: false }));
      known.set(token, continues);
    }
    return continues;
  };
}
