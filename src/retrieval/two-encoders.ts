/**
 * Questions embedded by one encoder and passages by another: what a retriever is whose questions' side alone was trained, over an index that stays as it was. It trains and embeds nothing itself. The trap: an index is a function
 * of the passages' encoder alone, so that one's hash is what its provenance holds; whoever embeds passages with the questions' encoder searches another space and nothing would say so.
 */
import type { Encoder } from "./encoder.js";

/** What a search embeds with. */
export type TextEmbedder = Pick<Encoder, "embedQueries" | "embedPassages">;

/** @param passages undefined: one encoder for both */
export function twoEncoders(questions: Encoder, passages: Encoder = questions): TextEmbedder {
  return {
    embedQueries: (texts) => questions.embedQueries(texts),
    embedPassages: (texts) => passages.embedPassages(texts),
  };
}
