/**
 * Proves that what sets of questions share is found: documents, gold passages, wordings, and near wordings exactly as comparing every pair would find them; and that documents and passages are refused.
 * Alone: npx vitest run test/corpus/leaks.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkNoLeak, findLeaks, type Leak, type LeakKind } from "../../src/corpus/leaks.js";
import { nearDuplicates } from "../../src/corpus/near-duplicates.js";
import type { Question } from "../../src/corpus/question.js";
import { seededRandom } from "../../src/corpus/seeded-random.js";

const question = (id: string, document?: string, passageIds: string[] = [], text = `Question ${id}?`): Question => ({
  id,
  question: text,
  answers: ["a"],
  passageIds,
  ...(document === undefined ? {} : { document }),
});
const worded = (id: string, text: string): Question => question(id, `d${id}`, [], text);
const leakOf = (leaks: readonly Leak[], kind: LeakKind): Leak | undefined => leaks.find((leak) => leak.kind === kind);
const OPTIONS = { near: 0.8, examples: 3 };

describe("checkNoLeak", () => {
  it("cozyrag 37: a shared document or passage is refused by name, shared wording isn't", () => {
    const train = [question("1", "a", ["p1"]), question("2", "b")];
    const clean = [question("3", "c", ["p3"])];
    checkNoLeak({ train, valid: clean });
    expect(() => {
      checkNoLeak({ train, valid: [question("4", "b")] });
    }).toThrow(/train and valid: the sets share 1 document, for example "b"/);
    expect(() => {
      checkNoLeak({ train: clean, valid: train, test: [question("5", undefined, ["p1"])] });
    }).toThrow(/valid and test: the sets share 1 passage/);
    checkNoLeak({ train, test: [worded("6", "question  2?")] });
  });
});

describe("findLeaks", () => {
  it("counts for every pair of sets and every kind what is shared and the questions that share it", () => {
    const train = [question("1", "a", ["p1"]), question("2", "a", ["p1", "p2"]), question("3", "b")];
    const valid = [question("4", "a"), question("5", "c", ["p2", "p2"])];
    const leaks = findLeaks({ train, valid, test: [] }, OPTIONS);
    expect(leaks.map(({ sets, kind, shared, affected }) => [sets.join("-"), kind, shared, affected])).toEqual([
      ["train-valid", "document", 1, [2, 1]],
      ["train-valid", "passage", 1, [1, 1]],
      ["train-valid", "question", 0, [0, 0]],
      ["train-valid", "near-question", 0, [0, 0]],
      ...["train-test", "valid-test"].flatMap((sets) =>
        ["document", "passage", "question", "near-question"].map((kind) => [sets, kind, 0, [0, 0]]),
      ),
    ]);
    expect(leakOf(leaks, "passage")?.examples).toEqual([
      {
        shared: "p2",
        questions: [
          { id: "2", question: "Question 2?" },
          { id: "5", question: "Question 5?" },
        ],
      },
    ]);
    expect(findLeaks({ train }, OPTIONS)).toEqual([]);
    expect(findLeaks({ train, valid }, { near: null, examples: 0 }).map(({ kind, examples }) => [kind, examples])).toEqual([
      ["document", []],
      ["passage", []],
      ["question", []],
    ]);
  });

  it("takes wordings for equal whatever their case, punctuation, spaces and width of letters", () => {
    const train = [worded("1", "When was  it BUILT?"), worded("2", "Was it “Gävle”?"), worded("3", "???"), worded("4", "Ｗｈｏ is he?")];
    const test = [
      worded("5", "when was it built"),
      worded("6", "was it ga\u0308vle"),
      worded("7", "???"),
      worded("8", "!!!"),
      worded("9", "Who is he"),
    ];
    const found = leakOf(findLeaks({ train, test }, OPTIONS), "question");
    expect(found).toMatchObject({ shared: 4, affected: [4, 4] });
    expect(found?.examples).toHaveLength(3);
    expect(found?.examples[0]?.shared).toBe("when was it built");
  });

  it("finds near wordings, the most alike first, and counts no equal one again", () => {
    const long = "in which year did the town council of the old harbour decide to build the stone bridge over the river";
    const train = [worded("1", long), worded("2", `${long} Minn`), worded("3", "Who was it?"), worded("4", "What is tawhid in English?")];
    const test = [
      worded("5", `${long} Alder`),
      worded("6", long.toUpperCase()),
      worded("7", "What was it?"),
      worded("8", "What is imam in English?"),
    ];
    const found = findLeaks({ train, test }, OPTIONS);
    expect(leakOf(found, "question")).toMatchObject({ shared: 1, affected: [1, 1] });
    const near = leakOf(found, "near-question");
    // "… Minn" and "… Alder" are near to the long one; that one has an equal.
    expect(near).toMatchObject({ shared: 2, affected: [1, 1] });
    const similarities = near?.examples.map(({ similarity = 0 }) => similarity) ?? [];
    expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
    expect(leakOf(findLeaks({ train, test }, { near: 0.3, examples: 9 }), "near-question")?.affected).toEqual([3, 3]);
  });

  it("finds near wordings in scripts without spaces", () => {
    const train = [worded("1", "この町の古い橋はいつ建てられましたか")];
    const test = [worded("2", "この町の古い橋はいつ建てられたのですか"), worded("3", "市長の名前は何ですか")];
    expect(leakOf(findLeaks({ train, test }, { near: 0.6, examples: 3 }), "near-question")?.affected).toEqual([1, 1]);
  });
});

/** What comparing every text with every other finds. */
function everyPair(left: string[][], right: string[][], threshold: number): { left: number; right: number; similarity: number }[] {
  const sets = [left, right].map((texts) =>
    texts.map((words) => new Set(words.length === 0 ? [] : [...words, ""].map((word, i) => `${words[i - 1] ?? ""} ${word}`))),
  );
  return (sets[0] ?? []).flatMap((a, i) =>
    (sets[1] ?? []).flatMap((b, j) => {
      const shared = [...a].filter((pair) => b.has(pair)).length;
      const similarity = shared === 0 ? 0 : shared / (a.size + b.size - shared);
      return similarity > 0 && similarity >= threshold - 1e-9 ? [{ left: i, right: j, similarity }] : [];
    }),
  );
}

