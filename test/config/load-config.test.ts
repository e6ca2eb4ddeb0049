/**
 * Proves that a configuration is composed, checked and explained: every mistake is one line that names the file and line or the override, with the
 * nearest right key. Alone: npx vitest run test/config/load-config.test.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig, type LoadOptions } from "../../src/config/load-config.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

/** Loads a folder whose config.yaml has this text. */
function load(text: string, overrides: string[] = [], options: LoadOptions = {}) {
  return loadConfig({ configDir: configFolder({ config: text }), overrides, environment: {}, ...options });
}
const refusal = (text: string, overrides: string[] = [], options: LoadOptions = {}): string =>
  userErrorOf(() => load(text, overrides, options));

describe("a value", () => {
  it("cozyrag 2: reads 5e-5 as a number in a file and in an override", () => {
    const { config } = load("train:\n  generator:\n    lr: 5e-5\n", ["train.contrastive.lr=5e-5"]);
    expect(config.train.generator.lr).toBe(0.00005);
    expect(config.train.contrastive.lr).toBe(0.00005);
  });

  it("cozyrag 2: of a wrong type names key, file and line", () => {
    const line = refusal('train:\n  generator:\n    lr: "5e-5"\n');
    expect(line).toMatch(/config\.yaml:3: 'train\.generator\.lr' has a wrong value; expected a number in \(0, 10\], got "5e-5"$/);
  });

  it.each([
    ["seed=-1", "a whole number in [0, 4294967295], got -1"],
    ["seed=1.5", "a whole number in [0, 4294967295], got 1.5"],
    ["seed=null", "got null"],
    ["threads=zero", 'a whole number in [1, 4096] or null, got "zero"'],
    ["index.faiss=yes", 'true or false, got "yes"'],
    ["index.faiss=1", "true or false, got 1"],
    ["index.metric=cosin", 'one of inner-product, cosine, l2, got "cosin"; did you mean cosine?'],
    ["device=gpu", 'cpu, cuda:N or auto, got "gpu"'],
    ["device=cuda:0x", "cpu, cuda:N or auto"],
    ["train.generator.betas=[0.9]", "a list of 2 elements, got [0.9]"],
    ["train.generator.betas=[0.9,1]", "a number in [0, 1), got [0.9,1]"],
    ["train.generator.lr=nan", "a number in (0, 10], got NaN"],
    ["train.generator.lr=inf", "got Infinity"],
    ["eval.rows=[bm52]", "one of closed-book, random-passage, bm25"],
    ["eval.rows=[]", "a list of 1 elements or more"],
    ["prompt.template='{question}'", "has no {context}"],
    ["prompt.closed_book_template='{context}{question}'", "an unknown place {context}"],
    ["retriever.initialise=3", "keys below it: layers, width"],
    ["retriever.initialise.layers={a: 1}", 'a whole number ≥ 1, got {"a":1}'],
    ["train.schedule=[generator]", 'expected keys below it: phase, steps, epochs, minutes, until, when, contexts, with, got "generator"'],
    ["train.schedule=[{phase: generate, steps: 1}]", "did you mean generator?"],
    ["train.schedule=none", "a list of records"],
    ["run.dir=", 'a path, got ""'],
    ["name=a/b", "letters, digits, dots, dashes and underscores"],
    ["++vars.x=[1]", "keys with one word or number each"],
  ])("%s is refused: %s", (override, expected) => {
    const line = refusal("", [override]);
    expect(line).toContain(`override 1 '${override}': '`);
    expect(line).toContain(expected);
  });
});

describe("an unknown key", () => {
  it("cozyrag 3: in a file names file, line and the nearest right key", () => {
    expect(refusal("seed: 1\ntrain:\n  generator:\n    learning_rte: 1\n    warmpu: 3\n")).toMatch(
      /config\.yaml:4: no key 'train\.generator\.learning_rte'; .*\(1 more after this one\)$/,
    );
    expect(refusal("train:\n  generator:\n    warmpu: 3\n")).toMatch(
      /:3: no key 'train\.generator\.warmpu'; did you mean train\.generator\.warmup\?$/,
    );
  });

  it("cozyrag 3: in an override names the override", () => {
    expect(refusal("", ["seed=1", "name=x", "train.lrr=1"])).toBe(
      "override 3 'train.lrr=1': no key 'train.lrr'; did you mean train.generator.lr or train.contrastive.lr or train.reader.lr?",
    );
  });

  it("cozyrag 3: is never added by + or by a section of its own", () => {
    expect(refusal("", ["+train.lrr=1"])).toContain("override 1 '+train.lrr=1': no key 'train.lrr'");
    expect(refusal("penalties:\n  ngram_repeat:\n    n: 3\n")).toMatch(/:1: no key 'penalties'; did you mean train\.penalties\?$/);
  });

  it("in a record of the schedule names the keys there", () => {
    expect(refusal("train:\n  schedule:\n    - phase: generator\n      stps: 3\n")).toMatch(
      /:4: no key 'train\.schedule\.0\.stps'; did you mean steps\?/,
    );
  });

  it("is said before a wrong value", () => {
    expect(refusal("seed: x\nsede: 1\n")).toMatch(/:2: no key 'sede'; did you mean seed\?/);
  });

  it("called like something of JavaScript's is unknown too", () => {
    for (const key of ["__proto__", "constructor", "toString"]) expect(refusal(`${key}: {a: 1}\n`)).toContain(`no key '${key}'`);
  });
});

