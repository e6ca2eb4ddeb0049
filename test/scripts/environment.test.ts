/**
 * Proves that the conda file, the Dockerfile and the Apptainer definition are well formed, name packages and files that exist, call set-up instead of repeating it, and agree in their versions with package.json,
 * the Python requirements and the scripts. No image is built and no conda environment is solved here: that takes programs and networks that a test machine lacks.
 * Alone: npx vitest run test/scripts/environment.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { type Copy, DockerfileParser } from "dockerfile-ast";
import { validate } from "dockerfile-utils";
import { describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { repository, trackedFiles } from "../docs/tracked-files.js";

const read = (file: string): string => readFileSync(path.join(repository, file), "utf8");
const manifest = JSON.parse(read("package.json")) as { engines: { node: string }; bin: Record<string, string> };

/** `torch==2.13.0` → "2.13.0". */
function required(name: string): string {
  return new RegExp(`^${name}==([0-9.]+)$`, "m").exec(read("environment/requirements.txt"))?.[1] ?? "";
}

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number)) as [number[], number[]];
  const at = Array.from({ length: Math.max(left.length, right.length) }, (_, i) => (left[i] ?? 0) - (right[i] ?? 0));
  return at.find((difference) => difference !== 0) ?? 0;
}

/** Whether a version lies in a range such as `>=2.11,<2.14`. */
function admits(range: string, version: string): boolean {
  return range.split(",").every((part) => {
    const [, sign, bound] = /^(>=|<)([0-9.]+)$/.exec(part) ?? [];
    if (sign === undefined || bound === undefined) throw new Error(`'${part}' is no bound that this test knows`);
    return sign === "<" ? compare(version, bound) < 0 : compare(version, bound) >= 0;
  });
}

describe("environment/conda.yaml", () => {
  const document = parseDocument(read("environment/conda.yaml"), { strict: true, uniqueKeys: true });
  const environment = document.toJS() as { name: string; channels: string[]; dependencies: string[] };
  const ranges = new Map(
    environment.dependencies.map((entry) => [/^[a-z0-9_-]+/.exec(entry)?.[0] ?? "", entry.replace(/^[a-z0-9_-]+/, "")]),
  );

  it("is YAML with the keys of a conda environment, and one line for each package", () => {
    expect([document.errors, document.warnings]).toEqual([[], []]);
    expect(Object.keys(environment)).toEqual(["name", "channels", "dependencies"]);
    expect(environment.name).toBe("tandem");
    // Anaconda's own channel has a licence of its own: nothing may come from it unasked.
    expect(environment.channels).toEqual(["conda-forge", "nodefaults"]);
    for (const entry of environment.dependencies) expect(entry).toMatch(/^[a-z0-9_-]+((>=|<)[0-9.]+(,(>=|<)[0-9.]+)*)?$/);
    expect(ranges.size).toBe(environment.dependencies.length);
  });

  it("names packages whose feedstocks were looked up", () => {
    const known = read("test/fixtures/conda-forge-packages.txt")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    const names = known.map((line) => line.split(" ")[0]);
    expect([...ranges.keys()].filter((name) => !names.includes(name))).toEqual([]);
    for (const line of known) expect(line).toMatch(/^[a-z0-9_-]+ conda-forge\/[a-z0-9_-]+-feedstock$/);
  });

  it("has what set-up looks for: each probe of apt.txt that a build needs", () => {
    const giver: Record<string, string> = {
      "command:g++": "gxx",
      "command:make": "make",
      "command:cmake": "cmake",
      "header:node_api.h": "nodejs",
      "command:python3": "python",
    };
    const probes = read("environment/apt.txt").matchAll(/^(?:build|python) +\S+ +(\S+)/gm);
    expect([...probes].map(([, probe]) => giver[probe ?? ""]).filter((name) => name === undefined || !ranges.has(name))).toEqual([]);
  });

  it("takes the Node of package.json's engines", () => {
    const least = /^>=([0-9.]+)$/.exec(manifest.engines.node)?.[1] ?? "";
    expect(ranges.get("nodejs")?.split(",")[0]).toBe(`>=${least}`);
    expect(admits(ranges.get("nodejs") ?? "", "21.0")).toBe(false);
  });

  it("takes the PyTorch that find-libtorch.sh takes, and that of requirements.txt is among it", () => {
    const script = read("scripts/find-libtorch.sh");
    const [oldest, newest] = ["oldest", "newest"].map((name) => new RegExp(`^${name}=([0-9.]+)$`, "m").exec(script)?.[1] ?? "");
    const after = (newest ?? "").replace(/\d+$/, (minor) => String(Number(minor) + 1));
    expect(ranges.get("pytorch")).toBe(`>=${oldest},<${after}`);
    expect(admits(ranges.get("pytorch") ?? "", required("torch"))).toBe(true);
  });

  it("takes the numpy of requirements.txt, and the Python and CMake that the scripts ask for", () => {
    expect(admits(ranges.get("numpy") ?? "", required("numpy"))).toBe(true);
    const python = /sys\.version_info < \((\d+), (\d+)\)/.exec(read("scripts/make-venv.sh"));
    expect(ranges.get("python")).toBe(`>=${python?.[1]}.${python?.[2]}`);
    const cmake = /cmake_minimum_required\(VERSION ([0-9.]+)\)/.exec(read("native/bridge/CMakeLists.txt"))?.[1];
    expect(ranges.get("cmake")).toBe(`>=${cmake}`);
  });

  it("is what the scripts and the README send a reader to", () => {
    for (const file of ["scripts/debian-packages.sh", "README.md"])
      expect(read(file)).toContain("conda env create -f environment/conda.yaml");
  });
});

