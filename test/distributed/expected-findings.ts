/** What group-program.ts finds where all is well: the sums over ranks are known. Not a test. */
import { expect } from "vitest";
import type { GroupFindings } from "./group-program.js";

/** 1 + 2 + … + n: the sum over ranks of rank + 1. */
export const triangle = (n: number): number => (n * (n + 1)) / 2;

/** What every member of a group must have found, wherever it computes. */
export function expectAll(findings: readonly GroupFindings[]): void {
  const size = findings.length;
  const total = triangle(size);
  for (const found of findings) {
    expect(found.sum).toEqual([total, 10 * total]);
    expect(found.sumOfStrided).toEqual([total, 3 * total, 2 * total, 4 * total]);
    expect(found.fromFirst).toEqual([1]);
    expect(found.fromLast).toEqual([[size, 1 / size], new Array(6).fill(size), [size, size], [2 * size, 2 * size], [], [size], [size]]);
    expect(found.gathered).toEqual(findings.map((_, rank) => [rank + 1, -(rank + 1)]));
    expect(found.values).toEqual(findings.map((_, rank) => ({ own: "\u00e9".repeat(rank), not: [NaN, -Infinity, undefined] })));
    const { gradients } = found;
    expect(gradients["once"]).toEqual([total, 10 * total, undefined]);
    expect(gradients["in two passes"]).toEqual([total, total, undefined]);
    expect(gradients["with a gradient"]).toEqual([5 * total, undefined, undefined]);
    const ofTwo = [total - 1, total].flatMap((sum) => [3 * sum, 2 * sum]).map((value) => [value, value]);
    expect(found.twoModels).toEqual({ together: ofTwo, inTurn: ofTwo });
  }
}
