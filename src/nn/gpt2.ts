/**
 * GPT-2 (Radford et al. 2019), from config to logits, numerically equal to `GPT2LMHeadModel` of transformers. Sampling and batching are elsewhere.
 * Traps: the four `c_*` matrices are stored [in, out] and multiplied from the right (all other libraries store [out, in]); the activation is the tanh approximation of gelu; a file's
 * `attn.bias` is a causal mask, not a bias.
 *
 * Letters: B batch, T new tokens, S tokens with those of the cache, M = B·T, E width, H heads, V vocabulary, N rows that get logits.
 */
import { UserError } from "../errors.js";
import { dropout, type DropoutContext } from "../engine/dropout.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { ops, type Tensor } from "../engine/tensor.js";
import { attention, causalBias } from "./attention.js";
import type { ConfigFields } from "./config-fields.js";
import { type Fill, initialWeights, type WeightOptions } from "./initial-weights.js";
import { layInductionCircuit } from "./induction-start.js";
import { HIDDEN, type KvCache } from "./kv-cache.js";
import {
  type Affine,
  affineOf,
  type ModelFamily,
  type ModelParts,
  parameterOf,
  type ParameterShapes,
  type PretrainedModel,
} from "./model-family.js";

export { KvCache } from "./kv-cache.js";

const ACTIVATIONS = ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu", "relu"] as const;

/** Hugging Face's `GPT2Config`, without what other heads need. */
export interface Gpt2Config {
  readonly vocabSize: number;
  readonly nPositions: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  /** Width of the feed-forward layer; 4·nEmbd when the file says null. */
  readonly nInner: number;
  readonly activationFunction: (typeof ACTIVATIONS)[number];
  readonly residPdrop: number;
  readonly embdPdrop: number;
  readonly attnPdrop: number;
  readonly layerNormEpsilon: number;
  readonly initializerRange: number;
  readonly scaleAttnWeights: boolean;
  readonly scaleAttnByInverseLayerIdx: boolean;
  readonly tieWordEmbeddings: boolean;
  readonly bosTokenId?: number;
  readonly eosTokenId?: number;
  readonly padTokenId?: number;
}

export interface Gpt2InitialOptions extends WeightOptions {
  /** Standard deviation of the weights; the config's `initializerRange` unless given. */
  readonly std?: number;
  /** Divides the deviation of both `c_proj` by √(2·nLayer), so that the residual stream doesn't grow with depth (GPT-2, §2.3). Default true. */
  readonly scaledResidual?: boolean;
  /** Starts the position embeddings as sine waves of the same size instead of noise. Default false. */
  readonly sinusoidalPositions?: boolean;
  /** Lays an induction circuit into the weights: the model copies from its first step (induction-start.ts). Default false. */
  readonly induction?: boolean;
}

export interface Gpt2Input {
  /** i64 (B,T). */
  readonly ids_BT: Tensor;
  /** i64 (B,T) or (1,T). Default: counted from the cache's end, over real tokens where there is a mask. */
  readonly positions?: Tensor;
  /** (B,T), 1 for a token and 0 for padding. Needed for padding on the left; on the right causality hides it from real tokens, and no mask is faster. */
  readonly mask?: Tensor;
  /** Takes the new tokens in and lets them see the older ones. Runs without gradients. */
  readonly past?: KvCache;
  /** Turns the config's dropouts on. */
  readonly dropout?: DropoutContext | undefined;
}

/** One block's parameters, looked up once. */
interface Block {
  readonly norm1: Affine;
  readonly attention: Affine;
  readonly attentionOut: Affine;
  readonly norm2: Affine;
  readonly up: Affine;
  readonly down: Affine;
}

/** What the attention of one forward pass may see. */
interface Sight {
  /** Added to the scores, (B or 1,1,T,S); undefined: everything, or by `causal`. */
  readonly bias: Tensor | undefined;
  readonly causal: boolean;
  readonly positions: Tensor | undefined;
}

