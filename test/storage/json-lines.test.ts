/**
 * Proves that text files and JSON files are read line by line, whatever their line ends and length, and that wrong ones are refused with file and
 * line. Alone: npx vitest run test/storage/json-lines.test.ts
 */
import { readdirSync, readlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { expectObject, parseJson, readJson } from "../../src/storage/json-file.js";
import { duplicateKey } from "../../src/storage/json-keys.js";
import { jsonFailureOffset } from "../../src/storage/json-place.js";
import { readJsonLines, readLines } from "../../src/storage/json-lines.js";
import { faultOf, temporaryFolder } from "./bad-input.js";

const folder = temporaryFolder();
const file = (content: string | Uint8Array, name = "case.jsonl"): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const lines = (path: string): string[] => [...readLines(path)].map(({ line }) => line);
const records = (path: string): unknown[] => [...readJsonLines(path, (value) => value)];

describe("readLines", () => {
  it("counts lines from 1, ends at the last line feed, and takes CRLF and a byte-order mark away", () => {
    expect([...readLines(file("a\n\nb"))]).toEqual([
      { line: "a", number: 1 },
      { line: "", number: 2 },
      { line: "b", number: 3 },
    ]);
    expect(lines(file(""))).toEqual([]);
    expect(lines(file("\n"))).toEqual([""]);
    expect(lines(file("a\nb\n"))).toEqual(["a", "b"]);
    expect(lines(file("\uFEFFa\r\nb\rc\r\n\uFEFFd\r"))).toEqual(["a", "b\rc", "\uFEFFd"]);
    expect(lines(file("\uFEFF"))).toEqual([""]);
    expect(lines(file("a\u2028b\u0085c\vd\0e"))).toEqual(["a\u2028b\u0085c\vd\0e"]);
  });

  it("gives back any lines", () => {
    const line = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.tuple(fc.integer({ min: 0, max: 600_000 }), fc.constantFrom("x", "é", "🜲")).map(([length, letter]) => letter.repeat(length / 2)),
    );
    const clean = line.map((text) => text.replaceAll(/[\r\n\uFEFF]/g, " ")).filter((text) => !/\p{Surrogate}/u.test(text));
    fc.assert(
      fc.property(fc.array(clean, { maxLength: 6 }), fc.constantFrom("\n", "\r\n"), (texts, end) => {
        expect(lines(file(texts.map((text) => text + end).join("")))).toEqual(texts);
      }),
      { numRuns: 25 },
    );
  });

  it("reads lines longer than 2^20 bytes and more lines than that", () => {
    const long = "€".repeat(2 ** 20);
    expect(lines(file(`a\n${long}\nb`))).toEqual(["a", long, "b"]);
    let count = 0;
    for (const { line, number } of readLines(file("17\n".repeat(2 ** 20 + 3)))) count += line === "17" && number === count + 1 ? 1 : 0;
    expect(count).toBe(2 ** 20 + 3);
  });

  it("holds one line at a time, not the file", () => {
    const path = file(`${"x".repeat(999)}\n`.repeat(60_000));
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    for (const { number } of readLines(path)) if (number % 5000 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    expect(most).toBeLessThan(4 * 1024 * 1024);
  });

  it("closes the file when the loop ends early", () => {
    const path = file("a\nb\nc\n", "closed.jsonl");
    for (const { number } of readLines(path)) if (number === 2) break;
    const open = readdirSync("/proc/self/fd").filter((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`) === path;
      } catch {
        return false;
      }
    });
    expect(open).toEqual([]);
  });

  it("refuses other encodings and formats with file and line", () => {
    const latin = Buffer.concat([Buffer.from("plain\n"), Buffer.from("caf\xe9\n", "latin1")]);
    expect(faultOf(() => lines(file(latin)))).toMatch(/case\.jsonl:2: is not UTF-8; convert it: iconv -f LATIN1/);
    expect(faultOf(() => lines(file(Buffer.from("\uFEFFwide\n", "utf16le"))))).toMatch(
      /:1: is not UTF-8; got UTF-16 text; convert it: iconv -f UTF-16/,
    );
    expect(faultOf(() => lines(file(gzipSync("text\n"))))).toContain("got a gzip file; gunzip it first");
    // An overlong form, a surrogate and a character cut in half: all not UTF-8 though decoders have let them pass.
    for (const bytes of [
      [0xc0, 0xaf],
      [0xed, 0xa0, 0x80],
      [0xe2, 0x82],
    ]) {
      expect(faultOf(() => lines(file(Uint8Array.from([0x61, 0x0a, ...bytes]))))).toContain(":2: is not UTF-8");
    }
  });

  it("refuses what is no file", () => {
    expect(faultOf(() => lines(join(folder, "none.jsonl")))).toContain("none.jsonl: no such file or folder");
    expect(faultOf(() => lines(folder))).toContain("is a folder, not a file");
    expect(faultOf(() => lines(`${file("x")}/child`))).toContain("a part of the path is a file");
  });

  it("refuses a file without line feeds before it fills the memory", () => {
    const path = file("", "endless.jsonl");
    truncateSync(path, 80 * 1024 * 1024);
    expect(faultOf(() => lines(path))).toMatch(/endless\.jsonl:1: the line is too long; expected at most 67108864 bytes/);
  });
});

describe("readJsonLines", () => {
  it("parses each line that isn't blank and says where it stands", () => {
    const path = file('\uFEFF{"a":1}\r\n\n  \n[2]\n');
    expect([...readJsonLines(path, (value, where) => ({ value, where }))]).toEqual([
      { value: { a: 1 }, where: `${path}:1` },
      { value: [2], where: `${path}:4` },
    ]);
    expect(records(file(""))).toEqual([]);
  });

  it("gives back any values", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (values) => {
        const plain = JSON.parse(JSON.stringify(values)) as unknown[];
        expect(records(file(plain.map((value) => `${JSON.stringify(value)}\n`).join("")))).toEqual(plain);
      }),
      { numRuns: 60 },
    );
  });

  it("refuses a line that isn't JSON, or not an object, with file and line", () => {
    expect(faultOf(() => records(file('{"a":1}\n{"a":\n')))).toMatch(
      /case\.jsonl:2: is not JSON; got "\{\\"a\\":"; write one JSON value on each line$/,
    );
    expect(faultOf(() => records(file("NaN")))).toContain(":1: is not JSON");
    expect(faultOf(() => records(file('{"a":1}{"a":2}')))).toContain(":1: is not JSON");
    const objects = (content: string): unknown[] => [...readJsonLines(file(content), expectObject)];
    expect(objects('{"a":1}')).toEqual([{ a: 1 }]);
    for (const [content, got] of [
      ["[1]", "an array"],
      ["null", "null"],
      ['"x"', "a string"],
      ["3", "a number"],
      ["true", "a boolean"],
    ] as const) {
      expect(faultOf(() => objects(`{}\n${content}\n`))).toMatch(
        new RegExp(`:2: is not what it should be; expected a JSON object, got ${got}$`),
      );
    }
  });
});

describe("readJson", () => {
  it("reads a value, with or without a byte-order mark", () => {
    expect(readJson(file('\uFEFF{"a": [1, "é"]}\n'))).toEqual({ a: [1, "é"] });
  });

  it("refuses with file, line and column", () => {
    expect(faultOf(() => readJson(join(folder, "none.json")))).toContain("none.json: no such file or folder");
    expect(faultOf(() => readJson(folder))).toContain("is a folder");
    expect(faultOf(() => readJson(file("")))).toContain("case.jsonl: is empty; expected JSON");
    expect(faultOf(() => readJson(file('{\n  "a": x\n}')))).toMatch(/case\.jsonl:2:8: is not JSON/);
    expect(faultOf(() => readJson(file('{\n  "a": 1')))).toMatch(/case\.jsonl:2:9: is not JSON/);
    expect(faultOf(() => readJson(file(Uint8Array.from([0x22, 0xe9, 0x22]))))).toContain("is not UTF-8; convert it");
    expect(faultOf(() => readJson(file(Uint8Array.from([0x80, 0x02, 0x7d, 0x71]))))).toContain("is not UTF-8; got a pickle");
    expect(() => parseJson("[" + "[".repeat(200_000), "deep")).toThrow(UserError);
  });
});

describe("jsonFailureOffset", () => {
  it("points at the first token that doesn't belong, or at the end", () => {
    const cases: [string, number][] = [
      ['{"a": x}', 6],
      ['{"a" 1}', 5],
      ['{"a":1,}', 7],
      ["[1 2]", 3],
      ["[1,]", 3],
      ["[,1]", 1],
      ["{1:2}", 1],
      ["[1}", 2],
      ["{]", 1],
      ["}", 0],
      ["1 1", 2],
      ["1,", 1],
      ["[01]", 2],
      ["[+1]", 1],
      ['["a\nb"]', 1],
      ['["\\x"]', 1],
      ["'a'", 0],
      ["[NaN]", 1],
      ["// x", 0],
      ['{"a":[{"b":1', 12],
      ['["a', 1],
      ["[ ", 2],
    ];
    for (const [text, offset] of cases) {
      expect(() => void JSON.parse(text)).toThrow(SyntaxError);
      expect([text, jsonFailureOffset(text)]).toEqual([text, offset]);
    }
  });

  it("agrees with JSON.parse: what parses fails only at its end, and nothing before the place is wrong", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom("", '"', "{", "]", ",", ":", "1", "x", "\n"), (json, where, inserted) => {
        const place = where % (json.length + 1);
        const text = json.slice(0, place) + inserted + json.slice(place + 1);
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        const offset = jsonFailureOffset(text);
        expect(jsonFailureOffset(text.slice(0, offset))).toBe(offset);
        if (isJson) expect(offset).toBe(text.length);
        else expect(text.slice(offset)).not.toMatch(/^\s/);
      }),
    );
  });
});

describe("duplicateKey", () => {
  it("finds a key twice in one object, however it is written", () => {
    expect(duplicateKey('{"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}],"d":"a"}')).toBeUndefined();
    expect(duplicateKey('{"a":1,"b":{"a":2},"a":3}')).toBe("a");
    expect(duplicateKey('[{"x":{"\\u0061" : 1, "a"\n:2}}]')).toBe("a");
    expect(duplicateKey('{"a\\"":1,"a\\\\":2,"a":"{\\"a\\":1,\\"a\\":2}"}')).toBeUndefined();
    expect(duplicateKey('{"":1,"__proto__":2,"":3}')).toBe("");
    expect(duplicateKey(`{"k":"${"x".repeat(5_000_000)}","k":1}`)).toBe("k");
  });

  it("agrees with JSON.parse: no duplicate, no key lost", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.jsonValue()), { maxLength: 8 }), (pairs) => {
        const text = `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(" , ")}}`;
        const isLost = Object.keys(JSON.parse(text) as object).length < pairs.length;
        expect(duplicateKey(text) !== undefined).toBe(isLost);
      }),
    );
  });
});
