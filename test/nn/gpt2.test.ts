/**
 * GPT-2's properties that need no reference: the cache changes nothing, padding on either side changes nothing, initial weights have the statistics they should, dropout belongs to
 * the example and not to the batch, nothing leaks.
 * Alone: npx vitest run test/nn/gpt2.test.ts
 */
import { afterAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { indices, ops, toFloat64Array, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { Gpt2, gpt2Config, KvCache, type Gpt2Config } from "../../src/nn/gpt2.js";
import { tokenBatch } from "../../src/nn/token-batch.js";
import { largestDifference, relativeError } from "./goldens.js";

setThreads(1);
const sizes: Partial<Gpt2Config> = { vocabSize: 60, nPositions: 32, nEmbd: 24, nLayer: 3, nHead: 4 };
const model = Gpt2.initialise(gpt2Config(sizes), 1, { std: 0.3 });
const rows = [Int32Array.of(5, 9, 2, 33, 41, 7), Int32Array.of(8, 8, 1), Int32Array.of(3, 50, 4, 4)];

function disposeOf(gpt: Gpt2): void {
  for (const weight of gpt.parameters.values()) weight.dispose();
}

afterAll(() => disposeOf(model));

/** Hidden states of one row alone, (T,E). */
function alone(row: ArrayLike<number>, gpt = model): Tensor {
  return noGrad(() => scope(() => gpt.forward({ ids_BT: indices(row, [1, row.length]) }).select(0, 0)));
}

describe("GPT-2's cache", () => {
  it.each([
    ["token by token", [1, 1, 1, 1, 1, 1]],
    ["a prompt, then tokens", [3, 1, 1, 1]],
    ["in chunks", [2, 3, 1]],
  ])("gives the same hidden states as one pass: %s", (_, chunks) => {
    const row = rows[0]!;
    const cache = new KvCache(6);
    let start = 0;
    const parts = chunks.map((size) => {
      const part = scope(() => model.forward({ ids_BT: indices(row.slice(start, start + size), [1, size]), past: cache }).select(0, 0));
      start += size;
      return part;
    });
    expect(cache.length).toBe(6);
    expect(largestDifference(ops.cat(parts), alone(row))).toBeLessThan(1e-5);
    cache.dispose();
  });

  it.each([["left"], ["right"]] as const)("decodes a batch padded on the %s as each row alone", (side) => {
    const { ids_BT, mask_BT } = tokenBatch(rows, { side });
    const cache = new KvCache(9);
    const next = [11, 12, 13];
    const last = [21, 22, 23];
    const steps = noGrad(() => {
      model.forward({ ids_BT, mask: mask_BT!, past: cache }).dispose();
      return [next, last].map((ids) => model.forward({ ids_BT: indices(ids, [3, 1]), past: cache }).select(1, 0));
    });
    rows.forEach((row, place) => {
      const whole = alone([...row, next[place]!, last[place]!]);
      steps.forEach((step_BE, i) =>
        expect(largestDifference(step_BE.select(0, place), whole.select(0, row.length + i))).toBeLessThan(1e-5),
      );
    });
    cache.dispose();
  });

  it("goes on with the rows that are kept, in their new order", () => {
    const { ids_BT, mask_BT } = tokenBatch(rows, { side: "left" });
    const cache = new KvCache(8);
    model.forward({ ids_BT, mask: mask_BT!, past: cache }).dispose();
    cache.selectRows(indices([2, 0]));
    const step_BE = model.forward({ ids_BT: indices([11, 12], [2, 1]), past: cache }).select(1, 0);
    expect(largestDifference(step_BE.select(0, 0), alone([...rows[2]!, 11]).select(0, 4))).toBeLessThan(1e-5);
    expect(largestDifference(step_BE.select(0, 1), alone([...rows[0]!, 12]).select(0, 6))).toBeLessThan(1e-5);
    cache.dispose();
  });

  it("refuses more tokens than it has room for, and more than the model has positions", () => {
    const cache = new KvCache(4);
    expect(() => model.forward({ ids_BT: indices([1, 2, 3, 4, 5], [1, 5]), past: cache })).toThrow(/room for 4 tokens, 5 are asked for/);
    cache.dispose();
    expect(() =>
      model.forward({
        ids_BT: indices(
          Array.from({ length: 33 }, () => 1),
          [1, 33],
        ),
      }),
    ).toThrow(/32 positions, 33 tokens/);
  });

  it("takes no memory beyond its own and gives that back", () => {
    const before = liveTensors().tensors;
    const cache = new KvCache(30);
    scope(() => void model.forward({ ids_BT: indices([1, 2], [1, 2]), past: cache }));
    const held = liveTensors().tensors;
    for (let step = 0; step < 20; step++) scope(() => void model.forward({ ids_BT: indices([step], [1, 1]), past: cache }));
    expect(liveTensors().tensors).toBe(held);
    cache.dispose();
    expect(liveTensors().tensors).toBe(before);
  });
});

describe("GPT-2's padding", () => {
  it("changes no real token: left with a mask, right with one, right without", () => {
    for (const side of ["left", "right"] as const) {
      const { ids_BT, mask_BT } = tokenBatch(rows, { side, padId: 17 });
      const variants = side === "left" ? [{ mask: mask_BT! }] : [{ mask: mask_BT! }, {}];
      for (const variant of variants) {
        const hidden_BTE = noGrad(() => model.forward({ ids_BT, ...variant }));
        rows.forEach((row, place) => {
          const start = side === "left" ? 6 - row.length : 0;
          expect(largestDifference(hidden_BTE.select(0, place).narrow(0, start, row.length), alone(row))).toBeLessThan(1e-5);
        });
      }
    }
  });

  it("leaves gradients finite when a left-padded row begins with tokens that see nothing", () => {
    const { ids_BT, mask_BT } = tokenBatch(rows, { side: "left" });
    scope(() => model.forward({ ids_BT, mask: mask_BT! }).square().sum().backward());
    for (const [name, { grad }] of model.parameters) expect(grad!.isfinite().all().item(), name).toBe(1);
    zeroGrads(model.parameters.values());
  });
});

describe("GPT-2 from scratch", () => {
  const config = gpt2Config({ vocabSize: 400, nPositions: 64, nEmbd: 64, nLayer: 8, nHead: 4 });
  const spread = (weight: Tensor): number => Math.sqrt(weight.square().mean().item());

  it("draws N(0, 0.02²), residual matrices narrower by √(2·layers), norms 1, biases 0", () => {
    const fresh = Gpt2.initialise(config, 5);
    expect(fresh.parameters.size).toBe(4 + 12 * 8);
    for (const [name, weight] of fresh.parameters) {
      if (name.endsWith(".bias")) expect(weight.abs().amax().item(), name).toBe(0);
      else if (/ln_/.test(name)) expect(largestDifference(weight, ops.onesLike(weight)), name).toBe(0);
      else {
        const std = name.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(16) : 0.02;
        // Within five standard errors.
        expect(Math.abs(spread(weight) / std - 1), name).toBeLessThan(5 / Math.sqrt(2 * weight.numel));
        expect(Math.abs(weight.mean().item()), name).toBeLessThan((5 * std) / Math.sqrt(weight.numel));
      }
    }
    disposeOf(fresh);
  });

  it("is a function of the seed, and of nothing drawn before", () => {
    const [first, other, again] = [5, 6, 5].map((seed) => {
      ops.randn([7]);
      return Gpt2.initialise(config, seed);
    }) as [Gpt2, Gpt2, Gpt2];
    for (const [name, weight] of first.parameters) expect(largestDifference(again.parameters.get(name)!, weight), name).toBe(0);
    expect(relativeError(other.parameters.get("wte.weight")!, first.parameters.get("wte.weight")!)).toBeGreaterThan(1);
    [first, other, again].forEach(disposeOf);
  });

  it("takes a deviation, and starts positions as sine waves of that size when asked", () => {
    const waves = Gpt2.initialise(config, 5, { std: 0.08, scaledResidual: false, sinusoidalPositions: true });
    expect(spread(waves.parameters.get("h.0.mlp.c_proj.weight")!)).toBeCloseTo(0.08, 2);
    const positions = toFloat64Array(waves.parameters.get("wpe.weight")!);
    const scale = 0.08 * Math.SQRT2;
    for (const [position, pair] of [
      [0, 0],
      [1, 0],
      [7, 3],
      [63, 31],
    ] as const) {
      const angle = position / 10_000 ** ((2 * pair) / 64);
      expect(positions[position * 64 + 2 * pair]! / scale).toBeCloseTo(Math.sin(angle), 5);
      expect(positions[position * 64 + 2 * pair + 1]! / scale).toBeCloseTo(Math.cos(angle), 5);
    }
    expect(spread(waves.parameters.get("wpe.weight")!)).toBeCloseTo(0.08, 5);
    disposeOf(waves);
  });

  it("refuses seeds that are none and heads that don't divide the width", () => {
    expect(() => Gpt2.initialise(config, -1)).toThrow(/bad seed/);
    expect(() => Gpt2.initialise(config, 0.5)).toThrow(/bad seed/);
    expect(() => gpt2Config({ nEmbd: 10, nHead: 4 })).toThrow(/expected a multiple of 4, got 10/);
  });
});

describe("GPT-2's dropout", () => {
  const withDropout = (p: number): Gpt2 =>
    new Gpt2({ config: { ...model.config, embdPdrop: p, residPdrop: p, attnPdrop: p }, parameters: model.parameters });
  const batch = [rows[0]!, Int32Array.of(1, 2, 3, 4, 5, 6)];
  const context = (step: number, examples: readonly number[]) => ({ seed: 3, step, examples_B: indices(examples) });

  it("is off without a context, and is a function of seed, step and example", () => {
    const gpt = withDropout(0.2);
    const run = (step?: number, examples = [7, 9]): Tensor =>
      noGrad(() => gpt.forward({ ids_BT: tokenBatch(batch).ids_BT, ...(step !== undefined && { dropout: context(step, examples) }) }));
    expect(
      largestDifference(
        run(),
        noGrad(() => model.forward({ ids_BT: tokenBatch(batch).ids_BT })),
      ),
    ).toBe(0);
    expect(largestDifference(run(4), run(4))).toBe(0);
    expect(relativeError(run(4), run(5))).toBeGreaterThan(0.05);
    expect(relativeError(run(4), run(4, [7, 8]))).toBeGreaterThan(0.05);
    expect(relativeError(run(4), run())).toBeGreaterThan(0.05);
  });

  it("gives an example the same mask in any batch", () => {
    const gpt = withDropout(0.2);
    const whole = noGrad(() => gpt.forward({ ids_BT: tokenBatch(batch).ids_BT, dropout: context(4, [7, 9]) }));
    const second = noGrad(() => gpt.forward({ ids_BT: tokenBatch(batch.slice(1)).ids_BT, dropout: context(4, [9]) }));
    expect(largestDifference(second.select(0, 0), whole.select(0, 1))).toBeLessThan(1e-5);
  });

  it("spells attention out to the same numbers as the fused kernel, masks included", () => {
    // So rare that nothing is dropped: what is left is the other code path.
    const gpt = withDropout(1e-12);
    const { ids_BT, mask_BT } = tokenBatch(rows, { side: "left" });
    for (const mask of [undefined, mask_BT!]) {
      const input = { ids_BT, ...(mask && { mask }) };
      const spelt = noGrad(() => gpt.forward({ ...input, dropout: context(4, [7, 8, 9]) }));
      expect(
        largestDifference(
          spelt,
          noGrad(() => model.forward(input)),
        ),
      ).toBeLessThan(1e-5);
    }
  });
});

describe("GPT-2's memory", () => {
  it("leaves nothing behind after a step but the gradients", () => {
    const step = (): void =>
      scope(() => {
        const hidden_BTE = model.forward({ ids_BT: tokenBatch(rows).ids_BT });
        model
          .logitsAt(hidden_BTE, indices([0, 3, 7]))
          .crossEntropyLoss(indices([1, 2, 3]))
          .backward();
        zeroGrads(model.parameters.values());
      });
    step();
    const before = liveTensors().tensors;
    for (let i = 0; i < 5; i++) step();
    expect(liveTensors().tensors).toBe(before);
  });

  it("gives logits at rows that are those of the whole", () => {
    const hidden_BTE = noGrad(() => model.forward({ ids_BT: tokenBatch(rows).ids_BT }));
    const whole = model.logits(hidden_BTE).reshape([18, 60]);
    expect(largestDifference(model.logitsAt(hidden_BTE, indices([2, 17, 6])), whole.indexSelect(0, indices([2, 17, 6])))).toBeLessThan(
      1e-5,
    );
  });
});
