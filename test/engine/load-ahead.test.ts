/**
 * Proves that loading libtorch ahead, in a thread, gives the same engine, that a process may end while it is under way, and that nothing hinges on it. Each in a process of its own, since a library is loaded once.
 * Alone: npx vitest run test/engine/load-ahead.test.ts
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { nativeFolder } from "../../src/storage/system-calls.js";
import { runWithCollector } from "./child-process.js";

const SYSTEM_CALLS = path.join(import.meta.dirname, "../../src/storage/system-calls.ts");
const begin = `const { loadNativeAhead, native } = await engine("native");\nloadNativeAhead();\n`;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function emptyFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "tandem-native-"));
  folders.push(folder);
  return folder;
}

describe("the engine loaded ahead", () => {
  it("is the engine, whether it is there already or still being loaded", () => {
    const sum = `const { tensor, toFloat32Array } = await engine("tensor");\nconsole.log([...toFloat32Array(tensor([1, 2]).add(1))].join());`;
    for (const pause of ["", "await new Promise((done) => setTimeout(done, 1500));\n"])
      expect(runWithCollector(`${begin}${pause}${sum}`)).toMatchObject({ status: 0, out: "2,3" });
  });

  it("doesn't disturb the end of a process that has no more use for it", () => {
    for (const end of ["process.exit(3);", "process.exitCode = 3;", "setTimeout(() => process.exit(3), 60);"])
      expect(runWithCollector(`${begin}${end}`), end).toMatchObject({ status: 3, error: "" });
  });

  it("is under way before anybody needs it", () => {
    const look = `const { readFileSync } = await import("node:fs");\nconst isThere = () => readFileSync("/proc/self/maps", "utf8").includes("libtorch_cpu");\n`;
    const wait = `const before = isThere();\nloadNativeAhead();\nfor (let i = 0; i < 300 && !isThere(); i++) await new Promise((done) => setTimeout(done, 100));\nconsole.log(before, isThere());`;
    expect(runWithCollector(`const { loadNativeAhead } = await engine("native");\n${look}${wait}`)).toMatchObject({
      status: 0,
      out: "false true",
    });
  });

  it("is waited for at the exit, or libraries would be built up and torn down at once", () => {
    const folder = emptyFolder();
    mkdirSync(path.join(folder, "bridge"));
    cpSync(path.join(nativeFolder(), "mmap"), path.join(folder, "mmap"), { recursive: true });
    const source = `#include <stdio.h>\n#include <unistd.h>\n__attribute__((constructor)) static void slow(void) { usleep(700000); FILE *f = fopen("${folder}/built", "w"); fclose(f); }\n`;
    writeFileSync(path.join(folder, "slow.c"), source);
    execFileSync("cc", ["-shared", "-fPIC", "-o", path.join(folder, "bridge", "tandem.node"), path.join(folder, "slow.c")]);
    expect(runWithCollector(`${begin}process.exit(3);`, { TANDEM_NATIVE: folder })).toMatchObject({ status: 3, error: "" });
    expect(existsSync(path.join(folder, "built"))).toBe(true);
  });

  it("never fails: an add-on of older sources, or none, only means that the engine is loaded when it is needed", () => {
    const folder = emptyFolder();
    mkdirSync(path.join(folder, "mmap"));
    cpSync(path.join(nativeFolder(), "bridge", "tandem.node"), path.join(folder, "bridge", "tandem.node"));
    const use = `${begin}native();\nconsole.log("loaded");`;
    expect(runWithCollector(use, { TANDEM_NATIVE: folder })).toMatchObject({ status: 0, out: "loaded" });
    // An add-on that has none of the functions.
    writeFileSync(path.join(folder, "old.c"), "void *napi_register_module_v1(void *env, void *exports) { return env ? exports : 0; }\n");
    execFileSync("cc", ["-shared", "-fPIC", "-o", path.join(folder, "mmap", "mmap.node"), path.join(folder, "old.c")]);
    expect(runWithCollector(use, { TANDEM_NATIVE: folder })).toMatchObject({ status: 0, out: "loaded" });
    const map = `const { systemCalls } = await import(${JSON.stringify(SYSTEM_CALLS)});\ntry { systemCalls(); } catch (error) { console.log(error.message); }`;
    expect(runWithCollector(map, { TANDEM_NATIVE: folder }).out).toMatch(
      /mmap\.node: .*can't be loaded; got it was built from older sources; run bash/,
    );
  });

  it("is begun once, however often it is asked for", () => {
    const again = `const once = process.listenerCount("exit");\nloadNativeAhead();\nnative();\nloadNativeAhead();\nconsole.log(process.listenerCount("exit") - once);`;
    expect(runWithCollector(begin + again)).toMatchObject({ status: 0, out: "0" });
  });

  it("leaves the reason to whoever needs the engine, when it can't be loaded", () => {
    const folder = emptyFolder();
    cpSync(path.join(nativeFolder(), "mmap", "mmap.node"), path.join(folder, "mmap", "mmap.node"));
    cpSync(path.join(nativeFolder(), "mmap", "mmap.node"), path.join(folder, "bridge", "tandem.node"));
    writeFileSync(path.join(folder, "bridge", "tandem.node"), "no library");
    const ended = runWithCollector(`${begin}native();`, { TANDEM_NATIVE: folder });
    expect(ended.status).toBe(1);
    expect(ended.error).toMatch(/tandem\.node: the libtorch add-on does not load.*file too short/);
  });
});
