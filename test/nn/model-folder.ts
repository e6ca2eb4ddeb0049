/** A tiny model folder, and ways to damage it. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../src/storage/safetensors.js";
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
