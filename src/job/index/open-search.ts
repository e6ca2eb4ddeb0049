/**
 * Search over folders: a retriever folder, a passage store and an index, opened together. An index that was made with another retriever or from another corpus is refused with the
 * command that mends it. It builds nothing: make-index.ts does. The trap: a run's `index/` holds an index for each retriever that the run went through, and only content names tell which
 * is the current one; file times say nothing.
 */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import type { IndexConfig } from "../../config/schema.js";
import { PassageStore } from "../../corpus/passage-store.js";
import { engineFacts } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import { provenanceOf } from "../../retrieval/build-index.js";
import { Encoder } from "../../retrieval/encoder.js";
import type { FaissSettings } from "../../retrieval/faiss-settings.js";
import type { Index, Metric } from "../../retrieval/index-contract.js";
import { indexName, readProvenance, requireProvenance, type Provenance } from "../../retrieval/provenance.js";
import { openRetriever, type Retriever } from "../../retrieval/retriever.js";
import { aboutFile } from "../../storage/file-fault.js";
import { pinned } from "./artefacts.js";

/** An index folder itself, or a folder that holds indexes named by content. */
export type IndexPlace = { readonly folder: string } | { readonly parent: string };

/** The folders of a search. */
export interface SearchFolders {
  readonly retriever: string;
  /** What the passages are embedded with, where that is another: `passage-retriever/` of a run. */
  readonly passageRetriever?: string;
  /** The passage store. */
  readonly corpus: string;
  readonly index: IndexPlace;
  /** Default: the index's own, else inner product. */
  readonly metric?: Metric;
  /** Approximate search. Default: as the index was built, with FAISS's own search parameters; `null`: exact. */
  readonly approximate?: FaissSettings | null;
  /** How title and text are joined. Default: as the store was chunked. */
  readonly template?: string;
  /** How vectors are held. Default f32. */
  readonly dtype?: IndexConfig["dtype"];
  readonly device?: string;
  /** The command that builds this index: `tandem index --run runs/x`. */
  readonly command: string;
}

/** An encoder with its hash read once, over a store, and what an index of both must say of itself. */
export interface EncodedStore {
  /** Of the questions. */
  readonly encoder: Encoder;
  /** Of the passages, where that is another. */
  readonly passages: Encoder | undefined;
  readonly embedder: ReturnType<typeof pinned>;
  readonly store: PassageStore;
  readonly provenance: Provenance;
}

export interface OpenSearch extends EncodedStore {
  readonly retriever: Retriever;
  /** The index folder. */
  readonly folder: string;
}

/** Opens retriever folder and store. @throws UserError naming what is missing or broken */
export function openEncodedStore(folders: SearchFolders): EncodedStore {
  const store = PassageStore.open(folders.corpus);
  const load = (folder: string): Encoder =>
    Encoder.load(folder, { ...(folders.device === undefined ? {} : { device: folders.device }), dropout: 0 });
  const encoder = load(folders.retriever);
  const passages = folders.passageRetriever === undefined ? undefined : load(folders.passageRetriever);
  const embedder = pinned(encoder, passages);
  const template = folders.template ?? store.manifest.chunking.titleTemplate;
  const found = mending(`${folders.command} --rebuild`, () => foundIn(folders.index));
  const metric = folders.metric ?? found?.metric ?? "inner-product";
  const approximate = folders.approximate === undefined ? found?.faiss : (folders.approximate ?? undefined);
  return { encoder, passages, embedder, store, provenance: provenanceOf({ encoder: embedder, store, template, metric, approximate }) };
}

/** Where the index of this provenance stands, or would stand. */
export function indexFolder(place: IndexPlace, provenance: Provenance): string {
  return "folder" in place ? place.folder : path.join(place.parent, indexName(provenance));
}

/**
 * Opens everything for search.
 *
 * @param openExact opens the index of exact search in another way
 * @throws UserError when a folder is missing or damaged, or the index is stale: with the command that mends it
 */
export function openSearch(folders: SearchFolders, openExact?: (folder: string) => Index): OpenSearch {
  const opened = openEncodedStore(folders);
  const folder = indexFolder(folders.index, opened.provenance);
  if (!existsSync(path.join(folder, "provenance.json"))) throw noIndex(folders, opened.provenance, folder);
  const { embedder, store, provenance } = opened;
  const held = {
    ...(folders.dtype === undefined ? {} : { dtype: folders.dtype }),
    ...(folders.device === undefined ? {} : { device: folders.device }),
  };
  const { template, metric, faiss: shape } = provenance;
  const opening =
    shape === undefined
      ? openExact === undefined
        ? {}
        : { open: openExact }
      : { approximate: { search: "", threads: engineFacts().threads, ...folders.approximate, ...shape } };
  const retriever = mending(`${folders.command} --rebuild`, () =>
    openRetriever(folder, { encoder: embedder, store, template, metric, held, ...opening }, `${folders.command} --rebuild`),
  );
  return { ...opened, retriever, folder };
}

/** Runs `body`; what it says of a damaged index ends with the very command that rebuilds it. */
function mending<T>(command: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw mended(command, error);
  }
}

/** As {@link mending}, for what takes its time. */
export async function mendingSoon(command: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    throw mended(command, error);
  }
}

/** A fault of the index's files gets the command; one of the configuration or of this machine keeps its own remedy, which rebuilding isn't. */
function mended(command: string, error: unknown): unknown {
  if (!(error instanceof UserError) || error.fault.where.startsWith("index.") || error.fault.where.endsWith(".node")) return error;
  return new UserError({ ...error.fault, remedy: `rebuild it: ${command}` }, { cause: error });
}

/** With folders of one's own, the index says how it was built. */
function foundIn(place: IndexPlace): Pick<Provenance, "metric" | "faiss"> | undefined {
  if ("parent" in place || !existsSync(path.join(place.folder, "provenance.json"))) return undefined;
  return readProvenance(place.folder);
}

/** No index of this content: either there is another one, which is stale, or there is none. */
function noIndex({ index, command }: SearchFolders, provenance: Provenance, folder: string): UserError {
  const remedy = `rebuild it: ${command}`;
  const parent = "parent" in index ? index.parent : undefined;
  const others =
    parent === undefined || !existsSync(parent)
      ? []
      : aboutFile(parent, () => readdirSync(parent)).filter((name) => existsSync(path.join(parent, name, "provenance.json")));
  const [other] = others.sort();
  if (parent === undefined || other === undefined)
    return new UserError({ where: parent ?? folder, what: "there is no index", expected: "vectors.npy and provenance.json", remedy });
  try {
    requireProvenance(path.join(parent, other), provenance, command);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  return new UserError({ where: path.join(parent, other), what: "the index lies under another name than its content's", remedy });
}
