/**
 * Embeddings of all texts of a step, of which this worker computes its share: dealt by length, so that no worker gets the long ones. Every worker then has all rows, its own with a graph; the loss over all of them, computed everywhere
 * alike, gives each worker the gradient of its own rows, and the sum over the workers is the whole one. It knows no loss.
 * The trap: what depends on two workers' rows must be computed from all of them by each; a loss over own rows alone would lose the other workers' negatives.
 *
 * Shape letters: N texts, n of this worker, D dimension.
 */
import { indices, ops, type Tensor } from "../../engine/tensor.js";
import type { Encoder } from "../../retrieval/encoder.js";
import type { Share } from "../share.js";
import { backwardInParts, embedAll, paddedTokens, type BackwardPass, type EmbeddedText, type EmbeddingOptions } from "./embed-in-parts.js";

/** (N,D), in the order of the texts: the share's own rows with a graph where gradients are recorded. */
export function embedOwn(options: SharedEmbedding, texts: readonly EmbeddedText[], step: number): Tensor {
  const { share } = options;
  if (share.size === 1) return embedAll(options, texts, step);
  const order = byLength(texts);
  const own = share.own(order);
  // A worker without a text still takes part, with rows of the kind that the others send.
  const own_nD = own.length === 0 ? noRows(options) : embedAll(options, chosen(texts, own), step);
  const back = new Int32Array(texts.length);
  for (const [place, index] of order.entries()) back[index] = place;
  return share.rows(own_nD, texts.length).indexSelect(0, indices(back, undefined, own_nD.device));
}

export interface SharedEmbedding extends EmbeddingOptions {
  readonly encoder: Pick<Encoder, "embedIds" | "dimension" | "parameters">;
  readonly share: Share;
}

function noRows({ encoder, device = "cpu" }: SharedEmbedding): Tensor {
  const [weight] = encoder.parameters.values();
  return ops.zeros([0, encoder.dimension], weight?.dtype === "f64" ? "f64" : "f32", device);
}

/** Embeds the own texts again, part by part, with their rows of gradient_ND; `last` takes the last part's backward pass. Without a text of one's own `last` isn't called, and false comes back. */
export function backwardOwn(
  options: SharedEmbedding,
  texts: readonly EmbeddedText[],
  step: number,
  gradient_ND: Tensor,
  last?: BackwardPass,
): boolean {
  const own = options.share.size === 1 ? [...texts.keys()] : options.share.own(byLength(texts));
  if (own.length === 0) return false;
  const gradient_nD = gradient_ND.indexSelect(0, indices(own, undefined, gradient_ND.device));
  backwardInParts(options, chosen(texts, own), step, gradient_nD, last);
  return true;
}

/** Tokens that this worker computes, padding included. */
export function ownTokens(options: EmbeddingOptions, texts: readonly EmbeddedText[], share: Share): number {
  return share.size === 1 ? paddedTokens(options, texts) : paddedTokens(options, chosen(texts, share.own(byLength(texts))));
}

function byLength(texts: readonly EmbeddedText[]): number[] {
  return Array.from(texts.keys()).sort((a, b) => (texts[a]?.ids.length ?? 0) - (texts[b]?.ids.length ?? 0));
}

function chosen(texts: readonly EmbeddedText[], indexes: readonly number[]): EmbeddedText[] {
  return indexes.map((index) => texts[index]).filter((text) => text !== undefined);
}
