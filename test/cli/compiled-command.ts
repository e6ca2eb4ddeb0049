/**
 * The command as users run it: the sources compiled into a folder of their own below build/, with the real launcher, so that a test never runs a
 * stale build. Types aren't checked here; that is `npm run typecheck`.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

const repository = path.resolve(import.meta.dirname, "../..");

interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
  readonly seconds: number;
}

export interface CompiledCommand {
  /** The folder that stands for the repository. */
  readonly root: string;
  readonly tandem: string;
  /** Runs `tandem` with these words. */
  run(words: readonly string[], options?: { cwd?: string; env?: Record<string, string>; command?: string }): Outcome;
  /** Runs a line of shell in which `tandem` is the command. */
  shell(line: string): Outcome;
  remove(): void;
}

/** Compiles all of src/. Takes a second or two. */
export function compileCommand(name: string): CompiledCommand {
  const root = path.join(repository, "build", `test-${name}-${process.pid}`);
  compileFolder(path.join(repository, "src"), path.join(root, "dist/src"));
  mkdirSync(path.join(root, "bin"));
  cpSync(path.join(repository, "bin/tandem"), path.join(root, "bin/tandem"));
  cpSync(path.join(repository, "package.json"), path.join(root, "package.json"));
  for (const folder of ["conf", "data"]) symlinkSync(path.join(repository, folder), path.join(root, folder));
  const tandem = path.join(root, "bin/tandem");
  const spawn = (command: string, words: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}): Outcome => {
    const began = performance.now();
    const env = { ...process.env, NODE_OPTIONS: "", ...options.env };
    const { status, stdout, stderr } = spawnSync(command, words, { encoding: "utf8", cwd: options.cwd ?? root, env });
    return { status, out: stdout, error: stderr, seconds: (performance.now() - began) / 1000 };
  };
  return {
    root,
    tandem,
    run: (words, options = {}) => spawn(options.command ?? tandem, words, options),
    shell: (line) => spawn("bash", ["-o", "pipefail", "-c", line], { env: { PATH: `${path.dirname(tandem)}:${process.env.PATH ?? ""}` } }),
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function compileFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    if (entry.isDirectory()) compileFolder(source, path.join(to, entry.name));
    else if (entry.name.endsWith(".ts")) {
      const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
      const { outputText } = ts.transpileModule(readFileSync(source, "utf8"), { compilerOptions });
      writeFileSync(path.join(to, entry.name.replace(/\.ts$/, ".js")), outputText);
    }
  }
}
