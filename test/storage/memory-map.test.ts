/**
 * Proves that maps show the file's bytes, stay valid, go away when nobody needs them, and work in worker threads; and that what can't be mapped is
 * refused in one line. Needs the add-on build/mmap/mmap.node. Alone: npx vitest run test/storage/memory-map.test.ts
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { longestView, mapFile, mapRange } from "../../src/storage/memory-map.js";
import { faultOf, temporaryFolder } from "./bad-input.js";

const folder = temporaryFolder();
const root = resolve(import.meta.dirname, "../..");
const addon = join(root, "build/mmap/mmap.node");
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
/** A file of that length without blocks on the disk, so that 5 GiB cost nothing. */
const sparse = (name: string, length: number): string => {
  const path = file(name, "first");
  truncateSync(path, length);
  return path;
};

describe("mapFile", () => {
  it("shows the file's bytes, and none for an empty file", () => {
    const bytes = new Uint8Array(100_001).map((_, place) => place % 251);
    expect(Buffer.from(mapFile(file("bytes", bytes))).equals(bytes)).toBe(true);
    expect(mapFile(file("empty", ""))).toHaveLength(0);
    expect(mapFile(file("one", "x"))).toEqual(new Uint8Array([0x78]));
  });

  it("keeps the old bytes when a new file is renamed into place", () => {
    const path = file("replaced", "old");
    const view = mapFile(path);
    renameSync(file("new", "new"), path);
    expect(Buffer.from(view).toString()).toBe("old");
    expect(Buffer.from(mapFile(path)).toString()).toBe("new");
  });

  it("maps any range, aligned in memory as in the file", () => {
    const bytes = new Uint8Array(20_000).map((_, place) => (place * 7) % 251);
    const path = file("ranges", bytes);
    fc.assert(
      fc.property(fc.nat(20_000), fc.nat(20_000), (left, right) => {
        const [start, end] = left < right ? [left, right] : [right, left];
        expect(Buffer.from(mapRange(path, start, end - start)).equals(bytes.subarray(start, end))).toBe(true);
      }),
    );
    const doubles = mapRange(path, 4096 + 8, 800);
    expect(new Float64Array(doubles.buffer, doubles.byteOffset, 100)).toHaveLength(100);
  });

  it("maps files longer than a view in ranges, and says so when asked for the whole", () => {
    const path = sparse("long", longestView + 8192);
    expect(faultOf(() => mapFile(path))).toMatch(
      new RegExp(`long: is too long to be mapped as a whole; expected at most ${String(longestView)} bytes`),
    );
    expect(mapRange(path, longestView + 8190, 2)).toEqual(new Uint8Array(2));
    expect(mapRange(path, 0, longestView)).toHaveLength(longestView);
  });
});

describe("what can't be mapped", () => {
  it("is refused in one line", () => {
    mkdirSync(join(folder, "sub"));
    expect(faultOf(() => mapFile(join(folder, "none")))).toMatch(/none: no such file or folder; check the path$/);
    expect(faultOf(() => mapFile(join(folder, "sub")))).toContain("is a folder, not a file");
    expect(faultOf(() => mapFile(file("plain", "x") + "/child"))).toContain("a part of the path is a file");
    expect(faultOf(() => mapFile("/dev/zero"))).toContain("is not a regular file");
    expect(faultOf(() => mapFile(join(folder, "n".repeat(300))))).toContain("the name is too long");
    expect(faultOf(() => mapFile("nul\0byte"))).toContain("no such file");
    spawnSync("bash", ["-c", 'mkfifo "$0"', join(folder, "pipe")]);
    expect(faultOf(() => mapFile(join(folder, "pipe")))).toContain("is not a regular file");
  });

  it("is refused when the range ends behind the file", () => {
    const path = file("short", "12345");
    expect(faultOf(() => mapRange(path, 2, 4))).toMatch(/short: the file is cut short; got less than 6 bytes/);
    expect(faultOf(() => mapRange(path, 6, 0))).toContain("cut short");
    expect(mapRange(path, 5, 0)).toHaveLength(0);
  });

  it("is refused by the add-on for any arguments, without harm to the process", () => {
    const { map } = createRequire(import.meta.url)(addon) as { map: (...words: unknown[]) => unknown };
    const word = fc.oneof(fc.anything(), fc.constant(file("fuzzed", "12345")), fc.integer(), fc.double(), fc.maxSafeInteger());
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (words) => {
        try {
          expect(map(...words)).toBeInstanceOf(ArrayBuffer);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 2000 },
    );
    expect(() => map(file("wrong", "x"), 0.5)).toThrow(TypeError);
    expect(() => map(file("wrong", "x"), 0, -1)).toThrow(TypeError);
  });
});

