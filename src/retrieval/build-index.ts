/**
 * Embeds a corpus and writes an index folder: `vectors.npy`, `provenance.json` and, if asked, FAISS's flat file or a FAISS index of any kind. The folder is named by content, immutable, and appears
 * at once; a build that was killed leaves the vectors that it had (partial-vectors.ts), from which the next goes on. The trap: embeddings are streamed to the file chunk by chunk, so memory doesn't grow with the corpus, but lengths are only bucketed
 * within a chunk.
 *
 * N passages, D dimension.
 */
import { copyFileSync, existsSync, linkSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { noGrad } from "../engine/grad-mode.js";
import { engineFacts } from "../engine/info.js";
import { scope } from "../engine/scope.js";
import type { Tensor } from "../engine/tensor.js";
import { passageText } from "../corpus/passage.js";
import type { PassageStore } from "../corpus/passage-store.js";
import { UserError } from "../errors.js";
import { writeFileAtomic, writeFolderAtomic } from "../storage/atomic-write.js";
import { hashFile } from "../storage/content-hash.js";
import { aboutFile } from "../storage/file-fault.js";
import { NpyWriter, openNpy } from "../storage/npy.js";
import { PartialVectors } from "./partial-vectors.js";
import { ExactIndex, unitRows } from "./exact-index.js";
import { buildFaissFile } from "./faiss-build.js";
import { FaissIndex } from "./faiss-index.js";
import { requireFaissSettings, type FaissSettings, type FaissShape } from "./faiss-settings.js";
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
  readonly progress?: (done: number, total: number, what: "passages embedded" | "vectors added") => void;
  readonly warn?: (text: string) => void;
}

/** How an index is held while it is searched. */
export interface HeldAs {
  /** Of the exact index. Default f32. */
  readonly dtype?: "f32" | "f16" | "bf16";
  readonly device?: string;
}

const PASSAGES_AT_ONCE = 512;
/** As `sha256sum -c` reads it. */
const DIGEST = "index.faiss.sha256";

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
  const { parent, warn } = options;
  const same = vectorsBeside(parent, provenance, warn);
  if (same !== undefined) return { path: same };
  const shape = { rows: provenance.size, columns: provenance.dimension };
  const partial = PartialVectors.open(options.partials ?? parent, vectorsName(provenance), shape);
  if (partial === undefined) return undefined;
  try {
    await embedInto(partial, options);
    return { path: partial.finished(), partial };
  } catch (error) {
    // Whatever stopped it, a full disk or a device without memory: each row that is there was looked at before it was written.
    partial.leave();
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
function vectorsName(provenance: Provenance): string {
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

export interface OpenIndexOptions extends HeldAs {
  /** FAISS's search parameters; empty for its own. */
  readonly search?: string;
  /** FAISS's threads. Default: libtorch's. */
  readonly threads?: number;
  /** The command that mends a damaged index. */
  readonly rebuild?: string;
}

/** Opens an index folder for search. @throws UserError when it is damaged, its vectors don't fit its provenance, or it needs FAISS where there is none */
export function openIndex(folder: string, options: OpenIndexOptions = {}): Index {
  const provenance = readProvenance(folder);
  if (provenance.faiss === undefined) return openExact(folder, provenance, options);
  return FaissIndex.open(path.join(folder, "index.faiss"), {
    ...options,
    digest: digestIn(folder, options),
    metric: provenance.metric,
    size: provenance.size,
    dimension: provenance.dimension,
    threads: options.threads ?? engineFacts().threads,
    exact: () => openExact(folder, provenance, {}),
  });
}

function digestIn(folder: string, { rebuild = "tandem index" }: OpenIndexOptions): string {
  const file = path.join(folder, DIGEST);
  const digest = /^([0-9a-f]{64}) {2}index\.faiss\n$/.exec(aboutFile(file, () => readFileSync(file, "latin1")))?.[1];
  if (digest !== undefined) return digest;
  throw new UserError({
    where: file,
    what: "is no digest of index.faiss",
    expected: "what sha256sum prints",
    remedy: `rebuild it: ${rebuild}`,
  });
}

function openExact(folder: string, provenance: Provenance, { dtype, device }: HeldAs): ExactIndex {
  const held = { ...(dtype === undefined ? {} : { dtype }), ...(device === undefined ? {} : { device }) };
  const index = ExactIndex.open(path.join(folder, "vectors.npy"), { metric: provenance.metric, ...held });
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

async function writeVectors(writer: NpyWriter, options: BuildIndexOptions): Promise<void> {
  try {
    await embedInto(writer, options);
    writer.commit();
  } finally {
    writer.abort();
  }
}

/** Embeds the passages that aren't there yet. Blocks begin at the same passages in every build, so that each is padded alike. */
async function embedInto(
  rows: Pick<NpyWriter, "rows" | "append">,
  { encoder, store, template, metric, progress }: BuildIndexOptions,
): Promise<void> {
  while (rows.rows < store.size) {
    const start = rows.rows;
    const end = Math.min(start - (start % PASSAGES_AT_ONCE) + PASSAGES_AT_ONCE, store.size);
    const texts = Array.from({ length: end - start }, (_, i) => passageText(store.get(start + i), template));
    rows.append(embeddedBytes(encoder, texts, metric, start));
    progress?.(end, store.size, "passages embedded");
    await yieldToEvents();
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
