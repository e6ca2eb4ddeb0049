/**
 * Compiles the folders that worker threads need and runs a script on them in plain Node, so that a test has real threads whether or not
 * `npm run build` has been run, and never a stale build.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface CompiledSources {
  /** Runs the body of a module; its imports start with `./corpus/…`, its last output line is JSON. `flags` go to Node, `before` to the shell that starts it. */
  run: (script: string, how?: { flags?: string[]; before?: string }) => unknown;
  remove: () => void;
}

/** The result lies under build/, so that packages and add-ons are found from there. */
export function compileSources(name: string): CompiledSources {
  const target = path.join(root, "build", `test-${name}-${process.pid}`);
  for (const folder of ["", "storage", "text", "corpus"]) {
    const from = path.join(root, "src", folder);
    const to = path.join(target, folder);
    mkdirSync(to, { recursive: true });
    for (const file of readdirSync(from).filter((entry) => entry.endsWith(".ts") && entry !== "index.ts")) {
      const { outputText } = ts.transpileModule(readFileSync(path.join(from, file), "utf8"), {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
      });
      writeFileSync(path.join(to, file.replace(/\.ts$/, ".js")), outputText);
    }
  }
  const run: CompiledSources["run"] = (script, { flags = [], before = "" } = {}) => {
    const file = path.join(target, "script.js");
    writeFileSync(file, script);
    const { status, stdout, stderr } = spawnSync("bash", ["-c", `${before} exec "$0" "$@"`, process.execPath, ...flags, file], {
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    if (status !== 0) throw new Error(`script failed (${status}): ${stderr}`);
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as unknown;
  };
  return { run, remove: () => rmSync(target, { recursive: true, force: true }) };
}