/** Sections of an Apptainer definition by name, and the header's keys. Its grammar: `Key: value` lines, then `%section` lines that each open one. */
function definition(text: string): { header: Map<string, string>; sections: Map<string, string[]> } {
  const header = new Map<string, string>();
  const sections = new Map<string, string[]>();
  let open: string[] | undefined;
  for (const line of text.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("#"))) {
    if (line.startsWith("%")) {
      const name = line.slice(1).trim();
      if (sections.has(name)) throw new Error(`two sections ${name}`);
      sections.set(name, (open = []));
    } else if (open !== undefined) open.push(line.trim());
    else {
      const [, key, value] = /^([A-Za-z]+): (\S+)$/.exec(line) ?? [];
      if (key === undefined || value === undefined) throw new Error(`no header: ${line}`);
      header.set(key, value);
    }
  }
  return { header, sections };
}

describe("the images", () => {
  const dockerfile = read("environment/Dockerfile");
  const parsed = DockerfileParser.parse(dockerfile);
  const instructions = parsed.getInstructions();
  const of = (keyword: string): string[] =>
    instructions.filter((entry) => entry.getKeyword() === keyword).map((entry) => entry.getArgumentsContent() ?? "");
  const copies = parsed.getCOPYs().map((copy: Copy) => copy.getArguments().map((word) => word.getValue()));
  const copied = copies.flatMap((words) => words.slice(0, -1));
  const { header, sections } = definition(read("environment/tandem.def"));
  const files = (sections.get("files") ?? []).map((line) => line.split(/\s+/));

  it("are well formed", () => {
    expect(validate(dockerfile).map(({ message }) => message)).toEqual([]);
    expect([...header.keys()]).toEqual(["Bootstrap", "From"]);
    const known = ["arguments", "files", "post", "environment", "test", "runscript", "labels", "help", "setup", "startscript", "pre"];
    expect([...sections.keys()].filter((name) => !known.includes(name))).toEqual([]);
    for (const name of ["files", "post", "test", "runscript", "help"]) expect(sections.get(name)?.length, name).toBeGreaterThan(0);
  });

  it("start from one image, whose tag is exact and whose Node package.json takes", () => {
    expect(of("FROM")).toEqual([header.get("From")]);
    expect(header.get("Bootstrap")).toBe("docker");
    const [, node = "", rest] = /^node:(\d+\.\d+\.\d+)-(\S+)$/.exec(of("FROM")[0] ?? "") ?? [];
    expect(admits(manifest.engines.node, node)).toBe(true);
    expect(node.split(".")[0]).toBe("20");
    // set-up installs what is missing with apt-get.
    expect(rest).toBe("bookworm-slim");
  });

  it("copy the same, to one folder: what exists, is tracked, and is all that building and running read", () => {
    const tracked = trackedFiles();
    for (const source of copied) {
      expect(existsSync(path.join(repository, source)), source).toBe(true);
      expect(
        tracked.some((file) => file === source || file.startsWith(`${source}/`)),
        source,
      ).toBe(true);
    }
    // COPY of a folder copies what is in it, so its target must name it.
    for (const [source = "", target] of copies.filter((words) => words.length === 2)) {
      expect(statSync(path.join(repository, source)).isDirectory()).toBe(true);
      expect(target).toBe(`./${source}`);
    }
    expect(files.map(([source]) => source)).toEqual(copied);
    for (const [source, target] of files) expect(target).toBe(`/opt/tandem/${source}`);
    expect(of("WORKDIR")[0]).toBe("/opt/tandem");
    const build = JSON.parse(read("tsconfig.build.json")) as { include: string[] };
    const needed = [
      "package.json",
      "package-lock.json",
      "tsconfig.json",
      "tsconfig.build.json",
      "conf",
      "data",
      "native",
      "scripts",
      "environment",
    ];
    const bin = Object.values(manifest.bin).map((file) => file.split("/")[0] ?? "");
    expect([...needed, ...build.include, ...bin].filter((name) => !copied.includes(name))).toEqual([]);
  });

  it("leave the work to set-up, tell it which PyTorch, and start the command", () => {
    const steps = [...of("RUN"), ...(sections.get("post") ?? [])];
    expect(steps.filter((step) => step.includes("bash scripts/setup.sh"))).toHaveLength(2);
    expect(
      steps.filter((step) => /(^|&&|;|\|)\s*(\S+=\S+ )*(apt-get|apt|npm|npx|pip|pip3|python3|cmake|tsc|curl|wget|conda)\s/.test(step)),
    ).toEqual([]);
    expect([of("ARG")[0], sections.get("arguments")?.[0]]).toEqual(["TANDEM_TORCH=cpu", "TANDEM_TORCH=cpu"]);
    expect(of("RUN")[0]).toContain('TANDEM_TORCH="$TANDEM_TORCH"');
    expect(sections.get("post")?.join("\n")).toContain('TANDEM_TORCH="{{ TANDEM_TORCH }}"');
    expect(of("ENTRYPOINT")).toEqual(['["tandem"]']);
    expect(sections.get("runscript")).toEqual(['exec tandem "$@"']);
    // The folder of the program isn't the folder of the runs, and nobody needs to be root in it.
    expect(of("WORKDIR").at(-1)).not.toBe("/opt/tandem");
    expect(of("USER").at(-1)).toMatch(/^[1-9]\d*:[1-9]\d*$/);
  });

  it("name scripts that exist, and steps that the shell takes", () => {
    const steps = [...of("RUN"), (sections.get("post") ?? []).join("\n"), (sections.get("test") ?? []).join("\n")];
    const named = steps.flatMap((step) => [...step.matchAll(/\bscripts\/[a-z-]+\.sh/g)].map(([script]) => script));
    expect(named.length).toBeGreaterThan(1);
    for (const script of named) expect(existsSync(path.join(repository, script)), script).toBe(true);
    for (const step of steps) {
      const { status, stderr } = spawnSync("sh", ["-n"], { input: step, encoding: "utf8" });
      expect([status, stderr], step).toEqual([0, ""]);
    }
  });
});

describe("the shell scripts", () => {
  const scripts = trackedFiles().filter((file) => file.endsWith(".sh") || file === ".ci/run");

  it.each(scripts)("%s parses", (script) => {
    const { status, stderr } = spawnSync("bash", ["-n", path.join(repository, script)], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
  });

  it("pass shellcheck", () => {
    const { status, stdout, error } = spawnSync("shellcheck", ["-x", ...scripts], { cwd: repository, encoding: "utf8" });
    expect(error, "shellcheck is one of environment/apt.txt's packages for tests").toBeUndefined();
    expect([status, stdout]).toEqual([0, ""]);
  });
});
