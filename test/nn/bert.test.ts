/**
 * BERT's properties that need no reference: padding changes nothing, dropout belongs to the example, pooling is what its formula says, initial weights are what they should be,
 * nothing leaks. Alone: npx vitest run test/nn/bert.test.ts
 */
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { fromBytes, indices, tensor, toFloat64Array, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { Bert, bertConfig } from "../../src/nn/bert.js";
import { pool, unitVectors } from "../../src/nn/pooling.js";
import { tokenBatch } from "../../src/nn/token-batch.js";
import { largestDifference, relativeError } from "./goldens.js";

setThreads(1);
const config = bertConfig({ vocabSize: 60, maxPositionEmbeddings: 20, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3 });
const model = Bert.initialise(config, 1, { std: 0.3 });
const rows = [Int32Array.of(5, 9, 2, 33, 41, 7), Int32Array.of(8, 8, 1), Int32Array.of(3, 50, 4, 4)];

function disposeOf(bert: Bert): void {
  for (const weight of [...bert.parameters.values(), ...bert.spare.values()]) weight.dispose();
}

afterAll(() => disposeOf(model));

describe("BERT's forward pass", () => {
  it("is blind to padding on either side of the mask's ones", () => {
    const { ids_BT, mask_BT } = tokenBatch(rows, { padId: 17 });
    const hidden_BTW = noGrad(() => model.forward({ ids_BT, mask_BT }));
    rows.forEach((row, place) => {
      const alone = noGrad(() => model.forward({ ids_BT: tokenBatch([row]).ids_BT })).select(0, 0);
      expect(largestDifference(hidden_BTW.select(0, place).narrow(0, 0, row.length), alone)).toBeLessThan(1e-5);
    });
  });

  it("gives finite numbers and gradients for a row that is all padding", () => {
    const { ids_BT, mask_BT } = tokenBatch([rows[0]!, new Int32Array(0)]);
    scope(() => pool(model.forward({ ids_BT, mask_BT }), mask_BT, "mean").sum().backward());
    for (const [name, { grad }] of model.parameters) expect(grad!.isfinite().all().item(), name).toBe(1);
    zeroGrads(model.parameters.values());
  });

  it("refuses more tokens than it has positions", () => {
    expect(() => model.forward({ ids_BT: indices(new Array<number>(21).fill(1), [1, 21]) })).toThrow(/20 positions, 21 tokens/);
  });

  it("leaves nothing behind after a step", () => {
    const step = (): void =>
      scope(() => {
        model.forward(tokenBatch(rows)).sum().backward();
        zeroGrads(model.parameters.values());
      });
    step();
    const before = liveTensors().tensors;
    for (let i = 0; i < 5; i++) step();
    expect(liveTensors().tensors).toBe(before);
  });
});

describe("BERT's dropout", () => {
  const withDropout = (p: number): Bert =>
    new Bert({ config: { ...config, hiddenDropoutProb: p, attentionProbsDropoutProb: p }, parameters: model.parameters });
  const run = (bert: Bert, from: readonly Int32Array[], step: number | undefined, examples: readonly number[]): Tensor => {
    const { ids_BT, mask_BT } = tokenBatch(from);
    const dropout = step === undefined ? undefined : { seed: 3, step, examples_B: indices(examples) };
    return noGrad(() => bert.forward({ ids_BT, mask_BT, dropout }));
  };

  it("cozyrag 29: is on exactly when a context is given, and differs from step to step", () => {
    const bert = withDropout(0.2);
    expect(largestDifference(run(bert, rows, undefined, []), run(model, rows, undefined, []))).toBe(0);
    expect(largestDifference(run(bert, rows, 4, [7, 8, 9]), run(bert, rows, 4, [7, 8, 9]))).toBe(0);
    expect(relativeError(run(bert, rows, 4, [7, 8, 9]), run(bert, rows, 5, [7, 8, 9]))).toBeGreaterThan(0.05);
    expect(relativeError(run(bert, rows, 4, [7, 8, 9]), run(bert, rows, undefined, []))).toBeGreaterThan(0.05);
  });

  it("gives an example the same mask in any batch, whatever the padding", () => {
    const bert = withDropout(0.2);
    const whole = run(bert, rows, 4, [7, 8, 9]);
    const alone = run(bert, rows.slice(1, 2), 4, [8]);
    expect(largestDifference(alone.select(0, 0), whole.select(0, 1).narrow(0, 0, 3))).toBeLessThan(1e-5);
  });

  it("spells attention out to the same numbers as the fused kernel", () => {
    // So rare that nothing is dropped: what is left is the other code path.
    const spelt = run(withDropout(1e-12), rows, 4, [7, 8, 9]);
    expect(largestDifference(spelt, run(model, rows, undefined, []))).toBeLessThan(1e-5);
  });
});

describe("BERT from scratch", () => {
  it("draws N(0, std²), padding's row and biases 0, norms 1, and a pooler that isn't trained", () => {
    const fresh = Bert.initialise(
      bertConfig({ vocabSize: 300, hiddenSize: 64, numHiddenLayers: 2, numAttentionHeads: 4, padTokenId: 2 }),
      5,
      { std: 0.05 },
    );
    for (const [name, weight] of [...fresh.parameters, ...fresh.spare]) {
      if (name.endsWith(".bias")) expect(weight.abs().amax().item(), name).toBe(0);
      else if (name.endsWith("LayerNorm.weight")) expect([weight.amin().item(), weight.amax().item()], name).toEqual([1, 1]);
      else expect(Math.abs(Math.sqrt(weight.square().mean().item()) / 0.05 - 1), name).toBeLessThan(5 / Math.sqrt(2 * weight.numel) + 0.01);
    }
    const words = fresh.parameters.get("embeddings.word_embeddings.weight")!;
    expect(words.select(0, 2).abs().amax().item()).toBe(0);
    expect(words.select(0, 0).abs().amax().item()).toBeGreaterThan(0);
    expect([...fresh.spare.keys()]).toEqual(["pooler.dense.weight", "pooler.dense.bias"]);
    expect([...fresh.spare.values()].some((weight) => weight.requiresGrad)).toBe(false);
    disposeOf(fresh);
  });
});

describe("pooling", () => {
  const float = fc.double({ min: -4, max: 4, noNaN: true });

  it("is the mean over real tokens, or the first state (property, against plain sums)", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(float),
        fc.infiniteStream(fc.nat()),
        (b, t, w, values, counts) => {
          const hidden = Float64Array.from({ length: b * t * w }, () => values.next().value as number);
          const lengths = Array.from({ length: b }, () => 1 + ((counts.next().value as number) % t));
          scope(() => {
            const hidden_BTW = fromBytes(hidden, "f64", [b, t, w]);
            const mask_BT = tensor(
              lengths.map((length) => Array.from({ length: t }, (_, i) => (i < length ? 1 : 0))),
              { dtype: "i64" },
            );
            const mean = toFloat64Array(pool(hidden_BTW, mask_BT, "mean"));
            const first = toFloat64Array(pool(hidden_BTW, mask_BT, "cls"));
            for (let row = 0; row < b; row++)
              for (let column = 0; column < w; column++) {
                let sum = 0;
                for (let i = 0; i < lengths[row]!; i++) sum += hidden[(row * t + i) * w + column]!;
                expect(mean[row * w + column]).toBeCloseTo(sum / lengths[row]!, 9);
                expect(first[row * w + column]).toBe(hidden[row * t * w + column]);
              }
            const all = pool(hidden_BTW, undefined, "mean");
            expect(
              largestDifference(all, pool(hidden_BTW, tensor(new BigInt64Array(b * t).fill(1n), { shape: [b, t] }), "mean")),
            ).toBeLessThan(1e-12);
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  it("gives vectors of length one, and the zero vector for zero, with a finite gradient", () => {
    scope(() => {
      const x = tensor(
        [
          [3, 4],
          [0, 0],
          [1e-20, 0],
        ],
        { dtype: "f64" },
      ).setRequiresGrad();
      const unit = unitVectors(x);
      expect([...toFloat64Array(unit)]).toEqual([0.6, 0.8, 0, 0, 1e-8, 0]);
      unit.sum().backward();
      expect(x.grad!.isfinite().all().item()).toBe(1);
    });
  });
});

describe("token batches", () => {
  it("pad on the side that is asked for, and have no mask without padding", () => {
    const both = (["left", "right"] as const).map((side) => tokenBatch(rows.slice(1), { side, padId: 6 }));
    expect(both.map(({ ids_BT }) => [...toFloat64Array(ids_BT)])).toEqual([
      [6, 8, 8, 1, 3, 50, 4, 4],
      [8, 8, 1, 6, 3, 50, 4, 4],
    ]);
    expect(both.map(({ mask_BT }) => [...toFloat64Array(mask_BT!)])).toEqual([
      [0, 1, 1, 1, 1, 1, 1, 1],
      [1, 1, 1, 0, 1, 1, 1, 1],
    ]);
    expect(tokenBatch(rows.slice(0, 1)).mask_BT).toBeUndefined();
    expect(() => tokenBatch([])).toThrow(/needs a row/);
  });
});
