/**
 * The beginning that a question's K prompts share: where the template puts the question, or earlier turns, before the context, it is computed once and its keys and values are read by all K. Scoring only: a cache has no gradient.
 * The trap: the logits that predict an answer's first token stand one position before it, so the shared part ends at least one token before any answer begins.
 *
 * Shape letters: K prompts of a question, P shared tokens, T tokens behind them.
 */
import { scope } from "../../engine/scope.js";
import { indices, type Tensor } from "../../engine/tensor.js";
import type { TrainingPrompt } from "../../generation/prompt.js";
import { KvCache } from "../../nn/kv-cache.js";

/** A shorter beginning costs more in a pass of its own than it saves. */
const LEAST_SHARED = 16;

/** How many first tokens all prompts have in common, before any answer; 0 if they are too few to be worth sharing. */
export function sharedTokens(prompts: readonly TrainingPrompt[]): number {
  const [first] = prompts;
  if (first === undefined || prompts.length < 2) return 0;
  let shared = Math.min(...prompts.map(({ answers }) => (answers[0]?.start ?? 0) - 1));
  for (const { ids } of prompts) {
    let same = 0;
    while (same < shared && ids[same] === first.ids[same]) same += 1;
    shared = same;
  }
  return shared < LEAST_SHARED ? 0 : shared;
}

/** A prompt without its first tokens. */
export function withoutFirst(prompt: TrainingPrompt, tokens: number): TrainingPrompt {
  const moved = ({ start, end }: { start: number; end: number }): { start: number; end: number } => ({
    start: start - tokens,
    end: end - tokens,
  });
  return { ...prompt, ids: prompt.ids.slice(tokens), answers: prompt.answers.map(moved), context: moved(prompt.context) };
}

/** The keys and values of a beginning, computed once. Its tensors belong to no scope; call `dispose`. */
export class SharedPrefix {
  readonly #cache: KvCache;

  constructor(forward: (input: { ids_BT: Tensor; past: KvCache }) => unknown, ids: Int32Array, device: string) {
    this.#cache = new KvCache(ids.length);
    try {
      scope(() => void forward({ ids_BT: indices(ids, [1, ids.length], device), past: this.#cache }));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /**
   * Calls `read` with a cache of its own that holds the beginning once for each of `copies` rows, and frees it.
   *
   * @param rest most tokens that follow
   */
  followedBy<T>(copies: number, rest: number, read: (past: KvCache) => T): T {
    const past = this.#cache.repeated(copies, this.#cache.length + rest);
    try {
      return read(past);
    } finally {
      past.dispose();
    }
  }

  dispose(): void {
    this.#cache.dispose();
  }
}
