/**
 * Proves that renaming is a pure function of seed, step and group, consistent within the group, and never uses a forbidden name.
 * Alone: npx vitest run test/corpus/rename-entities.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ENTITY_KINDS, entityMaker } from "../../src/corpus/invented-names.js";
import type { EntityKind } from "../../src/corpus/invented-names.js";
import { renameEntities } from "../../src/corpus/rename-entities.js";
import type { EntityGroup, MarkedText, NameMaker } from "../../src/corpus/rename-entities.js";

const none: ReadonlySet<string> = new Set();
const letters: NameMaker = (random) => () => String.fromCharCode(65 + Math.floor(random() * 26), 97 + Math.floor(random() * 26));

/** Marks `[kind:Name]` in a template. */
function marked(template: string): MarkedText {
  const spans: { start: number; end: number; kind: string }[] = [];
  let text = "";
  let end = 0;
  for (const match of template.matchAll(/\[(\w+):([^\]]+)\]/g)) {
    text += template.slice(end, match.index);
    spans.push({ start: text.length, end: text.length + match[2]!.length, kind: match[1]! });
    text += match[2]!;
    end = match.index + match[0].length;
  }
  return { text: text + template.slice(end), spans };
}

const group: EntityGroup = {
  id: "article 7",
  texts: [
    marked("😀 [name:Kaldom] lies on the [name:Burgad]; [person:Ada Kaldom] was born in [name:Kaldom]."),
    marked("Where does [name:Kaldom] lie?"),
    marked("[name:Burgad]"),
    marked("nothing here"),
  ],
};

describe("renameEntities", () => {
  it("replaces each name by one new name everywhere in the group, and moves the spans along", () => {
    const { texts, names } = renameEntities(group, letters, { seed: 1, step: 2, forbidden: none });
    const kaldom = names.get("Kaldom")!;
    const burgad = names.get("Burgad")!;
    const person = names.get("Ada Kaldom")!;
    expect(new Set([kaldom, burgad, person]).size).toBe(3);
    expect(texts.map(({ text }) => text)).toEqual([
      `😀 ${kaldom} lies on the ${burgad}; ${person} was born in ${kaldom}.`,
      `Where does ${kaldom} lie?`,
      burgad,
      "nothing here",
    ]);
    for (const { text, spans } of texts)
      for (const { start, end } of spans) expect([kaldom, burgad, person]).toContain(text.slice(start, end));
  });

  it("is a pure function of seed, step and group", () => {
    const draw = { seed: 1, step: 2, forbidden: none };
    const renamed = (changed: Partial<typeof draw>, of = group): string =>
      renameEntities(of, letters, { ...draw, ...changed }).texts[0]!.text;
    const before = structuredClone(group);
    expect(renamed({})).toBe(renamed({}));
    expect(group).toEqual(before);
    const others = [renamed({ step: 3 }), renamed({ seed: 2 }), renamed({}, { ...group, id: "article 8" })];
    expect(new Set([renamed({}), ...others]).size).toBe(4);
  });

  it("never draws a forbidden name, nor one that the group has already, and says when none is left", () => {
    const few: NameMaker = (random) => () => ["Kaldom", "X", "Y", "Z", "W"][Math.floor(random() * 5)]!;
    for (let step = 0; step < 50; step++) {
      const { names } = renameEntities(group, few, { seed: 0, step, forbidden: new Set(["X"]) });
      expect([...names.values()].sort()).toEqual(["W", "Y", "Z"]);
    }
    expect(() => renameEntities(group, few, { seed: 0, step: 0, forbidden: new Set(["X", "Y"]) })).toThrow(
      /no free name for .* of group article 7/,
    );
  });

  it("refuses spans that don't fit their text", () => {
    for (const spans of [
      [{ start: 2, end: 9, kind: "n" }],
      [{ start: 1, end: 1, kind: "n" }],
      [1, 0].map((start) => ({ start, end: start + 1, kind: "n" })),
    ]) {
      expect(() => renameEntities({ id: "g", texts: [{ text: "abc", spans }] }, letters, { seed: 0, step: 0, forbidden: none })).toThrow(
        /doesn't fit/,
      );
    }
  });

  it("works with the quickstart's grammar: new names keep their kind and avoid validation's", () => {
    const maker: NameMaker = (random, forbidden) => {
      const make = entityMaker(random, forbidden);
      return (kind) => {
        expect(ENTITY_KINDS).toContain(kind);
        return make(kind as EntityKind);
      };
    };
    for (let step = 0; step < 30; step++) {
      const { names } = renameEntities(group, maker, { seed: 3, step, forbidden: none });
      expect(names.get("Kaldom")).toMatch(/^[A-Z][a-z]{5}$/);
      expect(names.get("Ada Kaldom")).toMatch(/^[A-Z][a-z]+ [A-Z][a-z]+$/);
    }
  });

  it("property: text outside the spans stays, and going back gives the original", () => {
    const word = fc.constantFrom("[n:Ab]", "[n:Cd]", "[m:Ab]", "x", " ", "é😀", "[n:Ef]");
    fc.assert(
      fc.property(fc.array(fc.array(word, { maxLength: 8 }), { maxLength: 4 }), fc.nat(), (templates, step) => {
        const texts = templates.map((parts) => marked(parts.join("")));
        const renamed = renameEntities({ id: "g", texts }, letters, { seed: 0, step, forbidden: none }).texts;
        texts.forEach(({ text, spans }, i) => {
          let back = "";
          let end = 0;
          renamed[i]!.spans.forEach((span, j) => {
            back += renamed[i]!.text.slice(end, span.start) + text.slice(spans[j]!.start, spans[j]!.end);
            end = span.end;
          });
          expect(back + renamed[i]!.text.slice(end)).toBe(text);
        });
      }),
    );
  });
});
