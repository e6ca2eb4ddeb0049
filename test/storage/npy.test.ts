/**
 * Proves that .npy files come back as they were written, that their header is honoured, and that hostile ones are refused.
 * NumPy's own word is asked in npy-reference.test.ts. Alone: npx vitest run test/storage/npy.test.ts
 */
import { mkdtempSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type NpyDtype, NpyWriter, openNpy, readNpy } from "../../src/storage/npy.js";
import { formatNpyHeader, npyElementBytes } from "../../src/storage/npy-header.js";
import { faultOf, namesIn, temporaryFolder } from "./bad-input.js";

const folder = temporaryFolder();
const place = (name = "case.npy"): string => join(folder, name);

/** A version 1 file with that header text; by default without padding, as nobody writes it but anybody may. */
function raw(text: string, body = new Uint8Array(), { magic = "\x93NUMPY", version = 1, length = text.length } = {}): string {
  const lead = Buffer.alloc(version === 1 ? 10 : 12);
  lead.write(magic, "latin1");
  lead[6] = version;
  if (version === 1) lead.writeUInt16LE(length, 8);
  else lead.writeUInt32LE(length, 8);
  writeFileSync(place(), Buffer.concat([lead, Buffer.from(text, "latin1"), body]));
  return place();
}

const header = (descr: string, shape: string, order = "False"): string =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
const faultOfHeader = (text: string, bytes = 24): string => faultOf(() => readNpy(raw(text, new Uint8Array(bytes))));

