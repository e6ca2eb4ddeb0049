/**
 * Proves that words with several values become the runs that Hydra makes of them: test/fixtures/hydra/sweeps.json holds what Hydra 1.3's basic sweeper made of the same words (make_sweeps.py beside it
 * writes it). Also that a value survives being written as a word, and that what can't be swept is refused in one line. Alone: npx vitest run test/config/sweep-cases.test.ts
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseOverrides } from "../../src/config/overrides.js";
import { planSweep } from "../../src/config/sweep.js";
import { renderValue, sweepValues } from "../../src/config/sweep-value.js";
import { nodeOf, plainValue } from "../../src/config/tree.js";
import { UserError } from "../../src/errors.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

interface Cases {
  groups: Record<string, string[]>;
  cases: { words: string[]; expected: "error" | { kind: string; key: string; package: string | null; value: unknown }[][] }[];
}

const { groups, cases } = JSON.parse(readFileSync(path.join(import.meta.dirname, "../fixtures/hydra/sweeps.json"), "utf8")) as Cases;
const files = Object.fromEntries(
  Object.entries(groups).flatMap(([group, options]) => options.map((name) => [`${group}/${name}`, "k: 1\n"])),
);

/** Hydra writes `str(1,2)` as the words 1 and 2, which are numbers again; here they stay text. */
const STAYS_TEXT = /str\(/;

function outcome(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toContain("\n");
    return "error";
  }
}

/** Numbers to 15 digits: Hydra's ranges have the seventeenth. */
function rounded(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, item: unknown) => (typeof item === "number" ? Number(item.toPrecision(15)) : item));
}

describe("sweeps are Hydra's", () => {
  it.each(cases)("$words", ({ words, expected }) => {
    const folder = configFolder(files);
    const runs = outcome(() =>
      planSweep(words, folder).runs.map((run) =>
        parseOverrides(run).map(({ kind, key, package: to, value }) => ({
          kind,
          key,
          package: to ?? null,
          value: value === undefined ? null : plainValue(value),
        })),
      ),
    );
    const asText = words.some((word) => STAYS_TEXT.test(word)) && expected !== "error";
    const texts = asText ? expected.map((run) => run.map((word) => ({ ...word, value: String(word.value) }))) : expected;
    expect(runs).toEqual(rounded(texts));
  });

  it("covers every function", () => {
    const all = cases.flatMap(({ words }) => words).join(" ");
    for (const name of ["choice", "range", "glob", "interval", "sort", "tag", "int", "float", "str", "bool"])
      expect(all).toContain(`${name}(`);
    expect(cases.length).toBeGreaterThan(60);
  });
});

describe("a sweep", () => {
  it("names the keys that differ, and only those", () => {
    expect(planSweep(["experiment=tiny", "train.contrastive.lr=1e-5,3e-5", "seed=range(3)", "name=choice(x)"]).keys).toEqual([
      "train.contrastive.lr",
      "seed",
    ]);
  });

  it("shuffles a list into the same order each time, losing nothing", () => {
    const order = planSweep(["seed=shuffle(range(20))"]).runs.map(([word = ""]) => Number(word.replace("seed=", "")));
    expect(order).toEqual(planSweep(["seed=shuffle(range(20))"]).runs.map(([word = ""]) => Number(word.replace("seed=", ""))));
    expect(order).not.toEqual([...order].sort((left, right) => left - right));
    expect([...order].sort((left, right) => left - right)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  it.each([
    ["[qs]*", ["quick", "squad"]],
    ["[!qs]*", ["tiny", "x[1]"]],
    ["?[p-r]*", ["squad"]],
    ["[z-a]*", []],
    ["[!z-a]*", ["quick", "squad", "tiny", "x[1]"]],
    ["x[[]1]", ["x[1]"]],
    ["x[1]", []],
    ["*[]]", ["x[1]"]],
    ["[x", []],
    ["*.*", []],
    ["tin\\\\y", []],
  ])("glob('%s') is fnmatch's", (pattern, expected) => {
    const names = ["quick", "squad", "tiny", "x[1]"];
    const values = (): unknown[] => (sweepValues(`glob('${pattern}')`, "here", () => names) ?? []).map(plainValue);
    if (expected.length === 0) expect(userErrorOf(values)).toMatch(/finds no option/);
    else expect(values()).toEqual(expected);
  });

  it.each([
    ["range(1000000000000001,1000000000000004)", [1000000000000001, 1000000000000002, 1000000000000003]],
    ["range(0,0.4,0.1)", [0, 0.1, 0.2, 0.3]],
    ["range(9007199254740989,9007199254740992)", [9007199254740989, 9007199254740990, 9007199254740991]],
  ])("%s has its own numbers", (text, expected) => {
    expect((sweepValues(text, "here", () => []) ?? []).map(plainValue)).toEqual(expected);
  });

  it.each(["[", "{a:", "str(", "choice(", "sort(", "[{a:", "${"])("of 20000 nested %s is refused in one line", (open) => {
    for (const read of [planSweep, parseOverrides])
      expect(userErrorOf(() => read([`seed=${open.repeat(20_000)}`])).slice(-200)).toMatch(/nested more than 100 deep|several values/);
  });

  it("may hold what is nested less, and brackets in quotes as many as it likes", () => {
    const deep = `${"[".repeat(100)}1${"]".repeat(100)}`;
    expect(parseOverrides([`a=${deep}`])).toHaveLength(1);
    expect(planSweep([`a=${deep},2`]).runs).toHaveLength(2);
    expect(planSweep([`a='${"[".repeat(20_000)}',2`]).runs).toHaveLength(2);
  });

  it.each([
    ["a=sort(1,2,reverse=maybe)", /reverse.*true or false/],
    ["a=sort(1,2,reverse=1)", /reverse.*true or false/],
    ["a=sort(1,2,reverse=choice(true))", /reverse.*true or false/],
    ["a=range(1e17,1e17,1)", /over no value/],
    ["a=range(9007199254740992,9007199254740999)", /steps too small/],
    ["a=interval(0,1)", /override 1 'a=interval\(0,1\)': interval\(…\) has no values.*range/],
    ["a=range(0,1,0)", /step of 0/],
    ["a=range(1e9)", /1000000000 values/],
    ["a=range(3,1)", /over no value/],
    ["a=glob(*)", /works for groups/],
    ["data=glob(x*)", /finds no option; options: files/],
    ["~a=1,2", /what is taken out/],
    ["a=choice(1,2", /ends too soon/],
    ["a=foo(1,2)", /no function 'foo'/],
  ])("%s is refused", (word, pattern) => {
    expect(userErrorOf(() => planSweep([word]))).toMatch(pattern);
  });

  it("of too many runs is refused before any is made", () => {
    expect(userErrorOf(() => planSweep(["a=range(1000)", "b=range(1000)"]))).toMatch(/1000000 runs/);
  });
});

describe("a value as a word", () => {
  it("is read back unchanged", () => {
    const scalar = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 12 }),
      fc.double({ noNaN: true }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom("null", "TRUE", "1e3", "007", ".5", "a\\'", "\\"),
    );
    const value = fc.oneof(
      scalar,
      fc.array(scalar, { maxLength: 3 }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), scalar, { maxKeys: 3 }),
    );
    fc.assert(
      fc.property(value, (given) => {
        const [override] = parseOverrides([`a=${renderValue(nodeOf(given, "here"))}`]);
        const plain = override?.value === undefined ? undefined : plainValue(override.value);
        expect(JSON.stringify(plain)).toEqual(JSON.stringify(given));
        // JSON has no word for these.
        if (typeof given === "number") expect(plain === given).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
