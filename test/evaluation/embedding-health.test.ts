/** Proves: RankMe and uniformity on embeddings whose singular values and distances are known; collapsed embeddings at their ends; neither depends on a rotation. */
import { describe, expect, it } from "vitest";
import { scope } from "../../src/engine/scope.js";
import { fromBytes, ops, type Tensor } from "../../src/engine/tensor.js";
import { embeddingHealth } from "../../src/evaluation/embedding-health.js";

function matrix(rows: readonly (readonly number[])[]): Tensor {
  return fromBytes(Float64Array.from(rows.flat()), "f64", [rows.length, rows[0]?.length ?? 0]);
}

describe("embedding health", () => {
  it("of as many directions as dimensions, used alike, has full rank", () => {
    scope(() => {
      const { rank, uniformity } = embeddingHealth(ops.eye(5, "f64"));
      expect(rank).toBeCloseTo(5, 10);
      // Each pair is at a squared distance of 2.
      expect(uniformity).toBeCloseTo(-4, 10);
    });
  });

  it("weighs directions by their singular values", () => {
    scope(() => {
      const p = [3 / 4, 1 / 4];
      const expected = Math.exp(-p.reduce((sum, share) => sum + share * Math.log(share), 0));
      const found = embeddingHealth(
        matrix([
          [3, 0, 0],
          [0, 1, 0],
        ]),
      );
      expect(found.rank).toBeCloseTo(expected, 10);
      expect(found.uniformity).toBeCloseTo(-4, 10);
    });
  });

  it("sees embeddings that are all the same point", () => {
    scope(() => {
      const { rank, uniformity } = embeddingHealth(matrix(Array.from({ length: 20 }, () => [0.6, 0.8, 0])));
      expect(rank).toBeCloseTo(1, 6);
      expect(uniformity).toBeCloseTo(0, 10);
    });
  });

  it("is mean-free of lengths and rotations", () => {
    scope(() => {
      const rows = [
        [1, 0],
        [0, 1],
        [-1, 0],
      ];
      const turned = rows.map(([x = 0, y = 0]) => [0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y]);
      const [a, b] = [embeddingHealth(matrix(rows)), embeddingHealth(matrix(turned))];
      expect(a.rank).toBeCloseTo(b.rank, 10);
      expect(a.uniformity).toBeCloseTo(b.uniformity, 10);
      // Squared distances 2, 4, 2.
      expect(a.uniformity).toBeCloseTo(Math.log((2 * Math.exp(-4) + Math.exp(-8)) / 3), 10);
    });
  });

  it("needs two embeddings", () => {
    scope(() => {
      expect(() => embeddingHealth(matrix([[1, 2]]))).toThrow(RangeError);
    });
  });
});
