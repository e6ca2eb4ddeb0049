/**
 * The vectors of a corpus's passages, block by block into whatever takes rows: a file, or the part of one. It names nothing and decides nothing. The trap: the rows of one call are padded alike, and that changes the last digits of a
 * vector; so blocks begin at the same passages in every build, wherever it starts, and parts of a corpus are whole blocks.
 *
 * N passages, D dimension.
 */
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { passageText } from "../corpus/passage.js";
import type { PassageStore } from "../corpus/passage-store.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import { unitRows, type RowRange } from "./exact-index.js";
import type { Metric } from "./index-contract.js";

/** Passages in one block. */
export const PASSAGES_AT_ONCE = 512;

/** What a build needs of an encoder. */
export interface PassageEmbedder {
  readonly dimension: number;
  /** Content hash of everything that changes its vectors. */
  readonly hash: string;
  /** f32 (N, D), without a graph. */
  embedPassages(texts: readonly string[]): Tensor;
}

/** What vectors are a function of, and who makes them. */
export interface EmbeddingParts {
  readonly encoder: PassageEmbedder;
  readonly store: PassageStore;
  readonly template: string;
  readonly metric: Metric;
}

/** Takes rows, and knows how many it has. */
interface Rows {
  readonly rows: number;
  append(rows: Uint8Array): void;
}

/**
 * Embeds the passages of a range that aren't there yet.
 *
 * @param range begins with a block
 * @param embedded told after each block: how many of the range are there
 */
export async function embedRows(
  rows: Rows,
  { start, count }: RowRange,
  parts: EmbeddingParts,
  embedded?: (done: number) => void,
): Promise<void> {
  const { encoder, store, template, metric } = parts;
  while (rows.rows < count) {
    const first = start + rows.rows;
    const end = Math.min(first - (first % PASSAGES_AT_ONCE) + PASSAGES_AT_ONCE, start + count);
    const texts = Array.from({ length: end - first }, (_, i) => passageText(store.get(first + i), template));
    rows.append(embeddedBytes(encoder, texts, metric, first));
    embedded?.(end - start);
    await yieldToEvents();
  }
}

function embeddedBytes(encoder: PassageEmbedder, texts: readonly string[], metric: Metric, start: number): Uint8Array {
  return scope(() =>
    noGrad(() => {
      const embedded_ND = encoder.embedPassages(texts);
      if (embedded_ND.isfinite().all().item() !== 1)
        throw new UserError({
          where: `passages ${start} to ${start + texts.length - 1}`,
          what: "the encoder gave vectors that are no numbers",
          remedy: "check the encoder's weights: tandem doctor, tandem audit",
        });
      return (metric === "cosine" ? unitRows(embedded_ND) : embedded_ND).toBytes();
    }),
  );
}
