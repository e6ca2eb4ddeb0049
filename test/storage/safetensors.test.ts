/**
 * Proves that safetensors files come back as they were written, and that every lie of a header is refused before it is believed.
 * The reference library's word is asked in safetensors-reference.test.ts. Alone: npx vitest run test/storage/safetensors.test.ts
 */
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSafetensors, type SafetensorsDtype, writeSafetensors } from "../../src/storage/safetensors.js";
import { elementBytes, tensorBytes } from "../../src/storage/safetensors-header.js";
import { readShardedSafetensors } from "../../src/storage/sharded-safetensors.js";
import { faultOf, namesIn, temporaryFolder } from "./bad-input.js";

const folder = temporaryFolder();
const place = (name = "case.safetensors"): string => join(folder, name);
const dtypes =
  "BOOL U8 I8 I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ F6_E2M3 F6_E3M2 F4".split(
    " ",
  ) as SafetensorsDtype[];

/** A file from a header as text (or value) and the bytes behind it, with a true length field unless another is given. */
function raw(header: unknown, body = new Uint8Array(), length?: bigint): string {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(json.length));
  writeFileSync(place(), Buffer.concat([head, json, body]));
  return place();
}

const f32 = (shape: unknown, offsets: unknown, dtype: unknown = "F32"): object => ({ dtype, shape, data_offsets: offsets });
const faultOfHeader = (header: unknown, bytes = 8): string => faultOf(() => readSafetensors(raw(header, new Uint8Array(bytes))));

