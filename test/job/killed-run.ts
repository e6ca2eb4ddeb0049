/**
 * A training run as a real process group that can be killed at a chosen instant. Not a test: used by the tests that prove resuming. The trap: the group holds driver and worker; killing one alone
 * would be another test.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "vitest";
import { hashFile } from "../../src/storage/content-hash.js";
import { listCheckpoints } from "../../src/training/checkpoint.js";

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

/** Trains a run of `words(runs)` in a fresh folder to its end, and returns its folder. */
export async function wholeRun(words: (runs: string) => readonly string[]): Promise<string> {
  const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
  const result = await trainFully(words(runs));
  expect(result.code, result.stderr).toBe(0);
  return runFolder(runs) ?? "";
}

/** Trains until `isTime` says so and kills the whole group with SIGKILL; undefined: it ended before. */
export async function trainAndKill(words: readonly string[], isTime: () => boolean): Promise<Finished> {
  const { process: child, ended } = startTraining(words);
  const timer = setInterval(() => {
    if (!looked(isTime) || child.pid === undefined) return;
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

/** What is looked at is written meanwhile: what is gone by the time that it is opened wasn't there yet, or is being replaced. */
function looked(isTime: () => boolean): boolean {
  try {
    return isTime();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
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
      if ("refresh/wait_seconds" in record) record["refresh/wait_seconds"] = "some";
      return record;
    });
}

/**
 * Whether a run that is killed now goes on inside a phase and repeats steps there: its newest checkpoint is of this step or a later one, of no phase's end, and lines of later steps follow it.
 *
 * @param ends steps that phases end with
 */
export function goesOnInside(run: string, from: number, ends: readonly number[]): boolean {
  const metrics = path.join(run, "metrics.jsonl");
  const saved = listCheckpoints(path.join(run, "checkpoints")).at(-1)?.step ?? 0;
  if (saved < from || ends.includes(saved) || !existsSync(metrics)) return false;
  const [line = ""] = readFileSync(metrics, "utf8").split("\n").slice(-2);
  return line !== "" && (JSON.parse(line) as { step: number }).step > saved;
}

/** Starts a run of `words(runs)`, kills it when `isTime` says so, up to `kills` times, going on each time, then lets it end. */
export async function killAndResume(
  words: (runs: string) => readonly string[],
  kills: number,
  isTime: (run: string, kill: number) => boolean,
): Promise<{ run: string; killed: number }> {
  const runs = mkdtempSync(path.join(tmpdir(), "tandem-killed-"));
  let killed = 0;
  for (let kill = 0; kill < kills; kill++) {
    const known = runFolder(runs);
    const start = known === undefined ? words(runs) : ["--resume", known, "--quiet"];
    const result = await trainAndKill(start, () => {
      const run = runFolder(runs);
      return run !== undefined && isTime(run, kill);
    });
    if (result.signal === "SIGKILL") killed++;
    else expect(result.code, result.stderr).toBe(0);
  }
  const run = runFolder(runs) ?? "";
  const last = await trainFully(["--resume", run, "--quiet"]);
  expect(last.code, last.stderr).toBe(0);
  return { run, killed };
}

const WEIGHTS = ["retriever/model.safetensors", "generator/model.safetensors", "closed-book/model.safetensors"];

/** The same loss lines to the last digit, no step twice, the same weights byte for byte, the same report. */
export function expectEqualRuns(run: string, whole: string): void {
  const lines = lossLines(run);
  expect(lines).toEqual(lossLines(whole));
  expect(new Set(lines.map(({ step }) => step)).size).toBe(lines.length);
  for (const file of WEIGHTS) expect(hashFile(path.join(run, file)), file).toBe(hashFile(path.join(whole, file)));
  expect(reportWithoutClock(run)).toEqual(reportWithoutClock(whole));
}

/** The same losses at the same steps, but for what the order of a sum decides. */
export function expectLikeLosses(run: string, whole: string): void {
  const [expected, found] = [lossLines(whole), lossLines(run)];
  expect(found.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
  for (const [i, line] of expected.entries()) {
    for (const key of Object.keys(line).filter((name) => name === "loss" || name.startsWith("loss/"))) {
      const value = line[key] as number;
      expect(Math.abs((found[i]![key] as number) - value), `${key} of line ${i}`).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
    }
  }
}

function reportWithoutClock(run: string): unknown {
  const report = JSON.parse(readFileSync(path.join(run, "report.json"), "utf8")) as Record<string, unknown>;
  delete report["seconds"];
  return report;
}
