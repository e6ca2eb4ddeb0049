/**
 * Proves that AdamW is the paper's formula in float64 over many steps (decoupled decay, bias correction), with a step's own settings too, that a parameter without a gradient is left alone, that a saved state continues bit for bit,
 * and that states and groups that don't fit are refused.
 * Alone: npx vitest run test/engine/adamw.test.ts
 */
import { describe, expect, it } from "vitest";
import { AdamW } from "../../src/engine/adamw.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { ops, tensor, toFloat64Array, zeroGrads, type Tensor } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import { normals } from "../training/central-differences.js";

const OPTIONS = { betas: [0.8, 0.95], eps: 1e-6 } as const;

interface Settings {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
}

/** The formula of the paper's algorithm 2, element by element, with the rate and the settings of each step. */
function closedForm(
  start: Float64Array,
  grads: Float64Array[],
  rates: number[],
  decay: number,
  own: (step: number) => Settings = () => ({}),
): Float64Array {
  const weight = start.slice();
  const [first, second] = [new Float64Array(start.length), new Float64Array(start.length)];
  grads.forEach((grad, t) => {
    const rate = rates[t]!;
    const { betas = OPTIONS.betas, eps = OPTIONS.eps, weightDecay = decay } = own(t);
    const [beta1, beta2] = betas;
    for (let i = 0; i < weight.length; i++) {
      first[i] = beta1 * first[i]! + (1 - beta1) * grad[i]!;
      second[i] = beta2 * second[i]! + (1 - beta2) * grad[i]! ** 2;
      const [m, v] = [first[i]! / (1 - beta1 ** (t + 1)), second[i]! / (1 - beta2 ** (t + 1))];
      weight[i] = weight[i]! * (1 - rate * weightDecay) - (rate * m) / (Math.sqrt(v) + eps);
    }
  });
  return weight;
}

