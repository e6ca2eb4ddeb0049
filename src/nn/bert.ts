/**
 * BERT's encoder (Devlin et al. 2019), the MiniLM family included, numerically equal to `BertModel` of transformers. It gives token states; pooling them into one vector is
 * pooling.ts. Traps: norms come after the residual sum (GPT-2's come before), gelu is the exact one, epsilon is 1e-12, and matrices are stored [out, in].
 *
 * Letters: B batch, T tokens, M = B·T, W width (hidden_size), H heads.
 */
import { UserError } from "../errors.js";
import { dropout, type DropoutContext } from "../engine/dropout.js";
import { scope } from "../engine/scope.js";
import { ops, type Tensor } from "../engine/tensor.js";
import { attention } from "./attention.js";
import type { ConfigFields } from "./config-fields.js";
import { type Fill, initialWeights, type WeightOptions } from "./initial-weights.js";
import { HIDDEN } from "./kv-cache.js";
import {
  type Affine,
  affineOf,
  type ModelFamily,
  type ModelParts,
  parameterOf,
  type ParameterShapes,
  type PretrainedModel,
} from "./model-family.js";

const ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"] as const;

/** Sites of this model's dropouts start here, so that they share no mask with a decoder trained in the same step. */
const FIRST_SITE = 1 << 16;

/** Hugging Face's `BertConfig`, without what heads need. */
export interface BertConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
  readonly hiddenAct: (typeof ACTIVATIONS)[number];
  readonly hiddenDropoutProb: number;
  readonly attentionProbsDropoutProb: number;
  readonly maxPositionEmbeddings: number;
  readonly typeVocabSize: number;
  readonly layerNormEps: number;
  readonly initializerRange: number;
  readonly padTokenId: number;
}

export interface BertInitialOptions extends WeightOptions {
  /** Standard deviation of the weights; the config's `initializerRange` unless given. */
  readonly std?: number;
}

export interface BertInput {
  /** i64 (B,T). */
  readonly ids_BT: Tensor;
  /** (B,T), 1 for a token and 0 for padding; undefined: no padding, which is faster. */
  readonly mask_BT?: Tensor | undefined;
  /** i64 (B,T), 1 for the second text of a pair. Default 0. */
  readonly typeIds?: Tensor | undefined;
  /** Turns the config's dropouts on. */
  readonly dropout?: DropoutContext | undefined;
}

/** One layer's parameters, looked up once. */
interface Layer {
  readonly query: Affine;
  readonly key: Affine;
  readonly value: Affine;
  readonly attentionOut: Affine;
  readonly attentionNorm: Affine;
  readonly up: Affine;
  readonly down: Affine;
  readonly norm: Affine;
}

/** What all layers of one forward pass share. */
interface Pass {
  readonly batch: number;
  /** (B,1,1,T), 0 or {@link HIDDEN}. */
  readonly bias_B11T: Tensor | undefined;
  readonly dropout: DropoutContext | undefined;
}

export class Bert implements PretrainedModel<BertConfig> {
  readonly config: BertConfig;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly spare: ReadonlyMap<string, Tensor>;
  readonly source: Readonly<Record<string, unknown>>;
  readonly #words_VW: Tensor;
  readonly #positions_PW: Tensor;
  readonly #types_2W: Tensor;
  readonly #embeddingNorm: Affine;
  readonly #layers: readonly Layer[];