describe("a key that must be given", () => {
  const text = "data:\n  root: ???\n  corpus:\n    path: ${data.root}/c\n";

  it("is refused once, naming itself and not those that follow from it", () => {
    expect(refusal(text)).toMatch(/config\.yaml:2: 'data\.root' must be given \(.*\); add data\.root=…$/);
    expect(load(text, ["data.root=/d"]).config.data.corpus.path).toBe("/d/c");
  });

  it("is refused only where the command needs it", () => {
    expect(load(text, [], { needed: ["retriever"] }).missing).toEqual(["data.root", "data.corpus.path"]);
    expect(load(text, [], { needed: [] }).config.data.corpus.path).toBeNull();
    expect(refusal(text, [], { needed: ["data.corpus"] })).toContain("'data.corpus.path' must be given");
  });
});

describe("paths", () => {
  it("count from the current folder, from home with ~, and words stay words", () => {
    const { config, composed } = load("", ["run.dir=out/runs", "retriever.path=~/m", "resume=auto"]);
    expect(config.run.dir).toBe(path.resolve("out/runs"));
    expect(composed.run.dir).toBe("out/runs");
    expect(config.retriever.path).toBe(path.join(homedir(), "m"));
    expect(config.resume).toBe("auto");
    expect(load("", ["resume=runs/x"]).config.resume).toBe(path.resolve("runs/x"));
  });
});

describe("who set a key", () => {
  it("is the file's line, the override or the schema", () => {
    const { sources } = load("seed: 3\ntrain:\n  log: {every: 2}\n", ["name=x", "train.schedule.0.steps=7"]);
    expect(sources.seed).toMatch(/config\.yaml:1$/);
    expect(sources["train.log.every"]).toMatch(/config\.yaml:3$/);
    expect(sources.name).toBe("override 1 'name=x'");
    expect(sources["train.schedule.0.steps"]).toBe("override 2 'train.schedule.0.steps=7'");
    expect(sources["train.schedule.1.steps"]).toBe("schema default");
  });

  it("survives the overriding of one element of a list", () => {
    const { config } = load("", ["train.schedule.0.steps=7", "train.schedule[3].contexts=gold"]);
    expect(config.train.schedule.map(({ steps }) => steps)).toEqual([7, 200, 0, 1000, 200, 0]);
    expect(config.train.schedule[3]?.contexts).toBe("gold");
    expect(refusal("", ["train.schedule.9.steps=1"])).toContain("override 1 'train.schedule.9.steps=1': ");
  });
});

describe("a key that isn't there", () => {
  it("is refused by the entries that its list has, as they were written", () => {
    const has = "train.schedule has entries 0 to 5; name one of them";
    expect(refusal("", ["train.schedule.9.steps=4"])).toBe(
      `override 1 'train.schedule.9.steps=4': no key 'train.schedule.9.steps': ${has}`,
    );
    expect(refusal("", ["train.schedule.9={phase: refresh}"])).toContain(has);
    expect(refusal("", ["+train.schedule.9.steps=4"])).toContain(has);
    expect(refusal("", ["~train.schedule.9.steps"])).toContain(has);
    expect(refusal("", ["train.schedule.steps=4"])).toContain(has);
    expect(refusal("defaults: [{train: alternation}]\n", ["train.schedule.1.steps=4"])).toBe(
      "override 1 'train.schedule.1.steps=4': no key 'train.schedule.1.steps': train.schedule has one entry, 0; 0 is a repeat, whose phases are train.schedule.0.phases.0 and so on; name one of them",
    );
    expect(refusal("", ["eval.rows.9=bm25"])).toContain("eval.rows has entries 0 to 5");
  });

  it("is a misspelt group first, and its nearest key", () => {
    expect(refusal("", ["experment=tiny"])).toContain("no key 'experment'; did you mean experiment or tracking.experiment?");
    expect(refusal("", ["modle=small"])).toMatch(/did you mean model[ ?]/);
    expect(refusal("", ["train.contrastiv.lr=1"])).toMatch(/did you mean train\.contrastive\.lr/);
  });
});

describe("a deleted key", () => {
  it("has the schema's default again", () => {
    expect(load("seed: 3\n", ["~seed"]).config.seed).toBe(0);
    expect(load("train:\n  schedule: [{phase: generator, steps: 1}]\n", ["~train.schedule"]).config.train.schedule).toHaveLength(6);
    expect(refusal("", ["~seed"])).toContain("'seed' isn't set by any file");
  });
});