export class Gpt2 implements PretrainedModel<Gpt2Config> {
  readonly config: Gpt2Config;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly spare: ReadonlyMap<string, Tensor>;
  readonly source: Readonly<Record<string, unknown>>;
  readonly #blocks: readonly Block[];
  readonly #tokens_VE: Tensor;
  readonly #positions_PE: Tensor;
  readonly #lastNorm: Affine;

  /** @param parts weights as {@link gpt2Shapes} names them; `loadWeights` and {@link Gpt2.initialise} make them. */
  constructor(parts: ModelParts<Gpt2Config>) {
    const { config, parameters } = parts;
    this.config = config;
    this.parameters = parameters;
    this.spare = parts.spare ?? new Map();
    this.source = parts.source ?? {};
    this.#tokens_VE = parameterOf(parameters, "wte.weight");
    this.#positions_PE = parameterOf(parameters, "wpe.weight");
    this.#lastNorm = affineOf(parameters, "ln_f");
    this.#blocks = Array.from({ length: config.nLayer }, (_, layer) => ({
      norm1: affineOf(parameters, `h.${layer}.ln_1`),
      attention: affineOf(parameters, `h.${layer}.attn.c_attn`),
      attentionOut: affineOf(parameters, `h.${layer}.attn.c_proj`),
      norm2: affineOf(parameters, `h.${layer}.ln_2`),
      up: affineOf(parameters, `h.${layer}.mlp.c_fc`),
      down: affineOf(parameters, `h.${layer}.mlp.c_proj`),
    }));
  }

  /**
   * A model from scratch: N(0, std²), `c_proj` N(0, std²/(2·nLayer)), norms 1, biases 0.
   *
   * @throws UserError for a seed that is none, or when the shape has no room for an induction circuit
   */
  static initialise(config: Gpt2Config, seed: number, options: Gpt2InitialOptions = {}): Gpt2 {
    const { std = config.initializerRange, scaledResidual = true, sinusoidalPositions = false } = options;
    const fillOf = (name: string): Fill => {
      if (name.endsWith(".bias")) return { kind: "constant", value: 0 };
      if (/(^|\.)ln_\w+\.weight$/.test(name)) return { kind: "constant", value: 1 };
      if (name === "wpe.weight" && sinusoidalPositions) return { kind: "sinusoid", rms: std };
      return { kind: "normal", std: name.endsWith("c_proj.weight") && scaledResidual ? std / Math.sqrt(2 * config.nLayer) : std };
    };
    const parameters = initialWeights(gpt2Shapes(config), fillOf, seed, options);
    if (options.induction === true) layInductionCircuit(parameters, config, std);
    return new Gpt2({ config, parameters });
  }

  /**
   * h = wte[id] + wpe[position]; each block h += c_proj(softmax(q·kᵀ/√(E/H) + causal)·v), h += c_proj(gelu(c_fc(ln_2 h))); then ln_f.
   *
   * @returns the last hidden states (B,T,E), to be given to {@link logits} or {@link logitsAt}
   * @throws RangeError when the tokens don't fit the positions or the cache; OperatorError for ids outside the vocabulary
   */
  forward(input: Gpt2Input): Tensor {
    return input.past === undefined ? this.#forward(input) : noGrad(() => this.#forward(input));
  }

  /** hidden·wteᵀ: (…,E) → (…,V). */
  logits(hidden: Tensor): Tensor {
    return hidden.linear(this.config.tieWordEmbeddings ? this.#tokens_VE : parameterOf(this.parameters, "lm_head.weight"));
  }

  /**
   * Logits of some tokens only, which is what answer-only losses need: (B,T,E) → (N,V).
   *
   * @param rows_N i64, b·T + t of each
   */
  logitsAt(hidden_BTE: Tensor, rows_N: Tensor): Tensor {
    return this.logits(hidden_BTE.reshape([-1, this.config.nEmbd]).indexSelect(0, rows_N));
  }

  configJson(): Record<string, unknown> {
    return gpt2Json(this.config, this.source);
  }

  fileName(name: string): string {
    return name.startsWith("lm_head.") ? name : `transformer.${name}`;
  }

  #forward(input: Gpt2Input): Tensor {
    const { ids_BT, past, dropout: context } = input;
    const { nEmbd, nPositions, layerNormEpsilon } = this.config;
    const [batch, added] = ids_BT.shape as [number, number];
    const start = past?.length ?? 0;
    if (start + added > nPositions) throw new RangeError(`GPT-2 has ${nPositions} positions, ${start + added} tokens are asked for`);
    const result = scope(() => {
      const sight = this.#sight(input, batch, added, start);
      const places =
        sight.positions === undefined ? this.#positions_PE.narrow(0, start, added) : ops.embedding(this.#positions_PE, sight.positions);
      const embedded_BTE = dropout(ops.embedding(this.#tokens_VE, ids_BT).add(places), this.config.embdPdrop, context, 0);
      let hidden_ME = embedded_BTE.view([batch * added, nEmbd]);
      this.#blocks.forEach((block, layer) => {
        // A scope for each block: what backward doesn't need is freed at once, and without gradients memory stays at one block's.
        hidden_ME = scope(() => this.#block(block, layer, hidden_ME, sight, batch, input));
      });
      return hidden_ME.layerNorm([nEmbd], this.#lastNorm.weight, this.#lastNorm.bias, layerNormEpsilon).view([batch, added, nEmbd]);
    });
    past?.advance(added);
    return result;
  }

  #block(block: Block, layer: number, hidden_ME: Tensor, sight: Sight, batch: number, input: Gpt2Input): Tensor {
    const { nEmbd, layerNormEpsilon, residPdrop } = this.config;
    const dropped = (x_ME: Tensor, site: number): Tensor => {
      if (input.dropout === undefined || residPdrop === 0) return x_ME;
      return dropout(x_ME.view([batch, -1, nEmbd]), residPdrop, input.dropout, site).view([-1, nEmbd]);
    };
    const normed1_ME = hidden_ME.layerNorm([nEmbd], block.norm1.weight, block.norm1.bias, layerNormEpsilon);
    const mixed_ME = this.#attend(block, layer, normed1_ME, sight, batch, input);
    const middle_ME = hidden_ME.add(dropped(mixed_ME, 3 * layer + 2));
    const normed2_ME = middle_ME.layerNorm([nEmbd], block.norm2.weight, block.norm2.bias, layerNormEpsilon);
    const wide = this.#activate(block.up.bias.addmm(normed2_ME, block.up.weight));
    return middle_ME.add(dropped(block.down.bias.addmm(wide, block.down.weight), 3 * layer + 3));
  }

  #attend(block: Block, layer: number, normed_ME: Tensor, sight: Sight, batch: number, input: Gpt2Input): Tensor {
    const { nEmbd, nHead, attnPdrop, scaleAttnWeights, scaleAttnByInverseLayerIdx } = this.config;
    const fused = block.attention.bias.addmm(normed_ME, block.attention.weight).view([batch, -1, 3 * nEmbd]);
    const [query_BHTD, key_BHTD, value_BHTD] = fused
      .split(nEmbd, 2)
      .map((part) => part.view([batch, -1, nHead, nEmbd / nHead]).transpose(1, 2));
    if (query_BHTD === undefined || key_BHTD === undefined || value_BHTD === undefined) throw new Error("GPT-2: c_attn has no three parts");
    const [keys_BHSD, values_BHSD] = input.past?.extend(layer, key_BHTD, value_BHTD) ?? [key_BHTD, value_BHTD];
    const scale = (scaleAttnWeights ? Math.sqrt(nHead / nEmbd) : 1) / (scaleAttnByInverseLayerIdx ? layer + 1 : 1);
    const drop =
      input.dropout === undefined || attnPdrop === 0
        ? undefined
        : (weights_BHTS: Tensor): Tensor => dropout(weights_BHTS, attnPdrop, input.dropout, 3 * layer + 1);
    const mixed_BHTD = attention(query_BHTD, keys_BHSD, values_BHSD, { bias: sight.bias, causal: sight.causal, scale, drop });
    const mixed_ME = mixed_BHTD.transpose(1, 2).reshape([-1, nEmbd]);
    return block.attentionOut.bias.addmm(mixed_ME, block.attentionOut.weight);
  }

  #activate(x: Tensor): Tensor {
    switch (this.config.activationFunction) {
      case "relu":
        return x.relu();
      case "gelu":
        return x.gelu("none");
      default:
        return x.gelu("tanh");
    }
  }

  #sight(input: Gpt2Input, batch: number, added: number, start: number): Sight {
    const { mask, positions, past } = input;
    const { device } = input.ids_BT;
    const padding = past === undefined ? paddingOf(mask) : past.notePadding(mask, batch, added, device);
    const causal = added > 1;
    if (padding === undefined) {
      // The fused kernel's own causality counts from the first key, so it holds without older tokens only.
      const bias = causal && start > 0 ? causalBias(added, start + added, device) : undefined;
      return { bias, causal: causal && bias === undefined, positions };
    }
    const bias_B11S = padding.bias_BS.unsqueeze(1).unsqueeze(1);
    const bias = causal ? bias_B11S.add(causalBias(added, start + added, device)).clampMin(HIDDEN) : bias_B11S;
    return { bias, causal: false, positions: positions ?? padding.positions_BT };
  }
}

