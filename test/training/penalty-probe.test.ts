/**
 * Proves that the probe counts what the model writes beside what the gold answers hold, measures each term's gradient against cross-entropy's, sounds for a term that does nothing or too much, and
 * changes no weight and no gradient.
 * Alone: npx vitest run test/training/penalty-probe.test.ts
 */
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors } from "../../src/engine/scope.js";
import { decodeGreedy } from "../../src/generation/greedy.js";
import { termGradientNorms } from "../../src/training/gradient-audit.js";
import { probePenalties, type ProbeOptions } from "../../src/training/penalty-probe.js";
import { generatorPhase, type GeneratorPhaseOptions } from "../../src/training/phases/generator.js";
import { EOS, gradientOf, tinyGenerator, tinyGpt2 } from "./tiny-world.js";

setThreads(1);
const model = tinyGpt2();

function probeOf(change: Partial<GeneratorPhaseOptions> = {}, examples = 5): ProbeOptions {
  const phase = generatorPhase(tinyGenerator(model, change));
  return { model, phase, batch: phase.batch(0), eosId: EOS, examples, maxNewTokens: 12, n: 2 };
}

describe("the probe", () => {
  it("counts repeats, keywords and lengths of what is generated and of the gold answers", async () => {
    const options = probeOf();
    const { figures } = await probePenalties(options);
    for (const count of ["repeats", "length", "keywords", "overused"])
      for (const side of ["generated", "gold"]) expect(figures[`probe/${count}/${side}`], `${count} ${side}`).toBeGreaterThanOrEqual(0);
    // By hand: the first answer of each member.
    const firsts = options.batch.members
      .filter(({ prompt }) => prompt.answers.length > 0)
      .map(({ prompt }) => ({ ids: prompt.ids, ...prompt.answers[0]! }));
    const gold = firsts.map(({ ids, start, end }) => [...ids.slice(start, end)].filter((id) => id !== EOS).length);
    expect(figures["probe/length/gold"]).toBeCloseTo(gold.reduce((a, b) => a + b, 0) / gold.length, 12);
    const written = await decodeGreedy(
      model,
      firsts.map(({ ids, start }) => ids.slice(0, start)),
      { maxNewTokens: 12, eosId: EOS },
    );
    expect(figures["probe/length/generated"]).toBeCloseTo(written.reduce((sum, { length }) => sum + length, 0) / written.length, 12);
    expect(figures["probe/length/generated"]).toBeLessThanOrEqual(12);
    // Unlikelihood's candidates: what was written before, and as often as the gold answer has it.
    const golds = firsts.map(({ ids, start, end }) => [...ids.slice(start, end)].filter((id) => id !== EOS));
    const overused = (ids: readonly number[], wanted: readonly number[]): number =>
      ids.filter((id, t) => {
        const times = ids.slice(0, t).filter((other) => other === id).length;
        return times > 0 && times >= wanted.filter((other) => other === id).length;
      }).length;
    const counts = written.map((ids, i) => overused([...ids], golds[i] ?? []));
    expect(figures["probe/overused/generated"]).toBeCloseTo(counts.reduce((a, b) => a + b, 0) / counts.length, 12);
    expect(figures["probe/overused/generated"]).toBeGreaterThan(0);
    expect(figures["probe/overused/gold"]).toBe(0);
  });

  it("generates as much as the longest prompt leaves room for, where less is left than asked for", async () => {
    const { figures } = await probePenalties({ ...probeOf(), maxNewTokens: 10 * model.config.nPositions });
    expect(figures["probe/length/generated"]).toBeLessThan(model.config.nPositions);
  });

  it("gives each term's gradient relative to cross-entropy's", async () => {
    const options = probeOf();
    const { figures } = await probePenalties(options);
    const norms = termGradientNorms(options.phase, options.batch);
    const terms = Object.keys(norms).filter((name) => name !== "answer");
    expect(terms.length).toBeGreaterThan(2);
    for (const term of terms) {
      expect(figures[`probe/gradient/${term}`], term).toBeCloseTo(norms[term]! / norms["answer"]!, 9);
      expect(figures[`probe/gradient/${term}`], term).toBeGreaterThan(0);
    }
  });

  it("sounds for a term that drowns cross-entropy, and not for quiet ones", async () => {
    expect((await probePenalties(probeOf({ penalties: { ngramRepeat: { n: 2, weight: 1e-3 } }, copyWeight: 1e-3 }))).alarms).toEqual([]);
    const { alarms } = await probePenalties(probeOf({ penalties: { ngramRepeat: { n: 2, weight: 1e9 } } }));
    expect(alarms.join("\n")).toMatch(/its gradient is .* times answer's; lower its weight/);
  });

  it("changes no weight, no gradient, leaves no tensor, and says the same every time", async () => {
    const options = probeOf();
    const weights = [...model.parameters.values()].map((parameter) => parameter.toBytes());
    const gradients = gradientOf(model.parameters);
    const before = liveTensors().tensors;
    const first = await probePenalties(options);
    expect(liveTensors().tensors).toBe(before);
    expect(await probePenalties(options)).toEqual(first);
    expect([...model.parameters.values()].map((parameter) => parameter.toBytes())).toEqual(weights);
    expect(gradientOf(model.parameters)).toEqual(gradients);
  });
});
