/**
 * The border to the libfaiss add-on (native/faiss): its whole surface, typed once, and its only loader. Not for use outside `src/retrieval`; what searches is faiss-index.ts, what builds is
 * faiss-build.ts. The trap: the add-on is optional, so its absence is a sentence for whoever asked for FAISS, never a failure of anything else.
 *
 * Q queries, N vectors, D dimension, K results.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { UserError } from "../errors.js";
import { nativeFolder } from "../storage/system-calls.js";

/** What FAISS or the add-on refused, in one sentence. Whoever knows file, key and mend makes a UserError of it. */
export class FaissError extends Error {
  override readonly name = "FaissError";
}

export interface NativeIndexFacts {
  readonly dimension: number;
  readonly size: number;
  readonly isTrained: boolean;
  readonly metric: "inner-product" | "l2";
  /** The largest number of centroids that its training looks for; 0 without any. */
  readonly centroids: number;
  /** HNSW or NSG: built by several threads, no two builds give the same graph. */
  readonly hasGraph: boolean;
  readonly bytes: number;
}

/** An index in native memory. Promises are rejected with {@link FaissError}; work that changes the index waits for work that reads it. */
export interface NativeIndex {
  facts(): NativeIndexFacts;
  setParameters(parameters: string): void;
  train(vectors_ND: Float32Array, threads: number): Promise<void>;
  add(vectors_ND: Float32Array, threads: number): Promise<void>;
  /** Best first, equal scores by row; ids of -1 with the worst score fill what wasn't found. */
  search(queries_QD: Float32Array, k: number, threads: number): Promise<{ scores: Float32Array; ids: Int32Array }>;
  write(path: string): Promise<void>;
  dispose(): void;
}

interface NativeFaiss {
  readonly version: string;
  /** Who multiplies for FAISS. */
  readonly blas: "OpenBLAS" | "MKL" | "reference";
  setErrorClass(errorClass: new (message: string) => Error): void;
  /** Bytes outside the heap that V8 was told of; `process.memoryUsage()` has only those of buffers. */
  externalMemory(): number;
  create(dimension: number, factory: string, metric: "inner-product" | "l2"): NativeIndex;
  read(path: string): Promise<NativeIndex>;
}

/** What this machine's FAISS is. */
export type FaissFacts = Pick<NativeFaiss, "version" | "blas">;

let loaded: NativeFaiss | undefined;

/** The add-on, loaded at first use. @throws UserError when it isn't built or libfaiss is gone */
export function nativeFaiss(): NativeFaiss {
  if (loaded !== undefined) return loaded;
  const file = path.join(nativeFolder(), "faiss", "faiss.node");
  const remedy = "install libfaiss with its headers (Debian: libfaiss-dev; conda: libfaiss), then run: bash scripts/setup.sh";
  if (!existsSync(file)) throw new UserError({ where: file, what: "the FAISS add-on isn't built", remedy });
  try {
    loaded = createRequire(import.meta.url)(file) as NativeFaiss;
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new UserError({ where: file, what: "the FAISS add-on does not load", got, remedy }, { cause });
  }
  loaded.setErrorClass(FaissError);
  return loaded;
}

/** Version and BLAS of the libfaiss that the add-on was built with. @throws UserError when there is none */
export function faissFacts(): FaissFacts {
  const { version, blas } = nativeFaiss();
  return { version, blas };
}