function paddingOf(mask_BT: Tensor | undefined): { bias_BS: Tensor; positions_BT: Tensor } | undefined {
  if (mask_BT === undefined) return undefined;
  const real_BT = mask_BT.toDtype("i64");
  return { bias_BS: real_BT.eq(0).toDtype("f32").mul(HIDDEN), positions_BT: real_BT.cumsum(1).sub(1).clampMin(0) };
}

/** A config with GPT-2's usual values for what isn't given (those of the 124 M model, `nInner` four times the width). */
export function gpt2Config(given: Partial<Gpt2Config> = {}): Gpt2Config {
  const config: Gpt2Config = {
    vocabSize: 50_257,
    nPositions: 1024,
    nEmbd: 768,
    nLayer: 12,
    nHead: 12,
    nInner: 4 * (given.nEmbd ?? 768),
    activationFunction: "gelu_new",
    residPdrop: 0.1,
    embdPdrop: 0.1,
    attnPdrop: 0.1,
    layerNormEpsilon: 1e-5,
    initializerRange: 0.02,
    scaleAttnWeights: true,
    scaleAttnByInverseLayerIdx: false,
    tieWordEmbeddings: true,
    ...given,
  };
  if (config.nEmbd % config.nHead === 0) return config;
  throw new UserError({
    where: "GPT-2",
    what: "the heads don't divide the width",
    expected: `a multiple of ${config.nHead}`,
    got: `${config.nEmbd}`,
  });
}

