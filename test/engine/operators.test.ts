/**
 * Proves that the generated operators are those of the libtorch that is installed, that arguments are converted by schema (defaults, lists, optional tensors,
 * overloads by type), and that refusals name operator and shapes.
 * Alone: npx vitest run test/engine/operators.test.ts
 */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { native, OperatorError } from "../../src/engine/native.js";
import { scope } from "../../src/engine/scope.js";
import { indices, ops, tensor, toFloat32Array, toInt32Array } from "../../src/engine/tensor.js";

const ROOT = path.join(import.meta.dirname, "../..");

describe("generated operators", () => {
  it("equal what the running libtorch's schemas give", () => {
    execFileSync("npx", ["tsx", "tools/generate-operators.ts", "--check"], { cwd: ROOT, stdio: "pipe" });
  });

  it("pick the overload by the argument's type", () => {
    scope(() => {
      const a = tensor([1, 2, 3]);
      expect([...toFloat32Array(a.add(1))]).toEqual([2, 3, 4]);
      expect([...toFloat32Array(a.add(a))]).toEqual([2, 4, 6]);
      expect([...toFloat32Array(a.add(a, 10))]).toEqual([11, 22, 33]);
      expect([...toFloat32Array(a.pow(2))]).toEqual([1, 4, 9]);
    });
  });

  it("fill in defaults, optional tensors and lists", () => {
    scope(() => {
      const x = tensor([
        [1, 2],
        [3, 4],
      ]);
      expect(x.sum().item()).toBe(10);
      expect([...toFloat32Array(x.sum(0))]).toEqual([4, 6]);
      expect(x.sum([0, 1], true).shape).toEqual([1, 1]);
      expect([...toFloat32Array(x.layerNorm([2]))].map((v) => Math.round(v))).toEqual([-1, 1, -1, 1]);
      expect(ops.cat([x, x], 1).shape).toEqual([2, 4]);
      expect([...toFloat32Array(x.index([null, indices([1])]))]).toEqual([2, 4]);
      const [values, places] = x.topk(1, 1);
      expect([...toFloat32Array(values), ...toInt32Array(places)]).toEqual([2, 4, 1, 1]);
    });
  });

  it("keep whole numbers whole for integer tensors", () => {
    scope(() => {
      expect(indices([5]).mul(2).dtype).toBe("i64");
      expect(indices([5]).mul(2.5).dtype).toBe("f32");
    });
  });

  it("name the operator and the shapes when they refuse", () => {
    scope(() => {
      const bad = (): unknown => tensor([[1, 2]]).mm(tensor([[1, 2]]));
      expect(bad).toThrow(OperatorError);
      expect(bad).toThrow(
        /aten::mm: mat1 and mat2 shapes cannot be multiplied \(1x2 and 1x2\); arguments self f32\[1,2\], mat2 f32\[1,2\]/,
      );
      try {
        bad();
      } catch (error) {
        expect((error as OperatorError).operator).toBe("aten::mm");
        expect((error as Error).stack).toContain("operators.test.ts");
      }
    });
  });

  it("say which operator this libtorch lacks", () => {
    expect(() => native().resolve("aten::no_such_operator", "")).toThrow(/no operator aten::no_such_operator/);
  });
});
