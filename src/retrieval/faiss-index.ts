/**
 * Approximate search by libfaiss over an index file of FAISS's own format. It builds nothing (faiss-build.ts does) and holds no vectors of its own beside the index. The traps: what FAISS finds may be
 * fewer than k rows (the lists that it looks into hold no more), told by ids of -1; the file is read in the background, so a damaged one is refused by the first search, not by `open`; and libfaiss trusts
 * what it reads: files are checked table by table afterwards, but only a digest stands between it and a file that was altered with intent.
 *
 * Q queries, D dimension, K results.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { toFloat32Array, type Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import { unitRows } from "./exact-index.js";
import { FaissError, nativeFaiss, type NativeIndex, type NativeIndexFacts } from "./faiss-native.js";
import { faissMetric } from "./faiss-settings.js";
import { requireSearchable, type Index, type Metric, type SearchResult } from "./index-contract.js";

export interface FaissIndexOptions {
  readonly metric: Metric;
  readonly size: number;
  readonly dimension: number;
  /** Search parameters, `nprobe=16,efSearch=64`; empty for FAISS's own. */
  readonly search?: string;
  readonly threads: number;
  /** SHA-256 that the file must have. */
  readonly digest?: string;
  /** The command that mends a damaged file. */
  readonly rebuild?: string;
  /** An exact index over the same rows: what {@link FaissIndex.searchAll} searches. */
  readonly exact?: () => Index;
}

export class FaissIndex implements Index {
  readonly size: number;
  readonly dimension: number;
  readonly metric: Metric;
  readonly #threads: number;
  readonly #native: Promise<NativeIndex>;
  readonly #openExact: (() => Index) | undefined;
  #exact: Index | undefined;

  private constructor(native: Promise<NativeIndex>, options: FaissIndexOptions) {
    this.size = options.size;
    this.dimension = options.dimension;
    this.metric = options.metric;
    this.#threads = options.threads;
    this.#native = native;
    this.#openExact = options.exact;
    // Told by whoever searches; without this a file that nobody searches would end the process.
    native.catch(() => undefined);
  }

  /**
   * Opens an index file, whose reading goes on in the background.
   *
   * @throws UserError when FAISS isn't here or there is no such file; a search throws it when the file isn't the index that the options describe
   */
  static open(file: string, options: FaissIndexOptions): FaissIndex {
    const faiss = nativeFaiss();
    if (!existsSync(file)) throw fileFault(file, "no such file", options);
    return new FaissIndex(read(faiss, file, options), options);
  }

  /** An index that is in memory already; it is taken over. */
  static over(native: NativeIndex, options: Pick<FaissIndexOptions, "metric" | "threads" | "exact">): FaissIndex {
    const { size, dimension } = native.facts();
    return new FaissIndex(Promise.resolve(native), { ...options, size, dimension });
  }

  /** Waits until the file is read. @throws UserError when it isn't the index that was asked for */
  async ready(): Promise<void> {
    await this.#native;
  }

  async search(queries_QD: Tensor, k: number): Promise<SearchResult> {
    requireSearchable(this, queries_QD, k);
    const count = queries_QD.size(0);
    const kept = Math.min(k, this.size);
    // Copied out before anything is awaited: the caller frees the queries when it likes.
    const queries = scope(() => noGrad(() => toFloat32Array(this.metric === "cosine" ? unitRows(queries_QD) : queries_QD)));
    const native = await this.#native;
    if (kept === 0 || count === 0) return { k: kept, scores_QK: new Float32Array(), ids_QK: new Int32Array() };
    const { scores, ids } = await native.search(queries, kept, this.#threads).catch(searchFault);
    return { k: kept, scores_QK: scores, ids_QK: ids };
  }

  async searchAll(queries_QD: Tensor, k: number): Promise<SearchResult> {
    this.#exact ??= this.#openExact?.();
    return (this.#exact ?? this).search(queries_QD, k);
  }

  dispose(): void {
    this.#exact?.dispose();
    this.#exact = undefined;
    this.#native.then(
      (native) => native.dispose(),
      () => undefined,
    );
  }
}

/** The index once it is read and found to be what the options say. */
async function read(faiss: ReturnType<typeof nativeFaiss>, file: string, options: FaissIndexOptions): Promise<NativeIndex> {
  // Before libfaiss sees it: some damages of a file end the process while it is read.
  if (options.digest !== undefined && (await digestOf(file)) !== options.digest)
    throw fileFault(file, "the index is damaged: it isn't the file that was built", options);
  const native = await faiss.read(file).catch((error: unknown) => {
    if (error instanceof FaissError) throw fileFault(file, `is no FAISS index that can be searched: ${error.message}`, options, error);
    throw error;
  });
  try {
    requireFitting(native.facts(), file, options);
    native.setParameters(options.search ?? "");
    return native;
  } catch (error) {
    native.dispose();
    if (error instanceof FaissError)
      throw new UserError({ where: "index.search", what: `can't be set to "${options.search ?? ""}": ${error.message}` }, { cause: error });
    throw error;
  }
}

/** SHA-256 of a file, read without keeping the JavaScript thread from other work. */
async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

function requireFitting(facts: NativeIndexFacts, file: string, options: FaissIndexOptions): void {
  if (!facts.isTrained) throw fileFault(file, "the index isn't trained", options);
  const describe = (size: number, dimension: number, metric: string): string => `${size} × ${dimension}, ${metric}`;
  const expected = describe(options.size, options.dimension, faissMetric(options.metric));
  const got = describe(facts.size, facts.dimension, facts.metric);
  if (expected === got) return;
  const { fault } = fileFault(file, "the index does not fit its provenance", options);
  throw new UserError({ ...fault, expected, got });
}

function fileFault(file: string, what: string, { rebuild = "tandem index" }: FaissIndexOptions, cause?: Error): UserError {
  return new UserError({ where: file, what, remedy: `rebuild it: ${rebuild}` }, { cause });
}

function searchFault(error: unknown): never {
  if (!(error instanceof FaissError)) throw error;
  throw new UserError({ where: "search", what: `FAISS refused: ${error.message}` }, { cause: error });
}
