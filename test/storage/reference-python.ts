/**
 * Runs Python with the reference libraries: `TANDEM_REFERENCE_PYTHON`, else `.venv-reference/bin/python` at the root. Where it or a module
 * is missing, `missingPython` says so, and tests that need it are skipped with that reason in their title.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";

const python = process.env["TANDEM_REFERENCE_PYTHON"] ?? resolve(import.meta.dirname, "../../.venv-reference/bin/python");

/** Why the reference can't be asked, or undefined when it can. */
export function missingPython(...modules: string[]): string | undefined {
  if (!existsSync(python)) return "no reference Python; run bash scripts/test.sh";
  const find = "import sys, importlib.util as u; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])";
  const result = spawnSync(python, ["-c", find, ...modules], { encoding: "utf8" });
  if (result.status !== 0) return "the reference Python does not start";
  const missing = result.stdout.trim();
  return missing === "" ? undefined : `the reference Python has no ${missing}`;
}

/** Standard output of a script; fails with its error output. */
export function runPython(code: string, ...words: string[]): string {
  const result = spawnSync(python, ["-c", code, ...words], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.status !== 0) throw new Error(`Python failed:\n${result.stderr}`);
  return result.stdout;
}

/** Where that Python and the commands beside it are: for a PATH in which `python3` is the reference. */
export const pythonFolder = dirname(python);

/** As {@link runPython}, while this process goes on: for scripts that ask a server of the test's. */
export async function runPythonBeside(
  code: string,
  { words = [], env = process.env }: { readonly words?: readonly string[]; readonly env?: NodeJS.ProcessEnv },
): Promise<string> {
  const child = spawn(python, ["-c", code, ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
  let [out, error] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (error += chunk.toString()));
  const status = await new Promise<number | null>((resolved) => child.once("close", resolved));
  if (status !== 0) throw new Error(`Python failed:\n${error}`);
  return out;
}
