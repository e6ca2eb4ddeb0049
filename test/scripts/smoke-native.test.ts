/**
 * Proves that the bridge's smoke test passes on the processor with the scripts, sources and Node that it carries along (the add-on is the one that stands in build/: compiling it once more from the carried sources is left to the machine itself), that it can fail (numbers that differ, a golden file that is another), that a check that can't run is said
 * to be skipped, and that what is missing is told in one line. Graphics cards are not tested here: a machine with one runs the script itself. Alone: npx vitest run test/scripts/smoke-native.test.ts
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../docs/tracked-files.js";

const temporary = mkdtempSync(path.join(tmpdir(), "tandem-smoke-"));
const carried = path.join(temporary, "carried");
const build = process.env["TANDEM_NATIVE"] ?? path.join(repository, "build");
const CHECKS = ["operator", "autograd", "dropout", "adamw", "autocast", "typed error", "gpt2 golden", "collectives"];

interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly errors: string[];
}

function run(arguments_: readonly string[], env: Record<string, string> = {}, folder = carried, cwd = temporary): Outcome {
  const { status, stdout, stderr } = spawnSync("/bin/bash", [path.join(folder, "scripts/smoke-native.sh"), ...arguments_], {
    cwd,
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin", OMP_NUM_THREADS: "1", ...env },
  });
  return { status, out: stdout, errors: stderr.split("\n").filter((line) => line.trim() !== "") };
}

/** The torch package that the add-ons in `build` were compiled against: a folder of libtorch. */
let libtorch: string;
/** A Python with PyTorch. */
let python: string;

beforeAll(() => {
  const found = spawnSync("bash", ["scripts/find-libtorch.sh"], { cwd: repository, encoding: "utf8" }).stdout.trim().split("\t");
  [libtorch = "", , python = ""] = found;
  const { status, errors } = run(["--carry", "carried"], { PATH: process.env["PATH"] ?? "" }, repository);
  expect(errors).toEqual([]);
  expect(status).toBe(0);
});
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

const ready = (): Record<string, string> => ({ NODE: "carried/node", TANDEM_NATIVE: build, PATH: `${path.dirname(python)}:/usr/bin:/bin` });

describe("smoke-native.sh --carry", () => {
  it("takes Node, its headers and of the npm packages only the headers that the add-ons are compiled with", () => {
    expect(readdirSync(path.join(carried, "node_modules"))).toEqual(["node-addon-api"]);
    for (const file of ["node/bin/node", "node/include/node/node_api.h", "native/bridge/CMakeLists.txt", "native/kernels/fused-adamw.cc"])
      expect(existsSync(path.join(carried, file)), file).toBe(true);
  });

  it("overwrites nothing", () => {
    const { status, errors } = run(["--carry", carried], { PATH: process.env["PATH"] ?? "" }, repository);
    expect(status).toBe(2);
    expect(errors[0]).toMatch(/^tandem: --carry .*carried: is there already$/);
  });
});

describe("smoke-native.sh", { timeout: 240_000 }, () => {
  it("passes every check on the processor with the carried scripts and Node, AdamW against PyTorch's own", () => {
    const { status, out, errors } = run(["cpu"], ready());
    expect(errors).toEqual([]);
    expect(status, out).toBe(0);
    for (const check of CHECKS) expect(out).toMatch(new RegExp(`^ok +cpu +${check} `, "m"));
    expect(out.trimEnd().split("\n").at(-1)).toBe(`smoke: ${CHECKS.length} passed, 0 failed, 0 skipped on cpu`);
  });

  it("says that AdamW isn't compared where only LIBTORCH is there, and counts it as skipped", () => {
    const { status, out } = run(["cpu"], { ...ready(), LIBTORCH: libtorch });
    expect(status).toBe(0);
    expect(out).toMatch(/^skip +cpu +adamw +no Python with PyTorch/m);
    expect(out).toContain("7 passed, 0 failed, 1 skipped on cpu");
  });

  it("fails when PyTorch's AdamW does something else, and goes on with the other checks", () => {
    const bin = path.join(temporary, "bin");
    mkdirSync(bin);
    // Weights that took no step, from a Python that finds the same torch.
    writeFileSync(
      path.join(bin, "python3"),
      `#!/bin/bash\ncase "$*" in *AdamW*) '${python}' -c 'import json, sys; print(json.load(sys.stdin)["start"])' ;; *) exec '${python}' "$@" ;; esac\n`,
    );
    chmodSync(path.join(bin, "python3"), 0o755);
    const { status, out } = run(["cpu"], { ...ready(), PATH: `${bin}:/usr/bin:/bin` });
    expect(status).toBe(1);
    expect(out).toMatch(/^FAIL +cpu +adamw .*relative error .*, expected less than 1e-12$/m);
    expect(out).toContain("7 passed, 1 failed, 0 skipped on cpu");
  });

  it("fails when the golden file says something else", () => {
    const file = path.join(carried, "test/fixtures/goldens/gpt2-tiny.expected.json");
    const before = readFileSync(file, "utf8");
    const { grad_norm: norm } = JSON.parse(before) as { grad_norm: number };
    writeFileSync(file, JSON.stringify({ grad_norm: norm * 1.001 }));
    const { status, out } = run(["cpu"], ready());
    writeFileSync(file, before);
    expect(status).toBe(1);
    expect(out).toMatch(/^FAIL +cpu +gpt2 golden gradient norm 1\.0e-3, expected less than 0\.0001$/m);
  });

  it("refuses a device that isn't there, in one line", () => {
    const { status, errors } = run(["cuda:99"], ready());
    expect(status).toBe(2);
    expect(errors).toEqual([expect.stringMatching(/^tandem: smoke-native\.sh: no such device here; expected cpu.*, got cuda:99$/)]);
  });

  it("names what is missing: Node, PyTorch", () => {
    expect(run([], { ...ready(), NODE: "nowhere" }).errors[0]).toMatch(
      /^tandem: NODE=.*nowhere: has no bin\/node; expected an unpacked Node$/,
    );
    const none = run([], { ...ready(), LIBTORCH: temporary });
    expect(none.status).toBe(2);
    expect(none.errors[0]).toMatch(/^tandem: LIBTORCH=.* holds no share\/cmake\/Torch/);
  });
});
