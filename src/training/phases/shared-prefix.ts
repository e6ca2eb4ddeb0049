/**
 * The beginning that a question's K prompts share: where the template puts the question, or earlier turns, before the context, it is computed once and its keys and values are read by all K. Scoring only: a cache has no gradient.
 * The trap: the logits that predict an answer's first token stand one position before it, so the shared part ends at least one token before any answer begins.
 *
 * Shape letters: K prompts of a question, P shared tokens, T tokens behind them.
 */
import { indices } from "../../engine/tensor.js";
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

/**
 * Calls `read` with a cache that holds the first `shared` tokens of one prompt, once for each of `copies` rows, and frees it.
 *
 * @param rest most tokens that follow
 */
export function withSharedPrefix<T>(
  forward: (input: { ids_BT: ReturnType<typeof indices>; past: KvCache }) => unknown,
  { prompt, shared, copies, rest, device }: { prompt: TrainingPrompt; shared: number; copies: number; rest: number; device: string },
  read: (past: KvCache) => T,
): T {
  const past = new KvCache(shared + rest);
  try {
    forward({ ids_BT: indices(prompt.ids.slice(0, shared), [1, shared], device), past });
    past.selectRows(indices(new Int32Array(copies), undefined, device));
    return read(past);
  } finally {
    past.dispose();
  }
}
