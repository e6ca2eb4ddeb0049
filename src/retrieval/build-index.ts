/**
 * Embeds a corpus and writes an index folder: `vectors.npy`, `provenance.json` and, if asked, FAISS's flat file or a FAISS index of any kind. The folder is named by content, immutable, and appears
 * at once; a build that was killed leaves the vectors that it had (partial-vectors.ts, vector-parts.ts), from which the next goes on, in one process or several. The trap: embeddings are streamed to the file block by block, so memory doesn't
 * grow with the corpus, but lengths are only bucketed within a block.
 */
import { copyFileSync, existsSync, linkSync, readdirSync } from "node:fs";
import path from "node:path";
import type { PassageStore } from "../corpus/passage-store.js";
import { UserError } from "../errors.js";
import { writeFileAtomic, writeFolderAtomic } from "../storage/atomic-write.js";
import { hashFile } from "../storage/content-hash.js";
import { NpyWriter, openNpy } from "../storage/npy.js";
import { PartialVectors } from "./partial-vectors.js";
import { embedRows, type PassageEmbedder } from "./embed-passages.js";
import type { RowRange } from "./exact-index.js";
import { buildFaissFile } from "./faiss-build.js";
import { requireFaissSettings, type FaissSettings, type FaissShape } from "./faiss-settings.js";
import { writeFlatFile } from "./flat-file.js";
import type { Metric } from "./index-contract.js";
import { DIGEST } from "./open-index.js";
import { INDEX_FORMAT, indexName, readProvenance, requireProvenance, writeProvenance, type Provenance } from "./provenance.js";
import { embedParts, hasParts, joinParts, missingParts, openSoon, type PartsPlace } from "./vector-parts.js";

export interface BuildIndexOptions {
  /** The index is made in `<parent>/<name by content>`. */
  readonly parent: string;
  /** Where vectors under way are kept, on the same disk; the next build looks there. Default `parent`. */
  readonly partials?: string;
  readonly encoder: PassageEmbedder;
  readonly store: PassageStore;
  readonly template: string;
  readonly metric: Metric;
  /** Also write `flat.faiss`; not read with {@link approximate}, whose file holds the vectors in its own way. */
  readonly faiss: boolean;
  /** Search by an index of FAISS's, `index.faiss`. Without: exact search over the vectors. */
  readonly approximate?: FaissSettings | undefined;
  readonly progress?: (done: number, total: number, what: string) => void;
  readonly warn?: (text: string) => void;
  /** Has the passages embedded by several processes. Without: this one embeds them all. */
  readonly together?: EmbedTogether | undefined;
}

/** Has parts embedded; settles when they are whole. */
export type EmbedTogether = (order: PartsOrder, own: Pick<BuildIndexOptions, "encoder" | "progress">) => Promise<void>;

/** What is to be embedded: plain data. */
export interface PartsOrder extends PartsPlace {
  /** {@link vectorsName}: what the vectors are a function of. */
  readonly name: string;
  readonly missing: readonly RowRange[];
}

/** The provenance that an index of this encoder over this corpus has. */
export function provenanceOf(
  options: Pick<BuildIndexOptions, "store" | "template" | "metric"> & {
    readonly encoder: Pick<PassageEmbedder, "dimension" | "hash">;
    readonly approximate?: FaissShape | undefined;
  },
): Provenance {
  const { encoder, store, template, metric, approximate } = options;
  return {
    format: INDEX_FORMAT,
    encoder: encoder.hash,
    corpus: store.hash,
    template,
    metric,
    dimension: encoder.dimension,
    size: store.size,
    faiss: approximate === undefined ? undefined : shapeOf(approximate),
  };
}

/** Without what only a search reads. */
function shapeOf({ factory, build, trainSample, sampleSeed, reproducible }: FaissShape): FaissShape {
  return { factory, build, trainSample, sampleSeed, reproducible };
}

/**
 * Builds the index unless a complete one of the same content stands there. Returns its folder. Vectors that another index beside it has already are taken from there.
 *
 * @throws UserError when FAISS isn't here or can't make such an index, an embedding is no number, or the folder can't be written
 */
export async function buildIndex(options: BuildIndexOptions): Promise<string> {
  const provenance = provenanceOf(options);
  const folder = path.join(options.parent, indexName(provenance));
  if (existsSync(path.join(folder, "provenance.json"))) {
    requireProvenance(folder, provenance, `remove ${folder} and run the command again`);
    if (options.faiss && options.approximate === undefined) addFlatFile(folder, options.metric);
    discardPartial(options, provenance);
    return folder;
  }
  const { approximate, metric, progress, warn } = options;
  if (approximate !== undefined) requireFaissSettings(approximate, provenance.dimension, metric, provenance.size);
  const embedded = await embeddedFile(options, provenance);
  await writeFolderAtomic(folder, async (temporary) => {
    const vectors = path.join(temporary, "vectors.npy");
    if (embedded === undefined) await writeVectors(new NpyWriter(vectors, { columns: provenance.dimension, dtype: "float32" }), options);
    else shareFile(embedded.path, vectors);
    if (approximate !== undefined)
      await buildFaissFile({
        file: path.join(temporary, "index.faiss"),
        vectors,
        metric,
        settings: approximate,
        ...(warn === undefined ? {} : { warn }),
        progress: (done, total) => progress?.(done, total, "vectors added"),
      }).then(() => {
        writeFileAtomic(path.join(temporary, DIGEST), `${hashFile(path.join(temporary, "index.faiss"))}  index.faiss\n`);
      });
    else if (options.faiss) addFlatFile(temporary, metric);
    writeProvenance(temporary, provenance);
  }).catch((error: unknown) => {
    // They cost more than all that follows.
    embedded?.partial?.leave();
    throw error;
  });
  embedded?.partial?.remove();
  return folder;
}

