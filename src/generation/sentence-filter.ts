/**
 * The sentence filter: of the passages that were found only the sentences most like the question are shown, in the text's order. CoZyRAG's idea, without its faults: nothing crashes where there is no
 * sentence, "Dr. Smith" stays whole, and the order is kept. It drops evidence as well as noise; how often a context still holds its answer is measured by `answer_in_context`. The trap: it must be the
 * same in training, validation and asking, so all of them come through {@link SentenceFilter.filter}.
 *
 * S sentences, Q questions, D dimension.
 */
import { DEFAULT_TITLE_TEMPLATE, passageText, type Passage } from "../corpus/passage.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { indices, toFloat32Array } from "../engine/tensor.js";
import { unitVectors } from "../nn/pooling.js";
import type { TextEmbedder } from "../retrieval/two-encoders.js";
import { splitSentences, type Span } from "../text/sentence-split.js";
import type { Tokenizer } from "../text/tokenizer.js";

export interface SentenceFilterOptions {
  /** Most sentences of all passages of a question together. undefined: as many as fit. */
  readonly sentences?: number | undefined;
  /** Most tokens of those sentences together, the generator's. undefined: any. */
  readonly tokens?: number | undefined;
  /** How a sentence stands beside its title when it is embedded: as passages do in the index. Default {@link DEFAULT_TITLE_TEMPLATE}. */
  readonly titleTemplate?: string | undefined;
}

/** A question with its passages, best first. */
export interface FilteredItem<Shown> {
  readonly question: string;
  readonly passages: readonly Shown[];
}

/** A sentence, before it is chosen. */
interface Sentence {
  readonly passage: number;
  /** Title and text: passages that overlap have the same sentence twice. */
  readonly shown: string;
  readonly span: Span;
  readonly score: number;
  readonly tokens: number;
}

export class SentenceFilter {
  readonly #encoder: TextEmbedder;
  readonly #tokenizer: Tokenizer;
  readonly #options: SentenceFilterOptions;

  /** @param tokenizer the generator's, which `tokens` counts with */
  constructor(encoder: TextEmbedder, tokenizer: Tokenizer, options: SentenceFilterOptions) {
    this.#encoder = encoder;
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /**
   * Each item's passages with the sentences that are kept; a passage without any is left out. Passages and sentences stay in their order.
   *
   * Sentences are ranked by the cosine between the question's embedding and that of title and sentence; equals by their place. The best are taken until there are `sentences`; one that doesn't fit
   * the rest of `tokens` is passed over, and so is one that is kept already, from a passage that overlaps. The very best is kept in any case: a context is never emptied.
   */
  filter<Shown extends Pick<Passage, "title" | "text">>(items: readonly FilteredItem<Shown>[]): Shown[][] {
    const spans = items.map(({ passages }) => passages.map(({ text }) => splitSentences(text)));
    const ranked = this.#ranked(items, spans);
    return items.map(({ passages }, item) => {
      const kept = this.#best(ranked[item] ?? []);
      return passages.flatMap((passage, place) => {
        // Without a sentence there is nothing to choose from: what there is, if only a title, is left as it is.
        if (spans[item]?.[place]?.length === 0) return [passage];
        const own = kept.filter((sentence) => sentence.passage === place).map(({ span }) => span);
        return own.length === 0 ? [] : [{ ...passage, text: joined(passage.text, own, spans[item]?.[place] ?? []) }];
      });
    });
  }

  /** Every item's sentences, best first. Each different text is embedded once. */
  #ranked(items: readonly FilteredItem<Pick<Passage, "title" | "text">>[], spans: readonly (readonly (readonly Span[])[])[]): Sentence[][] {
    const { titleTemplate = DEFAULT_TITLE_TEMPLATE } = this.#options;
    const places = items.flatMap(({ passages }, item) =>
      passages.flatMap((passage, place) =>
        (spans[item]?.[place] ?? []).map((span) => ({
          item,
          place,
          span,
          title: passage.title,
          text: passage.text.slice(span.start, span.end),
        })),
      ),
    );
    if (places.length === 0) return items.map(() => []);
    const shown = places.map(({ title, text }) => passageText({ title, text }, titleTemplate));
    const scores = this.#similarities(
      items.map(({ question }) => question),
      places.map(({ item }) => item),
      shown,
    );
    const lengths =
      this.#options.tokens === undefined
        ? []
        : this.#tokenizer.encodeBatch(
            places.map(({ text }) => text),
            { specialTokens: false },
          );
    const ranked = items.map((): Sentence[] => []);
    places.forEach(({ item, place, span }, i) =>
      ranked[item]?.push({ passage: place, shown: shown[i] ?? "", span, score: scores[i] ?? 0, tokens: lengths[i]?.length ?? 0 }),
    );
    // Sorting is stable: among equals the text's order stays.
    for (const own of ranked) own.sort((a, b) => b.score - a.score);
    return ranked;
  }

  /** The cosine of each text with its question. */
  #similarities(questions: readonly string[], questionOf: readonly number[], texts: readonly string[]): Float32Array {
    const distinct = [...new Set(texts)];
    const rowOf = new Map(distinct.map((text, row) => [text, row]));
    return scope(() =>
      noGrad(() => {
        const queries_QD = unitVectors(this.#encoder.embedQueries(questions));
        const sentences_SD = unitVectors(this.#encoder.embedPassages(distinct));
        const { device } = queries_QD;
        const mine_SD = queries_QD.indexSelect(0, indices(questionOf, undefined, device));
        const theirs_SD = sentences_SD.indexSelect(
          0,
          indices(
            texts.map((text) => rowOf.get(text) ?? 0),
            undefined,
            device,
          ),
        );
        return toFloat32Array(mine_SD.mul(theirs_SD).sum(1));
      }),
    );
  }

  #best(ranked: readonly Sentence[]): Sentence[] {
    const { sentences = Infinity, tokens = Infinity } = this.#options;
    const kept: Sentence[] = [];
    let taken = 0;
    for (const sentence of ranked) {
      if (kept.length >= sentences) break;
      if (kept.some(({ shown }) => shown === sentence.shown)) continue;
      if (kept.length > 0 && taken + sentence.tokens > tokens) continue;
      kept.push(sentence);
      taken += sentence.tokens;
    }
    return kept;
  }
}

/** The kept sentences in the text's order: neighbours with what stood between them, others with a space. */
function joined(text: string, kept: readonly Span[], all: readonly Span[]): string {
  const inOrder = [...kept].sort((a, b) => a.start - b.start);
  return inOrder.reduce((made, span, i) => {
    const before = inOrder[i - 1];
    const isNeighbour = before !== undefined && all[all.indexOf(before) + 1] === span;
    return made + (before === undefined ? "" : isNeighbour ? text.slice(before.end, span.start) : " ") + text.slice(span.start, span.end);
  }, "");
}
