/**
 * One process at a time in a run directory: two would write each other's checkpoints and log lines. The driver holds `lock.json` while its worker runs and touches it; a process that was killed leaves a
 * lock that nobody touches, and the next one takes it. The trap: a process of another machine can't be asked whether it lives, so its lock is watched for a while before it is taken for dead.
 */
import { rmSync, readFileSync, statSync, utimesSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";

const FILE = "lock.json";

export interface LockTimes {
  /** How often the holder touches its lock. */
  readonly touchMs: number;
  /** A lock of another machine that wasn't touched for this long is nobody's. */
  readonly staleMs: number;
}

const TIMES: LockTimes = { touchMs: 5000, staleMs: 30_000 };

interface Holder {
  readonly host: string;
  readonly pid: number;
}

/**
 * Takes the run directory for this process. Returns what gives it back.
 *
 * @param wait told once, when another machine's lock has to be watched
 * @throws UserError when a living process holds it
 */
export async function lockRun(run: string, wait: (text: string) => void, times: LockTimes = TIMES): Promise<() => void> {
  const file = path.join(run, FILE);
  let isTold = false;
  for (;;) {
    const holder = holderOf(file);
    if (holder === undefined || isDead(holder, file, times)) break;
    if (holder.host === os.hostname()) throw taken(run, holder);
    const before = touchedAt(file);
    if (!isTold) wait(`the run directory is locked by process ${holder.pid} on ${holder.host}; waiting to see whether it is alive`);
    isTold = true;
    await sleep(times.touchMs * 2);
    if (touchedAt(file) !== before) throw taken(run, holder);
  }
  writeFileAtomic(file, `${JSON.stringify({ host: os.hostname(), pid: process.pid })}\n`);
  const timer = setInterval(() => touch(file), times.touchMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    rmSync(file, { force: true });
  };
}

function taken(run: string, { host, pid }: Holder): UserError {
  return new UserError({
    where: run,
    what: `process ${pid} on ${host} is working in this run directory`,
    expected: "one process at a time",
    remedy: "wait for it or stop it; start another run without --resume",
  });
}

/** Undefined: no lock, or none that can be read, which is one that was being written when its process died. */
function holderOf(file: string): Holder | undefined {
  try {
    const { host, pid } = JSON.parse(readFileSync(file, "utf8")) as Partial<Holder>;
    return typeof host === "string" && typeof pid === "number" ? { host, pid } : undefined;
  } catch {
    return undefined;
  }
}

function isDead({ host, pid }: Holder, file: string, { staleMs }: LockTimes): boolean {
  if (host !== os.hostname()) return Date.now() - (touchedAt(file) ?? 0) > staleMs;
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function touchedAt(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs;
}

/** The folder may be gone, or the disk full: the work goes on, only the lock grows old. */
function touch(file: string): void {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    return;
  }
}
