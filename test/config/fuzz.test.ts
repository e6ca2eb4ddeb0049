/**
 * Proves that no text, on the command line or in a file, does anything but load or be refused on one line: never a bug's error, never a hang.
 * Alone: npx vitest run test/config/fuzz.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadConfig, type LoadOptions } from "../../src/config/load-config.js";
import { parseOverrides } from "../../src/config/overrides.js";
import { schema } from "../../src/config/schema.js";
import { schemaLeaves } from "../../src/config/schema-keys.js";
import { plainValue } from "../../src/config/tree.js";
import { UserError } from "../../src/errors.js";
import { configFolder } from "./config-folder.js";

const conf = path.resolve(import.meta.dirname, "../../conf");
const keys = schemaLeaves(schema).map(({ key }) => key);

/** Loads, or is refused on one line; anything else fails. */
function loadsOrIsRefused(options: LoadOptions): boolean {
  try {
    loadConfig({ ...options, needed: [], environment: {} });
    return true;
  } catch (error) {
    expect(error, (error as Error).stack).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toContain("\n");
    return false;
  }
}

const letters = fc.string({ unit: fc.constantFrom(...Array.from("ab1.=,[]{}:'\"\\${}()+~@/_- \n\t\0é")), maxLength: 25 });

describe("an override", () => {
  it("of any text loads or is refused", () => {
    fc.assert(
      fc.property(letters, (text) => {
        loadsOrIsRefused({ overrides: [text] });
      }),
      { numRuns: 300 },
    );
  });

  it("of any key with any value loads or is refused", () => {
    const value = fc.oneof(
      letters,
      fc.constantFrom("1", "-1", "1e400", "null", "true", "[]", "{}", "???", "${seed}", "${train}", "${oc.env:X}"),
    );
    let loaded = 0;
    fc.assert(
      fc.property(fc.constantFrom("", "+", "++", "~"), fc.constantFrom(...keys), value, (prefix, key, text) => {
        if (loadsOrIsRefused({ overrides: [`${prefix}${key}=${text}`] })) loaded += 1;
      }),
      { numRuns: 300 },
    );
    expect(loaded).toBeGreaterThan(0);
  });

  it("of quoted text is that text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 20 }), fc.constantFrom("'", '"'), (text, quote) => {
        const escaped = text.replace(
          new RegExp(`(\\\\*)(${quote}|$)`, "g"),
          (_, slashes: string, end: string) => slashes + slashes + (end === "" ? "" : `\\${end}`),
        );
        const [override] = parseOverrides([`a=${quote}${escaped}${quote}`]);
        expect(override?.value === undefined ? undefined : plainValue(override.value)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a file", () => {
  const text = readFileSync(path.join(conf, "experiment/tiny.yaml"), "utf8");

  it("cut off anywhere loads or is refused", () => {
    const folder = configFolder({});
    for (let end = 0; end < text.length; end += 7) {
      writeFileSync(
        path.join(folder, "config.yaml"),
        text
          .slice(0, end)
          .replace("# @package _global_", "")
          .replace(/defaults:\n.*\n/, ""),
      );
      loadsOrIsRefused({ configDir: folder });
    }
  });

  it("with any bytes put in loads or is refused", () => {
    const folder = configFolder({});
    const bytes = new TextEncoder().encode(text);
    fc.assert(
      fc.property(fc.nat(bytes.length), fc.uint8Array({ minLength: 1, maxLength: 4 }), (place, put) => {
        writeFileSync(path.join(folder, "config.yaml"), Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place)]));
        loadsOrIsRefused({ configDir: folder });
      }),
      { numRuns: 200 },
    );
  });
});
