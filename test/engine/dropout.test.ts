/**
 * Proves that the dropout kernel draws Philox4x32-10's words (the authors' known answers), that the fused kernel and the composition of tensor operations give the same bits, that a mask depends on seed,
 * step, site, example and element and on nothing else (not on the batch it is in, not on padding, not on threads), and that the gradient passes through the same mask.
 * Alone: npx vitest run test/engine/dropout.test.ts
 */
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { dropout, type DropoutContext } from "../../src/engine/dropout.js";
import { engineFacts, setThreads } from "../../src/engine/info.js";
import { OperatorError } from "../../src/engine/native.js";
import { scope } from "../../src/engine/scope.js";
import { gradients, indices, ops, tensor, toFloat32Array, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { philox, wordOf } from "./philox.js";

const threads = engineFacts().threads;
afterAll(() => setThreads(threads));

/** Which elements of ones of `shape` are kept, row-major, as 0 and 1. */
function mask(shape: number[], p: number, context: { seed: number; step: number; examples: number[] }, site: number): number[] {
  const { seed, step, examples } = context;
  return scope(() => {
    const dropped = dropout(ops.ones(shape), p, { seed, step, examples_B: indices(examples) }, site);
    return Array.from(toFloat32Array(dropped), (value) => (value === 0 ? 0 : 1));
  });
}

/** The 32-bit word behind one element, found by halving: an element is kept when its word is below (1 − p)(2^32 − 1). */
function drawnWord(column: number): number {
  let [low, high] = [0, 2 ** 32 - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const isKept = mask([1, 4], 1 - (middle + 0.5) / 4294967295, { seed: 0, step: 0, examples: [0] }, 0)[column] === 1;
    // Kept: the word is below `middle`.
    if (isKept) high = middle - 1;
    else low = middle;
  }
  return low;
}

describe("Philox4x32-10", () => {
  it("the reference of these tests knows the authors' three known answers", () => {
    const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");
    const ones = 0xffffffff;
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
    const pi = philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
    expect(hex(pi)).toBe("d16cfe09 94fdcceb 5001e420 24126ea1");
  });

  it("the kernel draws the known answer for counter 0 and key 0, to the last bit", () => {
    expect([0, 1, 2, 3].map((column) => drawnWord(column).toString(16))).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
  });

  it("the kernel's masks are the reference's for any seed, step, site, example and shape", () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    const shapes = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 2 });
    fc.assert(
      fc.property(
        word,
        word,
        word,
        fc.maxSafeInteger(),
        shapes,
        fc.integer({ min: 1, max: 70 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (seed, step, site, example, between, width, p) => {
          const shape = [1, ...between, width];
          const [outer, inner] = between.length === 2 ? [between[0]!, between[1]!] : [1, between[0] ?? 1];
          const below = Math.floor((1 - p) * 4294967295);
          const expected: number[] = [];
          for (let o = 0; o < outer; o++)
            for (let i = 0; i < inner; i++)
              for (let column = 0; column < width; column++)
                expected.push(wordOf({ seed, step, site, example }, o, i, column) < below ? 1 : 0);
          expect(mask(shape, p, { seed, step, examples: [example] }, site)).toEqual(expected);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("the fused kernel and the composition", () => {
  const shapes = [
    [3, 1],
    [2, 63],
    [2, 65],
    [5, 7, 129],
    [2, 3, 64],
    [2, 3, 5, 33],
    [1, 2, 4, 200],
    [0, 4],
    [2, 0, 4],
    [2, 3, 0],
  ];
  it.each(shapes.map((shape) => [shape]))("are equal bit for bit for [%s] in every floating dtype, for values of every kind", (shape) => {
    scope(() => {
      const examples = indices(Array.from({ length: shape[0]! }, (_, i) => 1000003 * i + 2 ** 33 - 1));
      for (const dtype of ["f32", "f64", "bf16", "f16"] as const) {
        const x = ops.randn(shape, "f64").mul(1000).toDtype(dtype);
        // A half's NaN is one of many, and which one is the processor's affair.
        const odd = dtype === "f32" || dtype === "f64" ? NaN : -Infinity;
        if (x.numel > 3)
          x.reshape([-1])
            .narrow(0, 0, 3)
            .copy_(tensor([odd, Infinity, -0]));
        const arguments_ = [x, examples, 0.3, 4294967295, 123456789, 77] as const;
        const fused = ops.philoxDropout(...arguments_);
        expect([fused.dtype, fused.shape]).toEqual([dtype, shape]);
        expect(fused.toBytes()).toEqual(ops.philoxDropoutReference(...arguments_).toBytes());
      }
    });
  });

  it("are equal for views that aren't laid out row by row", () => {
    scope(() => {
      const x = ops.randn([6, 5, 4]).permute([1, 2, 0]);
      const arguments_ = [x, indices([1, 2, 3, 4, 5]), 0.5, 1, 2, 3] as const;
      const fused = ops.philoxDropout(...arguments_);
      expect(fused.toBytes()).toEqual(ops.philoxDropoutReference(...arguments_).toBytes());
      expect(fused.toBytes()).toEqual(
        ops.philoxDropout(x.contiguous(), ...(arguments_.slice(1) as [Tensor, number, number, number, number])).toBytes(),
      );
    });
  });
});

describe("a mask", () => {
  const context = { seed: 7, step: 11, examples: [40, 41, 42, 43] };

  it("is the same for any split of the batch and any order of its examples", () => {
    const whole = mask([4, 3, 70], 0.4, context, 2);
    const rows = [0, 1, 2, 3].map((row) => whole.slice(row * 210, (row + 1) * 210));
    for (const split of [
      [[0], [1], [2], [3]],
      [
        [0, 1],
        [2, 3],
      ],
      [[3, 0, 2], [1]],
    ])
      for (const part of split) {
        const examples = part.map((row) => context.examples[row]!);
        expect(mask([part.length, 3, 70], 0.4, { ...context, examples }, 2)).toEqual(part.flatMap((row) => rows[row]!));
      }
  });

  it("is the same with more padding in either trailing dimension", () => {
    const at = (inner: number, width: number): number[][][] => {
      const flat = mask([4, inner, width], 0.4, context, 2);
      return context.examples.map((_, b) =>
        Array.from({ length: inner }, (_row, i) => flat.slice((b * inner + i) * width, (b * inner + i + 1) * width)),
      );
    };
    const [short, long] = [at(3, 5), at(9, 130)];
    expect(long.map((rows) => rows.slice(0, 3).map((row) => row.slice(0, 5)))).toEqual(short);
  });

  it("is the same for one thread and several", () => {
    setThreads(1);
    const alone = mask([64, 16, 129], 0.1, { ...context, examples: Array.from({ length: 64 }, (_, i) => i) }, 2);
    setThreads(4);
    expect(mask([64, 16, 129], 0.1, { ...context, examples: Array.from({ length: 64 }, (_, i) => i) }, 2)).toEqual(alone);
  });

  it("differs when seed, step, site or example differ", () => {
    const base = mask([1, 4096], 0.5, { seed: 1, step: 2, examples: [3] }, 4);
    const others = [
      mask([1, 4096], 0.5, { seed: 2, step: 2, examples: [3] }, 4),
      mask([1, 4096], 0.5, { seed: 1, step: 3, examples: [3] }, 4),
      mask([1, 4096], 0.5, { seed: 1, step: 2, examples: [4] }, 4),
      mask([1, 4096], 0.5, { seed: 1, step: 2, examples: [3] }, 5),
      // Neither pair may be added together instead of kept apart.
      mask([1, 4096], 0.5, { seed: 2, step: 1, examples: [3] }, 4),
      mask([1, 4096], 0.5, { seed: 4, step: 2, examples: [3] }, 1),
    ];
    for (const other of others) {
      const equal = other.filter((kept, i) => kept === base[i]).length;
      // Independent masks agree on half; six standard deviations are 192.
      expect(Math.abs(equal - 2048)).toBeLessThan(192);
    }
  });

  it.each([0.1, 0.5, 0.9])("drops a share of %s and scales the rest by 1 / (1 − p)", (p) => {
    scope(() => {
      const count = 200 * 1001;
      const x = ops.ones([200, 1001]);
      const dropped = toFloat32Array(dropout(x, p, { seed: 5, step: 0, examples_B: indices(Array.from({ length: 200 }, (_, i) => i)) }, 0));
      const zeros = dropped.filter((value) => value === 0).length;
      expect(Math.abs(zeros - p * count)).toBeLessThan(5 * Math.sqrt(count * p * (1 - p)));
      expect(new Set(dropped)).toEqual(new Set([0, Math.fround(1 / (1 - p))]));
    });
  });
});

describe("dropout", () => {
  const context = (examples: number[]): DropoutContext => ({ seed: 3, step: 9, examples_B: indices(examples) });

  it("has the mask as its gradient, scaled alike, for any gradient that comes in", () => {
    scope(() => {
      const x = ops.randn([2, 3, 37], "f64").setRequiresGrad();
      const weight = ops.randn([2, 3, 37], "f64");
      const [found] = gradients(
        [
          dropout(x, 0.25, context([8, 9]), 1)
            .mul(weight)
            .sum(),
        ],
        [x],
      );
      expect(found!.toBytes()).toEqual(dropout(weight, 0.25, context([8, 9]), 1).toBytes());
      const zeros = [...toFloat64Array(found!)].filter((value) => value === 0).length;
      expect(zeros).toBeGreaterThan(20);
    });
  });

  it("returns its input for p = 0 and without a context", () => {
    scope(() => {
      const x = ops.randn([2, 4]);
      expect(dropout(x, 0, context([1, 2]), 1)).toBe(x);
      expect(dropout(x, 0.5, undefined, 1)).toBe(x);
    });
  });

  it("refuses wrong arguments, naming what it wants", () => {
    scope(() => {
      const x = ops.ones([2, 4]);
      const good = [x, indices([0, 1]), 0.5, 1, 2, 3] as [Tensor, Tensor, number, number, number, number];
      const refused: [number, unknown, RegExp][] = [
        [0, ops.ones([4]), /expected 2 to 4 dimensions/],
        [0, ops.ones([2, 1, 1, 1, 4]), /expected 2 to 4 dimensions/],
        [0, indices([1, 2, 3, 4], [2, 2]), /expected a floating tensor/],
        [1, indices([0]), /expected examples i64\[2\]/],
        [1, tensor([0, 1]), /expected examples i64\[2\]/],
        [2, 1, /probability from 0 to below 1/],
        [2, -0.1, /probability from 0 to below 1/],
        [2, NaN, /probability from 0 to below 1/],
        [3, -1, /below 2\^32/],
        [4, 2 ** 32, /below 2\^32/],
        [5, 2 ** 32, /below 2\^32/],
      ];
      for (const name of ["philoxDropout", "philoxDropoutReference"] as const)
        for (const [place, value, message] of refused) {
          const wrong = good.with(place, value as number) as typeof good;
          expect(() => ops[name](...wrong), String(message)).toThrow(OperatorError);
          expect(() => ops[name](...wrong), String(message)).toThrow(message);
        }
      expect(() => ops.philoxDropout(...good)).not.toThrow();
    });
  });
});
