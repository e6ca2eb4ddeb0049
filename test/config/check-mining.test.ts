/**
 * Proves that mining's keys are held against each other: bounds that shut each other out, thresholds over scores of two scales or of none, a teacher that nobody asks; and that the shipped schedules pass.
 * Alone: npx vitest run test/config/check-mining.test.ts
 */
import { describe, expect, it } from "vitest";
import { findFaults, loadConfig } from "../../src/config/load-config.js";
import { userErrorOf } from "./user-error.js";

const MINING = "train.contrastive.mining";
const words = (...mining: string[]): string[] => [
  "experiment=quickstart",
  ...mining.map((word) => (/^(index|train|data)\./.test(word) ? word : `${MINING}.${word}`)),
];
const refused = (...mining: string[]): string => userErrorOf(() => loadConfig({ overrides: words(...mining) }));

describe("mining's keys", () => {
  it.each<[string, string[], RegExp]>([
    ["a window too small", ["to=1"], /'train\.contrastive\.mining\.to' leaves 1 ranks for 2 hard negatives/],
    [
      "a window turned round",
      ["from=5", "to=2"],
      /override .*from=5.*: 'train\.contrastive\.mining\.from' is 5, above to \(2\): no rank is left/,
    ],
    ["bounds that leave nothing", ["min_score=0.5", "max_score=0.4"], /min_score' is 0\.5, above max_score \(0\.4\)/],
    ["a teacher that nobody asks", ["teacher.path=."], /teacher\.path' is set, but no rule reads its scores/],
    [
      "thresholds over shrinking scores",
      ["relative_margin=0.1", "index.metric=l2"],
      /relative_margin' reads scores that grow.*give a teacher/,
    ],
    ["one number for two scales", ["source=both", "max_score=0.5"], /max_score' is one number for the scores of the index and of BM25/],
    ["a share above 1", ["near_positive=1.5"], /near_positive.*\(0, 1\]/],
    ["a kind that isn't there", ["teacher.kind=both"], /teacher\.kind/],
    ["an unknown rule", ["margin=0.1"], /no key/],
    ["a leak that isn't there", ["data.questions.allow_leaks=[everything]"], /allow_leaks/],
    ["a tolerance above 1", ["data.questions.leak_tolerance=2"], /leak_tolerance/],
    ["a likeness of 0", ["data.questions.near_duplicate=0"], /near_duplicate/],
  ])("refuse %s", (_, mining, expected) => {
    expect(refused(...mining)).toMatch(expected);
  });

  it("say only once that the window is turned round, whatever phase would mine", () => {
    const words = ["experiment=quickstart", "train.schedule=[{phase: refresh}, {phase: mine}, {phase: contrastive, steps: 100}]"];
    const { faults } = findFaults({ overrides: [...words, `${MINING}.from=5`, `${MINING}.to=2`] });
    expect(faults.map(({ what }) => what)).toEqual([`'${MINING}.from' is 5, above to (2): no rank is left`]);
    const own = "train.schedule=[{phase: refresh}, {phase: mine, with: {mining: {from: 5, to: 2}}}, {phase: contrastive, steps: 100}]";
    expect(userErrorOf(() => loadConfig({ overrides: ["experiment=quickstart", own] }))).toMatch(
      /'train\.contrastive\.mining\.from' one that is 5, above to \(2\)/,
    );
  });

  it("let pass a window turned round that nothing reads", () => {
    const own = "train.schedule=[{phase: refresh}, {phase: contrastive, steps: 99, with: {hard_negatives: 2, mining: {to: 100}}}]";
    const idle = ["experiment=quickstart", "train.contrastive.hard_negatives=0", `${MINING}.from=60`, `${MINING}.to=50`];
    expect(loadConfig({ overrides: [...idle, own] }).config.train.contrastive.mining).toMatchObject({ from: 60, to: 50 });
    expect(userErrorOf(() => loadConfig({ overrides: [...idle, own.replace("to: 100", "to: 40")] }))).toMatch(/above to \(40\)/);
  });

  it("let pass what has one scale", () => {
    const teacher = ["teacher.path=.", "teacher.kind=encoder"];
    for (const mining of [
      ["source=both", "relative_margin=0.05"],
      ["source=both", "absolute_margin=0.1", ...teacher],
      ["relative_margin=0.1", "index.metric=l2", ...teacher],
      ["source=bm25", "max_score=9", "index.metric=l2"],
      ["absolute_margin=0", "min_score=-1", "max_score=1"],
    ])
      expect(loadConfig({ overrides: words(...mining) }).warnings).toEqual([]);
  });

  it.each([
    ["hard_negatives=1", "positives=gold", /hard_negatives.*are mined from what the index finds/],
    ["positives=answer", "hard_negatives=0", /positives.*is answer, which looks at what the index finds/],
  ])("%s without an index before the phase: said, with the entries", (key, other, message) => {
    const load = (...entries: string[]) =>
      loadConfig({
        needed: [],
        overrides: [`train.schedule=[${entries.join(", ")}]`, `train.contrastive.${key}`, `train.contrastive.${other}`],
      });
    const [phase, refresh] = ["{phase: contrastive, steps: 1}", "{phase: refresh}"];
    for (const entries of [[phase, refresh], [phase, refresh, phase], [phase]]) {
      const { warnings } = load(...entries);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(message);
      expect(warnings[0]).toContain("entry 0 of the schedule comes before any refresh and goes without");
    }
    expect(load(refresh, phase, phase).warnings).toEqual([]);
  });

  it("by BM25, or chosen by a mine, need no index", () => {
    const phase = "{phase: contrastive, steps: 1}";
    const by = (schedule: string, source: string) =>
      loadConfig({
        needed: [],
        overrides: [`train.schedule=[${schedule}]`, "train.contrastive.hard_negatives=1", `train.contrastive.mining.source=${source}`],
      });
    expect(by(phase, "bm25").warnings).toEqual([]);
    expect(by(`{phase: mine, with: {mining: {source: bm25}}}, ${phase}`, "dense").warnings).toEqual([]);
  });

  it("warn of a rule without hard negatives", () => {
    const { warnings } = loadConfig({ overrides: words("max_score=0.5", "train.contrastive.hard_negatives=0") });
    expect(warnings.join()).toMatch(/max_score' has no effect without train\.contrastive\.hard_negatives/);
  });
});
