/**
 * Which files of a model on the hub Tandem reads: config, tokenizer, safetensors with their index, and what sentence-transformers keeps beside them. A repository holds the same weights in several formats, so all
 * else stays there. The trap: `modules.json` and the index are data from elsewhere, and what they name becomes a path, so anything that leads out of the model is refused.
 */
import { UserError } from "../../errors.js";
import { expectObject } from "../../storage/json-file.js";
import { pythonCommand } from "../../storage/python-command.js";

/** A repository or a snapshot of one. */
export interface ModelListing {
  /** For messages. */
  readonly where: string;
  has(file: string): boolean;
  json(file: string): Promise<unknown>;
}

export interface WantedFiles {
  /** What there is, `modules.json` first and the weights last: a snapshot that is cut off while it is linked then lacks weights and isn't taken for whole. */
  readonly files: readonly string[];
  /** What Tandem would read if it were there. */
  readonly absent: readonly string[];
  /** What no model goes without, and isn't there. */
  readonly missing: readonly string[];
}

/** What a model is used as: it decides how pickles of it are converted. */
export type ModelRole = "retriever" | "generator";

const BESIDE = ["modules.json", "config_sentence_transformers.json"];
const NEEDED = ["config.json", "tokenizer.json"];
const OPTIONAL = [
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  ...["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"].map((name) => `sentence_${name}_config.json`),
];
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const PICKLES = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
const UNTRUSTED = "don't use this model unless you trust where it comes from";

/** @throws UserError for a `modules.json` or an index that isn't one */
export async function wantedFiles(listing: ModelListing): Promise<WantedFiles> {
  const modules = listing.has("modules.json") ? modulePlaces(await listing.json("modules.json"), listing.where) : [""];
  const [model = "", ...others] = modules;
  const at = (file: string): string => (model === "" ? file : `${model}/${file}`);
  const weights = await weightFiles(listing, at);
  const needed = [...NEEDED.map(at), ...weights];
  const optional = [...BESIDE, ...OPTIONAL.map(at), ...others.filter((folder) => folder !== "").map((folder) => `${folder}/config.json`)];
  return {
    files: [...optional, ...needed].filter((file) => listing.has(file)),
    absent: optional.filter((file) => !listing.has(file)),
    missing: needed.filter((file) => !listing.has(file)),
  };
}

/** The pickle that stands where safetensors should. */
export function pickleOf(listing: ModelListing, missing: readonly string[]): string | undefined {
  const weights = missing.find((file) => file.endsWith(WEIGHTS));
  return weights === undefined ? undefined : PICKLES.map((name) => weights.replace(WEIGHTS, name)).find((file) => listing.has(file));
}

/** The command that makes a folder that Tandem reads out of a model that has only pickles, or only an old tokenizer. */
export function conversion(
  listing: ModelListing,
  model: { name: string; revision: string },
  { role, setting = "retriever.path or generator.path" }: { readonly role?: ModelRole; readonly setting?: string },
): string {
  const [from, revision] = [JSON.stringify(model.name), `revision=${JSON.stringify(model.revision)}`];
  const folder = `${model.name.split("/").at(-1) ?? ""}-safetensors`;
  const save = `save_pretrained("${folder}")`;
  const loader = role === "generator" ? "AutoModelForCausalLM" : "AutoModel";
  const code = listing.has("modules.json")
    ? `from sentence_transformers import SentenceTransformer as S; S(${from}, ${revision}).${save}`
    : `from transformers import ${loader} as M, AutoTokenizer as T; M.from_pretrained(${from}, ${revision}).${save}; T.from_pretrained(${from}, ${revision}).${save}`;
  return `convert it: ${pythonCommand(code)} and set ${setting} to ./${folder}`;
}

/** Folders of the modules, the transformer's first. */
function modulePlaces(value: unknown, where: string): string[] {
  const file = `${where}/modules.json`;
  if (!Array.isArray(value))
    throw new UserError({ where: file, what: "is not what it should be", expected: "a JSON list of modules", got: typeof value });
  return value.map((entry, place) => {
    const { path } = expectObject(entry, `${file}, module ${place}`);
    if (typeof path === "string" && isInside(path)) return path.replace(/\/$/, "");
    throw new UserError({
      where: `${file}, module ${place}`,
      what: "leads out of the model",
      expected: "a folder inside",
      got: JSON.stringify(path),
      remedy: UNTRUSTED,
    });
  });
}

async function weightFiles(listing: ModelListing, at: (file: string) => string): Promise<string[]> {
  if (listing.has(at(WEIGHTS)) || !listing.has(at(INDEX))) return [at(WEIGHTS)];
  const file = `${listing.where}/${at(INDEX)}`;
  const map = expectObject(expectObject(await listing.json(at(INDEX)), file)["weight_map"], `${file}, weight_map`);
  const shards = [...new Set(Object.values(map))].map((shard) => {
    if (typeof shard === "string" && /^[^/\\\0]+\.safetensors$/.test(shard) && isInside(shard)) return at(shard);
    throw new UserError({
      where: file,
      what: "names a shard that is not a file of this folder",
      expected: "a name such as model-00001-of-00002.safetensors",
      got: JSON.stringify(shard),
      remedy: UNTRUSTED,
    });
  });
  return [at(INDEX), ...shards];
}

function isInside(file: string): boolean {
  return file === "" || (!/^\/|\\|\0/.test(file) && !file.split("/").some((part) => part === ".." || part === "."));
}
