/**
 * An induction circuit laid into the first weights of a GPT-2 that starts from scratch: a head of layer 0 tells each token which token stood before it, a head of layer 1 looks for a place
 * that stood behind the present token and copies what is there ("A B … A" → "B"). It isn't training and knows no language: it says that what followed once follows again. From random
 * weights this circuit had not formed after five million tokens (docs/LOG.md), and a reader that can't copy can't answer about a name it has never seen.
 * The trap: the circuit needs quiet around it. Tokens, previous tokens and positions live in thirds of the width, and everything else that writes into the residual stream starts close to zero; GPT-2's
 * usual noise drowns it.
 * Sources: the circuit, Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv 2209.11895; weights that start structured, Trockman & Kolter 2023, arXiv 2305.09828.
 *
 * Shape letters: V vocabulary, P positions, E width, S a third of the width (whole heads), F = S/2 frequencies.
 */
import { UserError } from "../errors.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { ops, type Tensor } from "../engine/tensor.js";
import { parameterOf } from "./model-family.js";

/** What of a GPT-2's shape matters here. */
export interface InductionShape {
  readonly nLayer: number;
  readonly nHead: number;
  readonly nEmbd: number;
}

/** Root mean square of a token's and a position's own third at the start; the rest of a token's row holds a tenth of it as noise. */
const SIZE = 0.1;
/** Sharpness of the two heads, for heads of 32: enough to copy before any step, and soft enough to learn. The scores grow with the root of a head's width, so these shrink with it. */
const [PREVIOUS_SHARPNESS, MATCH_SHARPNESS] = [4, 1.5];
/** What the two heads add to the residual stream, a token's own third being {@link SIZE}: a copied token must outweigh the present one. */
const [PREVIOUS_GAIN, COPY_GAIN] = [0.1, 0.6];
/** Fastest wave of the positions in radians a token, and how many times slower the slowest is. */
const [FASTEST, SPREAD] = [1.6, 400];

/** Heads that carry a third of the width. @throws UserError when the shape has no room for the circuit */
function headsOf({ nLayer, nHead, nEmbd }: InductionShape): number {
  const heads = Math.floor(nHead / 3);
  if (nLayer >= 2 && heads >= 1 && (nEmbd / nHead) % 2 === 0) return heads;
  throw new UserError({
    where: "generator.initialise.induction",
    what: "the model has no room for an induction circuit",
    expected: "at least 2 layers, 3 heads and an even width of a head",
    got: `${nLayer} layers, ${nHead} heads, ${nEmbd / nHead} a head`,
    remedy: "change generator.initialise or set generator.initialise.induction=false",
  });
}

/**
 * Changes freshly drawn weights in place: wte (V,E) and wpe (P,E) get their thirds, every `c_proj` a hundredth of its noise, and the heads of layers 0 and 1
 * their circuit. Heads and layers that aren't needed keep their noise and learn as usual.
 *
 * @param std what wte was drawn with
 * @throws UserError when the shape has no room for it
 */
export function layInductionCircuit(parameters: ReadonlyMap<string, Tensor>, shape: InductionShape, std: number): void {
  const heads = headsOf(shape);
  const { nEmbd: width, nHead, nLayer } = shape;
  const [head, third] = [width / nHead, (width / nHead) * heads];
  noGrad(() => {
    scope(() => {
      for (let layer = 0; layer < nLayer; layer += 1) {
        for (const part of ["attn", "mlp"]) parameterOf(parameters, `h.${layer}.${part}.c_proj.weight`).mul_(0.01);
      }
      layEmbeddings(parameters, third, heads, std);
      const eye_SS = unit(third);
      const loudness = Math.sqrt(32 / head);
      const previous = Math.sqrt(PREVIOUS_SHARPNESS * loudness);
      const first = new AttentionBlocks(parameters, 0, width, third);
      // The query at place p is the wave of p - 1, so that it meets the key of the place before.
      first.add("query", 2, stepBack(third, heads).mul(previous));
      first.add("key", 2, eye_SS.mul(previous));
      first.add("value", 0, eye_SS);
      first.write(1, eye_SS.mul(PREVIOUS_GAIN));
      const match = Math.sqrt(MATCH_SHARPNESS * loudness);
      const second = new AttentionBlocks(parameters, 1, width, third);
      second.add("query", 0, eye_SS.mul(match));
      second.add("key", 1, eye_SS.mul(match));
      second.add("value", 0, eye_SS);
      second.write(0, eye_SS.mul(COPY_GAIN));
    });
  });
}

