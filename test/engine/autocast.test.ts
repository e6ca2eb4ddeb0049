/**
 * Proves that autocast makes matrix products bf16 inside and leaves them f32 outside, nests, ends with its body however that ends, keeps parameters and gradients in f32, and doesn't hold casts of
 * weights past an update.
 * Alone: npx vitest run test/engine/autocast.test.ts
 */
import { describe, expect, it } from "vitest";
import { autocast } from "../../src/engine/autocast.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { ops, tensor, toFloat32Array, zeroGrads } from "../../src/engine/tensor.js";

/** The dtype that a product of two f32 matrices has right now. */
const productDtype = (): string => scope(() => ops.ones([2, 2]).mm(ops.ones([2, 2])).dtype);

describe("autocast", () => {
  it("makes products bf16 inside and f32 outside", () => {
    expect(productDtype()).toBe("f32");
    expect(autocast("bf16", productDtype)).toBe("bf16");
    expect(autocast("f16", productDtype)).toBe("f16");
    expect(productDtype()).toBe("f32");
  });

  it("is nothing when the precision is undefined", () => {
    expect(autocast(undefined, productDtype)).toBe("f32");
    expect(autocast("bf16", () => autocast(undefined, productDtype))).toBe("bf16");
  });

  it("nests: the inner dtype inside, the outer one again after it", () => {
    const seen = autocast("bf16", () => [productDtype(), autocast("f16", productDtype), productDtype()]);
    expect([...seen, productDtype()]).toEqual(["bf16", "f16", "bf16", "f32"]);
  });

  it("ends when the body throws or returns a Promise, which is refused", () => {
    const failing = (): never => {
      throw new Error("of the body");
    };
    expect(() => autocast("bf16", failing)).toThrow("of the body");
    expect(productDtype()).toBe("f32");
    expect(() => autocast("bf16", () => autocast("f16", failing))).toThrow("of the body");
    expect(productDtype()).toBe("f32");
    expect(() => autocast("bf16", () => Promise.resolve(1))).toThrow(/returned a Promise/);
    expect(productDtype()).toBe("f32");
    expect(() => autocast("f32" as "bf16", productDtype)).toThrow(/bf16 or f16/);
    expect(productDtype()).toBe("f32");
  });

  it("leaves what isn't a product in its own dtype on the CPU, and gradients of f32 weights in f32", () => {
    scope(() => {
      const weight = tensor([
        [1, 2],
        [3, 4],
      ]).setRequiresGrad();
      const dtypes = autocast("bf16", () => {
        const x = tensor([[1, 1]]);
        const product = x.mm(weight);
        product.sum().backward();
        return [product.dtype, x.layerNorm([2]).dtype, x.add(product).dtype, product.logSoftmax(1).dtype];
      });
      // The last one is the trap that autocast.ts names: a loss inside would be bf16.
      expect(dtypes).toEqual(["bf16", "f32", "f32", "bf16"]);
      expect([weight.dtype, weight.grad?.dtype]).toEqual(["f32", "f32"]);
    });
  });

  it("rounds as bf16 does", () => {
    scope(() => {
      const x = tensor([[1 + 1 / 512]]);
      expect(autocast("bf16", () => x.mm(tensor([[1]])).item())).toBe(1);
      expect(x.mm(tensor([[1]])).item()).toBe(1 + 1 / 512);
    });
  });

  it("sees a weight's new values after an update", () => {
    scope(() => {
      const weight = tensor([[1]]).setRequiresGrad();
      const product = (): number =>
        autocast("bf16", () =>
          tensor([[1]])
            .mm(weight)
            .item(),
        );
      expect(product()).toBe(1);
      noGrad(() => weight.add_(1));
      expect(product()).toBe(2);
      autocast("bf16", () =>
        tensor([[3]])
          .mm(weight)
          .sum(),
      ).backward();
      expect([...toFloat32Array(weight.grad!)]).toEqual([3]);
      zeroGrads([weight]);
    });
  });
});