describe("a saved configuration", () => {
  it("takes a group's choice in the place of its whole section", () => {
    const base = path.join(configFolder({ run: "name: old\nindex: {factory: HNSW16, threads: 2, metric: l2}\n" }), "run.yaml");
    const { config } = loadConfig({ base, overrides: ["index=ivf", 'index.search="nprobe=8"'] });
    expect(config.index).toMatchObject({ factory: "IVF64,Flat", search: "nprobe=8", metric: "inner-product", threads: null });
    expect(loadConfig({ base, overrides: ["index=exact"] }).config.index.factory).toBeNull();
    expect(userErrorOf(() => loadConfig({ base, overrides: ["index=ivff"] }))).toMatch(/ivff.*ivf/);
  });

  it("is a base that overrides go over", () => {
    const folder = configFolder({ run: "seed: 4\nname: old\n" });
    const base = path.join(folder, "run.yaml");
    const { config, files } = loadConfig({ base, overrides: ["name=new"] });
    expect([config.seed, config.name, files.length]).toEqual([4, "new", 1]);
    expect(userErrorOf(() => loadConfig({ base, overrides: ["experiment=squad"] }))).toContain("no key 'experiment'");
    expect(userErrorOf(() => loadConfig({ base: path.join(folder, "gone.yaml") }))).toMatch(/gone\.yaml: no such file; mend the path/);
  });
});

describe("a bad file", () => {
  it.each([
    ["not UTF-8", new Uint8Array([0x61, 0x3a, 0xff, 0xfe]), /config\.yaml: not UTF-8 text/],
    ["a list", "- a\n", /config\.yaml:1: not a map of keys/],
    ["a word", "hello", /config\.yaml:1: not a map of keys/],
    ["truncated", "seed: [1,\n", /config\.yaml:\d: not YAML/],
    ["a key twice", "seed: 1\nname: x\nseed: 2\n", /config\.yaml:3: not YAML: Map keys must be unique/],
    ["tabs", "train:\n\tseed: 1\n", /config\.yaml:\d: not YAML/],
    ["two documents", "seed: 1\n---\nseed: 2\n", /config\.yaml:\d: a second YAML document/],
    ["an alias", "seed: &a 1\nthreads: *a\n", /config\.yaml:2: the YAML alias '\*a' isn't followed; refer to a key/],
    ["a flattened key", "train.seed: 1\n", /config\.yaml:1: the key 'train\.seed' holds a dot/],
    ["a key that is a list", "? [a, b]\n: 1\n", /config\.yaml:1: a key that isn't a name/],
    ["deep nesting", `seed: ${"[".repeat(100)}${"]".repeat(100)}\n`, /config\.yaml:\d: nested too deeply/],
    ["endless nesting", `seed: ${"[".repeat(20000)}${"]".repeat(20000)}\n`, /config\.yaml:\d: not YAML/],
    ["an unknown tag", "seed: !!binary aGk=\n", /config\.yaml:1: /],
    ["a defaults list that isn't one", "defaults: data\n", /config\.yaml:1: defaults isn't a list/],
    ["two _self_", "defaults: [_self_, _self_]\n", /config\.yaml:1: _self_ stands twice/],
    ["an odd entry", "defaults:\n  - {a: b, c: d}\n", /config\.yaml:2: not an entry of a defaults list/],
    ["a circle", "defaults:\n  - config\n", /config\.yaml: the defaults lists go round in a circle/],
    ["a file outside", "defaults:\n  - ../../etc/passwd\n", /config\.yaml:2: no 'passwd' in group/],
    [
      "a missing option",
      "defaults:\n  - data: squat\n",
      /config\.yaml:2: no 'squat' in group data; expected files, quickstart, squad, wikipedia; did you mean squad\?/,
    ],
  ])("%s", (_, text, line) => {
    const configDir = configFolder({ config: text });
    expect(userErrorOf(() => loadConfig({ configDir }))).toMatch(line);
  });

  it("that is empty, or only comments, sets nothing", () => {
    expect(load("").config.seed).toBe(0);
    expect(load("# nothing\n---\n").config.seed).toBe(0);
  });

  it("that is a folder is refused", () => {
    const configDir = configFolder({});
    mkdirSync(path.join(configDir, "config.yaml"));
    expect(userErrorOf(() => loadConfig({ configDir }))).toMatch(/config\.yaml: can't be read \(EISDIR\)/);
    writeFileSync(path.join(configDir, "file"), "");
    expect(userErrorOf(() => loadConfig({ configDir: path.join(configDir, "file") }))).toContain("mend --config-dir");
  });
});

describe("cozyrag 41: rate, warm-up, decay, clipping, accumulation, precision and schedule", () => {
  it("are all keys", () => {
    const words = ["warmup=10", "flat=0.5", "decay=cosine", "clip=null", "accumulate=2", "floor=0"].map(
      (word) => `train.generator.${word}`,
    );
    const { config } = load("", [...words, "precision=bf16", "train.schedule=[{phase: contrastive, steps: 3}]"]);
    expect(config.train.generator).toMatchObject({ warmup: 10, flat: 0.5, decay: "cosine", clip: null, accumulate: 2, floor: 0 });
    expect(config.precision).toBe("bf16");
    expect(config.train.schedule).toEqual([
      { phase: "contrastive", steps: 3, epochs: null, minutes: null, until: null, when: null, contexts: null, with: null },
    ]);
  });
});
