/**
 * Hugging Face model folders: `config.json` beside safetensors weights, in and out. What the names and fields mean is the model's affair (gpt2.ts, bert.ts); tokenizers are
 * src/text's. Traps: weights come with or without the task model's prefix; some files call a norm's weight gamma; weights are copied out of the file's map, since training writes to them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.js";
import type { Dtype } from "../engine/dtype.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { fromBytes, type Tensor } from "../engine/tensor.js";
import { restoreFolder, writeFolderAtomic } from "../storage/atomic-write.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { type SafetensorsDtype, type StoredTensor, writeSafetensors } from "../storage/safetensors.js";
import { readShardedSafetensors } from "../storage/sharded-safetensors.js";
import { configFields } from "./config-fields.js";
import type { ModelFamily, ParameterShapes, PretrainedModel } from "./model-family.js";

export interface LoadOptions {
  /** Where the weights live; `cpu` or `cuda:N`. Default `cpu`. */
  readonly device?: string;
  /** Type of the weights, whatever the file's is. Default f32. */
  readonly dtype?: Dtype;
  /** Replaces the dropouts of the config. */
  readonly dropout?: number;
}

const FLOATS: Partial<Record<SafetensorsDtype, Dtype>> = { F64: "f64", F32: "f32", BF16: "bf16", F16: "f16" };
const STORED: Partial<Record<Dtype, { readonly file: SafetensorsDtype; readonly torch: string }>> = {
  f64: { file: "F64", torch: "float64" },
  f32: { file: "F32", torch: "float32" },
  bf16: { file: "BF16", torch: "bfloat16" },
  f16: { file: "F16", torch: "float16" },
};
const REFETCH = "fetch or save the model again";

/** The folder's `config.json`. @throws UserError when it is missing, not JSON, or not an object */
export function readModelConfig(folder: string): Record<string, unknown> {
  restoreFolder(folder);
  const file = join(folder, "config.json");
  return expectObject(readJson(file), file);
}

/**
 * A model from a folder. Weights are copied, live outside every scope and record gradients; heads and buffers that the model doesn't use are left out.
 *
 * @throws UserError naming file and tensor: a config that doesn't fit, pickles (with the command that converts), tensors that are missing, of the wrong shape or type, or not finite
 */
export function loadWeights<Config, Model extends PretrainedModel<Config>>(
  folder: string,
  family: ModelFamily<Config, Model>,
  options: LoadOptions = {},
): Model {
  const source = readModelConfig(folder);
  const file = join(folder, "config.json");
  if (source["model_type"] !== family.modelType) {
    throw new UserError({
      where: `${file}: model_type`,
      what: "is another kind of model",
      expected: family.modelType,
      got: "model_type" in source ? JSON.stringify(source["model_type"]) : "nothing",
      remedy: "name a folder of this kind",
    });
  }
  const read = family.readConfig(configFields(source, file));
  const config = options.dropout === undefined ? read : family.withDropout(read, options.dropout);
  const stored = byBareName(readShardedSafetensors(folder).tensors, family.prefix, folder);
  const shapes = family.shapes(config);
  const spareShapes = family.spareShapes(config);
  refuseMissing(stored, shapes, folder);
  refuseStrangers(stored, shapes, spareShapes, family.isForeign, folder);
  const { parameters, spare } = noGrad(() =>
    scope(() => ({ parameters: copyAll(stored, shapes, folder, options), spare: copyAll(stored, spareShapes, folder, options) })),
  );
  for (const weight of parameters.values()) weight.keep().setRequiresGrad();
  for (const weight of spare.values()) weight.keep();
  return family.create({ config, parameters, spare, source });
}

/**
 * Writes a model's folder at once or not at all; a folder that is there is replaced.
 *
 * @param addFiles puts further files (a tokenizer) into the folder before it appears.
 * @throws UserError when it can't be written
 */
export function saveFolder(folder: string, model: PretrainedModel, addFiles?: (temporary: string) => void): void {
  writeFolderAtomic(folder, (temporary) => {
    writeModelFiles(temporary, model);
    addFiles?.(temporary);
  });
}

/**
 * Writes `config.json`, `model.safetensors` and, for a language model, `generation_config.json` into a folder that exists. Not atomic: for {@link saveFolder} and for folders that hold more.
 */
