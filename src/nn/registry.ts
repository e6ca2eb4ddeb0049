/**
 * Which `model_type` is which family: the one place that a new model is entered. A folder's own config decides; nobody names a class.
 */
import { join } from "node:path";
import { UserError } from "../errors.js";
import { type Bert, bertFamily } from "./bert.js";
import { type Gpt2, gpt2Family } from "./gpt2.js";
import { type LoadOptions, loadWeights, readModelConfig } from "./hugging-face-folder.js";

/** Models that encode a text. */
const encoders: Readonly<Record<string, (folder: string, options: LoadOptions) => Bert>> = {
  [bertFamily.modelType]: (folder, options) => loadWeights(folder, bertFamily, options),
};

/** Models that write a text. */
const causalModels: Readonly<Record<string, (folder: string, options: LoadOptions) => Gpt2>> = {
  [gpt2Family.modelType]: (folder, options) => loadWeights(folder, gpt2Family, options),
};

/** The encoder in a Hugging Face folder. @throws UserError for a `model_type` that isn't an encoder's, and as `loadWeights` */
export function loadEncoderModel(folder: string, options: LoadOptions = {}): Bert {
  return loaderOf(encoders, folder, "an encoder")(folder, options);
}

/** The language model in a Hugging Face folder. @throws UserError for a `model_type` that isn't a language model's, and as `loadWeights` */
export function loadCausalModel(folder: string, options: LoadOptions = {}): Gpt2 {
  return loaderOf(causalModels, folder, "a language model")(folder, options);
}

function loaderOf<Loader>(registry: Readonly<Record<string, Loader>>, folder: string, kind: string): Loader {
  const type = readModelConfig(folder)["model_type"];
  const loader = typeof type === "string" && Object.hasOwn(registry, type) ? registry[type] : undefined;
  if (loader !== undefined) return loader;
  throw new UserError({
    where: `${join(folder, "config.json")}: model_type`,
    what: `is not ${kind} that is known here`,
    expected: Object.keys(registry).join(" or "),
    got: type === undefined ? "nothing" : JSON.stringify(type),
    remedy: "name another model",
  });
}
