/** How `search` and `ask` print what was found, for people and as JSON. The trap: passages come from a corpus and may hold line breaks and control characters; a terminal gets neither. */
import type { Hit } from "../retrieval/retriever.js";

/** A hit in JSON: rank from 1, score by the index's metric. */
export function hitJson({ rank, score, row, passage }: Hit): object {
  const { id, title, text, document } = passage;
  return { rank, score, row, id, title, text, document };
}

/** Rank, score, title and id on one line, the text below. */
export function hitLines(hits: readonly Hit[]): string[] {
  return hits.flatMap(({ rank, score, passage }) => [
    `  ${String(rank).padStart(2)}  ${score.toFixed(4)}  ${plain(passage.title) || "(no title)"}  [${passage.id}]`,
    `      ${plain(passage.text)}`,
  ]);
}

/** One line without control characters. */
export function plain(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, " ").trim();
}
