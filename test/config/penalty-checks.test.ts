/**
 * Proves that keys of the penalties' modes and of missing evidence which contradict each other are refused, and that those which do nothing, or something else than they seem to, are warned about.
 * Alone: npx vitest run test/config/penalty-checks.test.ts
 */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const load = (...overrides: string[]) => loadConfig({ configDir: configFolder({ config: "" }), overrides });
const refusal = (...overrides: string[]): string => userErrorOf(() => load(...overrides));
/** Apart from what is said of readers that start untrained (check-prerequisites.test.ts). */
const warnings = (...overrides: string[]): string =>
  load(...overrides)
    .warnings.filter((line) => !line.includes("has learnt nothing yet"))
    .join("\n");

const P = "train.penalties";
const G = "train.generator";
const ON = `${P}.ngram_repeat.weight=0.1`;

describe("modes of the penalties", () => {
  it("a leave-one-out baseline needs a second answer", () => {
    expect(refusal(`${P}.mode=sequence`, ON, `${P}.sampling.answers=1`)).toMatch(
      /sampling\.answers.*is 1: mode sequence compares.*at least 2/,
    );
    expect(warnings(`${P}.mode=sequence`, ON)).toBe("");
    expect(warnings(`${P}.mode=straight_through`, ON, `${P}.sampling.answers=1`)).toBe("");
    expect(refusal(`${P}.mode=reinforce`)).toContain("expected one of teacher_forced, straight_through, sequence");
    expect(refusal(`${P}.sampling.temperature=0`)).toContain("sampling.temperature");
  });

  it("a minimum that a drawn answer can't reach is refused, and only where answers are drawn", () => {
    const short = [`${P}.short_answer.weight=0.1`, `${P}.short_answer.min_tokens=8`, `${P}.sampling.max_new_tokens=4`];
    expect(refusal(...short, `${P}.mode=sequence`)).toMatch(
      /short_answer\.min_tokens.*is 8, more than train\.penalties\.sampling\.max_new_tokens \(4\) lets a drawn answer have/,
    );
    expect(warnings(...short)).toContain("sampling.max_new_tokens' has no effect");
    expect(warnings(...short.slice(0, 2), `${P}.sampling.max_new_tokens=8`, `${P}.mode=sequence`)).not.toContain("more than");
  });

  it("what has no effect, or another one, warns", () => {
    expect(warnings(`${P}.mode=sequence`)).toContain("is sequence, but no penalty that has modes has a weight");
    expect(warnings(`${P}.mode=sequence`, ON, `${P}.ngram_repeat.temperature=0.5`)).toContain(
      "ngram_repeat.temperature' has no effect in mode sequence",
    );
    expect(warnings(`${P}.mode=straight_through`, ON, `${P}.ngram_repeat.temperature=0.5`)).toContain(
      "is 0.5, answers are drawn at 1: a further bias",
    );
    expect(warnings(ON, `${P}.sampling.answers=8`)).toContain("sampling.answers' has no effect");
    const own = `${P}.sequence_unlikelihood`;
    expect(warnings(`${own}.weight=0.1`, `${P}.sampling.max_new_tokens=16`)).toBe("");
    expect(warnings(`${own}.weight=0.1`, `${P}.sampling.temperature=0.5`)).toContain("sampling.temperature' has no effect");
    expect(warnings(`${own}.weight=0.1`, `${own}.decoding=sampled`, `${P}.sampling.temperature=0.5`)).toBe("");
    expect(warnings(`${own}.weight=0.1`, `${own}.n=16`, `${P}.sampling.max_new_tokens=16`)).toContain("no answer is long enough");
  });

  it("a penalty that no phase is trained with warns; one that a single entry is trained with doesn't", () => {
    const idle = "ngram_repeat.weight' has no effect: no phase of the schedule is trained with this penalty";
    const schedule = (...entries: string[]): string => `train.schedule=[${entries.join(", ")}]`;
    const copying = "{phase: generator, steps: 4, contexts: copying}";
    const contrastive = "{phase: contrastive, steps: 4}";
    expect(warnings(schedule(copying, contrastive, "{phase: refresh}"), ON)).toContain(idle);
    expect(warnings(schedule("{phase: generator, steps: 4, with: {penalties: {ngram_repeat: {weight: 0}}}}"), ON)).toContain(idle);
    expect(warnings(schedule(copying, contrastive, "{phase: refresh}", "{phase: generator, steps: 4}"), ON)).toBe("");
    expect(warnings(schedule("{phase: refresh}", "{phase: joint, steps: 4}", "{phase: refresh}"), ON)).toBe("");
    expect(warnings(schedule("{phase: generator, steps: 4, with: {penalties: {ngram_repeat: {weight: 0.1}}}}"))).toBe("");
  });

  it("a joint phase that one likelihood trains has no penalty, unlikelihood among them", () => {
    const joint = ["train.schedule=[{phase: refresh}, {phase: joint, steps: 4}, {phase: refresh}]", "train.reader.loss=rag_token"];
    expect(warnings(...joint, `${P}.sequence_unlikelihood.weight=0.1`)).toContain("the penalties have no part in that phase");
    expect(warnings(...joint)).toBe("");
  });
});

describe("missing evidence", () => {
  it("without an unknown answer it teaches to answer from memory, and that is said", () => {
    expect(warnings(`${G}.drop_gold=0.2`)).toMatch(
      /takes the answering passages out of 20 % of the contexts.*teaches to answer from memory/,
    );
    expect(warnings(`${G}.drop_gold=0.2`, `${G}.unknown_answer="I don't know"`)).toBe("");
  });

  it("that is never there, or always missing, is contradicted", () => {
    expect(refusal(`${G}.drop_gold=1`, `${G}.unknown_answer=unknown`)).toContain("nothing but the unknown answer would be learnt");
    const gold = ["train.schedule=[{phase: generator, steps: 4}]", `${G}.contexts=gold`];
    expect(warnings(...gold, `${G}.unknown_answer=unknown`)).toContain("is never taught");
    expect(warnings(`${G}.unknown_answer=unknown`)).toBe("");
    const joint = "train.schedule=[{phase: refresh}, {phase: joint, steps: 4}]";
    expect(warnings(joint, `${G}.unknown_answer=unknown`)).toBe("");
    expect(warnings(joint, "train.reader.loss=rag_token", `${G}.unknown_answer=unknown`)).toContain("is never taught");
    expect(refusal(`${G}.unknown_answer=" "`)).toContain("unknown_answer");
    expect(refusal(`${G}.drop_gold=1.5`)).toContain("drop_gold");
  });
});