describe("nearDuplicates", () => {
  const text = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 12 });
  const texts = fc.array(text, { maxLength: 25 });
  const threshold = fc.oneof(fc.constantFrom(0.25, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1), fc.double({ min: 0.01, max: 1, noNaN: true }));

  it("property: finds a counterpart for exactly the texts that have one, with its true similarity", () => {
    fc.assert(
      fc.property(texts, texts, threshold, (left, right, least) => {
        const expected = everyPair(left, right, least);
        const found = nearDuplicates(left, right, least);
        for (const pair of found) expect(expected).toContainEqual(pair);
        for (const side of ["left", "right"] as const)
          expect(new Set(found.map((pair) => pair[side]))).toEqual(new Set(expected.map((pair) => pair[side])));
      }),
      { numRuns: 400 },
    );
  });

  it("property: the same for long texts that differ in few words", () => {
    const base = Array.from({ length: 24 }, (_, i) => `w${i}`);
    const edits = fc.array(fc.tuple(fc.nat(23), fc.constantFrom("x", "y", "")), { maxLength: 5 });
    const edited = fc.array(
      edits.map((changes) => {
        const words = [...base];
        for (const [at, word] of changes) words[at] = word;
        return words.filter((word) => word !== "");
      }),
      { maxLength: 15 },
    );
    fc.assert(
      fc.property(edited, edited, threshold, (left, right, least) => {
        const expected = everyPair(left, right, least);
        const found = nearDuplicates(left, right, least);
        for (const side of ["left", "right"] as const)
          expect(new Set(found.map((pair) => pair[side]))).toEqual(new Set(expected.map((pair) => pair[side])));
      }),
      { numRuns: 200 },
    );
  });

  it("takes seconds for 20,000 texts, of one template too, where every pair is near", () => {
    const random = seededRandom("near");
    const name = (): string => String(Math.floor(random() * 1e9));
    const words = Array.from({ length: 30 }, (_, i) => `w${i}`);
    const make: (() => string[])[] = [
      () => Array.from({ length: 11 }, () => `w${Math.floor(Math.exp(random() * Math.log(60_000)))}`),
      () => [...words.slice(0, 15), name(), ...words.slice(15)],
      () => [...words.slice(0, 7), name(), ...words.slice(7, 14), name(), ...words.slice(14, 20)],
    ];
    const found = make.map((one) => {
      const [left, right] = [0, 1].map(() => Array.from({ length: 10_000 }, one));
      return nearDuplicates(left ?? [], right ?? [], 0.8);
    });
    // Two sides of one template: each of the 20,000 texts has a counterpart, and no more pairs than texts are listed.
    expect(new Set(found[1]?.map(({ left }) => left)).size).toBe(10_000);
    expect(new Set(found[1]?.map(({ right }) => right)).size).toBe(10_000);
    expect(found[1]?.length).toBeLessThan(20_000);
  }, 20_000);

  it("refuses a threshold out of range", () => {
    for (const wrong of [0, -1, 1.1, Number.NaN]) expect(() => nearDuplicates([], [], wrong)).toThrow(RangeError);
  });
});
