/**
 * Proves that set-up does every stage once, recognises finished work, and fails in one line where root, a package or the network is missing.
 * Nothing is really installed: the installing programs are stand-ins. Alone: npx vitest run test/scripts/setup.test.ts
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeMachine } from "./fake-machine.js";

let machine: FakeMachine;
beforeEach(() => {
  machine = new FakeMachine();
});
afterEach(() => machine.remove());

describe("setup.sh", () => {
  it("makes everything on a machine that has nothing, saying at each stage how long it takes", () => {
    const { status, out, errors } = machine.run("scripts/setup.sh");
    expect(errors).toEqual([]);
    expect(status).toBe(0);
    for (const stage of [
      "Python packages into .venv",
      "npm packages",
      "compiling TypeScript",
      "compiling the add-on mmap",
      "compiling the add-on bridge",
    ]) {
      expect(out).toMatch(new RegExp(`==> ${stage} \\(usually [^)]+\\)`));
    }
    for (const made of ["dist/src/cli/main.js", "build/bridge/tandem.node", "build/mmap/mmap.node", ".venv/bin/python"])
      expect(machine.has(made)).toBe(true);
    expect(machine.calls("npm ci")).toEqual(["npm ci --include=dev --no-audit --no-fund"]);
    expect(machine.calls("ln")).toEqual([`ln -sfn ${machine.repo}/bin/tandem /usr/local/bin/tandem`]);
  });

  it("says whose the command on the PATH was, when it was another checkout's", () => {
    const linked = (to: string): string => {
      machine.program("readlink", `[ "$1" = /usr/local/bin/tandem ] || exec /usr/bin/readlink "$@"; ${to}`);
      const { status, out } = machine.run("scripts/setup.sh");
      expect(status).toBe(0);
      expect(machine.calls("ln").at(-1)).toBe(`ln -sfn ${machine.repo}/bin/tandem /usr/local/bin/tandem`);
      return out;
    };
    expect(linked("echo /opt/other/bin/tandem")).toContain(`    it was /opt/other/bin/tandem, now ${machine.repo}/bin/tandem\n`);
    expect(linked(`echo "$repo/bin/tandem"`)).not.toContain("it was");
    expect(linked("exit 1")).not.toContain("it was");
  });

  it("does nothing the second time", () => {
    machine.run("scripts/setup.sh");
    machine.forgetCalls();
    const { status, out } = machine.run("scripts/setup.sh");
    expect(status).toBe(0);
    expect(out).not.toContain("(usually");
    for (const name of ["npm", "cmake", "apt-get", "python3 -m"]) expect(machine.calls(name)).toEqual([]);
  });

  it.each([
    ["package-lock.json", "npm ci", "npm packages"],
    ["src/source.txt", "npm run", "compiling TypeScript"],
    ["native/kernels/source.txt", "cmake --build build/bridge", "compiling the add-on bridge"],
    ["native/mmap/source.txt", "cmake --build build/mmap", "compiling the add-on mmap"],
    ["environment/requirements.txt", "python3 -m pip install", "Python packages into .venv"],
  ])("repeats only what a change of %s touches", (file, call, stage) => {
    machine.run("scripts/setup.sh");
    machine.forgetCalls();
    machine.write(file, "changed");
    const { status, out } = machine.run("scripts/setup.sh");
    expect(status).toBe(0);
    expect(out).toContain(stage);
    expect(machine.calls(call).length).toBe(1);
    if (file === "native/mmap/source.txt") expect(machine.calls("cmake --build build/bridge")).toEqual([]);
  });

  it("takes PyTorch's CPU index without an NVIDIA card, and not with one", () => {
    machine.run("scripts/setup.sh", [], { TANDEM_TORCH: "cpu" });
    expect(machine.calls("python3 -m pip install")[0]).toContain("--extra-index-url");
    const other = new FakeMachine();
    other.program("nvidia-smi", "exit 0");
    other.run("scripts/setup.sh");
    expect(other.calls("python3 -m pip install")[0]).not.toContain("--extra-index-url");
    other.remove();
  });

  it("refuses a TANDEM_TORCH that is neither cpu nor cuda", () => {
    const { status, errors } = machine.run("scripts/setup.sh", [], { TANDEM_TORCH: "gpu" });
    expect(status).not.toBe(0);
    expect(errors).toEqual(["tandem: TANDEM_TORCH=gpu: expected cpu or cuda"]);
  });

  it("installs no PyTorch where LIBTORCH names one", () => {
    const { status, out } = machine.run("scripts/setup.sh", [], { LIBTORCH: machine.libtorch("2.12.1") });
    expect(status).toBe(0);
    expect(out).toMatch(/libtorch 2\.12\.1 of .*, from LIBTORCH/);
    expect(machine.has(".venv")).toBe(false);
  });

  it("finishes an installation of PyTorch that was killed", () => {
    expect(machine.run("scripts/setup.sh", [], { FAKE_KILLED: "1" }).status).toBe(1);
    machine.forgetCalls();
    expect(machine.run("scripts/setup.sh").status).toBe(0);
    expect(machine.calls("python3 -m pip install").length).toBe(1);
  });

  it("makes the environment with another pip where Python lacks ensurepip and there is no root", () => {
    const { status } = machine.run("scripts/setup.sh", [], { FAKE_NO_ENSUREPIP: "1", FAKE_UID: "1000" });
    expect(status).toBe(0);
    expect(machine.calls("python3 -m venv --without-pip .venv").length).toBe(1);
    expect(machine.calls("python3 -m pip --python .venv/bin/python install pip").length).toBe(1);
    expect(machine.calls("apt-get")).toEqual([]);
  });

  it("installs Debian's package where Python lacks ensurepip and there is root", () => {
    machine.run("scripts/setup.sh", [], { FAKE_NO_ENSUREPIP: "1" });
    expect(machine.calls("apt-get install")).toEqual(["apt-get install -y -qq --no-install-recommends python3-venv"]);
  });

  it("names the missing packages and the other ways without root, and installs nothing", () => {
    machine.write("environment/apt.txt", "build some-package command:not-on-this-machine for a test\n");
    const { status, errors } = machine.run("scripts/setup.sh", [], { FAKE_UID: "1000" });
    expect(status).toBe(1);
    expect(errors[0]).toBe("tandem: missing: some-package");
    for (const way of ["apt-get install", "conda", "LIBTORCH", "FAISS"]) expect(errors.join("\n")).toContain(way);
    expect(machine.calls()).toEqual([]);
  });

  it("says how to reach the command where it may not put a link", () => {
    const { out } = machine.run("scripts/setup.sh", [], { FAKE_UID: "1000" });
    expect(out).toContain(`export PATH="${machine.repo}/bin:$PATH"`);
    expect(machine.calls("ln")).toEqual([]);
  });

  it.each([
    ["the Python package index", {}],
    ["the npm registry", { LIBTORCH: "yes" }],
  ])("tells in one line that %s can't be reached", (source, env: { LIBTORCH?: string }) => {
    const torch = env.LIBTORCH === undefined ? {} : { LIBTORCH: machine.libtorch("2.13.0") };
    const { status, errors } = machine.run("scripts/setup.sh", [], { FAKE_OFFLINE: "1", ...torch });
    expect(status).toBe(1);
    expect(errors.length).toBe(1);
    expect(errors[0]).toMatch(new RegExp(`^tandem: ${source} can't be reached`));
  });

  it("tells in one line that the package mirror can't be reached", () => {
    machine.write("environment/apt.txt", "build some-package command:not-on-this-machine for a test\n");
    const { status, errors } = machine.run("scripts/setup.sh", [], { FAKE_OFFLINE: "1" });
    expect(status).toBe(1);
    expect(errors).toEqual([expect.stringMatching(/^tandem: Debian's package mirror can't be reached/)]);
  });

  it("refuses an old Node", () => {
    machine.program("node", `[ "$1" = --version ] && echo v18.20.0; exit 1`);
    const { status, errors } = machine.run("scripts/setup.sh");
    expect(status).toBe(1);
    expect(errors).toEqual(["tandem: node v18.20.0 is too old; expected 20.19 or later"]);
  });

  it("shows the compiler's words when the sources don't compile, and compiles again next time", () => {
    const torch = { LIBTORCH: machine.libtorch("2.13.0") };
    const broken = machine.run("scripts/setup.sh", [], { FAKE_COMPILE_ERROR: "1", ...torch });
    expect(broken.status).toBe(1);
    expect(broken.errors.join("\n")).toContain("expected ';'");
    expect(machine.run("scripts/setup.sh", [], torch).status).toBe(0);
    expect(machine.has("build/mmap/mmap.node")).toBe(true);
  });

  it("says that TypeScript didn't compile", () => {
    const { status, errors } = machine.run("scripts/setup.sh", [], { FAKE_TYPE_ERROR: "1", LIBTORCH: machine.libtorch("2.13.0") });
    expect(status).toBe(1);
    expect(errors.join("\n")).toContain("error TS2322");
    expect(machine.has("dist/.stamp")).toBe(false);
  });
});

describe("find-libtorch.sh", () => {
  it.each(["2.11.0", "2.12.1", "2.13.0"])("takes version %s", (version) => {
    const folder = machine.libtorch(version);
    const { status, out } = machine.run("scripts/find-libtorch.sh", [], { LIBTORCH: folder });
    expect(status).toBe(0);
    expect(out).toBe(`${folder}\t${version}\tLIBTORCH\n`);
  });

  it.each(["2.10.0", "2.14.0", "1.13.0", "3.0.0"])("refuses version %s in LIBTORCH with one line", (version) => {
    const { status, errors } = machine.run("scripts/find-libtorch.sh", [], { LIBTORCH: machine.libtorch(version) });
    expect(status).toBe(2);
    expect(errors).toEqual([expect.stringContaining(`is version ${version}; expected 2.11 to 2.13`)]);
  });

  it("refuses a LIBTORCH that is no libtorch, instead of taking another", () => {
    const { status, errors } = machine.run("scripts/find-libtorch.sh", [], { LIBTORCH: machine.repo });
    expect(status).toBe(2);
    expect(errors.length).toBe(1);
    expect(machine.run("scripts/setup.sh", [], { LIBTORCH: machine.repo }).status).toBe(1);
    expect(machine.has(".venv")).toBe(false);
  });

  it("passes over a torch of the active Python that is too old, and says so", () => {
    machine.program("python3", `case "$*" in *find_spec*) echo '${machine.libtorch("2.5.1")}' ;; esac`);
    const { status, errors } = machine.run("scripts/find-libtorch.sh");
    expect(status).toBe(1);
    expect(errors).toEqual([expect.stringContaining("PyTorch 2.5.1, which is outside 2.11 to 2.13")]);
  });

  it("takes the torch of the active Python before the repository's own", () => {
    machine.run("scripts/setup.sh");
    const folder = machine.libtorch("2.11.0");
    machine.program("python3", `case "$*" in *find_spec*) echo '${folder}' ;; esac`);
    expect(machine.run("scripts/find-libtorch.sh").out).toContain(`${folder}\t2.11.0\t`);
  });
});

describe("build-native.sh", () => {
  it("compiles again, from an empty folder, for another libtorch", () => {
    machine.run("scripts/setup.sh", [], { LIBTORCH: machine.libtorch("2.12.0") });
    machine.write("build/bridge/left-over", "");
    machine.forgetCalls();
    expect(machine.run("scripts/build-native.sh", [], { LIBTORCH: machine.libtorch("2.13.0") }).status).toBe(0);
    expect(machine.calls("cmake --build").length).toBe(1);
    expect(machine.has("build/bridge/left-over")).toBe(false);
  });

  it("compiles again with another compiler", () => {
    const torch = { LIBTORCH: machine.libtorch("2.13.0") };
    machine.run("scripts/setup.sh", [], torch);
    machine.forgetCalls();
    machine.run("scripts/build-native.sh", ["mmap"], { FAKE_COMPILER: "g++ 13", ...torch });
    expect(machine.calls("cmake --build")).toEqual([expect.stringContaining("build/mmap")]);
  });

  it("refuses an add-on that isn't there", () => {
    machine.run("scripts/setup.sh", [], { LIBTORCH: machine.libtorch("2.13.0") });
    const { status, errors } = machine.run("scripts/build-native.sh", ["brigde"]);
    expect(status).toBe(2);
    expect(errors).toEqual(["tandem: build-native.sh: 'brigde' is no add-on; expected bridge, faiss or mmap"]);
  });

  it("compiles FAISS's add-on where there is a libfaiss, and says what is missing where there is none", () => {
    const torch = { LIBTORCH: machine.libtorch("2.13.0") };
    const without = machine.run("scripts/setup.sh", [], torch);
    expect(without.status).toBe(0);
    expect(without.out).toContain("no libfaiss with headers: search is exact; everything else works");
    for (const way of ["libfaiss-dev", "conda install", "FAISS_ROOT"]) expect(without.out).toContain(way);
    expect(machine.has("build/faiss")).toBe(false);
    const prefix = machine.libfaiss("1.9.0");
    const { status, out } = machine.run("scripts/setup.sh", [], { ...torch, FAISS_ROOT: prefix });
    expect(status).toBe(0);
    expect(out).toContain("==> compiling the add-on faiss (usually");
    expect(machine.calls("cmake -S native/faiss")).toEqual([
      expect.stringContaining(`-DFAISS_INCLUDE_DIR=${prefix}/include -DFAISS_LIBRARY=${prefix}/lib/libfaiss.so`),
    ]);
    expect(machine.has("build/faiss/faiss.node")).toBe(true);
  });

  it("finds conda's libfaiss, and refuses a FAISS_ROOT without one instead of taking another", () => {
    const prefix = machine.libfaiss("1.9.0");
    const found = machine.run("scripts/find-faiss.sh", [], { FAISS_ROOT: "", CONDA_PREFIX: prefix });
    expect(found.out).toBe(`${prefix}/include\t${prefix}/lib/libfaiss.so\t1.9.0\n`);
    const { status, errors } = machine.run("scripts/find-faiss.sh", [], { FAISS_ROOT: machine.repo, CONDA_PREFIX: prefix });
    expect(status).toBe(2);
    expect(errors).toEqual([expect.stringContaining("holds no include/faiss/Index.h with lib/libfaiss")]);
    expect(machine.run("scripts/build-native.sh", ["faiss"], { FAISS_ROOT: machine.repo }).status).toBe(1);
  });

  it("fails when FAISS's add-on is asked for by name and there is no libfaiss", () => {
    machine.run("scripts/setup.sh", [], { LIBTORCH: machine.libtorch("2.13.0") });
    const { status, errors } = machine.run("scripts/build-native.sh", ["faiss"]);
    expect(status).toBe(1);
    expect(errors[0]).toBe("tandem: libfaiss with its headers was not found");
  });
});
