/**
 * BERT with a head of one number for a pair of texts, numerically equal to `BertForSequenceClassification` of transformers with one label: what cross-encoders are (ms-marco-MiniLM and others). It is read and
 * run, never trained or written. The traps: the head reads the pooler (tanh of a dense layer on the first token), and the folder says whether its scores are logits or went through a sigmoid.
 *
 * Letters: B batch, T tokens, W width (hidden_size).
 */
import { join } from "node:path";
import { UserError } from "../errors.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import { Bert, bertFamily, bertShapes, type BertConfig, type BertInput, poolerShapes } from "./bert.js";
import { type LoadOptions, loadWeights, readModelConfig } from "./hugging-face-folder.js";
import { type Affine, affineOf, type ModelFamily, type ModelParts } from "./model-family.js";

/** What stands between the head's number and the score. */
type Activation = "sigmoid" | "identity";

const ACTIVATIONS: Readonly<Record<string, Activation>> = { Identity: "identity", Sigmoid: "sigmoid" };

export class BertClassifier extends Bert {
  readonly #activation: Activation;
  readonly #pooler: Affine;
  readonly #head: Affine;

  /** @param parts weights as {@link Bert} names them, with `pooler.dense` and `classifier` */
  constructor(parts: ModelParts<BertConfig>, activation: Activation) {
    super(parts);
    this.#activation = activation;
    this.#pooler = affineOf(parts.parameters, "pooler.dense");
    this.#head = affineOf(parts.parameters, "classifier");
  }

  /** The model in a Hugging Face folder, without dropout. @throws UserError as `loadWeights`, and for another number of labels than one */
  static load(folder: string, options: LoadOptions = {}): BertClassifier {
    const config = readModelConfig(folder);
    const file = join(folder, "config.json");
    requireOneLabel(config, file);
    return loadWeights(folder, familyOf(activationOf(config, file)), { dropout: 0, ...options });
  }

  /**
   * σ(w·tanh(P h₀ + p) + c), without σ where the folder's scores are logits; h₀ is the first token's last state.
   *
   * @returns (B)
   * @throws as {@link Bert.forward}
   */
  score(input: BertInput): Tensor {
    return scope(() => {
      const first_BW = this.forward(input).select(1, 0);
      const pooled_BW = first_BW.linear(this.#pooler.weight, this.#pooler.bias).tanh();
      const logit_B = pooled_BW.linear(this.#head.weight, this.#head.bias).select(1, 0);
      return this.#activation === "sigmoid" ? logit_B.sigmoid() : logit_B;
    });
  }
}

function familyOf(activation: Activation): ModelFamily<BertConfig, BertClassifier> {
  return {
    ...bertFamily,
    shapes: (config) =>
      new Map([
        ...bertShapes(config),
        ...poolerShapes(config),
        ["classifier.weight", [1, config.hiddenSize]] as const,
        ["classifier.bias", [1]] as const,
      ]),
    spareShapes: () => new Map(),
    create: (parts) => new BertClassifier(parts, activation),
  };
}

/** transformers counts the labels by their names; without names there are two. */
function requireOneLabel(config: Readonly<Record<string, unknown>>, file: string): void {
  const names = config["id2label"];
  const labels = typeof names === "object" && names !== null ? Object.keys(names).length : (config["num_labels"] ?? 2);
  if (labels === 1) return;
  throw new UserError({
    where: `${file}: id2label`,
    what: "is no cross-encoder's",
    expected: "one label, whose number is the score",
    got: `${JSON.stringify(labels)} labels`,
    remedy: "name a cross-encoder, or an encoder with kind=encoder",
  });
}

/** Where sentence-transformers notes it, the newer place first; without a note one label means a sigmoid. */
function activationOf(config: Readonly<Record<string, unknown>>, file: string): Activation {
  const own = config["sentence_transformers"];
  const noted =
    typeof own === "object" && own !== null && "activation_fn" in own ? own.activation_fn : config["sbert_ce_default_activation_function"];
  if (noted === undefined || noted === null) return "sigmoid";
  const activation = typeof noted === "string" ? ACTIVATIONS[noted.split(".").at(-1) ?? ""] : undefined;
  if (activation !== undefined) return activation;
  throw new UserError({
    where: `${file}: activation_fn`,
    what: "is an activation that isn't implemented",
    expected: Object.keys(ACTIVATIONS).join(" or "),
    got: JSON.stringify(noted),
    remedy: "name another cross-encoder",
  });
}
