/**
 * Proves that a phase that reads what an index finds is refused where no refresh stands before it, before anything is made, by entry and place; and that a reader that has learnt nothing is warned about, once, and no other.
 * Alone: npx vitest run test/config/check-prerequisites.test.ts
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { findFaults, loadConfig } from "../../src/config/load-config.js";
import { packageRoot } from "../../src/config/search-path.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const load = (entries: string, ...more: string[]) =>
  loadConfig({ configDir: configFolder({ config: "" }), overrides: [`train.schedule=[${entries}]`, ...more], needed: [], environment: {} });
const refused = (entries: string, ...more: string[]): string => userErrorOf(() => load(entries, ...more));

const REFRESH = "{phase: refresh}";
const GOLD = "{phase: generator, steps: 3, contexts: gold}";
const FOUND = "{phase: generator, steps: 3, contexts: retrieved}";
const AUTO = "{phase: generator, steps: 3}";
const READER = "{phase: reader-distillation, steps: 3}";
const JOINT = "{phase: joint, steps: 3}";

describe("an index that is read", () => {
  it.each([
    [
      READER,
      /^override 1 '.*': 'train\.schedule\.0\.phase' is reader-distillation, which reads what an index finds, but no refresh stands before it; put \{phase: refresh\} before it$/,
    ],
    [`${GOLD}, ${JOINT}, ${REFRESH}`, /'train\.schedule\.1\.phase' is joint, which reads what an index finds, but no refresh/],
    [
      FOUND,
      /^override 1 '.*': 'train\.schedule\.0\.contexts' is retrieved, but no refresh stands before it; put \{phase: refresh\} before it, or contexts: gold$/,
    ],
    [
      `${AUTO}, ${AUTO}`,
      /'train\.schedule\.1\.phase' is generator and reads what an index finds \(train\.generator\.contexts is auto\), but no refresh/,
    ],
    [
      `{phase: generator, steps: 3, contexts: copying}, {phase: contrastive, steps: 2}, ${FOUND}`,
      /'train\.schedule\.2\.contexts' is retrieved/,
    ],
    [`${GOLD}, {phase: refresh, when: em < 1}, ${READER}`, /but the refresh before it may be passed over \(when\)/],
  ])("is refused where none is built before: %s", (entries, message) => {
    expect(refused(entries)).toMatch(message);
  });

  it("is counted once a phase, by its own line, and said by tandem config check", () => {
    const configDir = configFolder({ config: `train:\n  schedule:\n    - ${GOLD}\n    - ${READER}\n    - ${FOUND}\n` });
    const { faults } = findFaults({ configDir, needed: [], environment: {} });
    expect(faults.map(({ where, what }) => `${path.basename(where)} ${what.split(" ")[0] ?? ""}`)).toEqual([
      "config.yaml:4 'train.schedule.1.phase'",
      "config.yaml:5 'train.schedule.2.contexts'",
    ]);
    const tiny = findFaults({ overrides: ["experiment=tiny", `train.schedule=[${READER}]`], environment: {} });
    expect(tiny.faults.map(({ where }) => where)).toEqual([`override 2 'train.schedule=[${READER}]'`]);
  });

  it.each([
    `${REFRESH}, ${READER}`,
    `${AUTO}, ${REFRESH}, ${AUTO}`,
    `${AUTO}, {phase: generator, steps: 3, contexts: copying}`,
    `${REFRESH}, ${FOUND}, ${JOINT}`,
  ])("is there: %s", (entries) => {
    expect(load(entries).config.train.schedule.length).toBeGreaterThan(0);
  });

  it("train.generator.contexts says it for every phase that doesn't", () => {
    expect(load(`${AUTO}, ${AUTO}`, "train.generator.contexts=gold").config.train.schedule).toHaveLength(2);
    expect(refused(AUTO, "train.generator.contexts=retrieved")).toMatch(/'train\.schedule\.0\.phase'.*contexts is retrieved\)/);
  });
});

describe("a reader", () => {
  const doubts = (options: Parameters<typeof loadConfig>[0]): string[] =>
    loadConfig({ needed: [], environment: {}, ...options }).warnings.filter((text) => text.includes("has learnt nothing yet"));
  const told = (entries: string, ...more: string[]): string[] =>
    doubts({ configDir: configFolder({ config: "" }), overrides: [`train.schedule=[${entries}]`, ...more] });

  it.each([`${REFRESH}, ${READER}, ${REFRESH}, ${READER}`, `${REFRESH}, ${JOINT}, ${GOLD}, ${JOINT}`])(
    "that starts untrained is warned about once: %s",
    (entries) => {
      expect(told(entries)).toEqual([
        expect.stringMatching(
          /^'train\.schedule\.1\.phase' is (reader-distillation|joint), whose reader .*\(generator\.path\), or put a generator phase before it \(override 1 '/,
        ),
      ]);
    },
  );

  it("that is named or learns before isn't", () => {
    expect(told(`${REFRESH}, ${GOLD}, ${READER}`)).toEqual([]);
    expect(told(`${REFRESH}, ${READER}`, "generator.path=somewhere")).toEqual([]);
    expect(told(`${GOLD}, ${REFRESH}`)).toEqual([]);
  });

  it.each(readdirSync(path.join(packageRoot(), "conf/experiment")).map((file) => path.basename(file, ".yaml")))(
    "of experiment=%s is none of these",
    (name) => {
      expect(doubts({ overrides: [`experiment=${name}`] })).toEqual([]);
    },
  );

  it("of a schedule that comes with the program is one where the pair starts from scratch", () => {
    for (const train of ["atlas", "replug"]) {
      expect(doubts({ overrides: [`train=${train}`, "model=small"] })).toHaveLength(1);
      expect(doubts({ overrides: [`train=${train}`, "model=hub"] })).toEqual([]);
    }
    for (const train of ["alternation", "dpr", "generator-only", "retriever-only"])
      expect(doubts({ overrides: [`train=${train}`, "model=small"] })).toEqual([]);
  });
});
