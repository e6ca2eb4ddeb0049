/** Proves that a group chosen on the command line whose values an experiment sets otherwise is told of, by key and file, and that nothing else is. */
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";

const told = (...overrides: string[]): string[] =>
  loadConfig({ overrides, needed: [], environment: {} }).warnings.filter((text) => text.includes("was chosen"));

it("tells which file won", () => {
  expect(told("train=atlas", "experiment=quickstart")).toEqual([
    expect.stringMatching(
      /^train=atlas was chosen, but 'train\.schedule' is what .*experiment\/quickstart\.yaml:\d+ says.*: an experiment's own values win; set the key itself, or choose no experiment$/,
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
