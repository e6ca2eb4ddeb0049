/**
 * Proves that a step of every phase and loss, shared among 2, 3 and 4 real processes, has the gradients and terms of one process, to 1e-9 in float64, on every one of them: also in parts, with dropout, and where there are fewer members
 * than workers. Alone: npx vitest run test/training/shared-steps.test.ts
 */
import { beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { runRanks } from "../distributed/ranks.js";
import { relativeError } from "./central-differences.js";
import { CASES, findingsOf, type StepFindings } from "./shared-cases.js";

const TOLERANCE = 1e-9;
const names = Object.keys(CASES);
const whole = new Map<string, StepFindings[]>();

beforeAll(() => {
  setThreads(1);
  for (const name of names) whole.set(name, findingsOf(name));
}, 120_000);

describe.each([2, 3, 4])("%i workers", (size) => {
  let found: Record<string, StepFindings[]>[] = [];
  beforeAll(async () => {
    found = await runRanks("../training/shared-cases.ts", size, names);
  }, 300_000);

  it.each(names)("%s", (name) => {
    expect(found).toHaveLength(size);
    const expected = whole.get(name)!;
    for (const each of found) {
      for (const [step, { gradient, terms }] of each[name]!.entries()) {
        expect(expected[step]!.gradient.some((value) => value !== 0)).toBe(true);
        expect(relativeError(gradient, expected[step]!.gradient)).toBeLessThan(TOLERANCE);
        expect(Object.keys(terms).sort()).toEqual(Object.keys(expected[step]!.terms).sort());
        for (const [term, [sum, count, weight]] of Object.entries(expected[step]!.terms)) {
          expect(terms[term]!.slice(1)).toEqual([count, weight]);
          expect(Math.abs(terms[term]![0] - sum)).toBeLessThanOrEqual(TOLERANCE * Math.max(1, Math.abs(sum)));
        }
      }
      // To the last bit among the workers, or they would drift apart.
      for (const [step, { gradient, terms, tokens }] of each[name]!.entries()) {
        const first = found[0]![name]![step]!;
        expect(Buffer.compare(Buffer.from(gradient.buffer), Buffer.from(first.gradient.buffer))).toBe(0);
        expect([terms, tokens]).toEqual([first.terms, first.tokens]);
      }
    }
  });
});
