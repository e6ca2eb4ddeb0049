/**
 * Articles to passages by windows over the whole text, which may overlap: the loop that window-plans.ts's three plans share. Paragraphs, which never
 * overlap, are chunk-paragraphs.ts. The trap: tokens of a window aren't always those counted in the article, so each is measured as it will be embedded, and an
 * article with one that is too long is cut again with less room.
 */
import { graphemeEnds } from "../text/grapheme-boundary.js";
import type { Article } from "./article.js";
import type { ChunkOptions, ChunkTokenizer } from "./chunk-options.js";
import { countPassages, finishPassage, noFacts } from "./chunk-paragraphs.js";
import type { ChunkedPassage, ChunkFacts } from "./chunk-paragraphs.js";
import { passageText } from "./passage.js";
import { TokenRuler, trimmedSpan, type Span } from "./token-ruler.js";
import type { WindowPlan } from "./window-plans.js";

interface Work {
  readonly article: Article;
  readonly ruler: TokenRuler;
  /** Tokens that title, template and special tokens take. */
  readonly floor: number;
  room: number;
  spans: Span[];
  /** Tokens of each as embedded. */
  lengths: number[];
  settled: boolean;
}

/** The passages of some articles, in order, each article's independent of its neighbours. Only white space is in none of them. */
export async function chunkWindows(
  articles: readonly Article[],
  options: ChunkOptions,
  tokenizer: ChunkTokenizer,
  plan: WindowPlan,
): Promise<{ passages: ChunkedPassage[]; facts: ChunkFacts }> {
  const { maxTokens, titleTemplate, size, overlap = 0, minCharacters } = options;
  const count = async (texts: readonly string[], specialTokens: boolean): Promise<number[]> =>
    (await tokenizer.encodeBatchAsync(texts, { specialTokens })).map((ids) => ids.length);
  const embedded = ({ title }: Article, text: string): string => passageText({ title, text }, titleTemplate);
  const rulers = await TokenRuler.of(
    articles.map(({ text }) => text),
    tokenizer,
  );
  const overheads = await count(
    articles.map((article) => embedded(article, "")),
    true,
  );
  const floor = Math.max(1, Math.floor(maxTokens / 4));
  const works = articles.flatMap((article, i): Work[] => {
    const ruler = rulers[i];
    const room = Math.max(floor, maxTokens - (overheads[i] ?? 0));
    return ruler === undefined ? [] : [{ article, ruler, floor, room, spans: [], lengths: [], settled: false }];
  });
  const tokensAsked = options.chunker === "sentences" ? undefined : size;
  for (let open = works; open.length > 0; open = open.filter(({ settled }) => !settled)) {
    for (const work of open) {
      work.spans = distinct(work.article.text, plan(work.ruler, { room: work.room, size, overlap, minCharacters }));
    }
    const texts = open.flatMap(({ article, spans }) => spans.map((span) => ({ article, text: article.text.slice(...span) })));
    const lengths = await count(
      texts.map(({ article, text }) => embedded(article, text)),
      true,
    );
    const bare =
      tokensAsked === undefined
        ? undefined
        : await count(
            texts.map(({ text }) => text),
            false,
          );
    let next = 0;
    for (const work of open) {
      const excess = work.spans.map((span, i) => {
        const over = Math.max((lengths[next + i] ?? 0) - maxTokens, (bare?.[next + i] ?? 0) - (tokensAsked ?? Infinity));
        return over > 0 && !isOneGrapheme(work.article.text, span) ? over : 0;
      });
      work.lengths = lengths.slice(next, (next += work.spans.length));
      const most = Math.max(0, ...excess);
      // Size and room are one limit to the plan; whichever was exceeded, less room mends it.
      const limit = Math.min(work.room, tokensAsked ?? work.room);
      work.settled = most === 0 || limit <= Math.min(floor, (tokensAsked ?? floor) >> 1 || 1);
      work.room = Math.max(1, limit - most);
    }
  }
  return {
    passages: works.flatMap(({ article, spans }) => spans.map((span) => finishPassage(article, span))),
    facts: factsOf(works, maxTokens),
  };
}

/** The windows without the white space at their ends; without it one may hold nothing that its neighbour doesn't, and goes. */
function distinct(text: string, windows: readonly Span[]): Span[] {
  const kept: Span[] = [];
  for (const window of windows) {
    const span = trimmedSpan(text, window);
    const before = kept.at(-1);
    if (span[1] <= Math.max(span[0], before?.[1] ?? 0)) continue;
    if (before !== undefined && span[0] <= before[0]) kept.pop();
    kept.push(span);
  }
  return kept;
}

function isOneGrapheme(text: string, [start, end]: Span): boolean {
  return graphemeEnds(text, start, end).length === 1;
}

function factsOf(works: readonly Work[], maxTokens: number): ChunkFacts {
  const facts = { ...noFacts(), articles: works.length };
  for (const { ruler, spans, lengths } of works) {
    countPassages(lengths, maxTokens, facts);
    facts.cutSentences += ruler.cutsInside(spans);
  }
  return facts;
}
