/** Proves that a group chosen on the command line whose values an experiment sets otherwise is told of, by key and file, and that nothing else is; and that the way out which is named is one. */
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { configFolder } from "./config-folder.js";

const told = (...overrides: string[]): string[] =>
  loadConfig({ overrides, needed: [], environment: {} }).warnings.filter((text) => text.includes("was chosen"));

it("tells which file won", () => {
  expect(told("train=atlas", "experiment=quickstart")).toEqual([
    expect.stringMatching(
      /^train=atlas was chosen, but 'train\.schedule' is what .*experiment\/quickstart\.yaml:\d+ says.*: an experiment's own values win; take it out with '~train\.schedule', or choose no experiment$/,
    ),
  ]);
  // However they stand on the line.
  expect(told("experiment=quickstart", "train=atlas")).toHaveLength(1);
});

it("says nothing of what an override sets, of groups that stand, or of the same value", () => {
  expect(told("train=atlas", "data=quickstart", "model=small")).toEqual([]);
  expect(told("train=atlas", "data=quickstart", "model=small", "train.reader.loss=emdr2")).toEqual([]);
  expect(told("experiment=quickstart")).toEqual([]);
  expect(told("experiment=quickstart", "data=quickstart")).toEqual([]);
});

it("says nothing of a chosen file's list that an override changed in one place", () => {
  const one = ["data=quickstart", "model=small"];
  expect(told(...one, "train=alternation", "train.schedule.0.repeat=4")).toEqual([]);
  expect(told(...one, "train=atlas", "train.schedule.1.repeat=1")).toEqual([]);
  expect(told(...one, "train=dpr", "train.schedule.1.steps=7")).toEqual([]);
  expect(told(...one, "train=replug", "train.schedule.1.phases.0.steps=7")).toEqual([]);
  expect(told("experiment=quickstart", "train.schedule.0.steps=8")).toEqual([]);
  // Here the list that was changed is the experiment's.
  expect(told("experiment=quickstart", "train=atlas", "train.schedule.0.steps=8")).toHaveLength(1);
});

/** As tandem init writes it. */
const OWN = `defaults:
  - data: quickstart
  - model: small
  - train: alternation
  - _self_
  - experiment: null
train:
  schedule: [{phase: generator, steps: 3, contexts: gold}]
`;
const phasesOf = (overrides: string[], config?: string): string =>
  loadConfig({
    ...(config === undefined ? {} : { configDir: configFolder({ config }) }),
    overrides,
    needed: [],
    environment: {},
  })
    .config.train.schedule.map(({ phase }) => phase[0])
    .join("");

it.each(["atlas", "dpr", "replug"])("says that a config.yaml of one's own hides train=%s, and how it is had", (choice) => {
  const load = (...more: string[]) =>
    loadConfig({ configDir: configFolder({ config: OWN }), overrides: [`train=${choice}`, ...more], needed: [], environment: {} });
  const { warnings, config } = load();
  expect(config.train.schedule.map(({ phase }) => phase)).toEqual(["generator"]);
  expect(warnings.filter((text) => text.includes("was chosen"))).toEqual([
    expect.stringMatching(
      /^train=\w+ was chosen, but 'train\.schedule' is what \S*config\.yaml:8 says: that file's own values win, for _self_ stands after the groups in its defaults; take it out with '~train\.schedule'$/,
    ),
  ]);
  const out = load("~train.schedule");
  expect(out.warnings.filter((text) => text.includes("was chosen"))).toEqual([]);
  expect(out.config.train.schedule).toEqual(
    loadConfig({ overrides: [`train=${choice}`], needed: [], environment: {} }).config.train.schedule,
  );
});

it("a key that is taken out is the chosen group's where there is one, an experiment's too, and else the schema's", () => {
  expect(phasesOf(["train=atlas", "experiment=quickstart", "~train.schedule"])).toBe("rjrjrjr");
  expect(phasesOf(["train=atlas", "experiment=quickstart", "~train.schedule", "train.schedule.1.repeat=1"])).toBe("rjr");
  expect(phasesOf(["~train.schedule"], OWN)).toBe("gcrgcr");
  expect(phasesOf(["train=atlas", "~train.schedule"])).toBe("gcrgcr");
});
