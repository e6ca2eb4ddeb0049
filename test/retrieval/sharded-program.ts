/** What each process of a group finds in an index whose rows they share: what sharded-index.test.ts compares with one process. */
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { fromBytes } from "../../src/engine/tensor.js";
import { liveTensors } from "../../src/engine/scope.js";
import type { Index, SearchResult } from "../../src/retrieval/index-contract.js";
import { openShard } from "../../src/retrieval/open-index.js";
import { ShardedIndex } from "../../src/retrieval/sharded-index.js";
import { shardOf, type MadeOf } from "./led-search-member.js";

export type Asked =
  | { readonly type: "vectors"; readonly made: MadeOf; readonly queries: readonly number[]; readonly k: number }
  /** Shards of so many rows that find only their first `found`, as FAISS may: the row's number is its score. */
  | { readonly type: "scarce"; readonly rows: readonly number[]; readonly found: number; readonly k: number }
  | { readonly type: "folder"; readonly folder: string; readonly block: number; readonly queries: readonly number[]; readonly k: number };

export interface FoundByRank extends SearchResult {
  /** Bytes of tensors that this rank holds while the index is open. */
  readonly held: number;
}

export default async function program(group: ProcessGroup, asked: readonly Asked[]): Promise<FoundByRank[]> {
  const found: FoundByRank[] = [];
  for (const each of asked) {
    const before = liveTensors().bytes;
    const index = opened(group, each);
    const held = liveTensors().bytes - before;
    const queries = each.type === "scarce" ? [1] : each.queries;
    const queries_QD = fromBytes(Float32Array.from(queries), "f32", [queries.length / index.dimension, index.dimension]);
    found.push({ ...(await index.search(queries_QD, each.k)), held });
    queries_QD.dispose();
    index.dispose();
    if (liveTensors().bytes !== before) throw new Error("a tensor is left");
  }
  return found;
}

function opened(group: ProcessGroup, asked: Asked): Index {
  if (asked.type === "vectors") return shardOf(asked.made, group);
  if (asked.type === "folder") return openShard(asked.folder, group, { block: asked.block });
  const start = asked.rows.slice(0, group.rank).reduce((sum, rows) => sum + rows, 0);
  const size = asked.rows.reduce((sum, rows) => sum + rows, 0);
  return new ShardedIndex(scarce(start, asked.rows[group.rank] ?? 0, asked.found), { start, size }, group);
}

/** An index that finds its first rows, and then -1. */
function scarce(start: number, size: number, found: number): Index {
  return {
    size,
    dimension: 1,
    metric: "inner-product",
    search: (_, asked) => {
      const k = Math.min(asked, size);
      const rows = Array.from({ length: k }, (_, rank) => (rank < found ? rank : -1));
      return Promise.resolve({
        k,
        ids_QK: Int32Array.from(rows),
        scores_QK: Float32Array.from(rows, (row) => (row < 0 ? -Infinity : 1000 - start - row)),
      });
    },
    dispose: () => undefined,
  };
}
