/**
 * Embeddings of a training batch, with a graph or in parts. A loss that needs all embeddings at once can't be cut as the generator's can; in parts it is computed as GradCache does (Gao et al. 2021, arXiv
 * 2101.06983): embed without a graph, take the loss's gradient on the embeddings, embed again part by part with the same dropout and back-propagate through each. The gradient is the whole batch's; the price
 * is a second forward pass. It knows no loss.
 * The trap: the same text must have the same dropout in both passes and wherever it stands, so masks go by an example's number, not by its place.
 *
 * Shape letters: N texts, B texts of one forward pass, D dimension.
 */
import { autocast } from "../../engine/autocast.js";
import { enableGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { indices, ops, type Tensor } from "../../engine/tensor.js";
import { TOKENS_AT_ONCE, type Encoder } from "../../retrieval/encoder.js";
import { cutIntoParts } from "../answer-positions.js";
import { cutByBudget } from "../batches.js";
import { hash32 } from "../counter-random.js";
import { atLeastF32 } from "../losses/precision.js";

export interface EmbeddedText {
  readonly ids: Int32Array;
  /** The example's number for dropout: the same text has the same mask wherever it stands in the batch. */
  readonly example: number;
}

/** Passages' dropout numbers (32 bits) begin here, so that no question shares a mask with a passage. */
export const FIRST_PASSAGE = 2 ** 31;

export interface EmbeddingOptions {
  readonly encoder: Pick<Encoder, "embedIds">;
  readonly seed: number;
  /** Parts that the texts are embedded in. Default 1. */
  readonly accumulate?: number;
  /** Whether the model's dropouts are on. Default true. */
  readonly dropout?: boolean;
  readonly precision?: "bf16" | "f16" | undefined;
  readonly device?: string;
}

/** (N,D) in fp32 or better, in the order of the texts, with a graph where gradients are recorded. */
export function embedAll(options: EmbeddingOptions, texts: readonly EmbeddedText[], step: number): Tensor {
  const parts = partsOf(options, texts);
  const embedded = parts.map((part) => embedPart(options, chosen(texts, part), step));
  const back = new Int32Array(texts.length);
  for (const [place, index] of parts.flat().entries()) back[index] = place;
  const joined_ND = atLeastF32(ops.cat(embedded, 0));
  return joined_ND.indexSelect(0, indices(back, undefined, joined_ND.device));
}

/** Embeds again, part by part, and adds ∂⟨embeddings, gradient_ND⟩/∂θ to the parameters' gradients. `last` takes the last part's backward pass. */
export function backwardInParts(
  options: EmbeddingOptions,
  texts: readonly EmbeddedText[],
  step: number,
  gradient_ND: Tensor,
  last: BackwardPass = plainly,
): void {
  const parts = partsOf(options, texts);
  for (const [index, part] of parts.entries()) {
    scope(() => {
      const embedded_BD = enableGrad(() => embedPart(options, chosen(texts, part), step));
      const gradient_BD = gradient_ND.indexSelect(0, indices(part, undefined, gradient_ND.device)).toDtype(embedded_BD.dtype);
      (index === parts.length - 1 ? last : plainly)(embedded_BD, gradient_BD);
    });
  }
}

/** Back-propagates a tensor from its gradient. */
export type BackwardPass = (output: Tensor, gradient: Tensor) => void;

export const plainly: BackwardPass = (output, gradient) => output.backward(gradient);

/** What is computed: texts × the longest, forward pass by forward pass. */
export function paddedTokens(options: EmbeddingOptions, texts: readonly EmbeddedText[]): number {
  const groups = partsOf(options, texts).flatMap((part) => alike(chosen(texts, part)));
  return groups.reduce((sum, group) => sum + group.length * (group.at(-1)?.ids.length ?? 0), 0);
}

/** Numbers of the texts in parts of like length, so that little is padded. */
function partsOf(options: EmbeddingOptions, texts: readonly EmbeddedText[]): number[][] {
  const byLength = Array.from(texts.keys()).sort((a, b) => (texts[a]?.ids.length ?? 0) - (texts[b]?.ids.length ?? 0));
  return cutIntoParts(byLength, options.accumulate ?? 1);
}

function chosen(texts: readonly EmbeddedText[], part: readonly number[]): EmbeddedText[] {
  return part.map((index) => texts[index]).filter((text) => text !== undefined);
}

/** One part's embeddings, texts of like length side by side: padded to one length, a batch of mixed passages is half padding. */
function embedPart(options: EmbeddingOptions, texts: readonly EmbeddedText[], step: number): Tensor {
  return ops.cat(
    alike(texts).map((group) => embedGroup(options, group, step)),
    0,
  );
}

/** A part's texts, which come in the order of their lengths, in groups of one forward pass each. */
function alike(texts: readonly EmbeddedText[]): EmbeddedText[][] {
  return cutByBudget(texts, ({ ids }) => ids.length, TOKENS_AT_ONCE);
}

function embedGroup(options: EmbeddingOptions, texts: readonly EmbeddedText[], step: number): Tensor {
  const { device = "cpu" } = options;
  const examples_B = indices(
    texts.map((text) => text.example),
    undefined,
    device,
  );
  const dropout = options.dropout === false ? undefined : { seed: hash32(options.seed, 0x64726f), step, examples_B };
  const ids = texts.map((text) => text.ids);
  return autocast(options.precision, () => options.encoder.embedIds(ids, { dropout }), device.startsWith("cuda") ? "cuda" : "cpu");
}
