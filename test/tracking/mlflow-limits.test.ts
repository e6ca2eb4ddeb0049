/**
 * Proves that whatever is sent has the form that MLflow takes: names of its letters, different for different names; values cut between characters; batches in order, none too long or too large.
 * Alone: npx vitest run test/tracking/mlflow-limits.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batches, MOST_BYTES, parameterValue, serverKey, tagValue } from "../../src/tracking/mlflow-limits.js";

/** As `mlflow/utils/validation.py` has it: letters, length, and equal to its own normal path. */
function isTaken(key: string): boolean {
  const parts = key.split("/");
  return (
    /^[A-Za-z0-9_\-. :/]+$/.test(key) &&
    key.length <= 250 &&
    !key.startsWith("/") &&
    parts.every((part) => part !== "" && part !== "." && part !== "..")
  );
}

describe("a name", () => {
  it("is always one that MLflow takes, and the same for the same", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: "binary", maxLength: 40 }), fc.stringMatching(/^[a-z./@ ]{0,20}$/)),
        (name) => isTaken(serverKey(name)) && serverKey(name) === serverKey(name),
      ),
    );
    for (const name of ["", "/", "..", "a//b", "/a", "a/", "./a", "ä", "x".repeat(251)])
      expect([name, isTaken(serverKey(name))]).toEqual([name, true]);
  });

  it("stays as it is where it can, and differs where names differ", () => {
    expect(["generator/loss.answer", "a b:c-d_e", "recall@10"].map(serverKey)).toEqual([
      "generator/loss.answer",
      "a b:c-d_e",
      "recall_at_10",
    ]);
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[ab?!/.]{0,6}$/), { maxLength: 30 }), (names) => {
        expect(new Set(names.map(serverKey)).size).toBe(names.length);
      }),
    );
  });
});

describe("a value", () => {
  it("is cut between characters", () => {
    expect(parameterValue("x".repeat(6000))).toEqual({ value: "x".repeat(6000), isCut: false });
    expect(parameterValue(`${"x".repeat(5999)}😀`)).toEqual({ value: "x".repeat(5999), isCut: true });
    expect(tagValue("y".repeat(9000))).toHaveLength(5000);
  });
});

describe("batches", () => {
  it("hold all items in order, none more than it may", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300_000), { maxLength: 40 }), fc.integer({ min: 1, max: 7 }), (sizes, most) => {
        const items = sizes.map((size, index) => ({ index, text: "é".repeat(size / 2) }));
        const made = batches(items, most);
        expect(made.flat()).toEqual(items);
        for (const batch of made) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(most);
          expect(batch.length === 1 || Buffer.byteLength(JSON.stringify(batch)) <= MOST_BYTES + 2).toBe(true);
        }
      }),
      { numRuns: 30 },
    );
  });
});
