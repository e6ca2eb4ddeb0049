/**
 * A group whose first member is the test's own process and whose others are real processes that run a program (as ranks.ts has it): for tests that lead. The trap: a call of the group blocks the test until the others make it too, so a
 * program that fails shows as a call that fails after the time of rank-process.ts, with the reason on standard error.
 */
import { fork } from "node:child_process";
import path from "node:path";
import { openProcessGroup, openStore, type ProcessGroup } from "../../src/distributed/process-group.js";
import type { FromRank, ToRank } from "./ranks.js";

const ENTRY = path.join(import.meta.dirname, "rank-process.ts");
const HOST = "127.0.0.1";
const TIMEOUT = 60_000;

export interface Fellows {
  readonly group: ProcessGroup;
  /** Waits until the others' programs have returned, and ends them. */
  dismiss(): Promise<void>;
}

/** Starts `program` (a path) in `size - 1` processes and joins them. */
export async function startFellows(program: string, size: number, input: unknown = null): Promise<Fellows> {
  const store = openStore({ host: HOST, port: 0, isServer: true, timeout: TIMEOUT });
  const others = Array.from({ length: size - 1 }, () =>
    fork(ENTRY, [], { execArgv: ["--import", "tsx"], env: { ...process.env, OMP_NUM_THREADS: "1" }, serialization: "advanced" }),
  );
  const ended = others.map(
    (child) =>
      new Promise<void>((resolve) => {
        child.once("exit", () => resolve());
        child.on("message", (message) => {
          const told = message as FromRank;
          if ("failed" in told) process.stderr.write(`${told.failed}\n`);
          if ("result" in told || "failed" in told) resolve();
        });
      }),
  );
  const sent = (child: (typeof others)[number], message: ToRank): Promise<void> =>
    new Promise((resolve, reject) => child.send(message, (error) => (error === null ? resolve() : reject(error))));
  for (const [i, child] of others.entries()) {
    await sent(child, { program, rank: i + 1, size, input });
    await sent(child, { port: store.port });
  }
  const group = openProcessGroup({ store, name: "test", rank: 0, size, address: HOST, timeout: TIMEOUT });
  return {
    group,
    dismiss: async () => {
      group.barrier();
      await Promise.all(ended);
      for (const child of others) child.kill("SIGKILL");
      group.close();
      store.close();
    },
  };
}
