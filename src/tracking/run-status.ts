/**
 * `status.json` of a run directory: whether the run goes on, and how it ended. Only the process that holds the run's lock writes it, or whoever saw that process die. The trap: a process that was killed writes
 * nothing, so "running" is believed only while the lock is held.
 */
import { existsSync, statSync } from "node:fs";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { isLocked } from "../storage/file-lock.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { UserError } from "../errors.js";
import type { RunDirectory } from "./run-directory.js";

/**
 * `stopped`: a signal asked for it, the state is saved. `killed`: gone without a word. `unfinished`: nothing is written down (the run was made by an older version or as a library).
 */
export type RunState = "running" | "finished" | "stopped" | "failed" | "killed" | "unfinished";
const WRITTEN = ["running", "finished", "stopped", "failed", "killed"] as const;

export interface RunStatus {
  readonly state: RunState;
  /** When it came to be so, in milliseconds since 1970; undefined when nothing tells. */
  readonly time: number | undefined;
  /** One line: why a run failed. */
  readonly reason?: string;
}

export function noteStatus(run: RunDirectory, state: (typeof WRITTEN)[number], reason?: string): void {
  const line = reason?.replace(/\s+/g, " ").slice(0, 1000);
  writeFileAtomic(
    run.status,
    `${JSON.stringify({ state, time: new Date().toISOString(), ...(line === undefined ? {} : { reason: line }) }, null, 2)}\n`,
  );
}

/**
 * As {@link noteStatus}, but what hinders it (a full disk) is only warned of: it must not hide why a run ended. A run that is finished stays so until it is noted as running: what ends a second
 * scoring of it isn't its end.
 */
export function noteEnd(run: RunDirectory, state: (typeof WRITTEN)[number], reason?: string): void {
  if (isFinished(run)) return;
  try {
    noteStatus(run, state, reason);
  } catch (error) {
    process.stderr.write(`warning: the run's end could not be noted: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

/** Whether the run came to its end; a damaged status says no. */
export function isFinished(run: RunDirectory): boolean {
  try {
    return readStatus(run).state === "finished";
  } catch {
    return false;
  }
}

/** @throws UserError when the file isn't a status */
export function readStatus(run: RunDirectory): RunStatus {
  if (!existsSync(run.status)) return { state: existsSync(run.reportJson) ? "finished" : "unfinished", time: lastSign(run) };
  const { state, time, reason } = expectObject(readJson(run.status), run.status);
  const written = WRITTEN.find((word) => word === state);
  const at = typeof time === "string" ? Date.parse(time) : Number.NaN;
  if (written === undefined || !Number.isFinite(at))
    throw new UserError({
      where: run.status,
      what: "is not the status of a run",
      expected: `${WRITTEN.join(", ")} and a time`,
      remedy: "remove it",
    });
  if (written === "running" && !isLocked(run.lock)) return { state: "killed", time: Math.max(at, lastSign(run) ?? 0) };
  return { state: written, time: at, ...(typeof reason === "string" ? { reason } : {}) };
}

/** When the run last wrote something. */
function lastSign(run: RunDirectory): number | undefined {
  const times = [run.reportJson, run.metrics, run.checkpoints, run.environment].map(
    (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  const last = Math.round(Math.max(...times));
  return last === 0 ? undefined : last;
}