/** Every parameter's size: `c_*` are [in, out]. */
function gpt2Shapes(config: Gpt2Config): ParameterShapes {
  const { vocabSize, nPositions, nEmbd, nLayer, nInner, tieWordEmbeddings } = config;
  const shapes = new Map<string, readonly number[]>([
    ["wte.weight", [vocabSize, nEmbd]],
    ["wpe.weight", [nPositions, nEmbd]],
  ]);
  const add = (name: string, weight: readonly number[], bias: number): void => {
    shapes.set(`${name}.weight`, weight).set(`${name}.bias`, [bias]);
  };
  for (let layer = 0; layer < nLayer; layer++) {
    add(`h.${layer}.ln_1`, [nEmbd], nEmbd);
    add(`h.${layer}.attn.c_attn`, [nEmbd, 3 * nEmbd], 3 * nEmbd);
    add(`h.${layer}.attn.c_proj`, [nEmbd, nEmbd], nEmbd);
    add(`h.${layer}.ln_2`, [nEmbd], nEmbd);
    add(`h.${layer}.mlp.c_fc`, [nEmbd, nInner], nInner);
    add(`h.${layer}.mlp.c_proj`, [nInner, nEmbd], nEmbd);
  }
  add("ln_f", [nEmbd], nEmbd);
  if (!tieWordEmbeddings) shapes.set("lm_head.weight", [vocabSize, nEmbd]);
  return shapes;
}

