/**
 * The weights of a Hugging Face folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
 * It knows files only; what the names mean is the model's affair. The trap: the index is data from elsewhere, and a shard's name is joined
 * to a path, so anything but a plain file name is refused.
 */
import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { UserError } from "../errors.js";
import { aboutFile } from "./file-fault.js";
import { expectObject, readJson } from "./json-file.js";
import { pythonCommand } from "./python-command.js";
import { pickleRemedy, readSafetensors, type StoredTensor, type StoredTensors } from "./safetensors.js";

/**
 * All tensors of the folder, as views into memory maps. A single file goes before an index, as in transformers. Of a shard only what the
 * index assigns to it is taken.
 *
 * @throws UserError naming the file: no weights (with the command that converts when there are pickles), an index that is not one, a shard
 *   outside the folder or missing, a tensor that its shard doesn't hold, and everything that `readSafetensors` refuses
 */
export function readShardedSafetensors(folder: string): StoredTensors {
  const single = join(folder, "model.safetensors");
  const index = join(folder, "model.safetensors.index.json");
  if (!aboutFile(folder, () => statSync(folder)).isDirectory()) {
    throw new UserError({ where: folder, what: "is a file, not a folder", remedy: "name the folder of the model" });
  }
  if (existsSync(single)) return readSafetensors(single);
  if (existsSync(index)) return readShards(folder, index);
  const pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model.pt", "model.pt"].find((name) =>
    existsSync(join(folder, name)),
  );
  throw new UserError({
    where: folder,
    what: "holds no safetensors weights",
    expected: "model.safetensors or model.safetensors.index.json",
    ...(pickle === undefined ? {} : { got: `${pickle}, a pickle` }),
    remedy: pickle === undefined ? "name the folder of a model" : folderRemedy(folder, pickle),
  });
}

function readShards(folder: string, index: string): StoredTensors {
  const map = expectObject(expectObject(readJson(index), index)["weight_map"], `${index}, weight_map`);
  const shards = new Map<string, StoredTensors>();
  const tensors = new Map<string, StoredTensor>();
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(map)) {
    const file = shardName(value, `${index}, tensor ${JSON.stringify(name)}`);
    let shard = shards.get(file);
    if (shard === undefined) {
      shard = readSafetensors(join(folder, file));
      shards.set(file, shard);
      Object.assign(metadata, shard.metadata);
    }
    const tensor = shard.tensors.get(name);
    if (tensor === undefined) {
      throw new UserError({
        where: join(folder, file),
        what: `does not hold the tensor ${JSON.stringify(name)} that ${basename(index)} expects there`,
        remedy: "make or fetch the folder again",
      });
    }
    tensors.set(name, tensor);
  }
  return { tensors, metadata };
}

/** A plain file name. Links are let be: downloads of the Hugging Face hub are folders of links. */
function shardName(value: unknown, where: string): string {
  if (typeof value === "string" && /^[^/\\\0]+\.safetensors$/.test(value) && !value.startsWith("..")) return value;
  throw new UserError({
    where,
    what: "names a shard that is not a file of this folder",
    expected: "a name such as model-00001-of-00002.safetensors",
    got: value === undefined ? "nothing" : JSON.stringify(value),
    remedy: "don't use this folder unless you trust where it comes from; fetch it again",
  });
}

function folderRemedy(folder: string, pickle: string): string {
  if (!pickle.endsWith(".json")) return pickleRemedy(join(folder, pickle)) + " and name the result model.safetensors";
  const model = `AutoModel.from_pretrained(${JSON.stringify(folder)})`;
  const save = `${model}.save_pretrained(${JSON.stringify(`${folder}-safetensors`)})`;
  return `convert it: ${pythonCommand(`from transformers import AutoModel; ${save}`)}`;
}
