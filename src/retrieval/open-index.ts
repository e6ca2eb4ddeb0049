/**
 * Opens an index folder for search, whole or the rows of one process among several. It builds nothing (build-index.ts does) and asks nobody for which retriever it was made (retriever.ts does). The trap: a FAISS index is one file that
 * every process would hold whole, so only exact search is shared out.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { ProcessGroup } from "../distributed/process-group.js";
import { engineFacts } from "../engine/info.js";
import { UserError } from "../errors.js";
import { aboutFile } from "../storage/file-fault.js";
import { openNpy } from "../storage/npy.js";
import { ExactIndex, VECTORS_AT_ONCE, type RowRange } from "./exact-index.js";
import { FaissIndex } from "./faiss-index.js";
import type { Index } from "./index-contract.js";
import { readProvenance, type Provenance } from "./provenance.js";
import { ownRows } from "./shard-rows.js";
import { ShardedIndex } from "./sharded-index.js";

/** The digest of `index.faiss`, as `sha256sum -c` reads it. */
export const DIGEST = "index.faiss.sha256";

/** How an index is held while it is searched. */
export interface HeldAs {
  /** Of the exact index. Default f32. */
  readonly dtype?: "f32" | "f16" | "bf16";
  readonly device?: string;
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

/**
 * The rows of this process, held as {@link openIndex} holds all, in an index that all processes of the group search together. Exact search only.
 *
 * @param block vectors in one product; the unit of what is shared out
 * @throws UserError as {@link openIndex}
 */
export function openShard(
  folder: string,
  group: ProcessGroup,
  { block = VECTORS_AT_ONCE, ...held }: HeldAs & { block?: number } = {},
): Index {
  const provenance = readProvenance(folder);
  if (provenance.faiss !== undefined) throw new Error(`${folder} is searched by FAISS, whose index is not shared out`);
  const own = ownRows(provenance.size, block, group);
  return new ShardedIndex(openExact(folder, provenance, { ...held, block }, own), { start: own.start, size: provenance.size }, group);
}

function openExact(
  folder: string,
  { size, dimension, metric }: Provenance,
  { dtype, device, block }: HeldAs & { block?: number },
  rows?: RowRange,
): ExactIndex {
  const held = {
    ...(dtype === undefined ? {} : { dtype }),
    ...(device === undefined ? {} : { device }),
    ...(block === undefined ? {} : { block }),
  };
  const file = path.join(folder, "vectors.npy");
  const { shape } = openNpy(file);
  // Whatever else is wrong with the file, opening it says.
  if (shape.length === 2 && shape[1] !== 0 && (shape[0] !== size || shape[1] !== dimension))
    throw new UserError({
      where: folder,
      what: "its vectors do not fit its provenance",
      expected: `${size} × ${dimension}`,
      got: shape.join(" × "),
      remedy: "rebuild it: tandem index",
    });
  return ExactIndex.open(file, { metric, ...held }, rows);
}
