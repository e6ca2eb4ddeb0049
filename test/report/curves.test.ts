/**
 * Proves that a log becomes one curve a metric, cut at the phases, with nothing lost in its figures: what is drawn of a long log are means, what is said of it is every value; numbers that aren't finite are
 * counted, not drawn. Alone: npx vitest run test/report/curves.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { curvesOf, phaseSpans } from "../../src/report/curves.js";

const SPANS = phaseSpans([
  { phase: "generator", steps: 20 },
  { phase: "refresh", steps: 1 },
  { phase: "contrastive", steps: 10 },
  { phase: "skipped", steps: 0 },
]);

describe("phaseSpans", () => {
  it("gives each phase its global steps, and none to a phase without steps", () => {
    expect(SPANS).toEqual([
      { phase: "generator", from: 0, to: 20 },
      { phase: "refresh", from: 20, to: 21 },
      { phase: "contrastive", from: 21, to: 31 },
    ]);
  });
});

describe("curvesOf", () => {
  it("makes a curve of every number, in the order of the log, and cuts it at the phases", () => {
    const records = [
      { step: 10, phase: "generator", loss: 4, "loss/answer": 3 },
      { step: 20, phase: "generator", loss: 2, "loss/answer": 1 },
      { step: 31, phase: "contrastive", loss: 0.5, "loss/contrastive": 0.5 },
    ];
    const curves = curvesOf(records, SPANS);
    expect(curves.map(({ name }) => name)).toEqual(["loss", "loss/answer", "loss/contrastive"]);
    expect(curves[0]!.stretches).toEqual([
      [
        { step: 10, value: 4 },
        { step: 20, value: 2 },
      ],
      [{ step: 31, value: 0.5 }],
    ]);
    expect(curves[0]!.summaries).toEqual([
      { phase: "generator", values: 2, first: 4, last: 2, low: 2, high: 4 },
      { phase: "contrastive", values: 1, first: 0.5, last: 0.5, low: 0.5, high: 0.5 },
    ]);
  });

  it("takes scores by k and by n, and passes over null and text", () => {
    const records = [{ step: 5, phase: "generator", mrr: null, recall: { "1": 0.5, "10": null }, rep: { "2": 0.25 }, note: "x" }];
    expect(curvesOf(records, SPANS).map(({ name, stretches }) => [name, stretches[0]![0]!.value])).toEqual([
      ["recall@1", 0.5],
      ["rep-2", 0.25],
    ]);
  });

  it("leaves out and counts what isn't finite", () => {
    const [curve] = curvesOf(
      [1, Number.NaN, 3, Infinity].map((loss, i) => ({ step: i + 1, loss })),
      SPANS,
    );
    expect(curve).toMatchObject({ unfinite: 2, stretches: [[{ value: 1 }, { value: 3 }]] });
    expect(curvesOf([{ step: 1, loss: Number.NaN }], SPANS)[0]).toMatchObject({ unfinite: 1, stretches: [], summaries: [] });
  });

  it("draws a long log as means of neighbours within a phase, and sums it up exactly", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 5000 }), (first, second) => {
        const spans = phaseSpans([
          { phase: "a", steps: first },
          { phase: "b", steps: second },
        ]);
        const records = Array.from({ length: first + second }, (_, i) => ({ step: i + 1, loss: i }));
        const [curve] = curvesOf(records, spans);
        expect(curve!.stretches.flat().length).toBeLessThanOrEqual(602);
        const total = curve!.summaries.reduce((sum, { values }) => sum + values, 0);
        expect(total).toBe(first + second);
        expect(curve!.summaries[0]).toMatchObject({ first: 0, last: first - 1, low: 0, high: first - 1 });
        // No mean reaches over a phase's end.
        for (const { step, value } of curve!.stretches[0]!) expect(value).toBeCloseTo(step - 1, 6);
        expect(Math.max(...curve!.stretches[0]!.map(({ step }) => step))).toBeLessThanOrEqual(first);
      }),
      { numRuns: 30 },
    );
  });
});
