/**
 * Proves OmegaConf's interpolation: references keep types, may be relative and nested, environment variables are typed by the key that takes them,
 * circles and missing keys are one line. What Hydra itself gives is in hydra-cases.test.ts. Alone: npx vitest run test/config/interpolate.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const load = (text: string, environment: Record<string, string> = {}, overrides: string[] = []) =>
  loadConfig({ configDir: configFolder({ config: text }), environment, overrides }).composed;
const refusal = (text: string, environment: Record<string, string> = {}): string => userErrorOf(() => load(text, environment));

describe("a reference", () => {
  it("alone keeps the type, in text becomes text", () => {
    const config = load("seed: 7\nthreads: ${seed}\nname: run-${seed}-${index.faiss}\n");
    expect(config.threads).toBe(7);
    expect(config.name).toBe("run-7-true");
  });

  it("reaches the schema's defaults and free keys", () => {
    expect(load("threads: ${prompt.passages}\n").threads).toBe(4);
    const { generator, retriever } = load(
      "vars: {width: 64}\ngenerator: {initialise: {width: '${vars.width}'}}\nretriever: {initialise: {width: '${vars.width}'}}\n",
    );
    expect([generator.initialise.width, retriever.initialise.width]).toEqual([64, 64]);
  });

  it("copies whole sections and lists", () => {
    const config = load("train: {generator: {betas: [0.5, 0.6]}, contrastive: {betas: '${train.generator.betas}'}}\n");
    expect(config.train.contrastive.betas).toEqual([0.5, 0.6]);
  });

  it("may hold another and may go through a list", () => {
    expect(load("vars: {which: seed}\nseed: 9\nthreads: ${${vars.which}}\n").threads).toBe(9);
    expect(load("threads: ${train.schedule.1.steps}\nseed: '${train.schedule[4].steps}'\n").threads).toBe(200);
  });

  it("escaped stays as it is", () => {
    expect(load("prompt: {separator: 'a\\${b}'}\n").prompt.separator).toBe("a${b}");
  });

  it("works in an override", () => {
    expect(load("", {}, ["threads=${prompt.passages}"]).threads).toBe(4);
  });
});

describe("an environment variable", () => {
  it("is read as the key's own type", () => {
    const config = load("threads: ${oc.env:N}\nname: ${oc.env:N}\nindex: {faiss: '${oc.env:F}'}\n", { N: "12", F: "false" });
    expect([config.threads, config.name, config.index.faiss]).toEqual([12, "12", false]);
  });

  it("has a default, which may refer to another key, be null or be quoted", () => {
    const config = load(
      "threads: '${oc.env:N, 3}'\nname: ${oc.env:N,x${seed}}\nresume: ${oc.env:N,null}\nprompt: {separator: \"${oc.env:N,' , '}\"}\n",
    );
    expect([config.threads, config.name, config.resume, config.prompt.separator]).toEqual([3, "x0", null, " , "]);
  });

  it("of the wrong kind is refused at its key", () => {
    expect(refusal("threads: ${oc.env:N}\n", { N: "many" })).toMatch(/config\.yaml:1: 'threads' has a wrong value; .*got "many"/);
  });

  it("that isn't set names itself and the mend", () => {
    expect(refusal("name: ${oc.env:NAME}\n")).toMatch(
      /config\.yaml:1: the environment variable NAME isn't set; export NAME=… or give a default/,
    );
  });
});

describe("other resolvers", () => {
  it("decode text and know the package's folder", () => {
    const config = load("threads: ${oc.decode:${oc.env:N}}\nrun: {dir: '${tandem:root}/x'}\n", { N: "2" });
    expect(config.threads).toBe(2);
    expect(config.run.dir).toBe(path.resolve(import.meta.dirname, "../../x"));
  });

  it("that don't exist are refused", () => {
    expect(refusal("name: ${oc.evn:NAME}\n")).toContain(
      "no resolver 'oc.evn:NAME'; expected oc.env:, oc.decode:, tandem:root; did you mean oc.env:?",
    );
  });
});

describe("a wrong reference", () => {
  it.each([
    ["name: ${sede}\n", /config\.yaml:1: \$\{sede\} refers to no key; did you mean seed\?/],
    ["name: ${.....x}\n", /refers to no key/],
    ["name: ${}\n", /refers to no key/],
    ["name: x${seed\n", /'\$\{' without its '\}'/],
    ["name: x${index}\n", /\$\{index\} is a map and stands inside text/],
    ["vars: {a: '${vars.b}', b: '${vars.c}', c: 'x${vars.a}'}\n", /go round in a circle: vars\.a → vars\.b → vars\.c → vars\.a/],
    ["seed: ${seed}\n", /\$\{seed\} refers to itself/],
    ["run: {dir: '${run}'}\n", /\$\{run\} refers to itself/],
  ])("%s", (text, line) => {
    expect(refusal(text)).toMatch(line);
  });

  it("that multiplies without end is stopped", () => {
    const keys = Array.from(
      { length: 40 },
      (_, index) => `  k${index}: '${index === 0 ? "xxxxxxxxxx" : `\${vars.k${index - 1}}\${vars.k${index - 1}}`}'`,
    );
    expect(refusal(`vars:\n${keys.join("\n")}\n`)).toContain("more than a megabyte of text");
  });
});
