/**
 * Proves that a schedule is read as it was meant or refused by name: repeats are written out once, overrides address what was written, lengths and conditions that can't work are refused with the remedy, an entry's
 * settings are checked by the very schema of its section, and early stopping and the best checkpoint need validations.
 * Alone: npx vitest run test/config/schedule-language.test.ts
 */
import { describe, expect, it } from "vitest";
import { loadConfig, findFaults } from "../../src/config/load-config.js";
import { configOfEntry, hasOwnCourse } from "../../src/config/phase-settings.js";
import { jsonSchema, renderYaml } from "../../src/config/render.js";
import { schema } from "../../src/config/schema.js";
import path from "node:path";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const load = (config: string, ...overrides: string[]) => loadConfig({ configDir: configFolder({ config }), overrides });
const schedule = (yaml: string, ...overrides: string[]) => load(`train:\n  schedule:\n${yaml}`, ...overrides).config.train.schedule;
const refusal = (...overrides: string[]): string => userErrorOf(() => load("", ...overrides));
const refused = (entries: string, ...more: string[]): string => refusal(`train.schedule=[${entries}]`, ...more);

const NESTED = `
    - { phase: refresh }
    - repeat: 2
      phases:
        - { phase: generator, steps: 5, contexts: retrieved }
        - repeat: 3
          phases: [{ phase: contrastive, steps: 2 }]
        - { phase: refresh }
`;