/** Tokens into the first third, waves into the last, a little noise elsewhere. */
function layEmbeddings(parameters: ReadonlyMap<string, Tensor>, third: number, heads: number, std: number): void {
  const wte_VE = parameterOf(parameters, "wte.weight");
  const width = wte_VE.shape[1] ?? 0;
  wte_VE.mul_(SIZE / std);
  wte_VE.narrow(1, third, width - third).mul_(0.1);
  const wpe_PE = parameterOf(parameters, "wpe.weight");
  wpe_PE.zero_();
  wpe_PE.narrow(1, 2 * third, third).copy_(waves(wpe_PE.shape[0] ?? 0, third, heads).mul(SIZE * Math.SQRT2));
}

/** Square blocks of one layer's attention: which third of the width the circuit's heads read and write. */
class AttentionBlocks {
  readonly #input_ETE: Tensor;
  readonly #output_EE: Tensor;
  readonly #width: number;
  readonly #third: number;

  constructor(parameters: ReadonlyMap<string, Tensor>, layer: number, width: number, third: number) {
    this.#input_ETE = parameterOf(parameters, `h.${layer}.attn.c_attn.weight`);
    this.#output_EE = parameterOf(parameters, `h.${layer}.attn.c_proj.weight`);
    [this.#width, this.#third] = [width, third];
  }

  /** Adds a block that makes the first heads' queries, keys or values from the third numbered `from`. */
  add(what: "query" | "key" | "value", from: number, block_SS: Tensor): void {
    const column = { query: 0, key: 1, value: 2 }[what] * this.#width;
    this.#input_ETE
      .narrow(0, from * this.#third, this.#third)
      .narrow(1, column, this.#third)
      .add_(block_SS);
  }

  /** Adds a block that writes what the first heads found into the third numbered `to`. */
  write(to: number, block_SS: Tensor): void {
    this.#output_EE
      .narrow(0, 0, this.#third)
      .narrow(1, to * this.#third, this.#third)
      .add_(block_SS);
  }
}

function unit(size: number): Tensor {
  const place = ops.arange(0, size, 1, "f32");
  return place.unsqueeze(0).eq(place.unsqueeze(1)).toDtype("f32");
}

/** (F): radians a token, geometric from the fastest; every head gets fast and slow ones. */
function rates(third: number, heads: number): Tensor {
  const count = third / 2;
  const rank_F = ops
    .arange(0, count, 1, "f32")
    .reshape([count / heads, heads])
    .transpose(0, 1)
    .reshape([count]);
  return rank_F
    .mul(-Math.log(SPREAD) / Math.max(1, count - 1))
    .exp()
    .mul(FASTEST);
}

/** (P,S): sin and cos of each rate, side by side. */
function waves(positions: number, third: number, heads: number): Tensor {
  const angle_PF = ops.arange(0, positions, 1, "f32").unsqueeze(1).mul(rates(third, heads));
  return ops.stack([angle_PF.sin(), angle_PF.cos()], 2).reshape([positions, third]);
}

/** (S,S): turns each pair (sin ωp, cos ωp), as a row, into (sin ω(p−1), cos ω(p−1)). */
function stepBack(third: number, heads: number): Tensor {
  const rate_F = rates(third, heads);
  const [cosine_F, sine_F] = [rate_F.cos(), rate_F.sin()];
  const turn_F22 = ops.stack([cosine_F, sine_F, sine_F.mul(-1), cosine_F], 1).reshape([third / 2, 2, 2]);
  return turn_F22
    .unsqueeze(2)
    .mul(
      unit(third / 2)
        .unsqueeze(1)
        .unsqueeze(3),
    )
    .reshape([third, third]);
}