  /** @param parts weights as {@link bertShapes} names them; `loadWeights` and {@link Bert.initialise} make them. */
  constructor(parts: ModelParts<BertConfig>) {
    const { config, parameters } = parts;
    this.config = config;
    this.parameters = parameters;
    this.spare = parts.spare ?? new Map();
    this.source = parts.source ?? {};
    this.#words_VW = parameterOf(parameters, "embeddings.word_embeddings.weight");
    this.#positions_PW = parameterOf(parameters, "embeddings.position_embeddings.weight");
    this.#types_2W = parameterOf(parameters, "embeddings.token_type_embeddings.weight");
    this.#embeddingNorm = affineOf(parameters, "embeddings.LayerNorm");
    this.#layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => {
      const named = (name: string): Affine => affineOf(parameters, `encoder.layer.${layer}.${name}`);
      return {
        query: named("attention.self.query"),
        key: named("attention.self.key"),
        value: named("attention.self.value"),
        attentionOut: named("attention.output.dense"),
        attentionNorm: named("attention.output.LayerNorm"),
        up: named("intermediate.dense"),
        down: named("output.dense"),
        norm: named("output.LayerNorm"),
      };
    });
  }

  /**
   * A model from scratch: N(0, std²), padding's embedding 0, norms 1, biases 0. It has a pooler too, untrained and unused, so that `AutoModel` finds every weight it looks for.
   *
   * @throws UserError for a seed that is none
   */
  static initialise(config: BertConfig, seed: number, options: BertInitialOptions = {}): Bert {
    const std = options.std ?? config.initializerRange;
    const fillOf = (name: string): Fill => {
      if (name.endsWith(".bias")) return { kind: "constant", value: 0 };
      if (name.endsWith("LayerNorm.weight")) return { kind: "constant", value: 1 };
      return name === "embeddings.word_embeddings.weight" ? { kind: "normal", std, zeroRow: config.padTokenId } : { kind: "normal", std };
    };
    const weights = initialWeights(new Map([...bertShapes(config), ...poolerShapes(config)]), fillOf, seed, options);
    const spare = new Map<string, Tensor>();
    for (const name of poolerShapes(config).keys()) {
      spare.set(name, parameterOf(weights, name).setRequiresGrad(false));
      weights.delete(name);
    }
    return new Bert({ config, parameters: weights, spare });
  }

  /**
   * h = LN(word + position + type); each layer h = LN(h + dense(attention h)), h = LN(h + dense(gelu(dense h))). Padding is hidden as a key; its own states mean nothing.
   *
   * @returns the last hidden states (B,T,W)
   * @throws RangeError when there are more tokens than positions; OperatorError for ids outside the vocabulary
   */
  forward(input: BertInput): Tensor {
    const { ids_BT, mask_BT, typeIds, dropout: context } = input;
    const { hiddenSize, maxPositionEmbeddings, hiddenDropoutProb, padTokenId } = this.config;
    const [batch, length] = ids_BT.shape as [number, number];
    if (length > maxPositionEmbeddings) throw new RangeError(`BERT has ${maxPositionEmbeddings} positions, ${length} tokens are asked for`);
    return scope(() => {
      const bias_B11T = mask_BT?.eq(0).toDtype("f32").mul(HIDDEN).unsqueeze(1).unsqueeze(1);
      const words_BTW = ops.embedding(this.#words_VW, ids_BT, padTokenId);
      const places_TW = this.#positions_PW.narrow(0, 0, length);
      // Without type ids the first type's row joins the positions: one sum over (T,W) instead of one over (B,T,W).
      const summed_BTW =
        typeIds === undefined
          ? words_BTW.add(places_TW.add(this.#types_2W.narrow(0, 0, 1)))
          : words_BTW.add(places_TW).add(ops.embedding(this.#types_2W, typeIds));
      const pass: Pass = { batch, bias_B11T, dropout: context };
      const embedded_BTW = dropout(this.#norm(summed_BTW, this.#embeddingNorm), hiddenDropoutProb, context, FIRST_SITE);
      let hidden_MW = embedded_BTW.view([batch * length, hiddenSize]);
      this.#layers.forEach((layer, place) => {
        // A scope for each layer: what backward doesn't need is freed at once, and without gradients memory stays at one layer's.
        hidden_MW = scope(() => this.#layer(layer, hidden_MW, FIRST_SITE + 3 * place, pass));
      });
      return hidden_MW.view([batch, length, hiddenSize]);
    });
  }

  configJson(): Record<string, unknown> {
    return bertJson(this.config, this.source);
  }

  fileName(name: string): string {
    return name;
  }

  #layer(layer: Layer, hidden_MW: Tensor, site: number, pass: Pass): Tensor {
    const { hiddenSize, hiddenDropoutProb } = this.config;
    const dropped = (x_MW: Tensor, at: number): Tensor => {
      if (pass.dropout === undefined || hiddenDropoutProb === 0) return x_MW;
      return dropout(x_MW.view([pass.batch, -1, hiddenSize]), hiddenDropoutProb, pass.dropout, at).view([-1, hiddenSize]);
    };
    const mixed_MW = this.#attend(layer, hidden_MW, site + 1, pass).linear(layer.attentionOut.weight, layer.attentionOut.bias);
    const middle_MW = this.#norm(hidden_MW.add(dropped(mixed_MW, site + 2)), layer.attentionNorm);
    const wide = this.#activate(middle_MW.linear(layer.up.weight, layer.up.bias));
    return this.#norm(middle_MW.add(dropped(wide.linear(layer.down.weight, layer.down.bias), site + 3)), layer.norm);
  }

  #attend(layer: Layer, hidden_MW: Tensor, site: number, pass: Pass): Tensor {
    const { hiddenSize, numAttentionHeads, attentionProbsDropoutProb } = this.config;
    const headed = ({ weight, bias }: Affine): Tensor =>
      hidden_MW
        .linear(weight, bias)
        .view([pass.batch, -1, numAttentionHeads, hiddenSize / numAttentionHeads])
        .transpose(1, 2);
    const [query_BHTD, key_BHTD, value_BHTD] = [headed(layer.query), headed(layer.key), headed(layer.value)];
    const drop =
      pass.dropout === undefined || attentionProbsDropoutProb === 0
        ? undefined
        : (weights_BHTT: Tensor): Tensor => dropout(weights_BHTT, attentionProbsDropoutProb, pass.dropout, site);
    const scale = Math.sqrt(numAttentionHeads / hiddenSize);
    const mixed_BHTD = attention(query_BHTD, key_BHTD, value_BHTD, { bias: pass.bias_B11T, causal: false, scale, drop });
    return mixed_BHTD.transpose(1, 2).reshape([-1, hiddenSize]);
  }

  #norm(x: Tensor, { weight, bias }: Affine): Tensor {
    return x.layerNorm([this.config.hiddenSize], weight, bias, this.config.layerNormEps);
  }

  #activate(x: Tensor): Tensor {
    switch (this.config.hiddenAct) {
      case "relu":
        return x.relu();
      case "gelu":
        return x.gelu("none");
      default:
        return x.gelu("tanh");
    }
  }
}

