/**
 * Proves that hashes are SHA-256 and that equal JSON values have one hash whatever the order of their keys.
 * Alone: npx vitest run test/storage/content-hash.test.ts
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, hashBytes, hashFile, hashJson } from "../../src/storage/content-hash.js";
import { faultOf, temporaryFolder } from "./bad-input.js";

const folder = temporaryFolder();

describe("hashes of bytes and files", () => {
  it("are SHA-256 (FIPS 180-2, appendix B)", () => {
    expect(hashBytes("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(hashBytes(new Uint8Array())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(hashBytes("a".repeat(1_000_000))).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  });

  it("are the same for a file, also one longer than a piece", () => {
    const bytes = new Uint8Array(2_500_000).map((_, place) => place % 253);
    writeFileSync(join(folder, "long"), bytes);
    expect(hashFile(join(folder, "long"))).toBe(hashBytes(bytes));
  });

  it("say which file can't be read", () => {
    expect(faultOf(() => hashFile(join(folder, "none")))).toContain("none: no such file or folder");
    expect(faultOf(() => hashFile(folder))).toContain("is a folder");
  });
});

describe("hashes of JSON values", () => {
  it("don't depend on the order of keys, and do on everything else", () => {
    expect(hashJson({ a: 1, b: { c: [1, 2], d: null } })).toBe(hashJson({ b: { d: null, c: [1, 2] }, a: 1 }));
    const different = [
      { a: 1 },
      { a: "1" },
      { a: [1] },
      { a: null },
      {},
      { a: 1, b: 1 },
      [],
      "",
      0,
      false,
      null,
      { a: 1.5 },
      [[1], 2],
      [1, [2]],
    ];
    expect(new Set(different.map(hashJson)).size).toBe(different.length);
    expect(hashJson({ a: 1, b: undefined })).toBe(hashJson({ a: 1 }));
  });

  it("canonical text reads back as the same value", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        expect(JSON.parse(canonicalJson(plain))).toEqual(plain);
      }),
    );
  });

  it("refuse what JSON can't hold instead of hashing a stand-in", () => {
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      undefined,
      new Map(),
      new Date(),
      1n,
      () => 1,
      [undefined],
      new Uint8Array(2),
    ]) {
      expect(() => hashJson(value)).toThrow("not a JSON value");
    }
  });
});
