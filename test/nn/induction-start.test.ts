/**
 * Proves that a GPT-2 with an induction circuit in its first weights copies before its first step ("A B … A" gives "B") and that the same model without it doesn't; that every parameter still
 * gets a gradient; and that a shape without room is refused.
 * Alone: npx vitest run test/nn/induction-start.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { scope } from "../../src/engine/scope.js";
import { indices, toFloat64Array } from "../../src/engine/tensor.js";
import { Gpt2, gpt2Config } from "../../src/nn/gpt2.js";
import { shuffled } from "../../src/training/counter-random.js";

const VOCABULARY = 600;

interface Shape {
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
}

function model({ width, heads, layers }: Shape, induction: boolean, seed = 1): Gpt2 {
  const config = gpt2Config({ vocabSize: VOCABULARY, nPositions: 256, nEmbd: width, nLayer: layers, nHead: heads, nInner: 4 * width });
  return Gpt2.initialise(config, seed, { std: 0.02, induction });
}

/** Share of the repeated tokens, the first left out, that are the likeliest next ones: `length` different tokens, some others, and the tokens again. */
function copied(gpt2: Gpt2, length: number, seed: number): number {
  const drawn = shuffled(
    Array.from({ length: VOCABULARY }, (_, token) => token),
    [seed],
  );
  const once = drawn.slice(0, length);
  const between = drawn.slice(length, length + (seed % 7));
  const ids = [...once, ...between, ...once];
  const likeliest = noGrad(() =>
    scope(() => {
      const ids_BT = indices(ids, [1, ids.length]);
      return Array.from(toFloat64Array(gpt2.logits(gpt2.forward({ ids_BT })).argmax(-1).toDtype("f64")));
    }),
  );
  const start = length + between.length;
  const right = once.slice(1).filter((token, place) => likeliest[start + place] === token);
  return right.length / (length - 1);
}

describe("an induction circuit in the first weights", () => {
  it("copies repeated tokens before any step; without it the model can't", () => {
    const shape = { width: 192, heads: 6, layers: 4 };
    const [laid, plain] = [model(shape, true), model(shape, false)];
    const share = (gpt2: Gpt2): number => [3, 4, 5, 6, 7].reduce((sum, seed) => sum + copied(gpt2, 40, seed) / 5, 0);
    expect(share(laid)).toBeGreaterThan(0.85);
    expect(share(plain)).toBeLessThan(0.1);
    for (const gpt2 of [laid, plain]) for (const weight of gpt2.parameters.values()) weight.dispose();
  });

  it("holds for other shapes, seeds and lengths", () => {
    const shapes = fc.constantFrom<Shape>(
      { width: 96, heads: 3, layers: 2 },
      { width: 128, heads: 4, layers: 2 },
      { width: 192, heads: 12, layers: 3 },
      { width: 384, heads: 6, layers: 2 },
    );
    fc.assert(
      fc.property(shapes, fc.integer({ min: 20, max: 60 }), fc.integer({ min: 1, max: 1000 }), (shape, length, seed) => {
        const laid = model(shape, true, seed);
        expect(copied(laid, length, seed)).toBeGreaterThan(0.6);
        for (const weight of laid.parameters.values()) weight.dispose();
      }),
      { numRuns: 12 },
    );
  });

  it("leaves no parameter without a gradient", () => {
    const laid = model({ width: 96, heads: 3, layers: 2 }, true);
    scope(() => {
      const ids_BT = indices([1, 2, 3, 4, 1, 2], [1, 6]);
      laid.logits(laid.forward({ ids_BT })).logSoftmax(-1).narrow(2, 0, 5).sum().backward();
      for (const [name, weight] of laid.parameters) {
        expect(weight.grad, name).toBeDefined();
        expect(Number(weight.grad?.abs().amax().item()), name).toBeGreaterThan(0);
      }
    });
    for (const weight of laid.parameters.values()) weight.dispose();
  });

  it("refuses a shape that has no room for it", () => {
    for (const shape of [
      { width: 64, heads: 2, layers: 2 },
      { width: 96, heads: 3, layers: 1 },
    ])
      expect(() => model(shape, true)).toThrow(UserError);
    expect(() => model({ width: 64, heads: 2, layers: 2 }, true)).toThrow(/no room for an induction circuit.*at least 2 layers, 3 heads/);
  });
});
