/** An encoder that needs no model: a text's vector counts its letters a to h. For tests of what stands around an encoder. */
import { tensor, type Tensor } from "../../src/engine/tensor.js";
import { unitRows } from "../../src/retrieval/exact-index.js";

export interface LetterEncoder {
  readonly dimension: number;
  readonly hash: string;
  /** How many texts were embedded so far. */
  embedded: number;
  embedPassages(texts: readonly string[]): Tensor;
  embedQueries(texts: readonly string[]): Tensor;
}

/** `change` is applied to the vector of each text, by its place over all calls. */
export function letterEncoder(hash = "letters", change?: (vector: number[], place: number) => number[]): LetterEncoder {
  const vectorOf = (text: string): number[] => Array.from("abcdefgh", (letter) => text.toLowerCase().split(letter).length - 1);
  const embed = (texts: readonly string[]): Tensor => unitRows(tensor(texts.map(vectorOf)));
  return {
    dimension: 8,
    hash,
    embedded: 0,
    embedPassages(texts) {
      const start = this.embedded;
      this.embedded += texts.length;
      return change === undefined ? embed(texts) : tensor(texts.map((text, i) => change(vectorOf(text), start + i)));
    },
    embedQueries: embed,
  };
}

/** Six passages whose letters tell them apart, in three documents. */
export const LETTER_PASSAGES = ["aab", "bbc", "ccd", "dde", "eef", "ffg"].map((text, i) => ({
  document: `document ${i >> 1}`,
  title: "x",
  text,
}));
