/**
 * What a FAISS index is asked to be, and what follows for its provenance: `factory` and what shapes its bytes belong to the index, search parameters and threads don't. The trap: a factory
 * string that FAISS can't make must be refused before a corpus is embedded for hours, so it is tried on an empty index.
 */
import { UserError } from "../errors.js";
import { FaissError, nativeFaiss, type NativeIndex } from "./faiss-native.js";
import type { Metric } from "./index-contract.js";

/** What the index's bytes are a function of, beside the vectors. */
export interface FaissShape {
  /** FAISS's index_factory string. */
  readonly factory: string;
  /** Parameters set before vectors are added, as `efConstruction=80`; empty for FAISS's own. */
  readonly build: string;
  /** Most vectors that it is trained on; null: 256 for each centroid, at least 65,536. */
  readonly trainSample: number | null;
  /** Seed of the sample. */
  readonly sampleSeed: number;
  /** Whether a graph is built by one thread, the same at every build. */
  readonly reproducible: boolean;
}

export interface FaissSettings extends FaissShape {
  /** Search parameters as ParameterSpace reads them, `nprobe=16,efSearch=64`; empty for FAISS's own. */
  readonly search: string;
  readonly threads: number;
}

/** Cosine is the inner product of rows of length one. */
export function faissMetric(metric: Metric): "inner-product" | "l2" {
  return metric === "l2" ? "l2" : "inner-product";
}

/**
 * An empty index of this kind with its parameters set.
 *
 * @throws UserError when FAISS isn't here, or can't make or set this
 */
export function emptyIndex(
  settings: Pick<FaissSettings, "factory" | "build"> & { search?: string },
  dimension: number,
  metric: Metric,
): NativeIndex {
  const faiss = nativeFaiss();
  const { factory, build, search = "" } = settings;
  const index = refusing("index.factory", `FAISS ${faiss.version} can't make "${factory}" of dimension ${dimension}, ${metric}`, () =>
    faiss.create(dimension, factory, faissMetric(metric)),
  );
  try {
    refusing("index.search", `can't be set to "${search}" for "${factory}"`, () => index.setParameters(search));
    refusing("index.build", `can't be set to "${build}" for "${factory}"`, () => index.setParameters(build));
  } catch (error) {
    index.dispose();
    throw error;
  }
  return index;
}

/**
 * Refuses settings that can't become an index. Costs microseconds, however large the corpus.
 *
 * @param size how many vectors there will be, where that is known
 * @throws UserError as {@link emptyIndex}, and when there will be fewer vectors than FAISS must train centroids from
 */
export function requireFaissSettings(settings: FaissSettings, dimension: number, metric: Metric, size = Infinity): void {
  const index = emptyIndex(settings, dimension, metric);
  const { centroids } = index.facts();
  index.dispose();
  if (size >= centroids) return;
  throw new UserError({
    where: `index.factory "${settings.factory}"`,
    what: `trains ${centroids} centroids from ${size} vectors`,
    expected: `at least ${centroids}`,
    remedy: "choose fewer centroids, or index.factory=null for exact search",
  });
}

function refusing<T>(where: string, what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof FaissError)) throw error;
    throw new UserError({ where, what: `${what}: ${error.message}` }, { cause: error });
  }
}
