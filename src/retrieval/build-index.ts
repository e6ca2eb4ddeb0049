/**
 * Embeds a corpus and writes an index folder: `vectors.npy`, `provenance.json` and, if asked, FAISS's flat file. The folder is named by content, immutable, and appears at once:
 * a build that was killed leaves nothing. The trap: embeddings are streamed to the file chunk by chunk, so memory doesn't grow with the corpus, but lengths are only bucketed
 * within a chunk.
 *
 * N passages, D dimension.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import { passageText } from "../corpus/passage.js";
import type { PassageStore } from "../corpus/passage-store.js";
import { UserError } from "../errors.js";
import { writeFolderAtomic } from "../storage/atomic-write.js";
import { NpyWriter } from "../storage/npy.js";
import { ExactIndex, unitRows } from "./exact-index.js";
import { writeFlatFile } from "./flat-file.js";
import type { Index, Metric } from "./index-contract.js";
import { INDEX_FORMAT, indexName, readProvenance, requireProvenance, writeProvenance, type Provenance } from "./provenance.js";

/** What a build needs of an encoder. */
export interface PassageEmbedder {
  readonly dimension: number;
  /** Content hash of everything that changes its vectors. */
  readonly hash: string;
  /** f32 (N, D), without a graph. */
  embedPassages(texts: readonly string[]): Tensor;
}

export interface BuildIndexOptions {
  /** The index is made in `<parent>/<name by content>`. */
  readonly parent: string;
  readonly encoder: PassageEmbedder;
  readonly store: PassageStore;
  readonly template: string;
  readonly metric: Metric;
  /** Also write `flat.faiss`. */
  readonly faiss: boolean;
  readonly progress?: (done: number, total: number) => void;
}

const PASSAGES_AT_ONCE = 512;

/** The provenance that an index of this encoder over this corpus has. */
export function provenanceOf(options: Pick<BuildIndexOptions, "encoder" | "store" | "template" | "metric">): Provenance {
  const { encoder, store, template, metric } = options;
  return {
    format: INDEX_FORMAT,
    encoder: encoder.hash,
    corpus: store.hash,
    template,
    metric,
    dimension: encoder.dimension,
    size: store.size,
  };
}

/**
 * Builds the index unless a complete one of the same content stands there. Returns its folder.
 *
 * @throws UserError when an embedding is no number or the folder can't be written
 */
export async function buildIndex(options: BuildIndexOptions): Promise<string> {
  const provenance = provenanceOf(options);
  const folder = path.join(options.parent, indexName(provenance));
  if (existsSync(path.join(folder, "provenance.json"))) {
    requireProvenance(folder, provenance, `remove ${folder} and run the command again`);
    if (options.faiss) addFlatFile(folder, options.metric);
    return folder;
  }
  await writeFolderAtomic(folder, async (temporary) => {
    const vectors = path.join(temporary, "vectors.npy");
    await writeVectors(vectors, options);
    if (options.faiss) addFlatFile(temporary, options.metric);
    writeProvenance(temporary, provenance);
  });
  return folder;
}

/** Writes FAISS's flat file into an index folder that has none, from the vectors there. @throws UserError when it can't be written */
export function addFlatFile(folder: string, metric: Metric): void {
  const file = path.join(folder, "flat.faiss");
  if (!existsSync(file)) writeFlatFile(file, path.join(folder, "vectors.npy"), metric);
}

/** Opens an index folder for search. @throws UserError when it is damaged or its vectors don't fit its provenance */
export function openIndex(folder: string, options: { dtype?: "f32" | "f16" | "bf16"; device?: string } = {}): Index {
  const provenance = readProvenance(folder);
  const index = ExactIndex.open(path.join(folder, "vectors.npy"), { metric: provenance.metric, ...options });
  if (index.size !== provenance.size || index.dimension !== provenance.dimension) {
    index.dispose();
    throw new UserError({
      where: folder,
      what: "its vectors do not fit its provenance",
      expected: `${provenance.size} × ${provenance.dimension}`,
      got: `${index.size} × ${index.dimension}`,
      remedy: "rebuild it: tandem index",
    });
  }
  return index;
}

async function writeVectors(file: string, { encoder, store, template, metric, progress }: BuildIndexOptions): Promise<void> {
  const writer = new NpyWriter(file, { columns: encoder.dimension, dtype: "float32" });
  try {
    for (let start = 0; start < store.size; start += PASSAGES_AT_ONCE) {
      const end = Math.min(start + PASSAGES_AT_ONCE, store.size);
      const texts = Array.from({ length: end - start }, (_, i) => passageText(store.get(start + i), template));
      writer.append(embeddedBytes(encoder, texts, metric, start));
      progress?.(end, store.size);
      await yieldToEvents();
    }
    writer.commit();
  } finally {
    writer.abort();
  }
}

function embeddedBytes(encoder: PassageEmbedder, texts: readonly string[], metric: Metric, start: number): Uint8Array {
  return scope(() =>
    noGrad(() => {
      const embedded_ND = encoder.embedPassages(texts);
      if (embedded_ND.isfinite().all().item() !== 1)
        throw new UserError({
          where: `passages ${start} to ${start + texts.length - 1}`,
          what: "the encoder gave vectors that are no numbers",
          remedy: "check the encoder's weights: tandem doctor, tandem audit",
        });
      return (metric === "cosine" ? unitRows(embedded_ND) : embedded_ND).toBytes();
    }),
  );
}
