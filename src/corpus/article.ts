/**
 * An article as a reader yields it, and what every reader offers. A reader cleans (entities, title line, empty documents) and never chunks.
 * The trap: the counters are complete only after the last article was taken.
 */
export interface Article {
  /** What splits are made by; unique in a sane corpus, but nobody relies on that. */
  document: string;
  title: string;
  /** Paragraphs with the line breaks of the source. */
  text: string;
}

/** What a reader left out, each counted. */
export interface SkippedArticles {
  /** Documents without a body. wikiextractor writes redirects so. */
  empty: number;
  /** Documents whose body is only `#REDIRECT …`. */
  redirects: number;
}

export interface ArticleSource {
  readonly format: "wikiextractor" | "jsonl" | "squad";
  /** Absolute or relative paths in reading order. */
  readonly files: readonly string[];
  /** Files of the folder that don't look like the format's. */
  readonly ignoredFiles: readonly string[];
  /** Size of all files in bytes, as they lie on the disk. */
  readonly bytes: number;
  readonly skipped: Readonly<SkippedArticles>;
  /** Bytes of the files that are behind the reader; a compressed file counts when it is done. */
  bytesRead(): number;
  /** The articles in reading order. To be called once. */
  articles(): AsyncGenerator<Article>;
}

/** A lone surrogate can't be written as UTF-8; it becomes U+FFFD, as every UTF-8 writer would have it. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\uFFFD");
}
