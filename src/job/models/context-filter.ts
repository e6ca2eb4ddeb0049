/**
 * The config's sentence filter, made of the run's own retriever: what training, validation, evaluation and asking put between the passages that were found and the prompt. Off unless the config says
 * otherwise. The trap: the filter follows the retriever, so one that is being trained is asked anew in each phase and each validation.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import type { PromptConfig } from "../../config/schema.js";
import { SentenceFilter } from "../../generation/sentence-filter.js";
import type { TextEmbedder } from "../../retrieval/two-encoders.js";
import type { Hit } from "../../retrieval/retriever.js";
import type { Tokenizer } from "../../text/tokenizer.js";

/** Questions whose sentences are embedded at once: some hundred sentences, a second or less. */
const AT_ONCE = 32;

/**
 * undefined when the filter is off.
 *
 * @param titleTemplate how passages stand in the index; undefined: as usual
 */
export function sentenceFilterOf(
  prompt: PromptConfig,
  titleTemplate: string | undefined,
  encoder: TextEmbedder,
  tokenizer: Tokenizer,
): SentenceFilter | undefined {
  const { sentences, tokens } = prompt.sentence_filter;
  if (sentences === null && tokens === null) return undefined;
  return new SentenceFilter(encoder, tokenizer, { sentences: sentences ?? undefined, tokens: tokens ?? undefined, titleTemplate });
}

/**
 * What the generator reads of the hits: the first `k`, with the sentences that are kept. Ids and scores stay those of the whole passages. A few questions at a time, with a turn of the event loop after
 * each few, since a row of a report has thousands.
 */
export async function shownHits(
  filter: SentenceFilter | undefined,
  questions: readonly { readonly question: string }[],
  hits: readonly (readonly Hit[])[],
  k: number,
  progress?: (done: number, total: number) => void,
): Promise<readonly (readonly Hit[])[]> {
  const first = questions.map((_, i) => (hits[i] ?? []).slice(0, k));
  if (filter === undefined) return first;
  const shown: Hit[][] = [];
  while (shown.length < questions.length) {
    const items = questions.slice(shown.length, shown.length + AT_ONCE).map(({ question }, i) => ({
      question,
      passages: (first[shown.length + i] ?? []).map((hit) => ({ title: hit.passage.title, text: hit.passage.text, hit })),
    }));
    const kept = filter.filter(items);
    shown.push(...kept.map((own) => own.map(({ text, hit }) => ({ ...hit, passage: { ...hit.passage, text } }))));
    progress?.(shown.length, questions.length);
    await yieldToEvents();
  }
  return shown;
}

/** In words, for the report; undefined when the filter is off. */
export function describeFilter({ sentence_filter: { sentences, tokens } }: PromptConfig): string | undefined {
  if (sentences === null && tokens === null) return undefined;
  const most = [...(sentences === null ? [] : [`${sentences} sentences`]), ...(tokens === null ? [] : [`${tokens} tokens`])];
  return `of the passages the sentences most like the question, at most ${most.join(" and ")}, in the text's order`;
}
