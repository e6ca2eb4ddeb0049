/** A member of a group whose leader searches: it holds its rows of whatever vectors the leader gives. Used by sharded-index.test.ts, on both sides. */
import { LedGroup } from "../../src/distributed/led-group.js";
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { fromBytes } from "../../src/engine/tensor.js";
import { ExactIndex } from "../../src/retrieval/exact-index.js";
import type { Index, Metric } from "../../src/retrieval/index-contract.js";
import { ledSearch } from "../../src/retrieval/led-index.js";
import { ownRows } from "../../src/retrieval/shard-rows.js";
import { ShardedIndex } from "../../src/retrieval/sharded-index.js";

export interface MadeOf {
  /** Row-major, of the whole index. */
  readonly vectors: readonly number[];
  readonly dimension: number;
  readonly metric: Metric;
  /** Vectors in one product. */
  readonly block: number;
}

/** This process's rows of an index. */
export function shardOf({ vectors, dimension, metric, block }: MadeOf, group: ProcessGroup): ShardedIndex {
  const size = vectors.length / dimension;
  const { start, count } = ownRows(size, block, group);
  const own = Float32Array.from(vectors.slice(start * dimension, (start + count) * dimension));
  const shard = ExactIndex.over(fromBytes(own, "f32", [count, dimension]), { metric, block });
  return new ShardedIndex(shard, { start, size }, group);
}

export interface LedSearch {
  readonly led: LedGroup;
  /** Gives all members the vectors. */
  give(name: string, made: MadeOf): Promise<void>;
  open(name: string): Index;
}

export function learnSearch(group: ProcessGroup): LedSearch {
  const led = new LedGroup(group);
  const given = new Map<string, MadeOf>();
  const give = led.learn("give", ({ name, made }: { name: string; made: MadeOf }) => {
    given.clear();
    given.set(name, made);
    return Promise.resolve();
  });
  const open = ledSearch(
    led,
    (name) => {
      const made = given.get(name);
      if (made === undefined) throw new Error(`nobody gave ${name}`);
      return shardOf(made, group);
    },
    "cpu",
  );
  return { led, give: (name, made) => give({ name, made }), open };
}

export default async function program(group: ProcessGroup): Promise<unknown> {
  return learnSearch(group).led.follow();
}
