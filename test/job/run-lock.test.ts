/**
 * Proves that one process at a time works in a run directory: a living holder is refused by name, the lock of a process that died is taken over at once, and another machine's lock is watched first.
 * Alone: npx vitest run test/job/run-lock.test.ts
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import { lockRun } from "../../src/job/run-lock.js";
import { temporaryFolder } from "../storage/bad-input.js";

const QUICK = { touchMs: 20, staleMs: 200 };
const ignore = (): void => undefined;

function lockedBy(host: string, pid: number): { run: string; file: string } {
  const run = temporaryFolder();
  const file = path.join(run, "lock.json");
  writeFileSync(file, JSON.stringify({ host, pid }));
  return { run, file };
}

it("is taken, touched, and given back", async () => {
  const run = temporaryFolder();
  const file = path.join(run, "lock.json");
  const unlock = await lockRun(run, ignore, QUICK);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ host: os.hostname(), pid: process.pid });
  utimesSync(file, 1, 1);
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(statSync(file).mtimeMs).toBeGreaterThan(10_000);
  unlock();
  expect(existsSync(file)).toBe(false);
});

it("is refused while its holder lives, and taken once it is dead", async () => {
  const holder = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const { run } = lockedBy(os.hostname(), holder.pid ?? 0);
  await expect(lockRun(run, ignore, QUICK)).rejects.toThrow(
    `process ${holder.pid} on ${os.hostname()} is working in this run directory; expected one process at a time; wait for it or stop it`,
  );
  const ended = new Promise((resolve) => holder.once("exit", resolve));
  holder.kill("SIGKILL");
  await ended;
  (await lockRun(run, ignore, QUICK))();
});

it("of another machine is refused if it is touched, and taken if nobody touches it", async () => {
  const { run, file } = lockedBy("elsewhere", 1);
  const timer = setInterval(() => utimesSync(file, new Date(), new Date()), 5);
  const said: string[] = [];
  await expect(lockRun(run, (text) => said.push(text), QUICK)).rejects.toThrow("process 1 on elsewhere is working in this run directory");
  clearInterval(timer);
  expect(said).toEqual(["the run directory is locked by process 1 on elsewhere; waiting to see whether it is alive"]);
  (await lockRun(run, ignore, QUICK))();
  expect(existsSync(file)).toBe(false);
});

it("that is no lock is overwritten", async () => {
  const { run, file } = lockedBy("x", 1);
  writeFileSync(file, "{");
  const unlock = await lockRun(run, ignore, QUICK);
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ pid: process.pid });
  unlock();
});
