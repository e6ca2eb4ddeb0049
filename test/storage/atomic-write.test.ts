/**
 * Proves that a file or a folder appears whole or not at all: after errors, a full disk, and a kill at any moment; and that leftovers go.
 * Alone: npx vitest run test/storage/atomic-write.test.ts
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { AtomicFile, restoreFolder, writeFileAtomic, writeFolderAtomic } from "../../src/storage/atomic-write.js";
import { faultOf, namesIn, temporaryFolder } from "./bad-input.js";

const scratch = temporaryFolder();
const fresh = (): string => mkdtempSync(join(scratch, "case-"));
const module_ = resolve(import.meta.dirname, "../../src/storage/atomic-write.ts");
const tsx = ["--import", "tsx", "--input-type=module", "-e"];

describe("writeFileAtomic", () => {
  it("cozyrag 5: what was written stands whole under the name that was asked for, and under no other", () => {
    const folder = fresh();
    const path = join(folder, "a/b/file.txt");
    writeFileAtomic(path, "één\n");
    expect(readFileSync(path, "utf8")).toBe("één\n");
    writeFileAtomic(path, new Uint8Array([0, 255, 7]));
    expect([...readFileSync(path)]).toEqual([0, 255, 7]);
    writeFileAtomic(path, "");
    expect(readFileSync(path)).toHaveLength(0);
    expect(namesIn(join(folder, "a/b"))).toEqual(["file.txt"]);
  });

  it("follows a symbolic link, also one whose target is still missing", () => {
    const folder = fresh();
    symlinkSync("elsewhere.txt", join(folder, "link"));
    writeFileAtomic(join(folder, "link"), "first");
    writeFileAtomic(join(folder, "link"), "second");
    expect(lstatSync(join(folder, "link")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "elsewhere.txt"), "utf8")).toBe("second");
  });

  it("keeps every byte of any sequence of chunks", () => {
    const path = join(fresh(), "chunks");
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      fc.integer({ min: 0, max: 700_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
    );
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), (chunks) => {
        const file = new AtomicFile(path);
        for (const bytes of chunks) file.write(bytes);
        const whole = Buffer.concat(chunks);
        expect(file.position).toBe(whole.length);
        file.commit();
        expect(readFileSync(path).equals(whole)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it("patches what was written, and nothing behind it", () => {
    const path = join(fresh(), "patched");
    const file = new AtomicFile(path);
    file.write("0000");
    file.write("x".repeat(300_000));
    file.patch(1, Buffer.from("12"));
    expect(() => file.patch(300_003, Buffer.from("ab"))).toThrow("inside what was written");
    file.write("end");
    file.commit();
    const text = readFileSync(path, "utf8");
    expect([text.slice(0, 5), text.length, text.slice(-4)]).toEqual(["0120x", 300_007, "xend"]);
  });

  it("leaves the old file and no other when it is aborted", () => {
    const folder = fresh();
    const path = join(folder, "file");
    writeFileAtomic(path, "old");
    const file = new AtomicFile(path);
    file.write("new");
    file.abort();
    file.abort();
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(namesIn(folder)).toEqual(["file"]);
    expect(() => file.write("more")).toThrow("committed or aborted");
  });

  it("refuses a folder in the file's place, and a file in a folder's", () => {
    const folder = fresh();
    mkdirSync(join(folder, "taken"));
    writeFileSync(join(folder, "plain"), "");
    expect(faultOf(() => writeFileAtomic(join(folder, "taken"), "x"))).toMatch(/taken: is a folder, not a file; name a file$/);
    expect(faultOf(() => writeFileAtomic(join(folder, "plain/child"), "x"))).toContain("a part of the path is a file");
    expect(faultOf(() => writeFileAtomic(join(folder, "n".repeat(300)), "x"))).toContain("the name is too long");
    expect(faultOf(() => writeFileAtomic(join(folder, "nul\0"), "x"))).toContain("null character");
    expect(faultOf(() => writeFileAtomic("/proc/self/nothing/here", "x"))).toContain("/proc/self/nothing/here");
    expect(namesIn(folder)).toEqual(["plain", "taken"]);
  });

  it("writes straight to devices, without renaming over them, and says that the disk is full", () => {
    expect(faultOf(() => writeFileAtomic("/dev/full", "x"))).toMatch(/^\/dev\/full: no space left on the device; free some space/);
    expect(lstatSync("/dev/full").isCharacterDevice()).toBe(true);
    writeFileAtomic("/dev/null", "x");
    expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
    const script = `import { writeFileAtomic } from ${JSON.stringify(module_)}; writeFileAtomic("/dev/stdout", "direct\\n");`;
    const piped = spawnSync("bash", ["-c", '"$0" "$@" | cat', process.execPath, ...tsx, script], { encoding: "utf8" });
    expect(piped.stdout).toBe("direct\n");
    expect(lstatSync("/dev/stdout").isSymbolicLink()).toBe(true);
  });

  it("leaves the old file and no other when the disk fills up half-way", () => {
    const folder = fresh();
    const path = join(folder, "file");
    writeFileAtomic(path, "old");
    const script = `import { writeFileAtomic } from ${JSON.stringify(module_)};
      try { writeFileAtomic(process.argv[1], "x".repeat(3_000_000)); } catch (error) { console.log(error.name + ": " + error.message); }`;
    const command = `ulimit -f 1024; exec "$0" "$@"`;
    const result = spawnSync("bash", ["-c", command, process.execPath, ...tsx, script, path], { encoding: "utf8" });
    expect(result.stdout).toBe(`UserError: ${path}: the file would pass the size limit (ulimit -f); raise the limit\n`);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(namesIn(folder)).toEqual(["file"]);
  });
});

describe("writeFolderAtomic", () => {
  it("builds, replaces and returns what was built", async () => {
    const folder = fresh();
    const path = join(folder, "deep/model");
    const build = (text: string) => (temporary: string) => {
      expect(existsSync(join(path, "half"))).toBe(false);
      mkdirSync(join(temporary, "half"));
      writeFileSync(join(temporary, "half/file"), text);
      return text.length;
    };
    expect(writeFolderAtomic(path, build("one"))).toBe(3);
    expect(await writeFolderAtomic(`${path}/`, async () => Promise.resolve("empty"))).toBe("empty");
    expect(namesIn(path)).toEqual([]);
    expect(writeFolderAtomic(path, build("three"))).toBe(5);
    expect(readFileSync(join(path, "half/file"), "utf8")).toBe("three");
    expect(namesIn(join(folder, "deep"))).toEqual(["model"]);
  });

  it("changes nothing when the build fails, at once or later", async () => {
    const folder = fresh();
    const path = join(folder, "model");
    writeFolderAtomic(path, (temporary) => writeFileSync(join(temporary, "old"), ""));
    const fail = (temporary: string): void => {
      writeFileSync(join(temporary, "new"), "");
      throw new TypeError("a bug");
    };
    expect(() => writeFolderAtomic(path, fail)).toThrow(TypeError);
    const later = async (temporary: string): Promise<void> => {
      await Promise.resolve();
      fail(temporary);
    };
    await expect(writeFolderAtomic(path, later)).rejects.toThrow(TypeError);
    const full = (): void => writeFileAtomic("/dev/full", "x");
    expect(() => writeFolderAtomic(path, full)).toThrow(UserError);
    expect(namesIn(path)).toEqual(["old"]);
    expect(namesIn(folder)).toEqual(["model"]);
  });

  it("refuses a file in the folder's place", () => {
    const folder = fresh();
    writeFileSync(join(folder, "file"), "old");
    expect(faultOf(() => writeFolderAtomic(join(folder, "file"), () => 1))).toContain("is a file, not a folder");
    expect(faultOf(() => writeFolderAtomic(join(folder, "file/model"), () => 1))).toContain("a part of the path is a file");
    expect(namesIn(folder)).toEqual(["file"]);
  });
});

describe("a process killed while it writes", () => {
  const temporary = (name: string, process_: number, end: string): string =>
    `.${name}.${hostname().replace(/[^A-Za-z0-9-]/g, "-")}.${String(process_)}.0123456789ab.${end}`;
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;

  it("leaves the old content, whatever moment it died in, and the next write sweeps up", async () => {
    const folder = fresh();
    const path = join(folder, "file");
    const whole = (letter: string): string => letter.repeat(400_000);
    const script = `import { writeFileAtomic, writeFolderAtomic } from ${JSON.stringify(module_)};
      import { writeFileSync } from "node:fs"; import { join } from "node:path";
      const [path, folder] = process.argv.slice(1);
      writeFileAtomic(path, "a".repeat(400_000));
      console.log("begun");
      for (let i = 0; ; i++) {
        const text = "ab"[i % 2].repeat(400_000);
        writeFileAtomic(path, text);
        writeFolderAtomic(folder, (t) => { for (const name of ["x", "y"]) writeFileSync(join(t, name), text); });
      }`;
    for (const delay of [3, 11, 26, 40]) {
      const child: ChildProcess = spawn(process.execPath, [...tsx, script, path, join(folder, "model")], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await new Promise((ready) => child.stdout?.once("data", ready));
      await new Promise((later) => setTimeout(later, delay));
      const gone = new Promise((ended) => child.once("exit", ended));
      child.kill("SIGKILL");
      await gone;
      expect([whole("a"), whole("b")]).toContain(readFileSync(path, "utf8"));
      restoreFolder(join(folder, "model"));
      if (existsSync(join(folder, "model"))) {
        const [x, y] = ["x", "y"].map((name) => readFileSync(join(folder, "model", name), "utf8"));
        expect(x).toBe(y);
        expect([whole("a"), whole("b")]).toContain(x);
      }
    }
    writeFileAtomic(path, "after");
    writeFolderAtomic(join(folder, "model"), () => 1);
    expect(namesIn(folder)).toEqual(["file", "model"]);
  });

  it("between the last byte and the rename: the old file stays", () => {
    const folder = fresh();
    const path = join(folder, "file");
    writeFileAtomic(path, "old");
    const script = `import { AtomicFile } from ${JSON.stringify(module_)};
      const file = new AtomicFile(process.argv[1]); file.write("x".repeat(600_000)); process.kill(process.pid, "SIGKILL");`;
    expect(spawnSync(process.execPath, [...tsx, script, path]).signal).toBe("SIGKILL");
    expect(namesIn(folder)).toHaveLength(2);
    expect(readFileSync(path, "utf8")).toBe("old");
    writeFileAtomic(path, "new");
    expect(namesIn(folder)).toEqual(["file"]);
  });

  it("leaves what other names, other machines and living processes write alone", () => {
    const folder = fresh();
    const kept = [
      temporary("other", dead, "tmp"),
      temporary("file", process.pid, "tmp"),
      ".file.elsewhere.1.0123456789ab.tmp",
      ".file.tmp",
    ];
    for (const name of [...kept, temporary("file", dead, "tmp")]) writeFileSync(join(folder, name), "");
    writeFileAtomic(join(folder, "file"), "x");
    expect(namesIn(folder)).toEqual([...kept, "file"].sort());
  });

  it("sweeps what a process left that has ended and that nobody has asked for its end", async () => {
    // The shell becomes a sleep, which never asks for its child's end.
    const parent = spawn("bash", ["-c", 'sleep 0 & echo "$!"; exec sleep 30'], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const ended = Number(await new Promise<string>((told) => parent.stdout.once("data", (chunk: Buffer) => told(chunk.toString()))));
      const stateOf = (): string => readFileSync(`/proc/${ended}/stat`, "utf8").split(") ")[1]?.[0] ?? "";
      while (stateOf() !== "Z") await new Promise((later) => setTimeout(later, 10));
      const folder = fresh();
      writeFileSync(join(folder, temporary("file", ended, "tmp")), "");
      writeFileAtomic(join(folder, "file"), "x");
      expect(namesIn(folder)).toEqual(["file"]);
    } finally {
      parent.kill("SIGKILL");
    }
  });

  it("between the two renames of a folder: the old one is put back", () => {
    const folder = fresh();
    mkdirSync(join(folder, temporary("model", dead, "aside.tmp")));
    writeFileSync(join(folder, temporary("model", dead, "aside.tmp"), "weights"), "old");
    mkdirSync(join(folder, temporary("model", dead, "tmp")));
    restoreFolder(join(folder, "model"));
    expect(namesIn(folder)).toEqual(["model"]);
    expect(readFileSync(join(folder, "model/weights"), "utf8")).toBe("old");
    mkdirSync(join(folder, temporary("model", dead, "aside.tmp")));
    restoreFolder(join(folder, "model"));
    expect(namesIn(folder)).toEqual(["model"]);
    expect(namesIn(join(folder, "model"))).toEqual(["weights"]);
    restoreFolder(join(folder, "no/such/folder"));
  });
});
