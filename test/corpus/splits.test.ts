/**
 * Proves that splits never share a document and don't depend on the order of the questions.
 * Alone: npx vitest run test/corpus/splits.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Question } from "../../src/corpus/question.js";
import { questionGroup, splitByDocument, withDocuments } from "../../src/corpus/splits.js";
import { UserError } from "../../src/errors.js";

const question = (id: string, document?: string, passageIds: string[] = []): Question => ({
  id,
  question: `Question ${id}?`,
  answers: ["a"],
  passageIds,
  ...(document === undefined ? {} : { document }),
});
const items = fc.array(fc.record({ id: fc.uuid(), document: fc.integer({ min: 0, max: 40 }).map(String) }), {
  minLength: 1,
  maxLength: 200,
});
const byDocument = (item: { document: string }): string => item.document;

describe("splitByDocument", () => {
  it("property: each document is in one split, every question in exactly one, each wanted split has one", () => {
    fc.assert(
      fc.property(items, fc.integer(), (list, seed) => {
        fc.pre(new Set(list.map(byDocument)).size >= 3);
        const { train, valid, test } = splitByDocument(list, byDocument, { valid: 0.2, test: 0.1, seed });
        expect(train.length * valid.length * test.length).toBeGreaterThan(0);
        expect([...train, ...valid, ...test].sort((a, b) => list.indexOf(a) - list.indexOf(b))).toEqual(list);
        const documents = [train, valid, test].map((split) => new Set(split.map(byDocument)));
        expect(documents.reduce((sum, { size }) => sum + size, 0)).toBe(new Set(list.map(byDocument)).size);
      }),
    );
  });

  it("property: the documents of a split don't depend on the order of the questions", () => {
    fc.assert(
      fc.property(items, (list) => {
        fc.pre(new Set(list.map(byDocument)).size >= 2);
        const options = { valid: 0.3, test: 0, seed: 1 };
        const documents = (order: typeof list): Set<string> => new Set(splitByDocument(order, byDocument, options).valid.map(byDocument));
        expect(documents([...list].reverse())).toEqual(documents(list));
      }),
    );
  });

  it("comes near the shares and differs by seed", () => {
    const list = Array.from({ length: 1000 }, (_, i) => ({ document: String(i % 100) }));
    const sizes = new Set<string>();
    for (let seed = 0; seed < 5; seed++) {
      const { valid, test } = splitByDocument(list, byDocument, { valid: 0.2, test: 0.1, seed });
      expect(valid).toHaveLength(200);
      expect(test).toHaveLength(100);
      sizes.add(valid.map(byDocument).join());
    }
    expect(sizes.size).toBe(5);
  });

  it("refuses shares out of range and too few documents", () => {
    const list = [{ document: "a" }, { document: "b" }];
    for (const [valid, test] of [
      [-0.1, 0],
      [0.6, 0.5],
      [Number.NaN, 0],
      [1, 0],
    ] as const) {
      expect(() => splitByDocument(list, byDocument, { valid, test, seed: 0 })).toThrow(UserError);
    }
    expect(() => splitByDocument(list, byDocument, { valid: 0.1, test: 0.1, seed: 0 })).toThrow(
      /too few documents to split by; expected at least 3, got 2/,
    );
  });
});

describe("what questions are kept together by", () => {
  it("is the document, else the gold passage, else the wording", () => {
    expect(questionGroup(question("1", "d", ["p"]))).toBe("document d");
    expect(questionGroup(question("1", undefined, ["p2", "p1"]))).toBe("passage p1");
    expect(questionGroup({ question: "When  WAS it?", passageIds: [] })).toBe(questionGroup({ question: "when was it?", passageIds: [] }));
  });

  it("is filled in from the gold passages where it is missing", () => {
    const known = new Map([["p", "d"]]);
    const filled = withDocuments(
      [question("1", "own", ["p"]), question("2", undefined, ["x", "p"]), question("3", undefined, ["x"])],
      (id) => known.get(id),
    );
    expect(filled.map(({ document }) => document)).toEqual(["own", "d", undefined]);
  });
});
