/**
 * What a kind of model is to the code that reads, writes and trains it: its config, its parameters by name, and how it is spelt in Hugging Face's files. A new family is one file
 * that makes a {@link ModelFamily} and one line in registry.ts. No arithmetic here.
 */
import type { Tensor } from "../engine/tensor.js";
import type { ConfigFields } from "./config-fields.js";

/** Sizes by parameter name, in the model's own order: initial weights are drawn in it. */
export type ParameterShapes = ReadonlyMap<string, readonly number[]>;

/** A model as files and optimisers see it. */
export interface PretrainedModel<Config = unknown> {
  readonly config: Config;
  /** What is trained, by bare name (no `transformer.` or `bert.` in front). */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** What the file held and the forward pass doesn't use (BERT's pooler): kept so that saving loses nothing. */
  readonly spare: ReadonlyMap<string, Tensor>;
  /** The `config.json` it came from, for the fields that we don't read; empty for a model from scratch. */
  readonly source: Readonly<Record<string, unknown>>;
  /** `config.json` as it is written: the source's fields with ours over them. */
  readonly configJson: () => Record<string, unknown>;
  /** The name of a parameter in a file that this model writes. */
  readonly fileName: (name: string) => string;
}

/** Everything that a model is made of. */
export interface ModelParts<Config> {
  readonly config: Config;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly spare?: ReadonlyMap<string, Tensor>;
  readonly source?: Readonly<Record<string, unknown>>;
}

export interface ModelFamily<Config, Model extends PretrainedModel<Config>> {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** What files of task models put before the bare names. */
  readonly prefix: string;
  readonly readConfig: (fields: ConfigFields) => Config;
  /** All dropouts of the config set to `p`. */
  readonly withDropout: (config: Config, p: number) => Config;
  readonly shapes: (config: Config) => ParameterShapes;
  /** Tensors that are kept when a file has them. */
  readonly spareShapes: (config: Config) => ParameterShapes;
  /**
   * What a tensor is, by its name without prefix: one of the model's, a buffer or another head to leave out, or something that contradicts the config.
   * Called only for names that are in neither list of shapes.
   */
  readonly isForeign: (name: string) => boolean;
  readonly create: (parts: ModelParts<Config>) => Model;
}

/** The parameter of this name. @throws Error when there is none: a bug, since loading and initialising check. */
export function parameterOf(parameters: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const found = parameters.get(name);
  if (found === undefined) throw new Error(`the model has no parameter '${name}'`);
  return found;
}

/** A weight with its bias. */
export interface Affine {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** `<name>.weight` and `<name>.bias`. */
export function affineOf(parameters: ReadonlyMap<string, Tensor>, name: string): Affine {
  return { weight: parameterOf(parameters, `${name}.weight`), bias: parameterOf(parameters, `${name}.bias`) };
}
