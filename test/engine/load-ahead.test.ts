/**
 * Proves that loading libtorch ahead, in a thread, gives the same engine, that a process may end while it is under way, and that nothing hinges on it. Each in a process of its own, since a library is loaded once.
 * Alone: npx vitest run test/engine/load-ahead.test.ts
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { nativeFolder } from "../../src/storage/system-calls.js";
import { runWithCollector } from "./child-process.js";

const begin = `const { loadNativeAhead, native } = await engine("native");\nloadNativeAhead();\n`;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

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

  it("is begun once, however often it is asked for", () => {
    const again = `const once = process.listenerCount("exit");\nloadNativeAhead();\nnative();\nloadNativeAhead();\nconsole.log(process.listenerCount("exit") - once);`;
    expect(runWithCollector(begin + again)).toMatchObject({ status: 0, out: "0" });
  });

  it("leaves the reason to whoever needs the engine, when it can't be loaded", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tandem-native-"));
    folders.push(folder);
    cpSync(path.join(nativeFolder(), "mmap", "mmap.node"), path.join(folder, "mmap", "mmap.node"));
    cpSync(path.join(nativeFolder(), "mmap", "mmap.node"), path.join(folder, "bridge", "tandem.node"));
    writeFileSync(path.join(folder, "bridge", "tandem.node"), "no library");
    const ended = runWithCollector(`${begin}native();`, { TANDEM_NATIVE: folder });
    expect(ended.status).toBe(1);
    expect(ended.error).toMatch(/tandem\.node: the libtorch add-on does not load.*file too short/);
  });

  it("is done without, where the small add-on isn't built", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tandem-native-"));
    folders.push(folder);
    cpSync(path.join(nativeFolder(), "bridge", "tandem.node"), path.join(folder, "bridge", "tandem.node"));
    expect(runWithCollector(`${begin}native();\nconsole.log("loaded");`, { TANDEM_NATIVE: folder })).toMatchObject({
      status: 0,
      out: "loaded",
    });
  });
});
