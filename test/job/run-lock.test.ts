/**
 * Proves that one process at a time works in a run directory: a living holder is refused by name, and whatever way it ends the next one gets the lock at once.
 * Alone: npx vitest run test/job/run-lock.test.ts
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import { lockRun } from "../../src/job/run/run-lock.js";
import { temporaryFolder } from "../storage/bad-input.js";

const never = (text: string): void => {
  throw new Error(text);
};

/** Another process that holds the lock, by the system's own flock. */
async function holding(run: string): Promise<ChildProcess> {
  const holder = spawn("flock", [path.join(run, "lock"), "sh", "-c", "echo held; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  await once(holder.stdout, "data");
  return holder;
}

it("is taken, says by whom, and can be given back", async () => {
  const run = temporaryFolder();
  const unlock = await lockRun(run, never);
  expect(readFileSync(path.join(run, "lock"), "utf8")).toBe(`process ${process.pid} on ${os.hostname()}\n`);
  await expect(lockRun(run, never, 0)).rejects.toThrow(
    `${run}: process ${process.pid} on ${os.hostname()} is working in this run directory; expected one process at a time; wait for it or stop it, or start another run`,
  );
  unlock();
  (await lockRun(run, never))();
});

it("is waited for, and taken when its holder gives it back in time", async () => {
  const run = temporaryFolder();
  const unlock = await lockRun(run, never);
  setTimeout(unlock, 100);
  (await lockRun(run, never, 5000))();
});

it("is refused while another process holds it, and free at once when that is killed", async () => {
  const run = temporaryFolder();
  const holder = await holding(run);
  await expect(lockRun(run, never, 100)).rejects.toThrow("another process is working in this run directory");
  const ended = once(holder, "close");
  process.kill(-holder.pid!, "SIGKILL");
  await ended;
  (await lockRun(run, never, 0))();
});

it("is never left behind by a lock that was written and not held", async () => {
  const run = temporaryFolder();
  (await lockRun(run, never))();
  (await lockRun(run, never, 0))();
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, "lock"));
  await expect(lockRun(folder, never)).rejects.toThrow("lock: is a folder, not a file");
});
