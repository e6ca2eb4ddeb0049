/**
 * What each process of a group finds in an index of whose memory it may take so much and no more: for shard-memory.test.ts. The limit is the system's own (RLIMIT_DATA), set once everything but the index is there; a mapped file isn't
 * counted by it, so how much of one was read is told beside.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { setThreads } from "../../src/engine/info.js";
import { fromBytes } from "../../src/engine/tensor.js";
import { openShard } from "../../src/retrieval/open-index.js";

export interface MemoryOrder {
  /** A small index of the same kind, searched before the limit is set: what every search takes is there then. */
  readonly warm: string;
  readonly folder: string;
  readonly block: number;
  readonly dtype: "f32" | "f16";
  readonly queries: readonly number[];
  readonly k: number;
  /** Bytes beyond what the process has already; undefined: no limit. */
  readonly allowed: number | undefined;
}

export interface FoundWithin {
  readonly ids_QK: Int32Array;
  readonly scores_QK: Float32Array;
  /** Bytes by which the process's own memory, and what it has read of mapped files, grew. */
  readonly own: number;
  readonly mapped: number;
}

export default async function program(group: ProcessGroup, order: MemoryOrder): Promise<FoundWithin> {
  setThreads(1);
  await searched(group, order, order.warm);
  const [own, mapped] = [bytesOf("VmData"), bytesOf("RssFile")];
  if (order.allowed !== undefined) limit(own + order.allowed);
  return await searched(group, order, order.folder, { own, mapped });
}

async function searched(
  group: ProcessGroup,
  { block, dtype, queries, k }: MemoryOrder,
  folder: string,
  before = { own: 0, mapped: 0 },
): Promise<FoundWithin> {
  const index = openShard(folder, group, { block, dtype });
  const queries_QD = fromBytes(Float32Array.from(queries), "f32", [queries.length / index.dimension, index.dimension]);
  const { ids_QK, scores_QK } = await index.search(queries_QD, k);
  const found = { ids_QK, scores_QK, own: bytesOf("VmData") - before.own, mapped: bytesOf("RssFile") - before.mapped };
  queries_QD.dispose();
  index.dispose();
  return found;
}

function bytesOf(name: string): number {
  return 1024 * Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

function limit(bytes: number): void {
  const { status, stderr } = spawnSync("prlimit", ["--pid", String(process.pid), `--data=${bytes}:${bytes}`], { encoding: "utf8" });
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}
