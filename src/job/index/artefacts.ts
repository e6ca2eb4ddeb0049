/**
 * The artefacts of a run that follow the retriever: index folders, and what an index found for the training questions. Both are immutable and named by content, so a refresh that was
 * killed is simply done again, and a validation that already built an index spares the refresh. The trap: nothing here may depend on when it runs, or a resumed run would
 * see other contexts.
 *
 * Q questions, K results.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { IndexConfig } from "../../config/schema.js";
import type { Question } from "../../corpus/questions.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import { UserError } from "../../errors.js";
import { searchAllowed } from "../../retrieval/allowed-search.js";
import { buildIndex, provenanceOf } from "../../retrieval/build-index.js";
import type { Encoder } from "../../retrieval/encoder.js";
import { indexName } from "../../retrieval/provenance.js";
import { twoEncoders, type TextEmbedder } from "../../retrieval/two-encoders.js";
import { openRetriever, type Retriever } from "../../retrieval/retriever.js";
import { writeFolderAtomic } from "../../storage/atomic-write.js";
import { hashJson } from "../../storage/content-hash.js";
import { NpyWriter, readNpy } from "../../storage/npy.js";
import type { CurrentArtefacts } from "../../training/run-state.js";
import { faissSettings } from "./index-settings.js";
import type { IndexSharing } from "./index-sharing.js";
import type { Report } from "../reporter.js";

export interface ArtefactParts {
  /** The run directory's `index/` and `retrieval/`. */
  readonly indexFolder: string;
  readonly retrievalFolder: string;
  readonly store: PassageStore;
  readonly template: string;
  readonly index: IndexConfig;
  readonly device: string;
  readonly report: Report;
  /** What embeds the passages where that isn't the encoder of the questions: `train.reader.fixed_index`. */
  readonly passages?: Encoder | undefined;
  /** FAISS's threads where the config says none; default: as many as the arithmetic has. */
  readonly threads?: number | undefined;
  /** The run's other workers, where there are some. */
  readonly sharing?: IndexSharing | undefined;
}

/** Rows that a search found for each question, best first; fewer than `k` where there were no more. */
export interface RetrievedRows {
  readonly k: number;
  readonly rowsOf: (question: number) => readonly number[];
  /** Their scores, one a row, higher for what is more alike; undefined in an artefact that was written without. */
  readonly scoresOf?: (question: number) => readonly number[];
  /** The lowest score of a question's gold passages, NaN where it has none; undefined where nobody asked for it. */
  readonly positiveOf?: (question: number) => number;
}

/** {@link RetrievedRows} as arrays, row-major. */
export interface FoundRows {
  readonly k: number;
  readonly rows_QK: Int32Array;
  readonly scores_QK: Float32Array;
  /** (Q) */
  readonly positives?: Float32Array | undefined;
}

/** Builds (or finds) the index of `encoder` as it is now and opens a retriever over it. */
export async function currentRetriever(
  parts: ArtefactParts,
  encoder: Encoder,
  name: string,
): Promise<{ retriever: Retriever; indexName: string }> {
  const { indexFolder, store, template, index, report } = parts;
  const about = { encoder: pinned(encoder, parts.passages), store, template, metric: index.metric };
  const approximate = faissSettings(index, parts.threads);
  const sharing = parts.sharing?.isReady(encoder) === true ? parts.sharing : undefined;
  const folder = await buildIndex({
    ...about,
    parent: indexFolder,
    faiss: index.faiss,
    approximate,
    progress: (done, total, detail) => report({ type: "progress", name, done, total, detail }),
    warn: (text) => report({ type: "warning", text }),
    together: sharing?.embed,
  });
  const retriever = openRetriever(folder, {
    ...about,
    ...(approximate === undefined ? {} : { approximate }),
    ...(approximate !== undefined || sharing === undefined ? {} : { open: sharing.open }),
    held: { dtype: index.dtype, device: parts.device },
  });
  return { retriever, indexName: path.basename(folder) };
}