describe("a written file", () => {
  it("comes back with every name, type, shape and byte", () => {
    const tensor = fc.record({
      name: fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__"),
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.nat(5), { maxLength: 4 }),
    });
    const whole = tensor.filter(({ dtype, shape }) => tensorBytes(dtype, shape) !== undefined);
    const metadata = fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), { noNullPrototype: true });
    fc.assert(
      fc.property(fc.uniqueArray(whole, { selector: ({ name }) => name, maxLength: 8 }), metadata, (specs, about) => {
        const tensors = specs.map((spec, number) => {
          return { ...spec, data: new Uint8Array(tensorBytes(spec.dtype, spec.shape) ?? 0).map((_, index) => index * 31 + number) };
        });
        writeSafetensors(place(), tensors, about);
        const read = readSafetensors(place());
        expect(read.metadata).toEqual({ format: "pt", ...about });
        expect([...read.tensors.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
        for (const { name, dtype, shape, data } of tensors) {
          const back = read.tensors.get(name)!;
          expect([back.dtype, back.shape]).toEqual([dtype, shape]);
          expect(Buffer.from(back.data).equals(data)).toBe(true);
          expect(back.data.byteOffset % elementBytes(dtype)).toBe(0);
        }
        expect(readFileSync(place()).readUInt32LE(0) % 8).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("takes bytes from functions, in the file's order, one at a time", () => {
    const asked: string[] = [];
    const lazy = (name: string, dtype: SafetensorsDtype, bytes: number) => ({
      name,
      dtype,
      shape: [1],
      data: () => {
        asked.push(name);
        return new Uint8Array(bytes).fill(name.charCodeAt(0));
      },
    });
    writeSafetensors(place(), [lazy("b", "U8", 1), lazy("a", "U8", 1), lazy("z", "F64", 8)]);
    expect(asked).toEqual(["z", "a", "b"]);
    expect(readSafetensors(place()).tensors.get("b")?.data).toEqual(new Uint8Array([98]));
  });

  it("is refused to the caller when names repeat or bytes don't fit, and nothing is left", () => {
    const one = { name: "a", dtype: "F32" as const, shape: [2], data: new Uint8Array(8) };
    const target = join(mkdtempSync(join(folder, "refused-")), "x.safetensors");
    expect(() => writeSafetensors(target, [one, one])).toThrow("the name is taken");
    expect(() => writeSafetensors(target, [{ ...one, name: "__metadata__" }])).toThrow("the name is taken");
    expect(() => writeSafetensors(target, [{ ...one, data: new Uint8Array(7) }])).toThrow("don't fit its shape");
    expect(() => writeSafetensors(target, [{ ...one, shape: [-2] }])).toThrow("is not a shape");
    expect(() => writeSafetensors(target, [{ ...one, dtype: "F4", shape: [3] }])).toThrow("is not a shape");
    expect(() => writeSafetensors(target, [{ ...one, name: "\ud800" }])).toThrow("not Unicode");
    expect(namesIn(join(target, ".."))).toEqual([]);
    expect(faultOf(() => writeSafetensors("/dev/full", [one]))).toContain("no space left");
    expect(faultOf(() => writeSafetensors(folder, [one]))).toContain("is a folder");
  });
});

describe("a foreign file", () => {
  it("is read with unaligned tensors, names in any order and no metadata", () => {
    const body = new Uint8Array(13).map((_, index) => index);
    const header = { "odd one": f32([1], [9, 13]), __proto__x: f32([], [8, 9], "U8"), first: f32([2], [0, 8]), none: f32([0, 7], [8, 8]) };
    const { tensors, metadata } = readSafetensors(raw(`${JSON.stringify(header)} `, body));
    expect(metadata).toEqual({});
    expect(tensors.get("odd one")?.data).toEqual(new Uint8Array([9, 10, 11, 12]));
    expect(tensors.get("odd one")?.data.byteOffset).toBe(0);
    expect(tensors.get("first")?.data).toEqual(body.slice(0, 8));
    expect([tensors.get("__proto__x")?.shape, tensors.get("none")?.data.length]).toEqual([[], 0]);
    expect(readSafetensors(raw("{}")).tensors.size).toBe(0);
    expect([
      ...readSafetensors(raw('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1))).tensors.keys(),
    ]).toEqual(["__proto__"]);
  });

  it("is refused when the length field lies", () => {
    expect(faultOf(() => readSafetensors(raw("{}", undefined, 100_000_001n)))).toContain(
      "expected a header of at most 100000000 bytes, got 100000001",
    );
    expect(faultOf(() => readSafetensors(raw("{}", undefined, 2n ** 64n - 1n)))).toContain("got 18446744073709551615");
    expect(faultOf(() => readSafetensors(raw("{}", undefined, 99_999_999n)))).toMatch(
      /is cut short; expected a header of 99999999 bytes, got 2;/,
    );
    expect(faultOf(() => readSafetensors(raw("{}", undefined, 0n)))).toContain("does not begin with '{'");
    for (const length of [0, 1, 7]) {
      writeFileSync(place(), new Uint8Array(length));
      expect(faultOf(() => readSafetensors(place()))).toContain(`expected at least 8 bytes, got ${String(length)}`);
    }
  });

  it("is refused when it is cut at any byte, or longer than it says", () => {
    writeSafetensors(place("whole"), [
      { name: "a", dtype: "F32", shape: [3], data: new Uint8Array(12) },
      { name: "b", dtype: "U8", shape: [5], data: new Uint8Array(5) },
    ]);
    const bytes = readFileSync(place("whole"));
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(place(), bytes.subarray(0, length));
      expect(faultOf(() => readSafetensors(place()))).toContain("case.safetensors");
    }
    writeFileSync(place(), Buffer.concat([bytes, Buffer.from("x")]));
    expect(faultOf(() => readSafetensors(place()))).toContain("holds bytes that belong to no tensor; expected 17 bytes of tensors, got 18");
  });

  it("is refused when the header is no JSON object in UTF-8", () => {
    expect(faultOfHeader("{nonsense")).toMatch(/case\.safetensors, header:1:2: is not JSON/);
    expect(faultOfHeader("[1]")).toContain("header: does not begin with '{'");
    expect(faultOfHeader(" {}")).toContain("header: does not begin with '{'");
    expect(faultOfHeader('{"a":1}')).toContain('tensor "a": is not what it should be; expected a JSON object, got a number');
    const latin = Buffer.concat([Buffer.from([10, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"\xe9":null}', "latin1")]);
    writeFileSync(place(), latin);
    expect(faultOf(() => readSafetensors(place()))).toContain("header: is not UTF-8");
  });

  it("is refused when a key stands twice, plainly or escaped", () => {
    const entry = JSON.stringify(f32([2], [0, 8]));
    expect(faultOfHeader(`{"a":${entry},"a":${entry}}`)).toContain('header: holds the key "a" twice');
    expect(faultOfHeader(`{"a":${entry},"\\u0061":${entry}}`)).toContain('holds the key "a" twice');
    expect(faultOfHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4],"data_offsets":[0,8]}}')).toContain('"data_offsets" twice');
  });

  it("is refused for types, shapes and offsets that can't be", () => {
    for (const dtype of ["F31", "f32", "constructor", "", null, 4])
      expect(faultOfHeader({ a: f32([2], [0, 8], dtype) })).toContain("element type");
    expect(faultOfHeader({ a: { shape: [2], data_offsets: [0, 8] } })).toMatch(
      /tensor "a": has an element type that is not known; .*got nothing/,
    );
    for (const shape of [[-2], [1.5], ["2"], [null], [2 ** 53], [2 ** 31, 2 ** 31], [2 ** 40, 2 ** 40, 0]]) {
      expect(faultOfHeader({ a: f32(shape, [0, 8]) })).toContain("has an impossible shape");
    }
    for (const shape of [undefined, 2, "2", { 0: 2 }]) expect(faultOfHeader({ a: f32(shape, [0, 8]) })).toContain("has no shape");
    for (const offsets of [undefined, [0], [0, 8, 8], [8, 0], [-8, 0], [0, "8"], [0, 2 ** 53], [0.5, 8.5], { 0: 0, 1: 8 }]) {
      expect(faultOfHeader({ a: f32([2], offsets) })).toContain("has wrong data_offsets");
    }
    expect(faultOfHeader({ a: f32([3], [0, 8]) })).toMatch(
      /tensor "a": has data_offsets that don't fit its shape; expected 12 bytes for F32 \[3\], got 8/,
    );
    expect(faultOfHeader({ a: f32([3], [0, 1], "F4") })).toContain("has an impossible shape");
  });

  it("is refused for offsets beyond the file, overlaps and holes", () => {
    expect(faultOfHeader({ a: f32([4], [0, 16]) })).toContain("is cut short; expected 16 bytes of tensors, got 8");
    expect(faultOfHeader({ a: f32([2 ** 44], [0, 2 ** 46]) })).toContain("is cut short");
    expect(faultOfHeader({ a: f32([1], [0, 4]), b: f32([2], [0, 8]) })).toMatch(
      /tensor "b": overlaps the tensor before it; expected data from byte 4, got byte 0/,
    );
    expect(faultOfHeader({ a: f32([1], [0, 4]), b: f32([1], [0, 4]), c: f32([1], [4, 8]) })).toContain("overlaps");
    expect(faultOfHeader({ a: f32([1], [4, 8]) })).toMatch(/tensor "a": leaves a hole before it; expected data from byte 0, got byte 4/);
    expect(faultOfHeader({ a: f32([0], [2, 2]), b: f32([2], [0, 8]) })).toContain("overlaps");
    expect(faultOfHeader({})).toContain("belong to no tensor");
  });

  it("is refused for metadata that isn't text", () => {
    expect(faultOfHeader({ __metadata__: { format: 1 } }, 0)).toContain('__metadata__, "format": is not a text');
    expect(faultOfHeader({ __metadata__: ["pt"] }, 0)).toContain("__metadata__: is not what it should be");
  });

  it("never brings the process down, whatever bytes are changed", () => {
    writeSafetensors(place("whole"), [
      { name: "weights", dtype: "F32", shape: [2, 3], data: new Uint8Array(24) },
      { name: "bias", dtype: "I64", shape: [2], data: new Uint8Array(16) },
    ]);
    const bytes = readFileSync(place("whole"));
    const change = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(change, (changes) => {
        const wrong = Uint8Array.from(bytes);
        for (const [index, value] of changes) wrong[index] = value;
        writeFileSync(place(), wrong);
        let sum = 0;
        try {
          for (const { data } of readSafetensors(place()).tensors.values()) sum += data.length;
        } catch {
          faultOf(() => readSafetensors(place()));
          return;
        }
        expect(sum).toBe(40);
      }),
      { numRuns: 300 },
    );
  });
});

describe("what is no safetensors file", () => {
  it("is refused, a pickle with the command that converts it", () => {
    const zip = place("it's a model.bin");
    writeFileSync(zip, Buffer.concat([Buffer.from([0x50, 0x4b, 3, 4]), Buffer.alloc(60)]));
    const message = faultOf(() => readSafetensors(zip));
    expect(message).toContain("is not a safetensors file; got a zip file, as PyTorch's pickles are; convert it: python3 -c 'import torch;");
    expect(message).toContain("weights_only=True");
    expect(message).toContain("it'\\''s a model.converted.safetensors");
    writeFileSync(place(), Uint8Array.from([0x80, 2, 0x8a, 10, ...Array.from({ length: 40 }, () => 0)]));
    expect(faultOf(() => readSafetensors(place()))).toContain("got a pickle; convert it");
    writeFileSync(place(), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    expect(faultOf(() => readSafetensors(place()))).toContain("got a Git LFS pointer, not the file itself; fetch the file: git lfs pull");
    expect(faultOf(() => readSafetensors(folder))).toContain("is a folder, not a file");
    expect(faultOf(() => readSafetensors("/dev/zero"))).toContain("is not a regular file");
    expect(faultOf(() => readSafetensors(place("none")))).toContain("no such file");
  });
});

describe("a sharded folder", () => {
  const shard = (target: string, name: string, ...tensors: string[]): void => {
    const stored = tensors.map((tensor, number) => ({
      name: tensor,
      dtype: "U8" as const,
      shape: [2],
      data: new Uint8Array([number, tensor.length]),
    }));
    writeSafetensors(join(target, name), stored);
  };
  const folderWith = (map: unknown): string => {
    const target = mkdtempSync(join(folder, "shards-"));
    shard(target, "model-00001-of-00002.safetensors", "a", "spare");
    shard(target, "model-00002-of-00002.safetensors", "bb");
    writeFileSync(join(target, "model.safetensors.index.json"), JSON.stringify({ metadata: { total_size: 6 }, weight_map: map }));
    return target;
  };
  const map = { a: "model-00001-of-00002.safetensors", bb: "model-00002-of-00002.safetensors" };

  it("is read as one, and takes only what the index assigns", () => {
    const { tensors, metadata } = readShardedSafetensors(folderWith(map));
    expect([...tensors].map(([name, { data }]) => [name, ...data])).toEqual([
      ["a", 0, 1],
      ["bb", 0, 2],
    ]);
    expect(metadata).toEqual({ format: "pt" });
  });

  it("gives way to a single file, and a link to a shard is followed as the hub's downloads need", () => {
    const target = folderWith(map);
    symlinkSync(join(target, "model-00002-of-00002.safetensors"), join(target, "linked.safetensors"));
    writeFileSync(join(target, "model.safetensors.index.json"), JSON.stringify({ weight_map: { bb: "linked.safetensors" } }));
    expect([...readShardedSafetensors(target).tensors.keys()]).toEqual(["bb"]);
    shard(target, "model.safetensors", "single");
    expect([...readShardedSafetensors(target).tensors.keys()]).toEqual(["single"]);
  });

  it("refuses shards outside the folder", () => {
    writeSafetensors(join(folder, "secret.safetensors"), [{ name: "a", dtype: "U8", shape: [2], data: new Uint8Array(2) }]);
    const escapes = [
      "../secret.safetensors",
      join(folder, "secret.safetensors"),
      "x/../../secret.safetensors",
      "..",
      "..\\secret.safetensors",
    ];
    for (const name of [...escapes, "a\0.safetensors", "", "model.bin", 3, null, ["a"]]) {
      expect(faultOf(() => readShardedSafetensors(folderWith({ ...map, a: name })))).toMatch(
        /index\.json, tensor "a": names a shard that is not a file of this folder; expected a name such as/,
      );
    }
  });

  it("refuses an index that is none, and shards that are missing or hold something else", () => {
    expect(faultOf(() => readShardedSafetensors(folderWith({ a: "model-00009.safetensors" })))).toContain(
      "model-00009.safetensors: no such file",
    );
    expect(faultOf(() => readShardedSafetensors(folderWith({ bb: map.a })))).toContain(
      'does not hold the tensor "bb" that model.safetensors.index.json',
    );
    for (const wrong of [undefined, null, [], "x"])
      expect(faultOf(() => readShardedSafetensors(folderWith(wrong)))).toContain("weight_map: is not what");
    const target = folderWith(map);
    truncateSync(join(target, map.bb), 40);
    expect(faultOf(() => readShardedSafetensors(target))).toContain("model-00002-of-00002.safetensors: is cut short");
    writeFileSync(join(target, "model.safetensors.index.json"), "{");
    expect(faultOf(() => readShardedSafetensors(target))).toContain("model.safetensors.index.json:1:2: is not JSON");
  });

  it("refuses folders without weights, pickles with the command that converts them", () => {
    const target = mkdtempSync(join(folder, "pickles-"));
    expect(faultOf(() => readShardedSafetensors(target))).toContain("holds no safetensors weights; expected model.safetensors or");
    writeFileSync(join(target, "pytorch_model.bin"), "");
    expect(faultOf(() => readShardedSafetensors(target))).toMatch(/got pytorch_model\.bin, a pickle; convert it: python3 -c '.*save_file/);
    expect(faultOf(() => readShardedSafetensors(join(target, "none")))).toContain("no such file or folder");
    expect(faultOf(() => readShardedSafetensors(join(target, "pytorch_model.bin")))).toContain("is a file, not a folder");
    const sharded = mkdtempSync(join(folder, "pickles-"));
    writeFileSync(join(sharded, "pytorch_model.bin.index.json"), "{}");
    expect(faultOf(() => readShardedSafetensors(sharded))).toMatch(
      /pytorch_model\.bin\.index\.json, a pickle; convert it: python3 -c 'from transformers/,
    );
    mkdirSync(join(sharded, "model.safetensors"));
    expect(faultOf(() => readShardedSafetensors(sharded))).toContain("is a folder, not a file");
  });
});
