/** `tandem train` as users run it, over sources compiled for the test and the native add-ons as they are built. Not a test: used by those that need the whole process. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll } from "vitest";
import { compileCommand } from "../cli/compiled-command.js";
import { ROOT, type Finished } from "./killed-run.js";

export interface CompiledTraining {
  /** A fresh folder for runs. */
  runs: () => string;
  /** The folder that stands for the repository. */
  root: string;
  /** The command. */
  tandem: string;
  start: (words: readonly string[]) => { process: ChildProcess; ended: Promise<Finished> };
}

/** Compiles once for a test file; everything is removed when its tests are done. */
export function compiledTraining(name: string): CompiledTraining {
  const command = compileCommand(name);
  symlinkSync(path.join(ROOT, "build"), path.join(command.root, "build"));
  const folders: string[] = [];
  afterAll(() => {
    command.remove();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  return {
    root: command.root,
    tandem: command.tandem,
    runs: () => {
      const folder = mkdtempSync(path.join(tmpdir(), "tandem-runs-"));
      folders.push(folder);
      return folder;
    },
    start: (words) => {
      const child = spawn(command.tandem, ["train", ...words], { cwd: command.root, stdio: ["ignore", "ignore", "pipe"] });
      let stderr = "";
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      const ended = new Promise<Finished>((resolve) => child.once("close", (code, signal) => resolve({ code, signal, stderr })));
      return { process: child, ended };
    },
  };
}

/** The process that computes: the child of the driver that runs worker.js. */
export function workerOf(driver: ChildProcess): number | undefined {
  try {
    const children = readFileSync(`/proc/${driver.pid}/task/${driver.pid}/children`, "utf8").trim().split(/\s+/).map(Number);
    return children.find((pid) => pid > 0 && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("worker.js"));
  } catch {
    return undefined;
  }
}

/** Worker processes of a run, by rank. */
export function workersOf(run: string): number[] {
  return spawnSync("pgrep", ["-af", "job/worker\\."], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line.includes(run))
    .map((line) => ({ pid: Number(line.split(" ")[0]), rank: Number(/"rank":(\d+)/.exec(line)?.[1]) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ pid }) => pid);
}