/** A config with BERT's usual values for what isn't given (those of the base model, `intermediateSize` four times the width). */
export function bertConfig(given: Partial<BertConfig> = {}): BertConfig {
  const config: BertConfig = {
    vocabSize: 30_522,
    hiddenSize: 768,
    numHiddenLayers: 12,
    numAttentionHeads: 12,
    intermediateSize: 4 * (given.hiddenSize ?? 768),
    hiddenAct: "gelu",
    hiddenDropoutProb: 0.1,
    attentionProbsDropoutProb: 0.1,
    maxPositionEmbeddings: 512,
    typeVocabSize: 2,
    layerNormEps: 1e-12,
    initializerRange: 0.02,
    padTokenId: 0,
    ...given,
  };
  if (config.hiddenSize % config.numAttentionHeads === 0) return config;
  const expected = `a multiple of ${config.numAttentionHeads}`;
  throw new UserError({ where: "BERT", what: "the heads don't divide the width", expected, got: `${config.hiddenSize}` });
}

/** Every trained parameter's size: matrices are [out, in]. */
export function bertShapes(config: BertConfig): ParameterShapes {
  const { vocabSize, hiddenSize, intermediateSize, maxPositionEmbeddings, typeVocabSize } = config;
  const shapes = new Map<string, readonly number[]>([
    ["embeddings.word_embeddings.weight", [vocabSize, hiddenSize]],
    ["embeddings.position_embeddings.weight", [maxPositionEmbeddings, hiddenSize]],
    ["embeddings.token_type_embeddings.weight", [typeVocabSize, hiddenSize]],
  ]);
  const add = (name: string, ...weight: readonly [number, number?]): void => {
    shapes.set(`${name}.weight`, weight as readonly number[]).set(`${name}.bias`, [weight[0]]);
  };
  add("embeddings.LayerNorm", hiddenSize);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    for (const part of ["query", "key", "value"]) add(`encoder.layer.${layer}.attention.self.${part}`, hiddenSize, hiddenSize);
    add(`encoder.layer.${layer}.attention.output.dense`, hiddenSize, hiddenSize);
    add(`encoder.layer.${layer}.attention.output.LayerNorm`, hiddenSize);
    add(`encoder.layer.${layer}.intermediate.dense`, intermediateSize, hiddenSize);
    add(`encoder.layer.${layer}.output.dense`, hiddenSize, intermediateSize);
    add(`encoder.layer.${layer}.output.LayerNorm`, hiddenSize);
  }
  return shapes;
}

