/** A program of the engine's in a process of its own, with the collector at hand: for what can only be seen from outside, or with `gc()`. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const ROOT = path.join(import.meta.dirname, "../..");

export interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

/** Runs `program`, an ES module in which `engine("scope")` imports src/engine/scope.ts, under `--expose-gc`. */
export function runWithCollector(program: string, environment: Readonly<Record<string, string>> = {}): Ended {
  const folder = mkdtempSync(path.join(tmpdir(), "tandem-child-"));
  const file = path.join(folder, "child.mts");
  writeFileSync(file, `const engine = (name) => import(${JSON.stringify(ROOT)} + "/src/engine/" + name + ".ts");\n${program}`);
  try {
    const child = spawnSync(process.execPath, ["--expose-gc", "--import", "tsx", file], {
      cwd: ROOT,
      encoding: "utf8",
      timeout: 60_000,
      env: { ...process.env, ...environment },
    });
    return { status: child.status, out: child.stdout.trim(), error: child.stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
