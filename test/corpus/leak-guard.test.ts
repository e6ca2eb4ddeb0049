/**
 * Proves that training doesn't begin with answers inside questions, validation questions that training has nearly word for word, or documents on both sides of a split, unless they are few or allowed by name; and
 * that what was found is said with counts and examples. Alone: npx vitest run test/corpus/leak-guard.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { guardQuestions, type LeakGuard } from "../../src/corpus/leak-guard.js";
import type { Question } from "../../src/corpus/question.js";
import { faultOf } from "../storage/bad-input.js";

const GUARD: LeakGuard = { allow: [], tolerance: 0.05, near: 0.8 };
const WORDS = ["river", "tower", "mill", "bridge", "harbour", "garden", "school", "market", "forest", "castle", "quarry", "orchard"];
const asked = (count: number, set: string, change: (i: number) => Partial<Question> = () => ({})): Question[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `${set}-${i}`,
    question: `Who built the ${WORDS[i % WORDS.length]!} of ${set}${i} in the year ${1000 + i}, and why was it given up?`,
    answers: [`Ida ${set} Renhan`],
    passageIds: [],
    document: `${set}${Math.floor(i / 4)}`,
    ...change(i),
  }));
const holding = (i: number): Partial<Question> => ({ question: `Is the tower or the mill ${i} older?`, answers: ["the mill"] });
const guarded = (
  sets: Record<string, Question[]>,
  guard: Partial<LeakGuard> = {},
): { said: [string, boolean][]; fault: string | undefined } => {
  const said: [string, boolean][] = [];
  const run = (): void => {
    guardQuestions(sets, { ...GUARD, ...guard }, (text, isRefused) => said.push([text, isRefused]));
  };
  let fault: string | undefined;
  try {
    run();
  } catch {
    fault = faultOf(run);
  }
  return { said, fault };
};

describe("answers inside questions", () => {
  const sets = (count: number, of = 100): Record<string, Question[]> => ({
    train: asked(of, "a", (i) => (i < count ? holding(i) : {})),
    valid: asked(20, "b"),
  });

  it("are refused above the tolerated share, with the share, an example and the way to allow them", () => {
    const { said, fault } = guarded(sets(6));
    expect(fault).toBe(
      'train: 6 of 100 questions (6.0 %) of train hold one of their own answers, for example "Is the tower or the mill 0 older?" (answer "the mill"); expected at most 5.0 % (data.questions.leak_tolerance); mend the files, or allow it by name: data.questions.allow_leaks=[answer_in_question]',
    );
    expect(said[0]).toEqual([
      expect.stringMatching(/^6 of 100 questions .*0 older\?".*; .*1 older\?".*; .*2 older\?" \(answer "the mill"\)$/),
      true,
    ]);
  });

  it("are only said up to it, below three of them, or when they are allowed", () => {
    for (const { said, fault } of [
      guarded(sets(5)),
      guarded(sets(2, 10)),
      guarded(sets(60), { allow: ["answer_in_question"] }),
      guarded(sets(60), { tolerance: 1 }),
    ]) {
      expect(fault).toBeUndefined();
      expect(said.map(([, isRefused]) => isRefused)).toEqual([false]);
    }
    expect(guarded(sets(0))).toEqual({ said: [], fault: undefined });
  });

  it("are found by whole words: an answer inside a longer word isn't there", () => {
    const party = asked(100, "a", () => ({ question: "Who gave the party?", answers: ["art"] }));
    expect(guarded({ train: party })).toEqual({ said: [], fault: undefined });
  });
});

describe("validation questions that training has", () => {
  const train = asked(100, "a");
  const copies = (count: number, change: (text: string) => string): Question[] =>
    asked(40, "b", (i) => (i < count ? { question: change(train[i]!.question) } : {}));

  it("word for word, in other case and marks, or with a word more, are refused above the tolerated share", () => {
    for (const change of [(text: string) => text, (text: string) => text.toUpperCase().replace("?", "!"), (text: string) => `So ${text}`]) {
      const { fault } = guarded({ train, valid: copies(3, change) });
      expect(fault).toMatch(
        /^train and valid: 3 of 40 questions \(7\.5 %\) of valid stand in train word for word or nearly .* for example "Who built.* and ".*allow_leaks=\[near_duplicates\]/,
      );
    }
    expect(guarded({ train, valid: copies(2, (text) => text) }).fault).toBeUndefined();
    expect(guarded({ train, valid: copies(9, (text) => text) }, { allow: ["near_duplicates"] }).fault).toBeUndefined();
    expect(guarded({ train, valid: copies(9, (text) => `So ${text}`) }, { near: 1 }).fault).toBeUndefined();
  });

  it("count for test too, not between validation and test, and not in follow-ups, which mean what was said before", () => {
    expect(guarded({ train, valid: asked(40, "c"), test: copies(9, (text) => text) }).fault).toMatch(/^train and test: /);
    const same = copies(9, (text) => `Else: ${text.slice(4)} Or was it all a tale of much later years that nobody believed?`);
    expect(guarded({ train, valid: same, test: same.map((one) => ({ ...one, document: `d${one.id}` })) }).fault).toBeUndefined();
    const history = [{ question: "Where is it?", answer: "In the north" }];
    const talks = copies(9, (text) => text).map((one) => ({ ...one, history }));
    expect(guarded({ train, valid: talks }).fault).toBeUndefined();
  });
});

describe("a document on both sides", () => {
  it("is refused from the first, unless it is allowed", () => {
    const sets = { train: asked(100, "a"), valid: asked(40, "b", (i) => (i === 0 ? { document: "a0" } : {})) };
    expect(guarded(sets).fault).toMatch(
      /^train and valid: the sets share 1 document, for example "a0".*allow_leaks=\[shared_documents\] trains all the same/,
    );
    expect(guarded(sets, { allow: ["shared_documents"] })).toEqual({ said: [], fault: undefined });
  });
});

describe("several findings", () => {
  it("are one fault that says how many more there are and allows all of them at once", () => {
    const train = asked(100, "a", (i) => (i < 50 ? holding(i) : {}));
    const valid = asked(40, "b", (i) => (i < 20 ? { ...holding(i), question: train[60 + i]!.question } : holding(i)));
    const { fault } = guarded({ train, valid });
    expect(fault).toMatch(/\(and 2 more such findings\).*allow_leaks=\[answer_in_question,near_duplicates\]/);
    expect(fault).not.toContain("\n");
  });

  it("property: whatever a question holds, what is said is one line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const { said, fault } = guarded({ train: asked(4, "a", () => ({ question: `mill ${text}`, answers: ["mill"] })) });
        expect([...said.map(([line]) => line), fault ?? ""].join("")).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});
