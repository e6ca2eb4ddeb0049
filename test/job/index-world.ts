/** A passage store and a retriever whose index takes several processes some seconds, and a look at what is embedded so far. Not a test: used by those of `tandem index` as several processes. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { bertConfig } from "../../src/nn/bert.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { writtenStore } from "../corpus/written-store.js";
import { PASSAGES, tinyEncoder } from "../training/tiny-world.js";

/** Passages: ten parts, so that there is a midst to be killed in. */
export const SIZE = 5000;
/** Passages of one part. */
export const PART = 512;
export const DIMENSION = 64;

/** Writes both below a folder. Returns the words of `tandem index` that make `<folder>/index` of them. */
export function indexWorld(world: string): { readonly words: (folder: string, ...more: string[]) => string[] } {
  const retriever = path.join(world, "retriever");
  const store = writtenStore(
    path.join(world, "store"),
    Array.from({ length: SIZE }, (_, i) => {
      const { title, text } = PASSAGES[i % 4]!;
      return { document: `document ${i % 50}`, title, text: `${text} ${"It rains. ".repeat(i % 7)}Number ${i}.` };
    }),
  );
  const sizes = { hiddenSize: DIMENSION, numHiddenLayers: 2, numAttentionHeads: 2, intermediateSize: 256, maxPositionEmbeddings: 64 };
  const small = tinyEncoder(0, "f32");
  const encoder = Encoder.initialise(bertConfig({ vocabSize: 800, ...sizes }), small.tokenizer, 5, { dtype: "f32", std: 0.2 });
  encoder.save(retriever);
  for (const each of [small, encoder]) each.dispose();
  return {
    words: (folder, ...more) => [
      ...["--retriever", retriever, "--corpus", store.folder, "--output", path.join(folder, "index"), "threads=1", "device=cpu"],
      ...more,
    ],
  };
}

/** Every file of an index, with its hash. */
export function contents(folder: string): Record<string, string> {
  const index = path.join(folder, "index");
  return Object.fromEntries(
    readdirSync(index)
      .sort()
      .map((name) => [name, hashFile(path.join(index, name))]),
  );
}

/** The folder of the vectors under way. */
export const partialOf = (folder: string): string | undefined => {
  const name = readdirSync(folder).find((entry) => entry.endsWith(".partial"));
  return name === undefined ? undefined : path.join(folder, name);
};
/** The first rows of the parts that are whole. */
export function wholeParts(folder: string): number[] {
  const partial = partialOf(folder);
  const parts = partial === undefined ? [] : readdirSync(partial).filter((name) => /^\d+\.partial$/.test(name));
  return parts
    .filter((name) => {
      const file = path.join(partial!, name, "progress.json");
      const first = Number.parseInt(name, 10);
      return existsSync(file) && readFileSync(file, "utf8").trim() === JSON.stringify({ rows: Math.min(PART, SIZE - first) });
    })
    .map((name) => Number.parseInt(name, 10));
}
