/** A tiny model folder, and ways to damage it. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../src/storage/safetensors.js";
import { uniform } from "../../src/training/counter-random.js";
import { goldens } from "./goldens.js";

/** A copy of a golden folder that may be damaged; `free` removes it. */
export function copyOf(golden: "gpt2-tiny" | "bert-tiny"): { folder: string; free: () => void } {
  const scratch = mkdtempSync(join(tmpdir(), "tandem-folder-"));
  const folder = join(scratch, golden);
  cpSync(join(goldens, golden), folder, { recursive: true });
  return { folder, free: () => rmSync(scratch, { recursive: true, force: true }) };
}

/** Rewrites a JSON file of the folder; a change to undefined takes the key out. */
export function editJson(folder: string, file: string, changes: Record<string, unknown>): void {
  const path = join(folder, file);
  const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...json, ...changes }));
}

/** Rewrites the weights. */
export function editWeights(folder: string, edit: (tensors: Map<string, StoredTensor>) => void): void {
  const path = join(folder, "model.safetensors");
  const { tensors } = readSafetensors(path);
  // Copies: the map below is replaced by the write.
  const copied = new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]));
  edit(copied);
  writeSafetensors(
    path,
    [...copied].map(([name, tensor]) => ({ name, ...tensor })),
  );
}

/** A cross-encoder: the golden encoder with a head of random weights and one label. */
export function crossEncoderFolder(): { folder: string; free: () => void } {
  const copy = copyOf("bert-tiny");
  const { hidden_size: width } = JSON.parse(readFileSync(join(copy.folder, "config.json"), "utf8")) as { hidden_size: number };
  const random = (seed: number, shape: number[]): StoredTensor => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => uniform(seed, i) - 0.5);
    return { dtype: "F32", shape, data: new Uint8Array(values.buffer) };
  };
  editWeights(copy.folder, (tensors) => {
    tensors.set("classifier.weight", random(1, [1, width])).set("classifier.bias", random(2, [1]));
    tensors.set("pooler.dense.weight", random(3, [width, width])).set("pooler.dense.bias", random(4, [width]));
  });
  editJson(copy.folder, "config.json", { id2label: { 0: "LABEL_0" } });
  return copy;
}
