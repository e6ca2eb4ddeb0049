/**
 * A machine in a temporary folder for testing the shell scripts: a copy of the scripts, and stand-ins for the programs that install and compile, which
 * write down how they were called. It isn't a container: everything not faked is the real program, so the fakes come first on the PATH.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const repository = path.resolve(import.meta.dirname, "../..");

export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  /** Without empty lines. */
  readonly errors: string[];
}

/** Programs that every fake machine has, as shell scripts; `$calls` is the file of calls, `$repo` the repository. */
const programs: Readonly<Record<string, string>> = {
  id: `echo "\${FAKE_UID:-0}"`,
  ln: `echo "ln $*" >>"$calls"`,
  "apt-get": `echo "apt-get $*" >>"$calls"; [ -z "\${FAKE_OFFLINE:-}" ] || { echo "Temporary failure resolving the mirror"; exit 100; }`,
  npm: `echo "npm $*" >>"$calls"
case "$1" in
  ci) [ -z "\${FAKE_OFFLINE:-}" ] || { echo "npm error code ENOTFOUND"; exit 1; }
      mkdir -p node_modules/node-addon-api; echo '{}' >node_modules/node-addon-api/package.json ;;
  run) [ -z "\${FAKE_TYPE_ERROR:-}" ] || { echo "src/index.ts(1,1): error TS2322"; exit 1; }
      mkdir -p dist/src/cli; touch dist/src/cli/main.js ;;
esac`,
  npx: `echo "npx $*\${TANDEM_QUICKSTART_RUNS:+ of $TANDEM_QUICKSTART_RUNS}" >>"$calls"; mkdir -p build; printf '%s' "\${FAKE_REPORT:-}" >build/test-report.json; exit "\${FAKE_STATUS:-0}"`,
  "g++": `echo "\${FAKE_COMPILER:-g++ 12}"`,
  make: "exit 0",
  "clang-format": "exit 0",
  shellcheck: "exit 0",
  cmake: `echo "cmake $*" >>"$calls"
[ "$1" = --build ] || exit 0
[ -z "\${FAKE_COMPILE_ERROR:-}" ] || { echo "addon.cc:3: error: expected ';'"; exit 1; }
case "$2" in *bridge) touch "$2/tandem.node" ;; *) touch "$2/$(basename "$2").node" ;; esac`,
  // A Python without torch, whose venv module makes an environment around the same fake.
  python3: `echo "python3 $*" >>"$calls"
case "$*" in
  "-c import ensurepip") [ -z "\${FAKE_NO_ENSUREPIP:-}" ] ;;
  "-c import sys"*) exit 0 ;;
  *find_spec*) here=$(cd "$(dirname "$0")/.." && pwd); [ ! -d "$here/torch" ] || echo "$here/torch" ;;
  "-m venv "*) folder="\${!#}"; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
  "-m pip install"*) [ -z "\${FAKE_OFFLINE:-}" ] || { echo "ERROR: Could not find a version (from versions: none)"; exit 1; }
    here=$(cd "$(dirname "$0")/.." && pwd)/torch/share/cmake/Torch; mkdir -p "$here"
    echo 'set(PACKAGE_VERSION "2.13.0")' >"$here/TorchConfigVersion.cmake"
    [ -z "\${FAKE_KILLED:-}" ] || exit 137 ;;
esac`,
  python: "exit 1",
  "nvidia-smi": "exit 9",
};

export class FakeMachine {
  readonly folder = mkdtempSync(path.join(tmpdir(), "tandem-machine-"));
  readonly repo = path.join(this.folder, "tandem");
  private readonly bin = path.join(this.folder, "bin");
  private readonly callsFile = path.join(this.folder, "calls");

  constructor() {
    for (const name of ["scripts", "environment", ".ci"])
      cpSync(path.join(repository, name), path.join(this.repo, name), { recursive: true });
    for (const name of ["package-lock.json", "tsconfig.json", "tsconfig.build.json"])
      cpSync(path.join(repository, name), path.join(this.repo, name));
    for (const name of ["src", "tools", "bench", "native/bridge", "native/faiss", "native/kernels", "native/mmap"]) {
      this.write(`${name}/source.txt`, name);
    }
    this.write("bin/tandem", `console.log(["tandem", ...process.argv.slice(2)].join(" "));\n`);
    mkdirSync(this.bin);
    for (const [name, body] of Object.entries(programs)) this.program(name, body);
  }

  /** Puts a program on the PATH, in front of the real one. */
  program(name: string, body: string): void {
    const file = path.join(this.bin, name);
    writeFileSync(file, `#!/bin/bash\ncalls='${this.callsFile}'; repo='${this.repo}'\n${body}\n`);
    chmodSync(file, 0o755);
  }

  write(file: string, text: string): void {
    mkdirSync(path.dirname(path.join(this.repo, file)), { recursive: true });
    writeFileSync(path.join(this.repo, file), text);
  }

  has(file: string): boolean {
    return existsSync(path.join(this.repo, file));
  }

  /** A folder with libtorch's layout. */
  libtorch(version: string): string {
    const folder = path.join(this.folder, `libtorch-${version}`);
    mkdirSync(path.join(folder, "share/cmake/Torch"), { recursive: true });
    writeFileSync(path.join(folder, "share/cmake/Torch/TorchConfigVersion.cmake"), `set(PACKAGE_VERSION "${version}")\n`);
    return folder;
  }

  /** A prefix with libfaiss's layout. */
  libfaiss(version: string): string {
    const folder = path.join(this.folder, `libfaiss-${version}`);
    mkdirSync(path.join(folder, "include/faiss"), { recursive: true });
    mkdirSync(path.join(folder, "lib"));
    const [major, minor, patch] = version.split(".");
    const header = `#define FAISS_VERSION_MAJOR ${major}\n#define FAISS_VERSION_MINOR ${minor}\n#define FAISS_VERSION_PATCH ${patch}\n`;
    writeFileSync(path.join(folder, "include/faiss/Index.h"), header);
    writeFileSync(path.join(folder, "lib/libfaiss.so"), "");
    return folder;
  }

  /** Runs a script of the repository; variables of this process that steer set-up don't reach it. */
  run(script: string, arguments_: readonly string[] = [], env: Record<string, string> = {}, cwd = this.repo): Outcome {
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(SLURM_|LIBTORCH|FAISS_ROOT|CONDA_PREFIX|TANDEM_|CXX$|NODE_INCLUDE_DIR)/.test(name),
      ),
    );
    const file = path.isAbsolute(script) ? script : path.join(this.repo, script);
    const { status, stdout, stderr } = spawnSync("/bin/bash", [file, ...arguments_], {
      cwd,
      encoding: "utf8",
      env: { ...clean, PATH: `${this.bin}:/usr/bin:/bin`, FAISS_ROOT: "none", ...env },
    });
    return { status, out: stdout, errors: stderr.split("\n").filter((line) => line.trim() !== "") };
  }

  /** The calls since the last time, those of `name` only. */
  calls(name = ""): string[] {
    const all = existsSync(this.callsFile) ? readFileSync(this.callsFile, "utf8").split("\n") : [];
    return all.filter((line) => line !== "" && line.startsWith(name));
  }

  forgetCalls(): void {
    rmSync(this.callsFile, { force: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
