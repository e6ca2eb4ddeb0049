/**
 * One process at a time in a run directory: two would write each other's checkpoints and log lines. The process that writes, the worker, holds the lock until it ends, so a worker that outlives its driver
 * keeps others out. The trap: a file system without locks can't keep anybody out; that is said, and the run goes on.
 */
import { readFileSync } from "node:fs";
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.js";
import { systemCode } from "../../storage/file-fault.js";
import { lockFile } from "../../storage/file-lock.js";
import { runPlaces } from "../../tracking/run-directory.js";

/** A worker whose driver was killed notices it after its step, saves and leaves: until then its lock is waited for. */
const PATIENCE = 20_000;
const WITHOUT_LOCKS = ["ENOLCK", "EOPNOTSUPP", "ENOSYS"];

/**
 * Takes the run directory for this process, until it ends or gives it back by calling what is returned.
 *
 * @param warn told when the file system has no locks
 * @param patience milliseconds
 * @throws UserError when another process holds it
 */
export async function lockRun(run: string, warn: (text: string) => void, patience = PATIENCE): Promise<() => void> {
  const file = runPlaces(run).lock;
  const start = performance.now();
  try {
    for (;;) {
      const unlock = lockFile(file, `process ${process.pid} on ${os.hostname()}\n`);
      if (unlock !== undefined) return unlock;
      if (performance.now() - start >= patience) break;
      await sleep(Math.min(patience, 250));
    }
  } catch (error) {
    if (!WITHOUT_LOCKS.includes(systemCode(error) ?? "")) throw error;
    warn(`${run}: this file system has no locks; a second process in the run directory would not be noticed`);
    return () => undefined;
  }
  throw new UserError({
    where: run,
    what: `${holder(file)} is working in this run directory`,
    expected: "one process at a time",
    remedy: "wait for it or stop it, or start another run",
  });
}

function holder(file: string): string {
  try {
    const text = readFileSync(file, "utf8").trim();
    return text === "" ? "another process" : text;
  } catch {
    return "another process";
  }
}
