/**
 * Proves that invented names are a function of their key, keep apart within a group, avoid the forbidden ones, and that the grammar is what its file
 * promises. Alone: `npx vitest run test/corpus/invented-names.test.ts`.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  entityMaker,
  ENTITY_KINDS,
  FIRST_NAMES,
  inventedNamesIn,
  isInventedName,
  PREFIXES,
  SUFFIXES,
} from "../../src/corpus/invented-names.js";
import { pick, randomInteger, seededRandom, shuffled } from "../../src/corpus/seeded-random.js";

const kinds = fc.array(fc.constantFrom(...ENTITY_KINDS), { maxLength: 30 });

describe("the grammar", () => {
  it("has 60 first and 60 last syllables, all different", () => {
    expect(new Set(PREFIXES).size).toBe(60);
    expect(new Set(SUFFIXES).size).toBe(60);
    for (const prefix of PREFIXES) expect(prefix).toMatch(/^[A-Z][aeiou][lrnmvs]$/);
    for (const suffix of SUFFIXES) expect(suffix).toMatch(/^[bdfghpwz][aeiou][nrklmtdx]$/);
  });

  it("has first names that don't look like its names and differ in three letters", () => {
    expect(new Set(FIRST_NAMES.map((name) => name.slice(0, 3))).size).toBe(FIRST_NAMES.length);
    expect(FIRST_NAMES.filter(isInventedName)).toEqual([]);
  });

  it("finds names and pairs of first and family name in text, each once, and no English word", () => {
    const text = "Kaldom, Kaldom's river and Greta Milzin. kaldom; Kaldoms; Mildew; Greta Miller met Otto. Baker and Ida  Baker";
    expect(inventedNamesIn(text)).toEqual(["Kaldom", "Milzin", "Greta Miller"]);
  });
});

describe("entityMaker", () => {
  it("makes the same entities for the same key and others for another", () => {
    const make = (key: string): string[] => {
      const entity = entityMaker(seededRandom(key));
      return Array.from({ length: 12 }, (_, i) => entity(ENTITY_KINDS[i % 4]!));
    };
    expect(make("7/1")).toEqual(make("7/1"));
    expect(make("7/1")).not.toEqual(make("7/2"));
  });

  it("never repeats an entity, a syllable, a first or a family name within a group of 30", () => {
    fc.assert(
      fc.property(fc.string(), kinds, (key, wanted) => {
        const entity = entityMaker(seededRandom(key));
        const made = wanted.map((kind) => entity(kind));
        expect(new Set(made).size).toBe(made.length);
        const parts = made.flatMap((text) => (/^\p{L}{6}$/u.test(text) ? [`${text.slice(0, 3)}-`, `-${text.slice(3)}`] : text.split(" ")));
        expect(new Set(parts).size).toBe(parts.length);
      }),
    );
  });

  it("draws no forbidden name, even where few are allowed, and says so where none is", () => {
    const all = PREFIXES.flatMap((prefix) => SUFFIXES.map((suffix) => prefix + suffix));
    const allowed = all.filter((_, i) => i % 12 === 0);
    const forbidden = new Set(all.filter((_, i) => i % 12 !== 0));
    const entity = entityMaker(seededRandom("few"), forbidden);
    for (let i = 0; i < 20; i++) expect(allowed).toContain(entity("name"));
    expect(() => entityMaker(seededRandom("none"), new Set(all))("name")).toThrow(/nothing new is left to draw/);
  });

  it("goes on past 60 names without repeating one", () => {
    const entity = entityMaker(seededRandom("many"));
    const made = Array.from({ length: 200 }, () => entity("name"));
    expect(new Set(made).size).toBe(200);
  });
});

describe("seededRandom", () => {
  it("is this very stream on every machine", () => {
    const random = seededRandom("talvenia");
    expect([random(), random(), random()]).toMatchSnapshot();
  });

  it("is uniform enough for data: each tenth gets its share of 100,000 draws", () => {
    const random = seededRandom("uniform");
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[Math.floor(random() * 10)]! += 1;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  it("draws whole numbers from the closed range, keeps a shuffle's elements, and refuses an empty list", () => {
    const random = seededRandom("range");
    expect(new Set(Array.from({ length: 200 }, () => randomInteger(random, 3, 5)))).toEqual(new Set([3, 4, 5]));
    fc.assert(
      fc.property(fc.array(fc.integer()), (items) => {
        expect(shuffled(random, items).sort()).toEqual([...items].sort());
      }),
    );
    expect(() => pick(random, [])).toThrow(/empty list/);
  });
});
