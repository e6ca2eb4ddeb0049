/**
 * Proves that folders are made with their parents, and that paths which can't be made fail at once, below /proc too. Alone:
 * npx vitest run test/storage/make-folder.test.ts
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { writeFolderAtomic } from "../../src/storage/atomic-write.js";
import { makeFolder } from "../../src/storage/make-folder.js";

const folder = mkdtempSync(join(tmpdir(), "make-folder-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("makes missing parents and is content with a folder that is there", () => {
  makeFolder(join(folder, "a/b/c"));
  makeFolder(join(folder, "a/b/c"));
  expect(statSync(join(folder, "a/b/c")).isDirectory()).toBe(true);
});

it("says which part is a file", () => {
  writeFileSync(join(folder, "file"), "");
  for (const [path, code] of [
    ["file", "EEXIST"],
    ["file/below", "ENOTDIR"],
    ["file/below/deeper", "ENOTDIR"],
  ] as const) {
    expect(() => makeFolder(join(folder, path))).toThrow(expect.objectContaining({ code }) as Error);
  }
});

it.skipIf(process.platform !== "linux")("fails below /proc, where Node's own recursive mkdir would never return", () => {
  expect(() => makeFolder("/proc/nowhere/a/b")).toThrow(/ENOENT/);
  expect(() => writeFolderAtomic("/proc/nowhere/a/b", () => 1)).toThrow(UserError);
});
