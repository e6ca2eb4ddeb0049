/**
 * Starts real processes that form one group and gives back what each of them returned. A program is a module whose default export takes the group and an input and returns plain data; it runs in every process. Used by tests of what
 * processes compute together. The trap: a process that fails leaves the others waiting in a collective, so the first failure ends them all.
 */
import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";
import type { ProcessGroup } from "../../src/distributed/process-group.js";

/** What runs in each process. */
export type RankProgram<Input, Result> = (group: ProcessGroup, input: Input) => Result | Promise<Result>;

/** What a process is told and what it tells. */
export type ToRank =
  { readonly program: string; readonly rank: number; readonly size: number; readonly input: unknown } | { readonly port: number };
export type FromRank = { readonly port: number } | { readonly result: unknown } | { readonly failed: string };

const ENTRY = path.join(import.meta.dirname, "rank-process.ts");

/** Runs `program` (a file beside this one, or a path) in `size` processes. @throws what the first process failed of */
export async function runRanks<Result>(program: string, size: number, input: unknown = null): Promise<Result[]> {
  const file = path.resolve(import.meta.dirname, program);
  const children = Array.from({ length: size }, () =>
    fork(ENTRY, [], { execArgv: ["--import", "tsx"], env: { ...process.env, OMP_NUM_THREADS: "1" }, serialization: "advanced" }),
  );
  try {
    return (await Promise.all(
      children.map((child, rank) => resultOf(child, rank, children, { program: file, rank, size, input })),
    )) as Result[];
  } finally {
    // What they held, locks for one, is free when they are gone.
    await Promise.all(children.map(gone));
  }
}

function resultOf(child: ChildProcess, rank: number, children: readonly ChildProcess[], order: ToRank): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.on("message", (message) => {
      const told = message as FromRank;
      if ("port" in told) for (const other of children) if (other !== child) other.send({ port: told.port } satisfies ToRank);
      if ("result" in told) resolve(told.result);
      if ("failed" in told) reject(new Error(`rank ${rank}: ${told.failed}`));
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => reject(new Error(`rank ${rank} ended without a result: ${signal ?? code}`)));
    child.send(order);
  });
}

function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
