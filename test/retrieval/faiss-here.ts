/** Whether this machine has FAISS, and indexes made of it in memory, for tests. Where there is none, tests that need it are skipped and say so. */
import { UserError } from "../../src/errors.js";
import { FaissIndex } from "../../src/retrieval/faiss-index.js";
import { faissFacts } from "../../src/retrieval/faiss-native.js";
import { emptyIndex, type FaissSettings } from "../../src/retrieval/faiss-settings.js";
import type { MakeIndex } from "./index-conformance.js";

/** Why tests with FAISS can't run, or undefined when they can. */
export const faissMissing = ((): string | undefined => {
  try {
    faissFacts();
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error.fault.what;
    throw error;
  }
})();

export function settingsOf(factory: string, search = "", change: Partial<FaissSettings> = {}): FaissSettings {
  return { factory, search, build: "", trainSample: null, sampleSeed: 0, reproducible: true, threads: 1, ...change };
}

/** Trains on all vectors, adds them in one thread, and searches with as many as it is asked for. */
export function faissIndex(factory: string, search = ""): MakeIndex {
  return async (vectors, dimension, metric, threads = 1) => {
    const native = emptyIndex(settingsOf(factory, search), dimension, metric);
    if (!native.facts().isTrained) await native.train(vectors, 1);
    await native.add(vectors, 1);
    return FaissIndex.over(native, { metric, threads });
  };
}
