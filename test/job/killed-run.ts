/**
 * A training run as a real process group that can be killed at a chosen instant. Not a test: used by the tests that prove resuming. The trap: the group holds driver and worker; killing one alone
 * would be another test.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

export const ROOT = path.join(import.meta.dirname, "../..");

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Starts `tandem train …` as the leader of its own process group. */
export function startTraining(words: readonly string[]): { process: ChildProcess; ended: Promise<Finished> } {
  const child = spawn(path.join(ROOT, "bin/tandem"), ["train", ...words], {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Finished>((resolve) => child.once("close", (code, signal) => resolve({ code, signal, stderr })));
  return { process: child, ended };
}

/** Trains to the end. */
export async function trainFully(words: readonly string[]): Promise<Finished> {
  return startTraining(words).ended;
}

/** Trains until `isTime` says so and kills the whole group with SIGKILL; undefined: it ended before. */
export async function trainAndKill(words: readonly string[], isTime: () => boolean): Promise<Finished> {
  const { process: child, ended } = startTraining(words);
  const timer = setInterval(() => {
    if (!isTime() || child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      clearInterval(timer);
    }
  }, 1);
  const result = await ended;
  clearInterval(timer);
  return result;
}

/** The one run directory under `runs`, once it can be resumed. */
export function runFolder(runs: string): string | undefined {
  const [name] = existsSync(runs) ? readdirSync(runs).filter((entry) => !entry.startsWith(".")) : [];
  return name === undefined || !existsSync(path.join(runs, name, "environment.json")) ? undefined : path.join(runs, name);
}

/** The lines of metrics.jsonl without what a clock decides. */
export function lossLines(run: string): Record<string, unknown>[] {
  return readFileSync(path.join(run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const record = JSON.parse(line) as Record<string, unknown>;
      delete record["time"];
      delete record["tokens_per_second"];
      delete record["gemm_share"];
      return record;
    });
}
