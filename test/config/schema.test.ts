/**
 * Proves that the schema is whole: every key has a sentence, its default passes its own check, and the list of keys is the one in
 * test/fixtures/config/keys.txt, so that a key that appears or goes is seen in review (`npx vitest run test/config/schema.test.ts -u` writes it anew).
 * Also that text, JSON Schema and YAML say what the schema and the configuration say.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import convict from "convict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { isLeaf, type Section, sectionDoc } from "../../src/config/leaf.js";
import { jsonSchema, renderSchema, renderWithSources, renderYaml, typeText } from "../../src/config/render.js";
import { schema } from "../../src/config/schema.js";
import { schemaLeaves } from "../../src/config/schema-keys.js";
import { plainValue } from "../../src/config/tree.js";
import { readYamlFile } from "../../src/config/yaml-file.js";
import { interpolate } from "../../src/config/interpolate.js";
import { configFolder } from "./config-folder.js";

const leaves = schemaLeaves(schema);

function sections(section: Section, name: string): { name: string; section: Section }[] {
  const below = Object.entries(section).flatMap(([key, node]) => (isLeaf(node) ? [] : sections(node, `${name}.${key}`)));
  return [{ name, section }, ...below];
}

describe("the schema", () => {
  it("has exactly the keys that the fixture lists", async () => {
    const surface = leaves.map(({ key, leaf }) => `${key}: ${typeText(leaf)} = ${JSON.stringify(leaf.default)}`);
    await expect(`${surface.join("\n")}\n`).toMatchFileSnapshot("../fixtures/config/keys.txt");
  });

  it("cozyrag 3: explains every key and section in a sentence", () => {
    for (const { key, leaf } of leaves) expect(leaf.doc, key).toMatch(/^\S.{3,}\.$/);
    for (const { name, section } of sections(schema, "schema")) expect(section[sectionDoc], name).toMatch(/\.$/);
  });

  it("cozyrag 3: has defaults that pass their own checks, and convict agrees", () => {
    for (const { key, leaf } of leaves) {
      expect(() => {
        leaf.format(leaf.default);
      }, key).not.toThrow();
    }
    const config = convict(schema as unknown as convict.Schema<object>, { env: {}, args: [] });
    expect(() => config.validate({ allowed: "strict" })).not.toThrow();
  });

  it("never leaves the choice of a type to convict, which reads 'no' as true", () => {
    for (const { leaf } of leaves) expect(typeof leaf.format).toBe("function");
  });
});

describe("every key", () => {
  it("cozyrag 3: is read somewhere: its name stands in the sources outside the configuration", () => {
    const sources = path.resolve(import.meta.dirname, "../../src");
    const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".ts") && !file.endsWith(".generated.ts") && !file.startsWith("config"),
    );
    const words = new Set(files.flatMap((file) => readFileSync(path.join(sources, file), "utf8").match(/[a-z_0-9]+/g) ?? []));
    const unread = leaves.map(({ key }) => key).filter((key) => !words.has(key.slice(key.lastIndexOf(".") + 1)));
    // Free keys are read by other keys only, and templates' files by the configuration, which puts their texts in their place.
    expect(unread).toEqual(["vars", "prompt.template_file", "prompt.closed_book_template_file"]);
  });
});

describe("tandem config schema", () => {
  it("says type, range, unit, default and sentence of every key", () => {
    const text = renderSchema(schema);
    expect(text).toContain("seed: integer in [0, 4294967295] = 0\n    Seed of everything that is drawn.");
    expect(text).toContain("train.contrastive.temperature: number > 0 = 0.05");
    expect(text).toContain("data.corpus.max_tokens: integer ≥ 16 (tokens) or null = null");
    expect(text).toContain("resume: path | auto or null = null");
    for (const { key, leaf } of leaves)
      expect(text).toContain(`${key}: ${typeText(leaf)} = ${JSON.stringify(leaf.default)}\n    ${leaf.doc}`);
  });

  it("as JSON Schema has every key with its type, range and default, and allows no others", () => {
    interface Node {
      type: string | string[];
      properties?: Record<string, Node>;
      additionalProperties?: boolean;
      [key: string]: unknown;
    }
    const at = (key: string): Node | undefined =>
      key.split(".").reduce<Node | undefined>((node, part) => node?.properties?.[part], jsonSchema(schema) as unknown as Node);
    for (const { key, leaf } of leaves) expect(at(key)?.default, key).toEqual(leaf.default);
    expect(at("train.contrastive.temperature")).toMatchObject({ type: "number", exclusiveMinimum: 0 });
    expect(at("train.penalties.keyword.direction")).toMatchObject({ type: ["string", "null"], enum: ["coverage", "overlap", null] });
    expect(at("train.generator.betas")).toMatchObject({ type: "array", minItems: 2, maxItems: 2, items: { exclusiveMaximum: 1 } });
    expect(at("train.schedule")).toMatchObject({ items: { type: "object", additionalProperties: false } });
    expect(at("train")).toMatchObject({ type: "object", additionalProperties: false });
  });
});

describe("a rendered configuration", () => {
  it("is read back unchanged", () => {
    const { composed } = loadConfig({
      overrides: ["experiment=tiny", "prompt.separator='a${b} # x'", "name='007'"].map((word) => word.replace("a${b}", "a\\\\${b}")),
    });
    const base = path.join(configFolder({ run: renderYaml(composed) }), "run.yaml");
    expect(loadConfig({ base }).composed).toEqual(composed);
  });

  it("keeps any text, with sources too", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "grapheme", maxLength: 30 }), fc.stringMatching(/^[-+]?[0-9_.e]{1,8}$/)), (text) => {
        const config = { prompt: { separator: text } };
        const folder = configFolder({
          plain: renderYaml(config),
          sources: renderWithSources(config, { "prompt.separator": "override 1 'x'" }),
        });
        for (const name of ["plain", "sources"]) {
          const { body } = readYamlFile(path.join(folder, `${name}.yaml`));
          expect(plainValue(interpolate(body, {}, []))).toEqual(config);
        }
      }),
      { numRuns: 120, examples: [["1_000"], ["-1_0"], ["007"], ["5e-5"], ["true"], ["~"], ["\u00a0"], ["a\u2003"]] },
    );
  });
});