const leaf = (values: Float64Array, dtype: "f32" | "f64" = "f64"): Tensor => noGrad(() => tensor(values, { dtype })).setRequiresGrad();
const largest = (a: Float64Array, b: Float64Array): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describe("AdamW", () => {
  const start = normals(1, 37);
  const grads = Array.from({ length: 20 }, (_, t) => normals(100 + t, 37));
  const rates = grads.map((_, t) => 0.01 * (1 + Math.sin(t)));

  it.each([
    ["f64", 0, 1e-13],
    ["f64", 0.1, 1e-13],
    ["f32", 0.1, 2e-6],
  ] as const)("equals the closed form over 20 steps in %s with decay %s", (dtype, decay, tolerance) => {
    scope(() => {
      const weight = leaf(start, dtype);
      const optimiser = new AdamW([{ name: "all", parameters: new Map([["w", weight]]), weightDecay: decay }], OPTIONS);
      grads.forEach((grad, t) => {
        weight.setGrad(tensor(grad, { dtype }));
        optimiser.step(rates[t]!);
        optimiser.zeroGrad();
        expect(weight.grad).toBeUndefined();
      });
      expect(largest(toFloat64Array(weight), closedForm(start, grads, rates, decay))).toBeLessThan(tolerance);
      expect(optimiser.state().get("w.step")?.item()).toBe(20);
      optimiser.dispose();
    });
  });

  it("takes a step's own settings in place of its own, and goes on from the same moments", () => {
    const settings: Settings[] = [{}, { betas: [0.5, 0.7] }, { eps: 1e-2 }, { weightDecay: 0.3 }];
    const own = (step: number): Settings => settings[Math.floor(step / 5)] ?? {};
    scope(() => {
      const weight = leaf(start);
      const optimiser = new AdamW([{ name: "all", parameters: new Map([["w", weight]]), weightDecay: 0.1 }], OPTIONS);
      grads.forEach((grad, t) => {
        weight.setGrad(tensor(grad));
        optimiser.step(rates[t]!, own(t));
      });
      expect(largest(toFloat64Array(weight), closedForm(start, grads, rates, 0.1, own))).toBeLessThan(1e-13);
      optimiser.dispose();
    });
  });

  it("decays each group by its own weight decay", () => {
    scope(() => {
      const [decayed, free] = [leaf(start), leaf(start)];
      const optimiser = new AdamW(
        [
          { name: "decayed", parameters: new Map([["a", decayed]]), weightDecay: 0.5 },
          { name: "free", parameters: new Map([["b", free]]), weightDecay: 0 },
        ],
        OPTIONS,
      );
      for (const weight of [decayed, free]) weight.setGrad(ops.zerosLike(weight));
      optimiser.step(0.1);
      expect(
        largest(
          toFloat64Array(decayed),
          start.map((value) => value * 0.95),
        ),
      ).toBeLessThan(1e-15);
      expect([...toFloat64Array(free)]).toEqual([...start]);
      optimiser.dispose();
    });
  });

  it("leaves a parameter without a gradient alone: weight, moments and step count", () => {
    scope(() => {
      const [used, idle] = [leaf(start), leaf(start)];
      const parameters = new Map([
        ["used", used],
        ["idle", idle],
      ]);
      const optimiser = new AdamW([{ name: "all", parameters, weightDecay: 0.1 }], OPTIONS);
      for (const grad of grads) {
        used.setGrad(tensor(grad));
        optimiser.step(0.01);
      }
      expect([...toFloat64Array(idle)]).toEqual([...start]);
      const state = optimiser.state();
      expect([state.get("idle.step")?.item(), state.get("used.step")?.item()]).toEqual([0, 20]);
      expect(state.get("idle.second")?.abs().sum().item()).toBe(0);
      // Its first gradient is its first step, bias correction included.
      zeroGrads([used]);
      idle.setGrad(tensor(grads[0]!));
      optimiser.step(0.01);
      expect(largest(toFloat64Array(idle), closedForm(start, [grads[0]!], [0.01], 0.1))).toBeLessThan(1e-14);
      optimiser.dispose();
    });
  });

  it("takes gradients that aren't laid out as their parameter", () => {
    scope(() => {
      const [plain, other] = [leaf(start.slice(0, 6)), leaf(start.slice(0, 6))];
      const square = (weight: Tensor): Tensor => noGrad(() => weight.reshape([2, 3]).clone()).setRequiresGrad();
      const [a, b] = [square(plain), square(other)];
      const grad = tensor(grads[0]!.slice(0, 6), { shape: [3, 2] }).t();
      a.setGrad(grad.contiguous());
      b.setGrad(grad);
      const optimiser = new AdamW([
        {
          name: "all",
          parameters: new Map([
            ["a", a],
            ["b", b],
          ]),
          weightDecay: 0,
        },
      ]);
      optimiser.step(0.1);
      expect(a.toBytes()).toEqual(b.toBytes());
      optimiser.dispose();
    });
  });

  it("continues bit for bit from a state that another optimiser saved", () => {
    scope(() => {
      const run = (weight: Tensor, optimiser: AdamW, from: number, to: number): void => {
        for (let t = from; t < to; t++) {
          weight.setGrad(tensor(grads[t]!, { dtype: "f32" }));
          optimiser.step(rates[t]!);
        }
      };
      const make = (weight: Tensor): AdamW => new AdamW([{ name: "all", parameters: new Map([["w", weight]]), weightDecay: 0.1 }], OPTIONS);
      const whole = leaf(start, "f32");
      const first = make(whole);
      run(whole, first, 0, 8);
      const copied = noGrad(() => whole.clone()).setRequiresGrad();
      const second = make(copied);
      second.load(new Map([...first.state()].map(([name, entry]) => [name, entry.clone()])));
      run(whole, first, 8, 20);
      run(copied, second, 8, 20);
      expect(copied.toBytes()).toEqual(whole.toBytes());
      for (const [name, entry] of first.state()) expect(second.state().get(name)?.toBytes(), name).toEqual(entry.toBytes());
      first.dispose();
      second.dispose();
    });
  });

  it("refuses a state that lacks an entry or has another shape or dtype, and says which", () => {
    scope(() => {
      const weight = leaf(start, "f32");
      const optimiser = new AdamW([{ name: "all", parameters: new Map([["w", weight]]), weightDecay: 0 }]);
      const good = optimiser.state();
      const wrong: [string, Tensor | undefined, RegExp][] = [
        ["w.first", undefined, /optimiser state 'w\.first': does not fit this model; expected f32\[37\], got nothing/],
        ["w.second", ops.zeros([36]), /'w\.second'.*expected f32\[37\], got f32\[36\]/],
        ["w.step", ops.zeros([], "f64"), /'w\.step'.*expected f32\[\], got f64\[\]/],
      ];
      for (const [name, value, message] of wrong) {
        const state = new Map([...good].filter(([key]) => key !== name));
        if (value !== undefined) state.set(name, value);
        expect(() => optimiser.load(state)).toThrow(UserError);
        expect(() => optimiser.load(state)).toThrow(message);
      }
      optimiser.dispose();
    });
  });

  it("refuses one name in two groups, and frees its moments when disposed of", () => {
    scope(() => {
      const weight = leaf(start);
      const group = { name: "a", parameters: new Map([["w", weight]]), weightDecay: 0 };
      expect(() => new AdamW([group, { ...group, name: "b" }])).toThrow(/parameter 'w' stands in two groups/);
    });
    const weight = leaf(start);
    const before = liveTensors().tensors;
    const optimiser = new AdamW([{ name: "a", parameters: new Map([["w", weight]]), weightDecay: 0 }]);
    expect(liveTensors().tensors).toBe(before + 3);
    optimiser.dispose();
    expect(liveTensors().tensors).toBe(before);
    weight.dispose();
  });
});
