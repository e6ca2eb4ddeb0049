/**
 * Proves that rows read into given memory are the rows of the file, wherever they lie, that no map of the file is left behind, and that a file that is cut short while it is read is refused in one line.
 * Alone: npx vitest run test/storage/npy-reader.test.ts
 */
import { readFileSync, truncateSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { openNpy, NpyWriter } from "../../src/storage/npy.js";
import { NpyReader } from "../../src/storage/npy-reader.js";
import { temporaryFolder } from "./bad-input.js";

const folder = temporaryFolder();

function written(name: string, rows: number, columns: number): string {
  const file = path.join(folder, name);
  const writer = new NpyWriter(file, { columns, dtype: "float32" });
  writer.append(new Uint8Array(Float32Array.from({ length: rows * columns }, (_, i) => i).buffer));
  writer.commit();
  return file;
}

describe("an .npy reader", () => {
  it("gives the very rows, as a map of them does", () => {
    const file = written("rows.npy", 50, 3);
    const reader = new NpyReader(file);
    const mapped = openNpy(file);
    const into = new Uint8Array(50 * 12);
    fc.assert(
      fc.property(fc.nat(49), fc.nat(49), (one, other) => {
        const [start, end] = [Math.min(one, other), Math.max(one, other) + 1];
        expect(Buffer.from(reader.read(start, end - start, into))).toEqual(Buffer.from(mapped.rows(start, end - start)));
      }),
    );
    expect(reader.read(3, 0, into)).toHaveLength(0);
    expect(() => reader.read(0, 51, into)).toThrow(RangeError);
    reader.close();
  });

  it("leaves no map of the file behind", () => {
    const file = written("unmapped.npy", 50, 3);
    const reader = new NpyReader(file);
    reader.read(0, 50, new Uint8Array(600));
    reader.close();
    expect(readFileSync("/proc/self/maps", "utf8")).not.toContain("unmapped.npy");
  });

  it("refuses a file that is cut short, before and while it is read", () => {
    const file = written("cut.npy", 50, 3);
    const reader = new NpyReader(file);
    truncateSync(file, 400);
    expect(() => reader.read(20, 20, new Uint8Array(240))).toThrow(
      /cut\.npy: the file is cut short; expected 40 rows; make or fetch it again/,
    );
    reader.close();
    expect(() => new NpyReader(file)).toThrow(UserError);
  });
});