/** What {@link currentRetriever} calls the index of this encoder, whether it is built or not. */
export function indexNameOf({ store, template, index, passages }: ArtefactParts, encoder: Pick<Encoder, "dimension" | "hash">): string {
  return indexName(
    provenanceOf({ encoder: passages ?? encoder, store, template, metric: index.metric, approximate: faissSettings(index) }),
  );
}

/** The encoder with its passages' side's hash read once: the weights stand still while an index is built. */
export function pinned(encoder: Encoder, passages: Encoder = encoder): TextEmbedder & { dimension: number; hash: string } {
  return { dimension: passages.dimension, hash: passages.hash, ...twoEncoders(encoder, passages) };
}

/** What training looks for, and where it must not look. */
export interface TrainingSearch {
  readonly questions: readonly Pick<Question, "id" | "question">[];
  /** Documents whose passages training never sees: those of validation and test. */
  readonly heldOut: ReadonlySet<string>;
  readonly k: number;
  /** The lowest score of each question's gold passages among what was found and beyond; only where mining compares with it. */
  readonly positives?: ((found: Omit<FoundRows, "positives">) => Float32Array) | undefined;
}

/** Searches the `k` best passages of every training question, among the documents that training may see, and keeps them as an artefact. */
export async function searchTraining(
  parts: ArtefactParts,
  retriever: Retriever,
  indexName: string,
  wanted: TrainingSearch,
): Promise<{ index: string; retrieval: string }> {
  const { report } = parts;
  const { questions, heldOut, k, positives } = wanted;
  const name = retrievalName(parts.index, indexName, wanted);
  const folder = path.join(parts.retrievalFolder, name);
  if (!isSearched(parts, name)) {
    const texts = questions.map(({ question }) => question);
    const found = await searchAllowed(retriever, texts, k, (row) => !heldOut.has(parts.store.field(row, "document")));
    if (found.exhausted > 0) report({ type: "note", text: exhaustedNote(found.exhausted, questions.length, k) });
    writeRetrieved(folder, { ...found, positives: positives?.(found) });
  }
  return { index: indexName, retrieval: name };
}

/** The files of an artefact of found rows. Versions before scores were kept wrote the first alone. */
const [ROWS, SCORES, POSITIVES] = ["rows.npy", "scores.npy", "positives.npy"];