function readGpt2Config(fields: ConfigFields): Gpt2Config {
  fields.refuse("add_cross_attention", [false]);
  const nEmbd = fields.size("n_embd", 768);
  const nHead = fields.size("n_head", 12);
  if (nEmbd % nHead !== 0) throw fields.fault("n_embd", `a multiple of n_head (${nHead})`);
  const ids = {
    bosTokenId: fields.tokenId("bos_token_id"),
    eosTokenId: fields.tokenId("eos_token_id"),
    padTokenId: fields.tokenId("pad_token_id"),
  };
  return {
    vocabSize: fields.size("vocab_size", 50_257),
    nPositions: fields.size("n_positions", 1024),
    nEmbd,
    nLayer: fields.size("n_layer", 12),
    nHead,
    nInner: fields.size("n_inner", 4 * nEmbd),
    activationFunction: fields.choice("activation_function", ACTIVATIONS, "gelu_new"),
    residPdrop: fields.dropout("resid_pdrop", 0.1),
    embdPdrop: fields.dropout("embd_pdrop", 0.1),
    attnPdrop: fields.dropout("attn_pdrop", 0.1),
    layerNormEpsilon: fields.number("layer_norm_epsilon", 1e-5),
    initializerRange: fields.number("initializer_range", 0.02),
    scaleAttnWeights: fields.flag("scale_attn_weights", true),
    scaleAttnByInverseLayerIdx: fields.flag("scale_attn_by_inverse_layer_idx", false),
    tieWordEmbeddings: fields.flag("tie_word_embeddings", true),
    ...(Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== undefined)) as Partial<Gpt2Config>),
  };
}

function gpt2Json(config: Gpt2Config, source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...source,
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    vocab_size: config.vocabSize,
    n_positions: config.nPositions,
    n_ctx: config.nPositions,
    n_embd: config.nEmbd,
    n_layer: config.nLayer,
    n_head: config.nHead,
    n_inner: config.nInner === 4 * config.nEmbd ? null : config.nInner,
    activation_function: config.activationFunction,
    resid_pdrop: config.residPdrop,
    embd_pdrop: config.embdPdrop,
    attn_pdrop: config.attnPdrop,
    layer_norm_epsilon: config.layerNormEpsilon,
    initializer_range: config.initializerRange,
    scale_attn_weights: config.scaleAttnWeights,
    scale_attn_by_inverse_layer_idx: config.scaleAttnByInverseLayerIdx,
    tie_word_embeddings: config.tieWordEmbeddings,
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenId ?? null,
    pad_token_id: config.padTokenId ?? null,
  };
}

/** GPT-2 as the registry knows it. */
export const gpt2Family: ModelFamily<Gpt2Config, Gpt2> = {
  modelType: "gpt2",
  prefix: "transformer.",
  readConfig: readGpt2Config,
  withDropout: (config, p) => ({ ...config, residPdrop: p, embdPdrop: p, attnPdrop: p }),
  shapes: gpt2Shapes,
  spareShapes: () => new Map(),
  // `h.0.attn.bias` and `h.0.attn.masked_bias` are buffers of old files; names outside wte, wpe, h and ln_f belong to other heads.
  isForeign: (name) => /^h\.\d+\.attn\.(bias|masked_bias)$/.test(name) || !/^(wte|wpe|h|ln_f)\./.test(name),
  create: (parts) => new Gpt2(parts),
};
