/** The `index` section as retrieval takes it: how an index is built and searched by FAISS, or nothing where search is exact. The trap: without `index.threads` FAISS uses as many threads as the arithmetic, which must be set before. */
import type { IndexConfig } from "../../config/schema.js";
import { engineFacts } from "../../engine/info.js";
import { requireFaissSettings, type FaissSettings } from "../../retrieval/faiss-settings.js";

/** @param threads where `index.threads` says none; default: as many as the arithmetic has */
export function faissSettings(index: IndexConfig, threads?: number): FaissSettings | undefined {
  if (index.factory === null) return undefined;
  return {
    factory: index.factory,
    build: index.build,
    trainSample: index.train_sample,
    sampleSeed: index.sample_seed,
    reproducible: index.reproducible,
    search: index.search,
    threads: index.threads ?? threads ?? engineFacts().threads,
  };
}

/** Refuses an index that can't be built here, before a run does anything for it. @throws UserError when FAISS isn't here or can't make it */
export function requireIndexSettings(index: IndexConfig, dimension: number): void {
  const settings = faissSettings(index);
  if (settings !== undefined) requireFaissSettings(settings, dimension, index.metric);
}