/** The vectors in a file of their own: another index's, or embedded here, going on from where a killed build was. undefined: another process is at it, or the disk has no locks. */
async function embeddedFile(
  options: BuildIndexOptions,
  provenance: Provenance,
): Promise<{ path: string; partial?: PartialVectors } | undefined> {
  const { parent, warn, together } = options;
  const same = vectorsBeside(parent, provenance, warn);
  if (same !== undefined) return { path: same };
  const shape = { rows: provenance.size, columns: provenance.dimension };
  const name = vectorsName(provenance);
  const partials = options.partials ?? parent;
  const partial = together === undefined ? PartialVectors.open(partials, name, shape) : await openSoon(partials, name, shape);
  if (partial === undefined) {
    if (together !== undefined)
      warn?.(`${partials}: another process is embedding the same passages, or the disk has no file locks: one worker embeds them all`);
    return undefined;
  }
  try {
    joinParts(partial, shape);
    if (partial.rows < shape.rows && (together !== undefined || hasParts(partial.folder))) {
      const place = { folder: partial.folder, shape };
      const missing = missingParts(place, partial.rows);
      await (together?.({ ...place, name, missing }, options) ?? embedLeft(place, missing, options));
      joinParts(partial, shape);
    }
    await embedInto(partial, options);
    return { path: partial.finished(), partial };
  } catch (error) {
    // Whatever stopped it, a full disk or a device without memory: each row that is there was looked at before it was written.
    if (partial.rows > 0 || hasParts(partial.folder)) partial.leave();
    else partial.remove();
    throw error;
  }
}

/** Vectors that a build left behind whose index stands by now: killed at its very end, or finished by another process. */
export function discardPartial(
  { parent, partials = parent }: Pick<BuildIndexOptions, "parent" | "partials">,
  provenance: Provenance,
): void {
  PartialVectors.discard(partials, vectorsName(provenance));
}

/** What the vectors of an index are called, however they are searched. */
export function vectorsName(provenance: Provenance): string {
  return indexName({ ...provenance, faiss: undefined });
}

/** The vectors of another index of `parent` with the same ones, however it is searched. */
function vectorsBeside(parent: string, provenance: Provenance, warn?: (text: string) => void): string | undefined {
  if (!existsSync(parent)) return undefined;
  const name = vectorsName(provenance);
  for (const entry of readdirSync(parent)
    .filter((other) => /^[0-9a-f]{16}$/.test(other))
    .sort()) {
    const folder = path.join(parent, entry);
    const vectors = path.join(folder, "vectors.npy");
    if (!existsSync(vectors) || nameOfVectors(folder) !== name) continue;
    const fault = faultOf(vectors, provenance);
    if (fault === undefined) return vectors;
    warn?.(`${fault}; the passages are embedded anew`);
  }
  return undefined;
}

/** What is wrong with a neighbour's vectors, or undefined where they have the shape that the provenance gives them. */
function faultOf(vectors: string, { size, dimension }: Provenance): string | undefined {
  try {
    const { dtype, shape } = openNpy(vectors);
    if (dtype === "float32" && shape.length === 2 && shape[0] === size && shape[1] === dimension) return undefined;
    return `${vectors}: the vectors don't fit their provenance; expected float32 (${size}, ${dimension}), got ${dtype} (${shape.join(", ")})`;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** What a neighbour's vectors are, or undefined where it doesn't say so readably: a damaged neighbour is no reason not to build. */
function nameOfVectors(folder: string): string | undefined {
  try {
    return vectorsName(readProvenance(folder));
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** One file under two names: it is never rewritten in place. A copy where the disk can't. */
function shareFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

/** Writes FAISS's flat file into an index folder that has none, from the vectors there. @throws UserError when it can't be written */
export function addFlatFile(folder: string, metric: Metric): void {
  const file = path.join(folder, "flat.faiss");
  if (!existsSync(file)) writeFlatFile(file, path.join(folder, "vectors.npy"), metric);
}

async function writeVectors(writer: NpyWriter, options: BuildIndexOptions): Promise<void> {
  try {
    await embedInto(writer, options);
    writer.commit();
  } finally {
    writer.abort();
  }
}

/** Goes on alone with what several processes left. */
function embedLeft(place: PartsPlace, missing: readonly RowRange[], options: BuildIndexOptions): Promise<void> {
  const left = missing.reduce((sum, { count }) => sum + count, 0);
  const { rows } = place.shape;
  return embedParts(place, missing, options, (done) => options.progress?.(rows - left + done, rows, "passages embedded"));
}

/** Embeds the passages that aren't there yet. */
function embedInto(rows: Pick<NpyWriter, "rows" | "append">, options: BuildIndexOptions): Promise<void> {
  const { store, progress } = options;
  return embedRows(rows, { start: 0, count: store.size }, options, (done) => progress?.(done, store.size, "passages embedded"));
}
