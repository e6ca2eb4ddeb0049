/**
 * Token lists of different lengths as one rectangle, with the mask that tells tokens from padding. It cuts nothing. The trap: a batch without padding has no mask, and models
 * are faster without one.
 *
 * Letters: B batch, T tokens of the longest row.
 */
import { fromBytes, type Tensor } from "../engine/tensor.js";

export interface TokenBatch {
  /** i64 (B,T). */
  readonly ids_BT: Tensor;
  /** i64 (B,T), 1 for a token and 0 for padding; undefined when all rows have one length. */
  readonly mask_BT: Tensor | undefined;
}

export interface TokenBatchOptions {
  /** Default 0. Any token of the vocabulary will do: padding is never read. */
  readonly padId?: number;
  /** Where the padding goes. Encoders and training pad on the right; decoding pads on the left, so that every row's newest token is the last. Default right. */
  readonly side?: "left" | "right";
  readonly device?: string;
}

/** A row without tokens is all padding: mean pooling gives it the zero vector, as sentence-transformers does. @throws Error when there are no rows */
export function tokenBatch(rows: readonly Int32Array[], options: TokenBatchOptions = {}): TokenBatch {
  const { padId = 0, side = "right", device = "cpu" } = options;
  if (rows.length === 0) throw new Error("tokenBatch: a batch needs a row");
  const length = rows.reduce((most, row) => Math.max(most, row.length), 1);
  const ids = new Int32Array(rows.length * length).fill(padId);
  const mask = new Uint8Array(rows.length * length);
  rows.forEach((row, place) => {
    const start = place * length + (side === "left" ? length - row.length : 0);
    ids.set(row, start);
    mask.fill(1, start, start + row.length);
  });
  const padded = rows.some((row) => row.length < length);
  const shape = [rows.length, length];
  const wide = (narrow: Tensor): Tensor => {
    const made = narrow.toDevice(device, "i64");
    narrow.dispose();
    return made;
  };
  return { ids_BT: wide(fromBytes(ids, "i32", shape)), mask_BT: padded ? wide(fromBytes(mask, "u8", shape)) : undefined };
}