/** Writes found rows as an artefact, at once or not at all. @param more further files of it */
export function writeRetrieved(folder: string, found: FoundRows, more?: (temporary: string) => void): void {
  writeFolderAtomic(folder, (temporary) => {
    const write = (name: string, data: Int32Array | Float32Array, columns: number): void => {
      const writer = new NpyWriter(path.join(temporary, name), { columns, dtype: data instanceof Int32Array ? "int32" : "float32" });
      try {
        writer.append(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        writer.commit();
      } finally {
        writer.abort();
      }
    };
    write(ROWS, found.rows_QK, found.k);
    write(SCORES, found.scores_QK, found.k);
    if (found.positives !== undefined) write(POSITIVES, found.positives, 1);
    more?.(temporary);
  });
}

/** What {@link searchTraining} calls what it finds, whether it has searched or not. */
export function retrievalName(index: IndexConfig, indexName: string, { questions, heldOut, k, positives }: TrainingSearch): string {
  const asked = questions.map(({ id, question }) => [id, question]);
  // What FAISS finds depends on how it is asked, too.
  const search = index.factory === null ? undefined : index.search;
  const measured = positives === undefined ? undefined : true;
  return hashJson({ index: indexName, search, questions: asked, k, heldOut: [...heldOut].sort(), positives: measured }).slice(0, 16);
}

/** Whether both artefacts stand. */
export function areBuilt(
  parts: Pick<ArtefactParts, "indexFolder" | "retrievalFolder">,
  { index, retrieval }: { index: string; retrieval: string },
): boolean {
  return existsSync(path.join(parts.indexFolder, index, "provenance.json")) && isSearched(parts, retrieval);
}

function isSearched({ retrievalFolder }: Pick<ArtefactParts, "retrievalFolder">, name: string): boolean {
  return existsSync(path.join(retrievalFolder, name, ROWS));
}

function exhaustedNote(exhausted: number, questions: number, k: number): string {
  return `${exhausted} of ${questions} questions: the index ended before ${k} passages that training may see; every passage was searched for them (index.search with a higher nprobe or efSearch spares that)`;
}

/** Opens an artefact of {@link writeRetrieved}. @throws UserError when it is gone or belongs to other questions */
export function openRetrieved(parts: Pick<ArtefactParts, "retrievalFolder">, name: string, questions: number): RetrievedRows {
  const folder = path.join(parts.retrievalFolder, name);
  const rows = readColumns(path.join(folder, ROWS), "int32", questions);
  const { k } = rows;
  const values = new Int32Array(rows.data.buffer, rows.data.byteOffset, rows.data.byteLength / 4);
  const scores = existsSync(path.join(folder, SCORES)) ? floatColumns(path.join(folder, SCORES), questions, k) : undefined;
  const positives = existsSync(path.join(folder, POSITIVES)) ? floatColumns(path.join(folder, POSITIVES), questions, 1) : undefined;
  return retrievedOf({ k, rows_QK: values, scores_QK: scores, positives });
}

/** {@link FoundRows} a question at a time, without the −1 that fill a question's places up where fewer passages were found. */
export function retrievedOf(found: Omit<FoundRows, "scores_QK"> & { readonly scores_QK?: Float32Array | undefined }): RetrievedRows {
  const { k, rows_QK, scores_QK, positives } = found;
  const rowsOf = (question: number): number[] => Array.from(rows_QK.subarray(question * k, (question + 1) * k)).filter((row) => row >= 0);
  return {
    k,
    rowsOf,
    // The fill stands last, so that rows and scores go on belonging together.
    ...(scores_QK === undefined
      ? {}
      : { scoresOf: (question: number) => Array.from(scores_QK.subarray(question * k, question * k + rowsOf(question).length)) }),
    ...(positives === undefined ? {} : { positiveOf: (question: number) => positives[question] ?? NaN }),
  };
}

function floatColumns(file: string, questions: number, k: number): Float32Array {
  const { data } = readColumns(file, "float32", questions, k);
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
}

function readColumns(file: string, wanted: "int32" | "float32", questions: number, columns?: number): { k: number; data: Uint8Array } {
  const { dtype, shape, data } = readNpy(file);
  const [count, k] = shape;
  if (dtype === wanted && count === questions && k !== undefined && shape.length === 2 && (columns ?? k) === k) return { k, data };
  throw new UserError({
    where: file,
    what: "does not fit the training questions",
    expected: `${wanted} (${questions}, ${columns ?? "K"})`,
    got: `${dtype} (${shape.join(", ")})`,
    remedy: "remove the run's retrieval/ and resume from the checkpoint before",
  });
}

/** Deletes artefacts that no checkpoint refers to, and vectors that a killed build left. @param isBuilding another process is embedding: what it has so far stays */
export function retainArtefacts(
  parts: Pick<ArtefactParts, "indexFolder" | "retrievalFolder">,
  referred: readonly CurrentArtefacts[],
  isBuilding = false,
): void {
  const artefact = isBuilding ? /^[0-9a-f]{16}$/ : /^[0-9a-f]{16}(\.partial)?$/;
  const prune = (folder: string, kept: ReadonlySet<string | undefined>): void => {
    if (!existsSync(folder)) return;
    for (const name of readdirSync(folder))
      if (artefact.test(name) && !kept.has(name)) rmSync(path.join(folder, name), { recursive: true, force: true });
  };
  prune(parts.indexFolder, new Set(referred.flatMap(({ index, validated }) => [index, validated])));
  const found = referred.flatMap(({ retrieval, mining }) => [retrieval, mining?.lexical, mining?.teacher, mining?.mined]);
  prune(parts.retrievalFolder, new Set(found));
}
