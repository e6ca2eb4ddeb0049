/**
 * Proves how parameters are dealt to workers: alike whatever order they stand in, no worker above its part by more than the largest tensor, two models' largest tensors in different hands, and each tensor to exactly one worker.
 * Alone: npx vitest run test/training/deal-tensors.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TensorDealer } from "../../src/training/deal-tensors.js";

const loadsOf = (owners: ReadonlyMap<string, number>, sizes: ReadonlyMap<string, number>, workers: number): number[] => {
  const loads = new Array<number>(workers).fill(0);
  for (const [name, owner] of owners) loads[owner]! += sizes.get(name)!;
  return loads;
};
const total = (sizes: ReadonlyMap<string, number>): number => [...sizes.values()].reduce((sum, size) => sum + size, 0);

const anySizes = fc
  .uniqueArray(fc.tuple(fc.string({ maxLength: 4 }), fc.integer({ min: 0, max: 5000 })), { selector: ([name]) => name, maxLength: 40 })
  .map((entries) => new Map(entries));

describe("tensors are dealt", () => {
  it("alike in whatever order they stand", () => {
    fc.assert(
      fc.property(anySizes, fc.integer({ min: 1, max: 9 }), fc.infiniteStream(fc.nat()), (sizes, workers, random) => {
        const shuffled = [...sizes].map((entry) => ({ entry, place: random.next().value as number })).sort((a, b) => a.place - b.place);
        const other = new Map(shuffled.map(({ entry }) => entry));
        const [owners, again] = [sizes, other].map((each) => new TensorDealer(workers).deal(each));
        expect(new Map([...again!].sort())).toEqual(new Map([...owners!].sort()));
      }),
    );
  });

  it("each to one worker, and nobody has more than the mean and the largest one", () => {
    fc.assert(
      fc.property(anySizes, fc.integer({ min: 1, max: 9 }), (sizes, workers) => {
        const owners = new TensorDealer(workers).deal(sizes);
        expect([...owners.keys()].sort()).toEqual([...sizes.keys()].sort());
        const most = Math.max(...loadsOf(owners, sizes, workers));
        expect(most).toBeLessThanOrEqual(total(sizes) / workers + Math.max(0, ...sizes.values()));
      }),
    );
  });

  it("as a transformer's: within 2 % of a third each", () => {
    const width = 256;
    const layer = {
      qkv: 3 * width * width,
      out: width * width,
      up: 4 * width * width,
      down: 4 * width * width,
      norm: width,
      bias: 4 * width,
    };
    const layers = Array.from({ length: 12 }, (_, i) =>
      Object.entries(layer).map(([name, size]): [string, number] => [`${i}.${name}`, size]),
    );
    const sizes = new Map([["embeddings", 8000 * width] as [string, number], ...layers.flat()]);
    for (const load of loadsOf(new TensorDealer(3).deal(sizes), sizes, 3))
      expect(Math.abs(load / (total(sizes) / 3) - 1)).toBeLessThan(0.02);
  });

  it("of two models, the largest of each to different workers", () => {
    const dealer = new TensorDealer(2);
    const sizes = new Map([
      ["embeddings", 100],
      ["rest", 10],
    ]);
    const [retriever, generator] = [dealer.deal(sizes), dealer.deal(sizes)];
    expect([retriever.get("embeddings"), retriever.get("rest")]).toEqual([0, 1]);
    expect([generator.get("embeddings"), generator.get("rest")]).toEqual([1, 0]);
  });

  it("where there are fewer than workers", () => {
    expect(new TensorDealer(4).deal(new Map([["only", 3]]))).toEqual(new Map([["only", 0]]));
    expect(new TensorDealer(4).deal(new Map())).toEqual(new Map());
  });
});
