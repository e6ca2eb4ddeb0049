/**
 * A micro-batch of training prompts as padded arrays: token ids, and at which positions the model predicts an answer's token. Padding is on the right,
 * where causality hides it from real tokens, so no mask is needed. Host memory only.
 * The trap: the logits that predict token t stand at position t − 1.
 *
 * Shape letters: B prompts, T tokens of the longest, N answer positions, M copy positions.
 */
import type { TrainingPrompt } from "../generation/prompt.js";
import { copyPositions } from "./losses/copy.js";

export interface AnswerPositions {
  readonly prompts: number;
  readonly width: number;
  /** (B·T) token ids; padding is 0, never read. */
  readonly ids_BT: Int32Array;
  /** (N) b·T + t − 1 of each answer token, answer by answer. */
  readonly rows_N: Int32Array;
  /** (N) the token to be predicted. */
  readonly targets_N: Int32Array;
  /** Tokens of each answer, its EOS included; their sum is N. */
  readonly lengths: readonly number[];
  /** (M) positions and tokens of the copy loss (losses/copy.ts); empty unless asked for. */
  readonly copyRows_M: Int32Array;
  readonly copyTargets_M: Int32Array;
}

/** A prompt's tokens and where its answers stand. */
export type AnsweredPrompt = Pick<TrainingPrompt, "ids" | "answers">;

/**
 * @param continues tells which tokens go on with a word; given, the copy loss has its positions too
 */
export function answerPositions(prompts: readonly AnsweredPrompt[], continues?: (token: number) => boolean): AnswerPositions {
  const width = prompts.reduce((most, prompt) => Math.max(most, prompt.ids.length), 0);
  const ids_BT = new Int32Array(prompts.length * width);
  const rows: number[] = [];
  const targets: number[] = [];
  const lengths: number[] = [];
  const copyRows: number[] = [];
  const copyTargets: number[] = [];
  for (const [b, prompt] of prompts.entries()) {
    const offset = b * width;
    ids_BT.set(prompt.ids, offset);
    for (const { start, end } of prompt.answers) {
      lengths.push(end - start);
      for (let t = start; t < end; t += 1) {
        rows.push(offset + t - 1);
        targets.push(prompt.ids[t] ?? 0);
      }
    }
    if (continues === undefined) continue;
    for (const t of copyPositions(prompt, continues)) {
      copyRows.push(offset + t - 1);
      copyTargets.push(prompt.ids[t] ?? 0);
    }
  }
  return {
    prompts: prompts.length,
    width,
    ids_BT,
    rows_N: Int32Array.from(rows),
    targets_N: Int32Array.from(targets),
    lengths,
    copyRows_M: Int32Array.from(copyRows),
    copyTargets_M: Int32Array.from(copyTargets),
  };
}

/**
 * Cuts a list into `parts` stretches of nearly equal length, none empty (fewer parts if there are fewer items).
 */
export function cutIntoParts<T>(items: readonly T[], parts: number): T[][] {
  const count = Math.max(1, Math.min(parts, items.length));
  return Array.from({ length: count }, (_, part) =>
    items.slice(Math.round((part * items.length) / count), Math.round(((part + 1) * items.length) / count)),
  );
}
