/**
 * Proves that data of every dtype goes into a tensor and comes out unchanged, that conversions round as PyTorch's do, that shapes and alignments that don't fit are refused, and that a tensor over mapped
 * memory keeps that memory alive.
 * Alone: npx vitest run test/engine/tensor.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DTYPES, isFloating } from "../../src/engine/dtype.js";
import { OperatorError } from "../../src/engine/native.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import {
  byteLength,
  fromBytes,
  fromMapped,
  indices,
  ops,
  tensor,
  toFloat32Array,
  toFloat64Array,
  toInt32Array,
} from "../../src/engine/tensor.js";

describe("data in", () => {
  it("takes each typed array with its dtype and its own offset into the buffer", () => {
    scope(() => {
      const cases = [
        [new Float64Array([1.5, -2, 1e300]).subarray(1), "f64", [-2, 1e300]],
        [new Float32Array([1.5, -2, 3]).subarray(1), "f32", [-2, 3]],
        [new BigInt64Array([7n, -5n, 9007199254740991n]).subarray(1), "i64", [-5, 9007199254740991]],
        [new Int32Array([1, -2147483648, 3]).subarray(1), "i32", [-2147483648, 3]],
        [new Uint8Array([1, 255, 3]).subarray(1), "u8", [255, 3]],
      ] as const;
      for (const [data, dtype, values] of cases) {
        const made = tensor(data);
        expect([made.dtype, made.shape, [...toFloat64Array(made)]]).toEqual([dtype, [2], values]);
      }
    });
  });

  it("takes numbers and nested lists as f32, or as the dtype that is asked for", () => {
    scope(() => {
      expect([tensor(2.5).shape, tensor(2.5).dtype, tensor(2.5).item()]).toEqual([[], "f32", 2.5]);
      const cube = tensor([
        [
          [1, 2],
          [3, 4],
        ],
        [
          [5, 6],
          [7, 8],
        ],
      ]);
      expect([cube.shape, cube.dtype, [...toFloat32Array(cube)]]).toEqual([[2, 2, 2], "f32", [1, 2, 3, 4, 5, 6, 7, 8]]);
      expect(tensor([], { dtype: "i64" }).shape).toEqual([0]);
      expect(tensor([[], []]).shape).toEqual([2, 0]);
      for (const dtype of DTYPES) {
        const made = tensor([[0, 1, 1]], { dtype });
        expect([made.dtype, made.shape, [...toFloat32Array(made)]]).toEqual([dtype, [1, 3], [0, 1, 1]]);
        expect(tensor(1, { dtype }).dtype).toBe(dtype);
      }
    });
  });

  it("goes through f64, so that whole numbers beyond f32's reach stay whole in i64", () => {
    scope(() => {
      expect(tensor([16777217, 9007199254740991], { dtype: "i64" }).toBytes()).toEqual(
        new Uint8Array(new BigInt64Array([16777217n, 9007199254740991n]).buffer),
      );
      expect(indices([2 ** 40, -1]).toBytes()).toEqual(new Uint8Array(new BigInt64Array([2n ** 40n, -1n]).buffer));
    });
  });

  it.each([
    ["rows of two lengths", [[1, 2], [3]], /rows of one level have one length; expected 2, got 1/],
    ["a number beside a row", [1, [2]], /mixed in one level/],
    ["a row beside a number", [[1], 2], /mixed in one level/],
    ["an empty row beside a number", [[], 2], /mixed in one level/],
    ["a row beside an empty one", [[], [2]], /expected 0, got 1/],
    ["rows of two depths", [[[1]], [1]], /mixed in one level/],
  ])("refuses %s", (_, data, message) => {
    const before = liveTensors().tensors;
    expect(() => tensor(data as number[])).toThrow(RangeError);
    expect(() => tensor(data as number[])).toThrow(message);
    expect(liveTensors().tensors).toBe(before);
  });

  it("refuses shapes that don't hold the data, negative and monstrous sizes", () => {
    const six = new Float32Array(6);
    for (const shape of [[7], [2, 2], [-2, -3], [1.5, 4], [2 ** 40, 2 ** 40], [Number.NaN]]) {
      expect(() => fromBytes(six, "f32", shape), String(shape)).toThrow(OperatorError);
      expect(() => fromMapped(six, "f32", shape), String(shape)).toThrow(OperatorError);
    }
    expect(() => fromBytes(six, "f32", [7])).toThrow(/need 28 bytes, the data has 24/);
    expect(() => fromBytes(six, "f64", [6])).toThrow(/need 48 bytes, the data has 24/);
    expect(() => fromBytes(six, "f31" as "f32", [6])).toThrow(OperatorError);
  });

  it("copies: what happens to the source afterwards doesn't reach the tensor", () => {
    scope(() => {
      const source = new Float32Array([1, 2]);
      const made = tensor(source);
      source[0] = 9;
      expect([...toFloat32Array(made)]).toEqual([1, 2]);
    });
  });
});

describe("data out", () => {
  it("gives back the bytes that came in, for every dtype", () => {
    const whole = fc.uint8Array({ minLength: 8, maxLength: 64 }).map((bytes) => bytes.subarray(0, bytes.length - (bytes.length % 8)));
    fc.assert(
      fc.property(whole, fc.constantFrom(...DTYPES), (bytes, dtype) => {
        // A bool of any other byte than 0 and 1 is no bool.
        const data = dtype === "bool" ? bytes.map((byte) => byte & 1) : bytes;
        const count = data.length / byteLength(dtype, [1]);
        scope(() => {
          expect(fromBytes(data, dtype, [count]).toBytes()).toEqual(Uint8Array.from(data));
        });
      }),
      { numRuns: 100 },
    );
  });

  it("knows bf16's and f16's bits and rounds to nearest even", () => {
    scope(() => {
      const bits = (value: number, dtype: "bf16" | "f16"): number =>
        new DataView(tensor([value], { dtype }).toBytes().buffer).getUint16(0, true);
      expect([bits(1, "bf16"), bits(-2.5, "bf16"), bits(3.140625, "bf16")]).toEqual([0x3f80, 0xc020, 0x4049]);
      expect([bits(1, "f16"), bits(-2.5, "f16"), bits(65504, "f16"), bits(70000, "f16")]).toEqual([0x3c00, 0xc100, 0x7bff, 0x7c00]);
      // Halfway between 1 and the next bf16, and between the next two: both go to the even one.
      expect([bits(1 + 1 / 256, "bf16"), bits(1 + 3 / 256, "bf16")]).toEqual([0x3f80, 0x3f82]);
      expect([...toFloat32Array(fromBytes(new Uint16Array([0x4049, 0xff80]), "bf16", [2]))]).toEqual([3.140625, -Infinity]);
    });
  });

  it("converts to i32 by cutting the fraction off, and to bool's numbers as 0 and 1", () => {
    scope(() => {
      expect([...toInt32Array(tensor([1.9, -1.9, 0]))]).toEqual([1, -1, 0]);
      expect([...toFloat32Array(tensor([0, 2, -1], { dtype: "bool" }))]).toEqual([0, 1, 1]);
      expect([...toInt32Array(tensor([5, 0, 7]).gt(1))]).toEqual([1, 0, 1]);
    });
  });

  it("reads transposed and expanded views row by row", () => {
    scope(() => {
      const x = tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]);
      expect([...toFloat32Array(x.t())]).toEqual([1, 4, 2, 5, 3, 6]);
      expect([...toFloat32Array(tensor([[7], [8]]).expand([2, 2]))]).toEqual([7, 7, 8, 8]);
    });
  });

  it("leaves no tensor behind", () => {
    scope(() => {
      const half = tensor([1, 2], { dtype: "bf16" });
      const before = liveTensors().tensors;
      toFloat32Array(half);
      toFloat64Array(half);
      toInt32Array(half);
      expect(liveTensors().tensors).toBe(before);
    });
  });
});

describe("facts of a tensor", () => {
  it("size counts from both ends and refuses dimensions that aren't there", () => {
    scope(() => {
      const x = ops.zeros([2, 3, 4]);
      expect([x.size(0), x.size(2), x.size(-1), x.size(-3), x.numel]).toEqual([2, 4, 4, 2, 24]);
      for (const d of [3, -4, 99]) expect(() => x.size(d)).toThrow(/no dimension -?\d+ in a tensor of shape \[2,3,4\]/);
      expect(() => tensor(1).size(0)).toThrow(RangeError);
      expect([tensor(1).numel, ops.zeros([3, 0]).numel]).toEqual([1, 0]);
    });
  });

  it("item is the one element, of any dtype, and refuses more or none", () => {
    scope(() => {
      for (const dtype of DTYPES) expect(tensor([[1]], { dtype }).item(), dtype).toBe(1);
      expect(tensor([NaN]).item()).toBeNaN();
      expect(() => tensor([1, 2]).item()).toThrow(OperatorError);
      expect(() => tensor([]).item()).toThrow(OperatorError);
    });
  });

  it("knows which dtypes are floating", () => {
    expect(DTYPES.filter(isFloating)).toEqual(["f64", "f32", "bf16", "f16"]);
    scope(() => {
      for (const dtype of DTYPES) {
        const record = (): unknown => tensor([1], { dtype }).setRequiresGrad();
        if (isFloating(dtype)) expect(record).not.toThrow();
        else expect(record, dtype).toThrow(/only floating tensors have gradients/);
      }
    });
  });
});

describe("fromMapped", () => {
  it("shares the memory instead of copying it", () => {
    scope(() => {
      const memory = new Float32Array([1, 2, 3]);
      const shared = fromMapped(memory, "f32", [3]);
      memory[1] = 20;
      expect([...toFloat32Array(shared)]).toEqual([1, 20, 3]);
    });
  });

  it("refuses data that isn't aligned to its dtype", () => {
    const memory = new Uint8Array(32);
    for (const [dtype, size] of [
      ["f64", 8],
      ["i64", 8],
      ["f32", 4],
      ["bf16", 2],
    ] as const)
      expect(() => fromMapped(memory.subarray(1, 1 + size), dtype, [1]), dtype).toThrow(/not aligned to its dtype; copy it with fromBytes/);
    scope(() => expect(fromMapped(memory.subarray(1, 3), "u8", [2]).shape).toEqual([2]));
  });
});
