/** The formats of a corpus and their readers. A format here is a choice of `data.corpus.format`, which schema-data.ts lists; nothing is guessed from the files. */
import type { ArticleSource } from "./article.js";
import { openJsonl } from "./jsonl-reader.js";
import { openSquad } from "./squad-reader.js";
import { openWikiextractor } from "./wikiextractor-reader.js";

const READERS: Record<ArticleSource["format"], (root: string) => ArticleSource> = {
  wikiextractor: openWikiextractor,
  jsonl: openJsonl,
  squad: openSquad,
};

/** @throws UserError if there is no file of the format at `root` */
export function openArticles(format: ArticleSource["format"], root: string): ArticleSource {
  return READERS[format](root);
}
