/**
 * Proves that the gradient audit tells phases of one name apart by their entries of the schedule, and that a weighted term which had nothing to do stands in its table, under its own status, and in its warnings.
 * Alone: npx vitest run test/training/gradient-audit.test.ts
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { zeroGrads } from "../../src/engine/tensor.js";
import type { Gpt2 } from "../../src/nn/gpt2.js";
import { auditGradients, auditTable, inactiveWarnings } from "../../src/training/gradient-audit.js";
import type { Phase } from "../../src/training/phase.js";
import { generatorPhase } from "../../src/training/phases/generator.js";
import { tinyExamples, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const owned: { dispose(): void }[] = [];
afterEach(() => {
  for (const entry of owned.splice(0)) entry.dispose();
});

function gpt2(): Gpt2 {
  const model = tinyGpt2();
  owned.push(...model.parameters.values());
  return model;
}

describe("the gradient audit of a schedule", () => {
  it("a weighted copy loss without anything to copy is no row that is missing: it is inactive", () => {
    const given = tinyGenerator(gpt2(), { penalties: {}, copyWeight: 0.5, examples: tinyExamples({ questionsPerContext: 1 }) });
    const bare = { ...given.examples, at: (lead: number, step: number) => ({ ...given.examples.at(lead, step), passages: [] }) };
    const phase = generatorPhase({ ...given, examples: bare });
    const rows = auditGradients(phase, { batches: 2, entries: [0, 2, 5] });
    const copy = rows.filter((row) => row.term === "copy");
    expect(copy.length).toBe(phase.parameters.size);
    expect(copy.every(({ status }) => status === "inactive")).toBe(true);
    expect(inactiveWarnings(rows, 2).join()).toContain("generator/copy, entries 0, 2 and 5: inactive in all 2 audited batches: no context");
    expect(scope(() => Object.keys(phase.step(phase.batch(0))))).toContain("copy");
    zeroGrads(phase.parameters.values());
  });

  it("keeps phases of one name apart by their entries, each with its own mode, in table and rows", () => {
    const phaseOf = (n: number): Phase =>
      generatorPhase(tinyGenerator(gpt2(), { penalties: { ngramRepeat: { n, weight: 1 } }, copyWeight: 0 }));
    const rows = [
      ...auditGradients(phaseOf(2), { batches: 2, entries: [0] }),
      ...auditGradients(phaseOf(40), { batches: 2, entries: [1, 3] }),
    ];
    const table = auditTable(rows);
    expect(table).toMatch(/^generator\/ngram_repeat \(teacher_forced\), entry 0: (\d+) of \1 tensors/m);
    expect(table).toMatch(/^generator\/ngram_repeat \(teacher_forced\), entries 1 and 3: 0 of \d+ tensors.*\n {2}inactive: no answer has/m);
    expect(new Set(rows.map(({ entries }) => entries?.join()))).toEqual(new Set(["0", "1,3"]));
    const dead: Phase = { ...phaseOf(2), losses: () => ({ lost: { sum: 0, count: 1, weight: 1 } }) };
    expect(() => auditGradients(dead, { batches: 1, entries: [4] })).toThrow(
      /^gradient audit, phase generator, entry 4: lost has no gradient/,
    );
  });
});