/** The first token's dense layer, which only heads read. */
export function poolerShapes({ hiddenSize }: BertConfig): ParameterShapes {
  return new Map([
    ["pooler.dense.weight", [hiddenSize, hiddenSize]],
    ["pooler.dense.bias", [hiddenSize]],
  ]);
}

function readBertConfig(fields: ConfigFields): BertConfig {
  fields.refuse("position_embedding_type", ["absolute"]);
  fields.refuse("is_decoder", [false]);
  fields.refuse("add_cross_attention", [false]);
  const hiddenSize = fields.size("hidden_size", 768);
  const numAttentionHeads = fields.size("num_attention_heads", 12);
  if (hiddenSize % numAttentionHeads !== 0) throw fields.fault("hidden_size", `a multiple of num_attention_heads (${numAttentionHeads})`);
  const vocabSize = fields.size("vocab_size", 30_522);
  const padTokenId = fields.tokenId("pad_token_id") ?? 0;
  if (padTokenId >= vocabSize) throw fields.fault("pad_token_id", `a number below vocab_size (${vocabSize})`);
  return {
    vocabSize,
    hiddenSize,
    numHiddenLayers: fields.size("num_hidden_layers", 12),
    numAttentionHeads,
    intermediateSize: fields.size("intermediate_size", 3072),
    hiddenAct: fields.choice("hidden_act", ACTIVATIONS, "gelu"),
    hiddenDropoutProb: fields.dropout("hidden_dropout_prob", 0.1),
    attentionProbsDropoutProb: fields.dropout("attention_probs_dropout_prob", 0.1),
    maxPositionEmbeddings: fields.size("max_position_embeddings", 512),
    typeVocabSize: fields.size("type_vocab_size", 2),
    layerNormEps: fields.number("layer_norm_eps", 1e-12),
    initializerRange: fields.number("initializer_range", 0.02),
    padTokenId,
  };
}

function bertJson(config: BertConfig, source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...source,
    architectures: ["BertModel"],
    model_type: "bert",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    intermediate_size: config.intermediateSize,
    hidden_act: config.hiddenAct,
    hidden_dropout_prob: config.hiddenDropoutProb,
    attention_probs_dropout_prob: config.attentionProbsDropoutProb,
    max_position_embeddings: config.maxPositionEmbeddings,
    type_vocab_size: config.typeVocabSize,
    layer_norm_eps: config.layerNormEps,
    initializer_range: config.initializerRange,
    pad_token_id: config.padTokenId,
    position_embedding_type: "absolute",
  };
}

/** BERT as the registry knows it. */
export const bertFamily: ModelFamily<BertConfig, Bert> = {
  modelType: "bert",
  prefix: "bert.",
  readConfig: readBertConfig,
  withDropout: (config, p) => ({ ...config, hiddenDropoutProb: p, attentionProbsDropoutProb: p }),
  shapes: bertShapes,
  spareShapes: poolerShapes,
  // `embeddings.position_ids` is a buffer of old files; `cls.*` and the like are heads.
  isForeign: (name) => name === "embeddings.position_ids" || !/^(embeddings|encoder|pooler)\./.test(name),
  create: (parts) => new Bert(parts),
};
