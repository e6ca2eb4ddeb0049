/**
 * Proves that keys of drift and refresh that contradict each other are refused before anything runs, and that those without effect warn.
 * Alone: npx vitest run test/config/check-refresh.test.ts
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

const JOINT = "train.schedule=[{phase: refresh}, {phase: joint, steps: 40}, {phase: refresh}, {phase: joint, steps: 20}, {phase: refresh}]";
const DRIFT = "train.drift.every=5";
const LATER = ["train.refresh.asynchronous=true", "train.refresh.swap_after=10"];
const UNVALIDATED = "train.validate.after_each_phase=false";

describe("drift", () => {
  it("needs an index to have moved from, and a phase that moves or reads it", () => {
    expect(refusal(DRIFT, "train.schedule=[{phase: contrastive, steps: 3}]")).toContain(
      "'train.drift.every' is set, but the schedule has no refresh",
    );
    expect(warnings(DRIFT, "train.schedule=[{phase: generator, steps: 3}, {phase: refresh}]")).toContain(
      "'train.drift.every' has no effect",
    );
    expect(warnings(DRIFT, JOINT, UNVALIDATED)).toBe("");
  });

  it("needs a pool that holds what was found, and as many results as contexts have passages", () => {
    expect(refusal(DRIFT, JOINT, "train.drift.passages=319")).toContain(
      "'train.drift.passages' is 319: half of them can't hold the first 5 of 32 questions; set it to at least 320",
    );
    expect(refusal(DRIFT, JOINT, "train.drift.regret=true", "train.drift.depth=1")).toMatch(
      /'train\.drift\.depth' is 1, but regret is of contexts of \d+ passages/,
    );
    expect(load(DRIFT, JOINT, "train.drift.depth=1", "train.drift.passages=64").config.train.drift.depth).toBe(1);
  });

  it("looks at the passages that each entry shows itself, where drift is measured in it", () => {
    const regret = [DRIFT, "train.drift.regret=true", "train.drift.depth=2", "train.drift.passages=200"];
    const shown = (passages: number, entry: string): string[] => [
      ...regret,
      `train.generator.passages=${passages}`,
      `train.schedule=[{phase: refresh}, ${entry}]`,
    ];
    expect(refusal(...shown(2, "{phase: generator, steps: 9, contexts: retrieved, with: {passages: 3}}"))).toContain(
      "'train.drift.depth' is 2, but regret is of contexts of 3 passages in train.schedule.1; set it to at least 3",
    );
    expect(refusal(...shown(2, "{phase: joint, steps: 9, with: {generator: {passages: 4}}}"))).toContain("4 passages in train.schedule.1");
    expect(load(...shown(3, "{phase: generator, steps: 9, contexts: retrieved, with: {passages: 2}}")).config.train.drift.depth).toBe(2);
    // A phase that reads gold passages measures none.
    const gold = "{phase: joint, steps: 9}, {phase: generator, steps: 9, contexts: gold, with: {passages: 3}}";
    expect(load(...shown(2, gold)).config.train.drift.depth).toBe(2);
  });
});

describe("a refresh that drift asks for", () => {
  it("needs the measurement that its limit is of", () => {
    expect(refusal(JOINT, "train.refresh.on_drift.cosine_below=0.9")).toContain(
      "'train.refresh.on_drift.cosine_below' is set, but drift isn't measured; set train.drift.every",
    );
    expect(refusal(JOINT, DRIFT, "train.refresh.on_drift.regret_above=0.1")).toContain("regret isn't measured");
  });

  it("has no effect where nothing reads the index, and is no more often than it may be", () => {
    const blind = "train.schedule=[{phase: refresh}, {phase: generator, steps: 3, contexts: gold}]";
    expect(warnings("train.refresh.at_least_every=5", blind)).toContain("no phase reads what the index finds");
    expect(warnings(JOINT, UNVALIDATED, "train.refresh.at_least_every=5")).toBe("");
    expect(warnings("train.refresh.at_least_every=5", "train.schedule=[{phase: generator, steps: 3, contexts: gold}]")).toContain(
      "the schedule makes no index",
    );
    expect(refusal(JOINT, "train.refresh.at_least_every=5", "train.refresh.at_most_every=6")).toContain(
      "'train.refresh.at_most_every' is 6, more than at_least_every (5)",
    );
    expect(warnings(JOINT, "train.refresh.at_most_every=6")).toContain("'train.refresh.at_most_every' has no effect");
  });
});

describe("an asynchronous refresh", () => {
  it("has its step in the config, and its keys belong to it alone", () => {
    expect(refusal(JOINT, "train.refresh.asynchronous=true")).toContain("set train.refresh.swap_after");
    expect(refusal(JOINT, "train.refresh.swap_after=3")).toContain("'train.refresh.swap_after' is set, but refreshes are not asynchronous");
    expect(refusal(JOINT, "train.refresh.threads=1")).toContain("'train.refresh.threads' is set");
  });

  it("is read before the schedule makes the next one", () => {
    expect(refusal(JOINT, "train.refresh.asynchronous=true", "train.refresh.swap_after=21")).toContain(
      "is 21, but the schedule refreshes again after 20 steps",
    );
    // Between the first refresh, which is made at once, and the second there may be fewer.
    expect(load(JOINT.replace("40", "4"), ...LATER).config.train.refresh.swap_after).toBe(10);
  });

  it("takes an entry in epochs or minutes for as long as it needs", () => {
    const schedule = (length: string): string =>
      `train.schedule=[{phase: refresh}, {phase: joint, steps: 20}, {phase: refresh}, {phase: joint, ${length}}, {phase: refresh}, {phase: joint, steps: 20}]`;
    for (const length of ["epochs: 1", "minutes: 5", "epochs: 1, minutes: 5"])
      expect(
        load(schedule(length), "train.generator.decay=constant", "train.reader.decay=constant", ...LATER).config.train.refresh.swap_after,
      ).toBe(10);
    expect(refusal(schedule("steps: 9"), ...LATER)).toContain("again after 9 steps");
  });

  it("warns where nothing is made beside training, and where validations wait for the corpus anyway", () => {
    expect(warnings("train.schedule=[{phase: refresh}, {phase: joint, steps: 40}]", UNVALIDATED, ...LATER)).toContain(
      "'train.refresh.asynchronous' has no effect",
    );
    expect(warnings(JOINT, ...LATER)).toContain("training waits at each phase's end");
    expect(warnings(JOINT, UNVALIDATED, ...LATER)).toBe("");
  });
});

describe("a fixed index", () => {
  const FIXED = ["train.reader.fixed_index=true", "train.reader.train_passages=false"];
  const ONCE = "train.schedule=[{phase: refresh}, {phase: joint, steps: 40}]";

  it("goes with a schedule that makes it once and trains the questions alone", () => {
    expect(warnings(ONCE, ...FIXED)).toBe("");
  });

  it.each([
    [[JOINT], /'train\.schedule\.2\.phase' is a refresh after training/],
    [
      [ONCE.replace("[{phase: refresh}", "[{phase: refresh}, {phase: contrastive, steps: 3}")],
      /'train\.schedule\.1\.phase' is contrastive/,
    ],
    [["train.schedule=[{phase: generator, steps: 3}]"], /no phase of the schedule teaches the retriever/],
    [[ONCE, "train.reader.train_passages=true"], /'train\.reader\.train_passages' is true/],
    [[ONCE, DRIFT], /'train\.drift\.every' is set, but with train\.reader\.fixed_index/],
    [[ONCE, "train.refresh.at_least_every=5"], /'train\.refresh\.at_least_every' is set/],
    [[ONCE, ...LATER], /'train\.refresh\.asynchronous' is set/],
  ] as const)("refuses %j", (words, wanted) => {
    expect(refusal(...FIXED, ...words)).toMatch(wanted);
  });
});
