/**
 * Proves that composition and the override grammar do what Hydra does: test/fixtures/hydra/cases.json holds what Hydra 1.3 made of the same folders
 * and words (make_cases.py beside it writes it). Alone: npx vitest run test/config/hydra-cases.test.ts
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compose, schemaDefault } from "../../src/config/compose.js";
import { interpolate } from "../../src/config/interpolate.js";
import { parseOverrides } from "../../src/config/overrides.js";
import { mapNode, plainValue } from "../../src/config/tree.js";
import { UserError } from "../../src/errors.js";

interface Cases {
  folders: Record<string, Record<string, string>>;
  compositions: { folder: string; overrides: string[]; expected: unknown }[];
  overrides: { text: string; expected: "error" | { kind: string; key: string; package: string | null; value: unknown } }[];
}

const cases = JSON.parse(readFileSync(path.join(import.meta.dirname, "../fixtures/hydra/cases.json"), "utf8")) as Cases;
let root = "";

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "tandem-hydra-"));
  for (const [folder, files] of Object.entries(cases.folders)) {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(root, folder, `${name}.yaml`);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }
});
afterAll(() => {
  rmSync(root, { recursive: true });
});

/** The value, or "error" for a mistake of the user's; a bug fails the test. */
function outcome(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toContain("\n");
    return "error";
  }
}

describe("composition is Hydra's", () => {
  it.each(cases.compositions)("$folder $overrides", ({ folder, overrides, expected }) => {
    const composed = outcome(() => {
      const folders = [path.join(root, folder)];
      const { tree } = compose({ folders, configName: "config", overrides, defaults: mapNode([], schemaDefault), knownKeys: [] });
      return plainValue(interpolate(tree, {}, []));
    });
    expect(composed).toEqual(expected);
  });
});

describe("the override grammar is Hydra's", () => {
  it.each(cases.overrides)("$text", ({ text, expected }) => {
    const parsed = outcome(() => {
      const [override] = parseOverrides([text]);
      const value = override?.value === undefined ? null : plainValue(override.value);
      return { kind: override?.kind, key: override?.key, package: override?.package ?? null, value };
    });
    expect(parsed).toEqual(expected);
  });
});