describe("a repeat", () => {
  it("is written out, repeats in repeats too, and a saved config has the phases one by one", () => {
    const phases = schedule(NESTED)
      .map(({ phase }) => phase[0])
      .join("");
    expect(phases).toBe("rgcccrgcccr");
    const { composed } = load(`train:\n  schedule:${NESTED}`);
    const base = path.join(configFolder({ run: renderYaml(composed) }), "run.yaml");
    expect(loadConfig({ base }).composed.train.schedule).toEqual(composed.train.schedule);
  });

  it("overrides address the schedule as it was written", () => {
    expect(
      schedule(NESTED, "train.schedule.1.repeat=1")
        .map(({ phase }) => phase[0])
        .join(""),
    ).toBe("rgcccr");
    const longer = schedule(NESTED, "train.schedule.1.phases.1.phases.0.steps=7");
    expect(longer.filter(({ phase }) => phase === "contrastive").map(({ steps }) => steps)).toEqual(Array(6).fill(7));
    expect(userErrorOf(() => schedule(NESTED, "train.schedule.1.steps=7"))).toMatch(
      /'train.schedule.1.steps' stands beside a repeat.*put it into the phases/,
    );
    expect(schedule(NESTED, "train.schedule=[{repeat: 2, phases: [{phase: generator, steps: 1, contexts: gold}]}]")).toHaveLength(2);
  });

  it("a mistake inside one names the line where it was written", () => {
    const wrong = NESTED.replace("steps: 5", "setps: 5");
    expect(userErrorOf(() => schedule(wrong))).toMatch(/config\.yaml:\d+: no key 'train\.schedule\.1\.setps'; did you mean steps/);
  });

  it.each([
    ["{repeat: 2}", /'train.schedule.0.phases' has a wrong value; expected the list of phases/],
    ["{phases: [{phase: generator, steps: 1}]}", /'train.schedule.0.repeat' has a wrong value; expected a whole number ≥ 1, got nothing/],
    ["{repeat: 0, phases: [{phase: generator, steps: 1}]}", /expected a whole number ≥ 1, got 0/],
    ["{repeat: 1.5, phases: [{phase: generator, steps: 1}]}", /got 1.5/],
    ["{repeat: many, phases: [{phase: generator, steps: 1}]}", /got "many"/],
    ["{repeat: 2, phases: []}", /expected the list of phases/],
    ["{repeat: 2, phases: {phase: generator}}", /expected the list of phases/],
    ["{repeat: 1000000000, phases: [{phase: generator, steps: 1}]}", /too many phases.*at most 10000/],
  ])("%s is refused", (entry, message) => {
    expect(refused(entry)).toMatch(message);
  });

  it("of repeats that multiply is refused before they are made, and so is one that goes too deep", () => {
    const nest = (times: number, depth: number): string =>
      depth === 0 ? "{phase: generator, steps: 1}" : `{repeat: ${times}, phases: [${nest(times, depth - 1)}]}`;
    const start = performance.now();
    expect(refused(nest(100, 7))).toMatch(/too many phases/);
    expect(refused(nest(1, 20))).toMatch(/more than 8 deep/);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it("is known to editors", () => {
    const node = (jsonSchema(schema) as { properties: { train: { properties: { schedule: { items: { properties: object } } } } } })
      .properties;
    expect(Object.keys(node.train.properties.schedule.items.properties)).toEqual(
      expect.arrayContaining(["phase", "until", "repeat", "phases"]),
    );
  });
});

const G = "phase: generator, contexts: gold";

describe("a length", () => {
  it("is steps, epochs or minutes; minutes may stand beside the others", () => {
    for (const length of ["steps: 5", "epochs: 0.5", "steps: 5, minutes: 2", "epochs: 2, minutes: 0.5"])
      expect(load("", `train.schedule=[{${G}, ${length}}]`).config.train.schedule).toHaveLength(1);
  });

  it.each([
    [`{${G}}`, /'train.schedule.0' has no length: the generator phase needs steps, epochs or minutes; give it one of them/],
    [`{${G}, steps: 0}`, /'train.schedule.0' has no length/],
    [`{${G}, steps: 5, epochs: 1}`, /'train.schedule.0.epochs' is set beside steps \(5\)/],
    [`{${G}, epochs: 0}`, /expected a number in \(0, 1000000\]/],
    [`{${G}, minutes: -1}`, /'train.schedule.0.minutes' has a wrong value/],
    [`{${G}, minutes: 3}`, /'train.schedule.0.minutes' stands alone.*give the phase steps too, or train.generator.decay=constant/],
    [`{${G}, steps: 1}, {phase: refresh, minutes: 1}`, /'train.schedule.1.minutes' is set, but a refresh takes no steps/],
    [`{${G}, steps: 1}, {phase: refresh, until: 'em > 1'}`, /'train.schedule.1.until' is set, but a refresh/],
    [`{${G}, steps: 1}, {phase: refresh, with: {lr: 1}}`, /'train.schedule.1.with' is set, but a refresh/],
  ])("%s is refused", (entries, message) => {
    expect(refused(entries)).toMatch(message);
  });

  it("that isn't there is owed to the entry's own line", () => {
    const wrong = `train:\n  schedule:\n    - { ${G}, steps: 1 }\n    - { ${G} }\n`;
    expect(userErrorOf(() => load(wrong))).toMatch(/config\.yaml:4: 'train\.schedule\.1' has no length/);
  });

  it("of minutes alone needs a constant rate, the run's or its own, and no curriculum", () => {
    expect(load("", `train.schedule=[{${G}, minutes: 3}]`, "train.generator.decay=constant").config.train.schedule[0]?.minutes).toBe(3);
    expect(load("", `train.schedule=[{${G}, minutes: 3, with: {decay: constant}}]`).config.train.schedule[0]?.minutes).toBe(3);
    expect(refused(`{${G}, minutes: 3, with: {decay: constant}}`, "train.generator.curriculum.share=0.2")).toMatch(
      /nobody knows how long.*curriculum/,
    );
    const found = [`train.schedule=[{phase: refresh}, {${G}, contexts: retrieved, minutes: 3, with: {decay: constant}}]`];
    expect(load("", ...found, "train.generator.curriculum.share=0.2").warnings.join()).toContain("curriculum.share' has no effect");
  });
});

describe("a condition in a schedule", () => {
  it.each([
    [
      [`{${G}, steps: 50, until: 'los < 1'}`],
      /'train.schedule.0.until' has a wrong value; expected a metric \([^)]*\), not 'los', got "los < 1"; did you mean loss\?$/,
    ],
    [
      [`{${G}, steps: 50, until: 'em > 0.5'}`],
      /'train.schedule.0.until' waits for em, which nothing measures inside a phase; set train.validate.every/,
    ],
    [
      [`{${G}, steps: 50, when: 'em > 0.5'}`],
      /'train.schedule.0.when' asks for a validation, and none comes before it; put a phase before it/,
    ],
    [
      [`{${G}, steps: 9}, {${G}, steps: 9, when: 'em > 0.5'}`, "train.validate.after_each_phase=false"],
      /set train.validate.after_each_phase=true/,
    ],
    [
      [`{${G}, steps: 9}, {${G}, steps: 9, when: 'loss < 5'}`],
      /'train.schedule.1.when' asks for loss, but a phase that hasn't begun has no loss/,
    ],
    [[`{${G}, steps: 9}, {${G}, steps: 9, when: 'recall@7 < 1'}`], /names recall@7, which eval.recall_at .* doesn't measure; add 7/],
  ])("%s is refused", ([entries = "", ...more], message) => {
    expect(refused(entries, ...more)).toMatch(message);
  });

  it("that can be measured is taken, and a loss that is never averaged warns", () => {
    const { config } = load(
      "",
      `train.schedule=[{${G}, steps: 9}, {${G}, steps: 9, when: 'recall@1 < 0.9', until: 'em > 0.5 or loss < 1'}]`,
      "train.validate.every=3",
      "train.conditions.window=5",
    );
    expect(config.train.schedule[1]).toMatchObject({ when: "recall@1 < 0.9", until: "em > 0.5 or loss < 1" });
    expect(load("", `train.schedule=[{${G}, steps: 9, until: 'loss < 1'}]`).warnings.join()).toMatch(
      /never decided by the loss: the phase has 9 steps, train.conditions.window is 20/,
    );
  });
});

describe("settings of one phase", () => {
  const own = (settings: string) => load("", `train.schedule=[{phase: generator, steps: 50, with: ${settings}}]`).config;
  const ownJoint = (settings: string) =>
    load("", `train.schedule=[{phase: refresh}, {phase: joint, steps: 50, with: ${settings}}]`).config.train.schedule[1]!;

  it("reach the config that the phase is made from, and no other", () => {
    const config = own("{lr: 1e-4, copy_weight: 0.5, penalties: {short_answer: {weight: 0.1}}}");
    const { train } = configOfEntry(config, 0);
    expect(train.generator).toMatchObject({ lr: 1e-4, copy_weight: 0.5, batch: config.train.generator.batch });
    expect(train.penalties.short_answer.weight).toBe(0.1);
    expect(config.train.penalties.short_answer.weight).toBe(0);
    expect(configOfEntry(config, 1)).toBe(config);
    const nested = load(
      "train:\n  schedule:\n    - { phase: generator, steps: 5, with: { penalties: { short_answer: { weight: 0.1 } } } }\n",
    ).config;
    expect(configOfEntry(nested, 0).train.penalties.short_answer.weight).toBe(0.1);
  });

  it("have a course of their own exactly where they change the rate's", () => {
    expect(hasOwnCourse(own("{lr: 1e-4}").train.schedule[0]!)).toBe(true);
    expect(hasOwnCourse(own("{decay: cosine}").train.schedule[0]!)).toBe(true);
    expect(hasOwnCourse(ownJoint("{generator: {lr: 1e-4}}"))).toBe(true);
    expect(hasOwnCourse(ownJoint("{generator: {batch: 8}}"))).toBe(false);
    expect(hasOwnCourse(own("{batch: 8}").train.schedule[0]!)).toBe(false);
    expect(hasOwnCourse(own("{betas: [0.5, 0.9], eps: 1e-6, weight_decay: 0}").train.schedule[0]!)).toBe(false);
  });

  it.each([
    ["generator", "{lrr: 1}", /'train.schedule.0.with.lrr' is no key of a generator phase; did you mean lr\?/],
    [
      "generator",
      "{penalties: {short_anwser: {weight: 1}}}",
      /is no key of a generator phase; did you mean penalties\.short_answer\.weight/,
    ],
    ["contrastive", "{penalties: {short_answer: {weight: 1}}}", /is no key of a contrastive phase/],
    [
      "contrastive",
      "{temperature: 0}",
      /'train.schedule.0.with.temperature' is 0, expected a number > 0; see train.contrastive.temperature/,
    ],
    ["contrastive", "{lr: fast}", /is "fast", expected a number/],
    ["generator", "{betas: [0.9]}", /'train.schedule.0.with.betas' is \[0.9\], expected a list of 2 elements; see train.generator.betas/],
    ["joint", "{weight_decay: -1}", /weight_decay' is -1, expected a number ≥ 0 or null; see train.reader.weight_decay/],
    ["contrastive", "{mining: {teacher: {path: x}}}", /teacher.path' belongs to the whole run; set train.contrastive.mining.teacher.path/],
    ["generator", "{contexts: gold}", /is a key of the entry itself/],
    [
      "generator",
      "{unknown_answer: none}",
      /is counted in the evaluation too, so it belongs to the whole run; set train.generator.unknown_answer/,
    ],
    ...["warmup: 3", "flat: 0.5", "decay: constant", "floor: 0.5"].map((key): [string, string, RegExp] => [
      "joint",
      `{generator: {${key}}}`,
      /isn't read in a joint phase, whose course is train.reader's for both models; write \w+ without generator\./,
    ]),
    [
      "joint",
      "{generator: {contexts: gold}}",
      /contexts' means nothing in a joint phase, whose contexts are what the index found; take it out/,
    ],
    ["generator", "{lr: [1]}", /is \[1\], expected a number/],
    ["generator", "[1]", /expected keys with their values or null/],
    ["generator", "{__proto__: {lr: 1}}", /expected keys with their values/],
    ["generator", "{accumulate: 9}", /'train.schedule.0.with' makes 'train.generator.accumulate' one that is more than the batch of 4/],
    ["contrastive", "{hard_negatives: 60}", /'train.schedule.0.with' makes 'train.contrastive.mining.to' one that leaves 50 ranks/],
    [
      "generator, contexts: copying",
      "{penalties: {unlikelihood: {weight: 2}}}",
      /'train.schedule.0.with.penalties.unlikelihood.weight' has no effect: a phase with contexts: copying doesn't read it; take it out/,
    ],
    ["generator, contexts: copying", "{drop_gold: 0.2}", /'train.schedule.0.with.drop_gold' has no effect/],
    ["generator", "{penalties: {keyword: {weight: 0.1}}}", /makes 'train.penalties.keyword.direction' one that isn't given/],
  ])("%s %s is refused", (phase, settings, message) => {
    expect(refused(`{phase: ${phase}, steps: 50, with: ${settings}}`)).toMatch(message);
  });

  it("that a joint phase of one likelihood would not read are refused, and those that it reads are taken", () => {
    const joint = (settings: string): string => `{phase: refresh}, {phase: joint, steps: 5, with: ${settings}}, {phase: refresh}`;
    expect(refused(joint("{loss: rag_token, penalties: {unlikelihood: {weight: 2}}}"))).toMatch(
      /'train.schedule.1.with.penalties.unlikelihood.weight' has no effect: rag_token trains the generator by itself/,
    );
    const { config } = load("", `train.schedule=[${joint("{loss: emdr2, penalties: {unlikelihood: {weight: 2}}}")}]`);
    expect(configOfEntry(config, 1).train.penalties.unlikelihood.weight).toBe(2);
    const copying = load("", `train.schedule=[{${G}, steps: 5, contexts: copying, with: {questions_per_context: 3, lr: 1e-4}}]`).config;
    expect(configOfEntry(copying, 0).train.generator.questions_per_context).toBe(3);
  });

  it("that make a doubtful key of the run are told in a sentence", () => {
    const joint = "{phase: refresh}, {phase: joint, steps: 5, with: {loss: rag_token}}, {phase: generator, steps: 5}, {phase: refresh}";
    const { warnings } = load("", `train.schedule=[${joint}]`, "train.penalties.ngram_repeat.weight=0.1");
    expect(warnings).toContainEqual(
      expect.stringMatching(
        /^'train\.schedule\.1\.with' makes 'train\.reader\.loss' one that is rag_token, which trains the generator of a/,
      ),
    );
  });

  it("are told apart from the run's own faults", () => {
    const { faults } = findFaults({
      configDir: configFolder({ config: "" }),
      overrides: [`train.schedule=[{${G}, steps: 50, with: {lr: 1e-4}}]`, "train.generator.accumulate=9"],
      needed: [],
    });
    expect(faults.filter(({ what }) => what.includes("accumulate"))).toHaveLength(1);
  });
});

describe("mine", () => {
  const R = "{phase: refresh}";
  const M = "{phase: mine}";
  const C = "{phase: contrastive, steps: 30}";
  const negatives = "train.contrastive.hard_negatives=2";
  const warnings = (entries: string, ...more: string[]): string => load("", `train.schedule=[${entries}]`, ...more).warnings.join("\n");

  it.each<[string, string[], RegExp]>([
    [
      "before there is an index",
      [`${M}, ${C}`, negatives],
      /'train.schedule.0.phase' is mine with mining.source dense, but there may be no index before it/,
    ],
    [
      "behind a refresh that may be passed over",
      [`${C}, {phase: refresh, when: em < 1}, ${M}, ${C}`, negatives],
      /there may be no index before it/,
    ],
    ["with steps", [`${R}, {phase: mine, steps: 3}, ${C}`, negatives], /'train.schedule.1.steps' is set, but a mine takes no steps/],
    [
      "until something",
      [`${R}, {phase: mine, until: loss < 1}, ${C}`, negatives],
      /'train.schedule.1.until' is set, but a mine takes no steps/,
    ],
    ["with a rate", [`${R}, {phase: mine, with: {lr: 1e-3}}, ${C}`, negatives], /'train.schedule.1.with.lr' is no key of a mine phase/],
    ["with a batch, which is the phase's", [`${R}, {phase: mine, with: {batch: 8}}, ${C}`, negatives], /is no key of a mine phase/],
    [
      "with a mistyped rule",
      [`${R}, {phase: mine, with: {mining: {max_scor: 1}}}, ${C}`, negatives],
      /'train.schedule.1.with.mining.max_scor' is no key of a mine phase; did you mean mining.max_score/,
    ],
    [
      "among too few ranks",
      [`${R}, {phase: mine, with: {mining: {to: 2}}}, {phase: contrastive, steps: 30, with: {hard_negatives: 3}}`],
      /is mine among ranks 1 to 2, but the phase 2 wants 3 hard negatives; set its mining.to to at least 3/,
    ],
    ["alone", [`${R}, ${M}`], /trains nothing/],
    ["with what a batch takes", [`${R}, {phase: mine, with: {mining: {sampling: top}}}, ${C}`, negatives], /is no key of a mine phase/],
    [
      "by BM25 for positives that an index finds",
      [`{phase: mine, with: {mining: {source: bm25}}}, ${R}, ${C}`, negatives, "train.contrastive.positives=answer"],
      /is mine with positives answer, but there may be no index before it/,
    ],
    [
      "as the validation that a phase waits for",
      [`{phase: mine, with: {mining: {source: bm25}}}, {phase: contrastive, steps: 30, when: em < 0.9}`, negatives],
      /asks for a validation, and none comes before it/,
    ],
  ])("%s is refused", (_, [entries = "", ...more], message) => {
    expect(refused(entries, ...more)).toMatch(message);
  });

  it("by BM25 needs no index, and an entry's own rules are its own", () => {
    const { train } = load("", `train.schedule=[{phase: mine, with: {mining: {source: bm25, to: 9}}}, ${C}]`, negatives).config;
    expect(configOfEntry({ train }, 0).train.contrastive.mining).toMatchObject({ source: "bm25", to: 9 });
    expect(configOfEntry({ train }, 1).train.contrastive.mining).toMatchObject({ source: "dense", to: 50 });
  });

  it("has the window that its own readers want, whatever the run's is", () => {
    const two = "{phase: contrastive, steps: 30, with: {hard_negatives: 2}}";
    const own = `${R}, {phase: mine, with: {mining: {to: 2}}}, ${two}`;
    expect(() => load("", `train.schedule=[${own}]`, "train.contrastive.hard_negatives=3")).not.toThrow();
    const wide = `${R}, {phase: mine, with: {mining: {to: 50}}}, ${C}`;
    expect(() => load("", `train.schedule=[${wide}]`, "train.contrastive.hard_negatives=3", "train.contrastive.mining.to=1")).not.toThrow();
    expect(refused(`${R}, ${C}`, "train.contrastive.hard_negatives=3", "train.contrastive.mining.to=1")).toMatch(/leaves 1 ranks for 3/);
  });

  it("makes the rules of the phases behind it void, which is said, and counts as a reader of the index", () => {
    const own = "{phase: contrastive, steps: 30, with: {mining: {max_score: 0.5}}}";
    expect(warnings(`${R}, ${M}, ${own}`, negatives)).toMatch(/train.schedule.2.with.mining.max_score.*a mine before it chose/);
    expect(warnings(`${R}, ${own}`, negatives)).not.toMatch(/a mine before it/);
    const age = "train.refresh.at_least_every=5";
    expect(warnings(`${R}, ${M}, {phase: contrastive, steps: 30, with: {hard_negatives: 1}}`, age)).not.toMatch(/at_least_every/);
    expect(warnings(`${R}, ${C}`, age)).toMatch(/at_least_every.*has no effect/);
  });

  it("that nobody reads is warned about, and its rules count as used where a phase has negatives", () => {
    expect(warnings(`${R}, ${M}, ${C}`)).toMatch(
      /train.schedule.1.phase.*no contrastive phase with train.contrastive.hard_negatives above 0/,
    );
    expect(warnings(`${R}, ${M}, ${M}, ${C}`, negatives)).toMatch(/train.schedule.1.phase/);
    expect(warnings(`${R}, ${M}, ${C}`, negatives)).not.toMatch(/mine/);
    const some = "{phase: contrastive, steps: 30, with: {hard_negatives: 1}}";
    expect(warnings(`${R}, ${some}`, "train.contrastive.mining.max_score=0.5")).not.toMatch(/has no effect/);
    expect(warnings(`${R}, ${C}`, "train.contrastive.mining.max_score=0.5")).toMatch(/mining.max_score.*has no effect/);
  });
});

describe("the end of training", () => {
  it.each(["em", "f1", "rouge_l", "mrr", "recall@5"])("may wait for %s, and the best checkpoint may be the best by it", (metric) => {
    const { train } = load("", `train.early_stopping.metric=${metric}`, `train.checkpoint.metric=${metric}`).config;
    expect([train.early_stopping.metric, train.checkpoint.metric]).toEqual([metric, metric]);
  });

  it.each([
    [
      ["train.early_stopping.metric=em", "train.validate.after_each_phase=false"],
      /'train.early_stopping.metric' is never measured; set train.validate.every/,
    ],
    [["train.early_stopping.metric=recall@7"], /names recall@7/],
    [["train.early_stopping.metric=loss"], /expected em, f1, rouge_l, recall@K or mrr/],
    [["train.checkpoint.metric=loss"], /expected em, f1, rouge_l, recall@K or mrr/],
    [
      ["train.checkpoint.load_best=true", "train.checkpoint.keep_best=false"],
      /the best checkpoint isn't kept; train.checkpoint.keep_best=true/,
    ],
    [["train.checkpoint.load_best=true", "train.validate.after_each_phase=false"], /no validation says which is best/],
    [
      ["train.alarms.rank.action=roll_back", "train.checkpoint.keep_best=false"],
      /'train.alarms.rank.action' is set, but the best checkpoint isn't kept/,
    ],
    [
      ["train.alarms.not_a_number.action=roll_back", "train.validate.after_each_phase=false"],
      /'train.alarms.not_a_number.action' is set, but no validation says which is best/,
    ],
  ])("%s is refused", (words, message) => {
    expect(refusal(...words)).toMatch(message);
  });
});

describe("the schedules that come with the program", () => {
  const phasesOf = (choice: string): string =>
    loadConfig({ overrides: [choice], needed: [], environment: {} })
      .config.train.schedule.map(({ phase, steps }) => `${phase} ${steps}`)
      .join(", ");

  it("have the temperatures of their papers", () => {
    const readerOf = (choice: string) => loadConfig({ overrides: [choice], needed: [], environment: {} }).config.train.reader;
    expect(readerOf("train=atlas")).toMatchObject({ loss: "pdist", normalise_length: true, reader_temperature: 0.01, temperature: 0.05 });
    expect(readerOf("train=replug")).toMatchObject({ loss: "pdist", normalise_length: false, reader_temperature: 0.1, temperature: 0.1 });
  });

  it("are CoZyRAG's alternation, Atlas's joint training and DPR's two rounds", () => {
    expect(phasesOf("train=alternation")).toBe(Array(2).fill("generator 1000, contrastive 200, refresh 0").join(", "));
    expect(phasesOf("train=atlas")).toBe(["refresh 0", ...Array<string>(3).fill("joint 400, refresh 0")].join(", "));
    expect(phasesOf("train=replug")).toBe(["refresh 0", ...Array<string>(3).fill("reader-distillation 400, refresh 0")].join(", "));
    expect(phasesOf("train=dpr")).toBe([...Array<string>(2).fill("contrastive 400, refresh 0"), "generator 2000"].join(", "));
  });
});