describe("the add-on", () => {
  it("loads in several threads at once, and their maps end with them", async () => {
    const path = file("shared", "shared bytes");
    const script = `const { parentPort, workerData } = require("node:worker_threads");
      const { map } = require(workerData.addon);
      let last; for (let i = 0; i < 200; i++) last = map(workerData.path, 0);
      parentPort.postMessage(Buffer.from(last).toString());`;
    for (let round = 0; round < 3; round++) {
      const threads = [1, 2, 3].map(() => new Worker(script, { eval: true, workerData: { addon, path } }));
      const said = threads.map((thread) => new Promise((answer, fail) => thread.once("message", answer).once("error", fail)));
      const ended = threads.map((thread) => new Promise((end) => thread.once("exit", end)));
      expect(await Promise.all(said)).toEqual(["shared bytes", "shared bytes", "shared bytes"]);
      expect(await Promise.all(ended)).toEqual([0, 0, 0]);
    }
    expect(mapsOf("shared")).toBe(0);
  });

  it("unmaps what nobody refers to, and holds what somebody does", () => {
    const path = sparse("many", 64 * 1024 * 1024);
    const script = `import { mapFile } from ${JSON.stringify(join(root, "src/storage/memory-map.ts"))};
      import { readFileSync } from "node:fs";
      const maps = () => readFileSync("/proc/self/maps", "utf8").split("\\n").filter((line) => line.endsWith("/many")).length;
      const turn = () => new Promise((next) => setTimeout(next, 20));
      const kept = mapFile(process.argv[1]).subarray(0, 5);
      for (let i = 0; i < 50; i++) mapFile(process.argv[1]);
      for (let i = 0; i < 3; i++) { globalThis.gc(); await turn(); }
      console.log(maps(), Buffer.from(kept).toString());`;
    const flags = ["--expose-gc", "--import", "tsx", "--input-type=module", "-e", script, path];
    const result = spawnSync(process.execPath, flags, { encoding: "utf8" });
    expect(result.stdout + result.stderr).toBe("1 first\n");
  });

  it("says how to build it when it isn't there, and when it can't be loaded", () => {
    const ask = (native: string): string => {
      const script = `import { mapFile } from ${JSON.stringify(join(root, "src/storage/memory-map.ts"))};
        try { mapFile("x"); } catch (error) { console.log(error.name + ": " + error.message); }`;
      const environment = { ...process.env, TANDEM_NATIVE: native };
      return spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { encoding: "utf8", env: environment })
        .stdout;
    };
    expect(ask(join(folder, "nowhere"))).toMatch(
      /^UserError: .*mmap\.node: the memory-map add-on isn't built; run bash scripts\/setup\.sh\n$/,
    );
    mkdirSync(join(folder, "native/mmap"), { recursive: true });
    file("native/mmap/mmap.node", "no add-on");
    expect(ask(join(folder, "native"))).toMatch(/^UserError: .*can't be loaded; got .*; run bash scripts\/setup\.sh\n$/);
  });
});

function mapsOf(name: string): number {
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.endsWith(`/${name}`)).length;
}
