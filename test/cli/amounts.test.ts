/**
 * Proves that sizes, times and lists of a partition are read as Slurm and people write them, and that anything else is refused by the option's name.
 * Alone: npx vitest run test/cli/amounts.test.ts
 */
import { describe, expect, it } from "vitest";
import { countsOf, durationOf, positiveOf, sizeOf } from "../../src/cli/amounts.js";

describe("amounts", () => {
  it("reads sizes in units of 1,024", () => {
    expect(["512M", "64G", "1.5T", "64GiB", "8gb", "100K"].map((text) => sizeOf(text, "memory"))).toEqual([
      512 * 2 ** 20,
      64 * 2 ** 30,
      1.5 * 2 ** 40,
      64 * 2 ** 30,
      8 * 2 ** 30,
      100 * 2 ** 10,
    ]);
  });

  it("reads times as Slurm does", () => {
    const seconds = ["90", "30:15", "24:00:00", "2-12", "2-12:30", "2-12:30:05"].map((text) => durationOf(text, "time"));
    expect(seconds).toEqual([5400, 1815, 86_400, 216_000, 217_800, 217_805]);
  });

  it("reads lists once each and rising, and numbers", () => {
    expect(countsOf("8,1,2,2", "nodes")).toEqual([1, 2, 8]);
    expect([positiveOf("2.1e7", "passages"), positiveOf("0.5", "link")]).toEqual([21e6, 0.5]);
  });

  it("refuses what it can't read", () => {
    for (const text of ["64", "G", "-1G", "0G", "64X", ""])
      expect(() => sizeOf(text, "memory")).toThrow(/^--memory: is no size; expected 512M/);
    for (const text of ["", "1d", "1:2:3:4", "0", "-5"]) expect(() => durationOf(text, "time")).toThrow(/^--time: is no time/);
    for (const text of ["", "0", "1,,2", "1.5", "a", "70000"]) expect(() => countsOf(text, "nodes")).toThrow(/^--nodes: is no list/);
    for (const text of ["", "0", "-1", "Infinity", "x"]) expect(() => positiveOf(text, "link")).toThrow(/^--link: is no number above 0/);
  });
});
