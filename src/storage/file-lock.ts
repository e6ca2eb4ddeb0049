/**
 * A lock on a file that one process at a time can hold, as flock(2) has it: the system gives it back whatever way the process ends, so there is no stale lock to take over. It keeps nobody from reading or
 * writing. The trap: some network file systems have no locks; there it throws, and the caller decides whether to go on without.
 */
import { closeSync, existsSync, ftruncateSync, writeSync } from "node:fs";
import { UserError } from "../errors.js";
import { aboutFile } from "./file-fault.js";
import { systemCalls } from "./system-calls.js";

/**
 * Locks `path`, made if it isn't there, and writes `text` into it: who holds it. Returns what gives it back, or undefined when another process has it.
 *
 * @throws UserError when the file can't be made; Error with code `ENOLCK`, `EOPNOTSUPP` or `ENOSYS` where the file system has no locks
 */
export function lockFile(path: string, text: string): (() => void) | undefined {
  const descriptor = aboutFile(path, () => systemCalls().lock(path));
  if (descriptor === undefined) return undefined;
  try {
    ftruncateSync(descriptor);
    writeSync(descriptor, text, 0);
  } catch {
    // The lock is held all the same; on a full disk the next one only doesn't learn by whom.
    return () => closeSync(descriptor);
  }
  return () => closeSync(descriptor);
}

/**
 * Whether another process holds the lock of `path` just now. Looking takes the lock for a moment, so whoever takes it in earnest must try more than once. Where it can't be told (no locks, somebody else's file),
 * it counts as held.
 */
export function isLocked(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    const descriptor = systemCalls().lock(path);
    if (descriptor === undefined) return true;
    closeSync(descriptor);
    return false;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return true;
  }
}