export function writeModelFiles(folder: string, model: PretrainedModel): void {
  const [first] = model.parameters.values();
  const stored = STORED[first?.dtype ?? "f32"];
  if (stored === undefined) throw new Error(`weights of type ${first?.dtype ?? "?"} can't be saved`);
  const config = model.configJson();
  // transformers 4 reads `torch_dtype` and passes over `dtype`; transformers 5 reads both.
  writeJson(join(folder, "config.json"), { ...config, dtype: stored.torch, torch_dtype: stored.torch });
  if (isLanguageModel(config)) writeJson(join(folder, "generation_config.json"), generationConfig(config));
  const weights = [...model.parameters, ...model.spare].map(([name, weight]) => ({
    name: model.fileName(name),
    dtype: storedType(name, weight),
    shape: weight.shape,
    data: () => weight.toBytes(),
  }));
  writeSafetensors(join(folder, "model.safetensors"), weights, { format: "pt" });
}

function storedType(name: string, weight: Tensor): SafetensorsDtype {
  const stored = STORED[weight.dtype];
  if (stored === undefined) throw new Error(`'${name}': weights of type ${weight.dtype} can't be saved`);
  return stored.file;
}

function isLanguageModel(config: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(config["architectures"]) && config["architectures"].some((name) => String(name).endsWith("LMHeadModel"));
}

function generationConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const ids = ["bos_token_id", "eos_token_id", "pad_token_id"].filter((name) => typeof config[name] === "number");
  return { _from_model_config: true, ...Object.fromEntries(ids.map((name) => [name, config[name]])) };
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** Names without the task model's prefix, and with today's names for a norm's weight and bias. */
function byBareName(tensors: ReadonlyMap<string, StoredTensor>, prefix: string, folder: string): Map<string, StoredTensor> {
  const bare = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) {
    const unprefixed = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const modern = unprefixed.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");
    if (bare.has(modern)) {
      throw new UserError({ where: folder, what: `holds the tensor '${modern}' twice, under two names`, remedy: REFETCH });
    }
    bare.set(modern, tensor);
  }
  return bare;
}

function refuseMissing(stored: ReadonlyMap<string, StoredTensor>, shapes: ParameterShapes, folder: string): void {
  const missing = [...shapes.keys()].filter((name) => !stored.has(name));
  if (missing.length === 0) return;
  throw new UserError({
    where: folder,
    what: "weights are missing",
    expected: `${shapes.size} tensors`,
    got: `${shapes.size - missing.length}, without ${someOf(missing)}`,
    remedy: `${REFETCH}, or mend the sizes in config.json`,
  });
}

/** A tensor in the model's own namespace that the config has no place for means that the two don't belong together. */
function refuseStrangers(
  stored: ReadonlyMap<string, StoredTensor>,
  shapes: ParameterShapes,
  spareShapes: ParameterShapes,
  isForeign: (name: string) => boolean,
  folder: string,
): void {
  const strangers = [...stored.keys()].filter((name) => !shapes.has(name) && !spareShapes.has(name) && !isForeign(name));
  if (strangers.length === 0) return;
  throw new UserError({
    where: folder,
    what: `config.json has no place for ${someOf(strangers)}`,
    remedy: "mend the sizes in config.json, or fetch the model again",
  });
}

function someOf(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => `'${name}'`);
  return names.length > 3 ? `${shown.join(", ")} and ${names.length - 3} more` : shown.join(", ");
}

function copyAll(
  stored: ReadonlyMap<string, StoredTensor>,
  shapes: ParameterShapes,
  folder: string,
  { device = "cpu", dtype = "f32" }: LoadOptions,
): Map<string, Tensor> {
  const weights = new Map<string, Tensor>();
  for (const [name, shape] of shapes) {
    const source = stored.get(name);
    if (source !== undefined)
      weights.set(
        name,
        scope(() => copied(source, shape, `${folder}, tensor '${name}'`, device, dtype)),
      );
  }
  return weights;
}

function copied(source: StoredTensor, shape: readonly number[], where: string, device: string, dtype: Dtype): Tensor {
  const kept = FLOATS[source.dtype];
  if (kept === undefined) {
    const expected = Object.keys(FLOATS).join(", ");
    throw new UserError({ where, what: "wrong type", expected, got: source.dtype, remedy: REFETCH });
  }
  if (shape.join() !== source.shape.join()) {
    const [expected, got] = [`[${shape.join(", ")}]`, `[${source.shape.join(", ")}]`];
    throw new UserError({ where, what: "wrong shape", expected, got, remedy: "mend the sizes in config.json, or fetch the model again" });
  }
  const raw = fromBytes(source.data, kept, shape);
  if (raw.isfinite().all().item() === 0) {
    throw new UserError({
      where,
      what: "holds NaN or infinity",
      expected: "finite numbers",
      remedy: "use an earlier checkpoint, or fetch the model again",
    });
  }
  if (kept === dtype && device === "cpu") return raw;
  return raw.toDevice(device, dtype);
}