describe("NpyWriter", () => {
  it("cozyrag 13: what is read starts behind the header, not at the file's first byte", () => {
    const rows = Float32Array.from({ length: 5 * 384 }, (_, index) => index / 7);
    const writer = new NpyWriter(place(), { columns: 384, dtype: "float32" });
    writer.append(new Uint8Array(rows.buffer));
    writer.commit();
    const { dtype, shape, data } = readNpy(place());
    expect([dtype, shape]).toEqual(["float32", [5, 384]]);
    expect(new Float32Array(data.buffer, data.byteOffset, data.length / 4)).toEqual(rows);
    const file = openNpy(place());
    expect([file.dataOffset % 64, file.dataOffset > 0]).toEqual([0, true]);
  });

  it("gives back any rows of any type, appended in any pieces", () => {
    const dtypes = Object.keys(npyElementBytes) as NpyDtype[];
    const pieces = fc.array(fc.nat(7), { maxLength: 5 });
    fc.assert(
      fc.property(
        fc.constantFrom(...dtypes),
        fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
        pieces,
        (dtype, columns, counts) => {
          const rowBytes = (columns ?? 1) * npyElementBytes[dtype];
          const writer = new NpyWriter(place(), { dtype, ...(columns === undefined ? {} : { columns }) });
          const chunks = counts.map((count, piece) => new Uint8Array(count * rowBytes).map((_, index) => index * 13 + piece));
          for (const chunk of chunks) writer.append(chunk);
          const count = counts.reduce((sum, rows) => sum + rows, 0);
          expect(writer.rows).toBe(count);
          writer.commit();
          const whole = Buffer.concat(chunks);
          const read = readNpy(place());
          expect([read.dtype, read.shape]).toEqual([dtype, columns === undefined ? [count] : [count, columns]]);
          expect(Buffer.from(read.data).equals(whole)).toBe(true);
          const file = openNpy(place());
          const start = Math.floor(count / 3);
          expect(Buffer.from(file.rows(start, count - start)).equals(whole.subarray(start * rowBytes))).toBe(true);
          expect(() => file.rows(0, count + 1)).toThrow(RangeError);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("leaves nothing when it is aborted, and refuses parts of rows", () => {
    const target = mkdtempSync(join(folder, "aborted-"));
    const writer = new NpyWriter(join(target, "x.npy"), { columns: 2, dtype: "int64" });
    expect(() => writer.append(new Uint8Array(24))).toThrow("not whole rows of 16");
    writer.append(new Uint8Array(32));
    writer.abort();
    writer.abort();
    expect(namesIn(target)).toEqual([]);
    expect(() => new NpyWriter(join(target, "x.npy"), { columns: 0, dtype: "int64" })).toThrow("0 columns");
    expect(faultOf(() => new NpyWriter(target, { columns: 2, dtype: "int64" }))).toContain("is a folder");
    expect(namesIn(target)).toEqual([]);
  });
});

describe("readNpy", () => {
  it("reads headers of every version, in any order of keys, padded or not, with Python 2's long sizes", () => {
    const body = new Uint8Array(24).map((_, index) => index);
    const texts = [
      header("'<f4'", "(2, 3)"),
      `{"shape": (2L, 3L), "fortran_order": False, "descr": "<f4"}`,
      `${header("'<i4'", "(6,)").trimEnd()}${" ".repeat(50)}\n`,
      header("'<f8'", "( 3 , 1 )"),
    ];
    for (const text of texts) {
      for (const version of [1, 2, 3]) expect(readNpy(raw(text, body, { version })).data).toEqual(body);
    }
    expect(readNpy(raw(header("'<f8'", "()"), body.slice(0, 8))).shape).toEqual([]);
    expect(readNpy(raw(header("'<f4'", "(0, 384)"))).data).toHaveLength(0);
    // Column order says nothing where there is one column, or one row.
    expect(readNpy(raw(header("'<f4'", "(6, 1)", "True"), body)).shape).toEqual([6, 1]);
  });

  it("copies elements that aren't aligned in the file, so that typed arrays fit", () => {
    for (const padding of [0, 1, 2, 3, 4, 5, 6, 7]) {
      const { data } = readNpy(raw(`${header("'<i8'", "(3,)")}${" ".repeat(padding)}`, new Uint8Array(24).fill(1)));
      expect(new BigInt64Array(data.buffer, data.byteOffset, 3)[2]).toBe(0x0101010101010101n);
      const rows = openNpy(place()).rows(1, 2);
      expect(new BigInt64Array(rows.buffer, rows.byteOffset, 2)[1]).toBe(0x0101010101010101n);
    }
  });

  it("refuses what is no .npy file", () => {
    expect(faultOf(() => readNpy(raw("{}", undefined, { magic: "\x93NUMPX" })))).toContain("is not a .npy file; expected the magic");
    writeFileSync(place(), Buffer.from([0x50, 0x4b, 3, 4, 0, 0, 0, 0]));
    expect(faultOf(() => readNpy(place()))).toContain("got a zip file");
    writeFileSync(place(), "");
    expect(faultOf(() => readNpy(place()))).toContain("is not a .npy file");
    expect(faultOf(() => readNpy(place("none.npy")))).toContain("no such file");
    expect(faultOf(() => readNpy(folder))).toContain("is a folder");
    expect(faultOf(() => readNpy("/dev/zero"))).toContain("is not a regular file");
  });

  it("refuses objects, since they are a pickle, and never opens it", () => {
    for (const descr of ["'|O'", "'O'", "[('a', '|O'), ('b', '<f4')]"]) {
      expect(faultOfHeader(header(descr, "(3,)"))).toMatch(
        /holds Python objects, which are a pickle and are never opened; expected numbers, got '.*'; save it again/,
      );
    }
  });

  it("refuses other element types, byte orders and column order with the command that mends it", () => {
    for (const descr of ["'>f4'", "'<f2'", "'|b1'", "'<U8'", "'<c8'", "'f4'", "[('x', '<f4')]"]) {
      const message = faultOfHeader(header(descr, "(3,)"));
      expect(message).toContain("has an element type that isn't read; expected float32, float64, int64, int32");
      expect(message).toContain(`save it again: python3 -c 'import numpy as np; p = "${place()}"`);
    }
    expect(faultOfHeader(header("'<f4'", "(2, 3)", "True"))).toMatch(
      /is in column order \(fortran_order\); expected row order; save it again: .*ascontiguousarray/,
    );
  });

  it("refuses headers that can't be read, and evaluates none", () => {
    const texts = [
      "",
      "{}",
      "[1]",
      "{'descr': '<f4', 'fortran_order': False}",
      header("'<f4'", "(2, 3)").replace("False", "0"),
      header("'<f4'", "3"),
      header("'<f4'", "(__import__('os'),)"),
      header("'<f4'", "(-1,)"),
      header("'<f4'", "(6.0,)"),
      `{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (3,), }`,
      `{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'shape': (3,), }`,
    ];
    for (const text of texts) expect(faultOfHeader(text)).toContain("has a header that can't be read");
    for (const shape of ["(,)", "(2, , 3)", "(2 3)", "(9007199254740992,)"])
      expect(faultOfHeader(header("'<f4'", shape))).toContain("impossible shape");
  });

  it("refuses lengths and versions that lie", () => {
    const text = header("'<f4'", "(6,)");
    expect(faultOf(() => readNpy(raw(text, undefined, { version: 0 })))).toContain("of a version that isn't known; expected 1 to 3, got 0");
    expect(faultOf(() => readNpy(raw(text, undefined, { version: 4 })))).toContain("version");
    expect(faultOf(() => readNpy(raw(text, undefined, { version: 2, length: 2 ** 32 - 1 })))).toContain(
      "expected at most 10000 bytes, got 4294967295",
    );
    expect(faultOf(() => readNpy(raw(text, undefined, { length: 9999 })))).toContain("is cut short; expected a header of 9999 bytes");
  });

  it("refuses a shape that doesn't fit the file, however large, before it maps anything", () => {
    expect(faultOfHeader(header("'<f4'", "(7,)"))).toMatch(/is cut short; expected \d+ bytes for float32 \[7\], got \d+/);
    expect(faultOfHeader(header("'<f4'", "(5,)"))).toContain("holds more than its header says");
    expect(faultOfHeader(header("'<f4'", "(9007199254740991, 9007199254740991)"))).toContain("is cut short");
    expect(faultOfHeader(header("'<f4'", "(4503599627370496, 4503599627370496, 0)"))).toContain("holds more than its header says");
    writeFileSync(place("whole.npy"), Buffer.concat([formatNpyHeader("float32", [2, 3]), new Uint8Array(24)]));
    const { length } = readFileSync(place("whole.npy"));
    for (let size = length - 1; size >= 0; size--) {
      truncateSync(place("whole.npy"), size);
      expect(faultOf(() => readNpy(place("whole.npy")))).toContain("whole.npy");
    }
  });

  it("never brings the process down, whatever bytes of the header are changed", () => {
    const bytes = Buffer.concat([formatNpyHeader("float32", [2, 3]), new Uint8Array(24)]);
    const change = fc.array(fc.tuple(fc.nat(127), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(change, (changes) => {
        const wrong = Uint8Array.from(bytes);
        for (const [index, value] of changes) wrong[index] = value;
        writeFileSync(place(), wrong);
        try {
          expect(readNpy(place()).data).toHaveLength(24);
        } catch {
          faultOf(() => readNpy(place()));
        }
      }),
      { numRuns: 300 },
    );
  });
});
